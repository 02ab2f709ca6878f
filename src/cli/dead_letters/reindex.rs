//! `hookswitch dead-letters reindex`

use std::io;

use serde_json::json;

use super::{
    files::LetterFile,
    filter::FilterArgs,
    guards::{Guards, restore, save},
    progress::{bar, moving},
    selection::describe,
    session::{JobServices, Session},
    who::Who,
};
use crate::{
    app::dead_letters::{JobRequest, Plan, Reindexed},
    cli::{
        exit::{FAILED, OK, Usage},
        output::{Report, counted, counts, letters},
    },
    config::Config,
    core::letters::{Filter, JobKind},
};

const NOTES: &str = "\
Without --forget-missing and --move-home it puts letters on the list that are in their queue and not \
listed, and removes second copies, and letters that a killed job had settled, from the queue. A bundle of \
webhooks that the broker moved as a whole is taken apart into its letters. Letters that are listed but in \
no queue, and letters in the queue of another source, are only reported.

--export, --no-export and --yes are for the letters of --forget-missing only. Receivers and workers may \
run meanwhile: a letter that died within the last minute is left to them. Other jobs that move letters are \
refused until it ends.

Examples:
  hookswitch dead-letters reindex
  hookswitch dead-letters reindex --move-home
  hookswitch dead-letters reindex --forget-missing --note \"purged by mistake\"

Exit codes:
  0   the list agrees, but for what is only reported
  1   interrupted, not all was done, or the output could not be written
  64  the command line or the configuration is wrong
  69  the broker or Redis is unreachable";

/// Make the list of dead letters agree with the queues, after letters were moved by other means
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub(in crate::cli) struct Args {
    /// Remove letters from the list that are in no queue. The list is the only copy: it needs --note, asks,
    /// and writes them to a file first
    #[arg(long)]
    forget_missing: bool,
    /// Move letters that are in the queue of another source to their own
    #[arg(long)]
    move_home: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    guards: Guards,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    filter: FilterArgs,
}

/// What became of the letters that were missing.
#[derive(Default)]
struct Forgotten {
    letters: u64,
    file: Option<LetterFile>,
}

impl Args {
    fn request(&self, filter: &Filter, letters: Option<u64>) -> Result<JobRequest, Usage> {
        let filter = filter.to_string();
        if self.forget_missing {
            self.who.request_with_note(JobKind::Reindex, filter, letters)
        } else {
            self.who.request(JobKind::Reindex, filter, letters)
        }
    }
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    if !args.forget_missing && args.guards.says_file() {
        let error = "--export and --no-export are about the letters of --forget-missing: without \
                     --forget-missing no letter is taken off the list, and there is nothing to save";
        return Err(Usage(error.to_owned()).into());
    }
    let filter = args.filter.filter(config)?;
    let request = args.request(&filter, None)?;
    let file = if args.forget_missing { args.guards.file()? } else { None };
    let session = Session::open(config).await?;
    let services = session.job_services().await?;
    let progress = bar(None, "seen");
    let which = (&filter, args.move_home);
    let dead_letters = session.dead_letters();
    let result = dead_letters.reindex(services.borrow(), &request, which, &mut moving(&progress)).await;
    progress.finish_and_clear();
    let mut result = result?;
    let report = args.guards.report();
    if !args.json {
        print(&result, args, report)?;
    }
    let missing = std::mem::take(&mut result.missing);
    let (missing_letters, forgets) = (missing.len(), args.forget_missing && !missing.is_empty());
    let forgotten = if forgets && !result.stopped {
        let request = args.request(&filter, Some(missing_letters))?;
        forget(&session, &services, (args, request), missing, file).await?
    } else {
        Forgotten::default()
    };
    let path = forgotten.file.as_ref().and_then(LetterFile::path);
    if args.json {
        let export = path.map(|path| path.display().to_string());
        report.line(&as_json(&result, missing_letters, forgotten.letters, export).to_string())?;
    } else if forgets {
        report.line(&format!("{} not listed any more", letters(forgotten.letters)))?;
        path.map_or(Ok(()), |path| report.line(&restore(path)))?;
    }
    let left = forgets && forgotten.letters < missing_letters;
    Ok(if result.stopped || left { FAILED } else { OK })
}

/// Takes missing letters off the list, as `discard` removes letters from their queues.
async fn forget(
    session: &Session<'_>,
    services: &JobServices,
    (args, request): (&Args, JobRequest),
    missing: Plan,
    mut file: Option<LetterFile>,
) -> anyhow::Result<Forgotten> {
    if !args.guards.confirmed(&describe(&missing), "taken off the list").await? {
        return Ok(Forgotten::default());
    }
    let (dead_letters, services) = (session.dead_letters(), services.borrow());
    let missing = save(&dead_letters, missing, file.as_mut(), services.stop).await?;
    let letters = dead_letters.forget(services, &request, missing).await?;
    Ok(Forgotten { letters, file })
}

fn as_json(result: &Reindexed, missing: u64, forgotten: u64, export: Option<String>) -> serde_json::Value {
    json!({
        "seen": result.seen,
        "listed": result.listed,
        "missing": missing,
        "forgotten": forgotten,
        "misplaced": result.misplaced,
        "moved": result.moved,
        "finished": result.finished,
        "export": export,
        "stopped": result.stopped,
    })
}

fn print(result: &Reindexed, args: &Args, report: Report) -> io::Result<()> {
    report.line(&counted(result.seen, "letter is in the queues", "letters are in the queues"))?;
    let missing = if args.forget_missing {
        ["is listed but not in its queue", "are listed but not in their queue"]
    } else {
        [
            "is listed but not in its queue: --forget-missing saves it in a file for `import`",
            "are listed but not in their queue: --forget-missing saves them in a file for `import`",
        ]
    };
    let misplaced = if args.move_home {
        ["is in the queue of another source", "are in the queue of another source"]
    } else {
        [
            "is in the queue of another source: --move-home moves it to its own",
            "are in the queue of another source: --move-home moves them to their own",
        ]
    };
    let parts = [
        (result.listed, "was not listed and is now", "were not listed and are now"),
        (result.moved, "was moved to the queue of its source", "were moved to the queues of their sources"),
        (result.missing.len(), missing[0], missing[1]),
        (result.misplaced, misplaced[0], misplaced[1]),
        (
            result.finished,
            "was removed from its queue: a second copy, or settled by a job that was killed",
            "were removed from their queue: second copies, or settled by a job that was killed",
        ),
    ];
    report.lines(&counts("  ", &parts))?;
    if result.stopped {
        report.line("interrupted; not all queues were read, so run it again")?;
    } else if parts.iter().all(|(n, ..)| *n == 0) {
        report.line("the list agrees: nothing to do")?;
    }
    Ok(())
}
