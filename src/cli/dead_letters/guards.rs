//! The guards of commands that take letters away: a question, and a file with the letters first.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    files::{LetterFile, is_output},
    progress::{bar, moving},
};
use crate::{
    app::dead_letters::{DeadLetters, Plan},
    cli::{
        exit::Usage,
        output::{Report, eprint_line},
    },
};

/// The options about confirming and saving.
#[derive(clap::Args, Clone)]
pub(super) struct Guards {
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// The file to write the letters to first, or - for standard output [default:
    /// dead-letters-<time>.ndjson in the current directory]
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Write no file: the letters cannot be put back. It erases nothing: their bodies stay in the stream
    /// hookswitch.dead-log on the broker until its retention deletes them, up to 90 days later
    #[arg(long, conflicts_with = "export")]
    no_export: bool,
}

impl Guards {
    /// Returns where the command reports.
    pub(super) fn report(&self) -> Report {
        Report::beside(self.export.as_deref().is_some_and(is_output))
    }

    /// Returns true if a file is asked for by its name.
    pub(super) fn names_file(&self) -> bool {
        self.export.is_some()
    }

    /// Returns true if an option says something about a file.
    pub(super) fn says_file(&self) -> bool {
        self.names_file() || self.no_export
    }

    /// Returns the file to save letters in; none if none is wanted.
    pub(super) fn file(&self) -> anyhow::Result<Option<LetterFile>> {
        if self.no_export {
            return Ok(None);
        }
        let default = || Timestamp::now().strftime("dead-letters-%Y%m%dT%H%M%S.ndjson").to_string().into();
        Ok(Some(LetterFile::new(&self.export.clone().unwrap_or_else(default))?))
    }

    /// Asks on the terminal for confirmation, as in `4 letters will be discarded`.
    pub(super) async fn confirmed(&self, letters: &str, done: &str) -> anyhow::Result<bool> {
        if self.yes {
            return Ok(true);
        }
        if !io::stdin().is_terminal() {
            let error = format!("{letters} would be {done}: add --yes, or check first with --dry-run");
            return Err(Usage(error).into());
        }
        let question = format!("{letters} will be {done}. Type yes: ");
        // On another thread, so that the connection to the broker stays alive while the operator thinks.
        let asked = tokio::task::spawn_blocking(move || {
            let mut terminal = io::stderr();
            terminal.write_all(question.as_bytes())?;
            terminal.flush()?;
            let mut answer = String::new();
            io::stdin().read_line(&mut answer)?;
            io::Result::Ok(answer.trim() == "yes")
        });
        let yes = asked.await??;
        if !yes {
            eprint_line(&format!("nothing was {done}"));
        }
        Ok(yes)
    }
}

/// Saves the letters of a plan in the file, if there is one. Returns the letters that may be taken away:
/// those that are safe, or all of them if no file is wanted.
pub(super) async fn save(
    dead_letters: &DeadLetters<'_>,
    plan: Plan,
    file: Option<&mut LetterFile>,
    stop: &CancellationToken,
) -> anyhow::Result<Plan> {
    let Some(file) = file else { return Ok(plan) };
    let progress = bar(Some(plan.len()), "saved");
    let saved = dead_letters.save(&plan, file, stop, &mut moving(&progress)).await;
    progress.finish_and_clear();
    Ok(saved?)
}

/// Takes back a file of saved letters, unless letters were taken away: what is still in its queue needs no
/// copy, and the next try may have the name.
pub(super) fn withdraw_unless(taken: bool, file: &mut Option<LetterFile>) {
    if !taken {
        file.take().into_iter().for_each(LetterFile::withdraw);
    }
}

/// Returns the line that says how to put saved letters back.
pub(super) fn restore(path: &Path) -> String {
    let path = path.display();
    format!("they are in {path}: `hookswitch dead-letters import {path}` puts them back")
}
