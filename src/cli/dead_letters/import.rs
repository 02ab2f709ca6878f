//! `hookswitch dead-letters import`

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::Context;
use serde_json::json;

use super::{
    files::read_letters,
    progress::{bar, moving},
    session::Session,
    who::{FormerNote, Who},
};
use crate::{
    cli::{
        exit::{DATA, FAILED, OK},
        output::{counted, eprint_line, letters, print_line},
    },
    config::Config,
    core::{
        letters::{JobKind, Letter},
        webhook::SourceName,
    },
    edge::amqp::carriable,
};

/// Put the letters of a file back into their dead-letter queues; repeating it changes nothing
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// A file written by `export` or `discard`
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    former: FormerNote,
}

/// What a file holds.
#[derive(Default)]
struct Content {
    letters: u64,
    sources: BTreeSet<SourceName>,
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    let Content { letters: total, sources } = match check(config, args)? {
        Ok(content) => content,
        Err(error) => {
            eprint_line(&format!("hookswitch: {error:#}; nothing was imported"));
            return Ok(DATA);
        }
    };
    let session = Session::open(config).await?;
    let request = args.who.request(JobKind::Import, format!("file {}", args.file.display()), Some(total))?;
    let services = session.job_services().await?;
    let progress = bar(Some(total), "imported");
    // A line that cannot be read any more was changed after the check.
    let lines = read_letters(&args.file)?.map_while(Result::ok);
    let services = services.borrow();
    let content = (sources.into_iter().collect(), lines);
    let result = session.dead_letters().import(services, &request, content, &mut moving(&progress)).await;
    progress.finish_and_clear();
    let result = result?;
    let (put_back, already_there) = (result.put_back, result.already_there);
    if args.json {
        let shown =
            json!({ "put_back": put_back, "there_already": already_there, "stopped": result.stopped });
        print_line(&shown.to_string())?;
    } else {
        let already_there = counted(already_there, "was there already", "were there already");
        print_line(&format!("{} imported, {already_there}", letters(put_back)))?;
        if result.stopped {
            print_line("interrupted; run it again to continue")?;
        }
    }
    if !result.stopped && put_back + already_there != total {
        anyhow::bail!(
            "the file changed while it was read; run the command again: no letter is imported twice"
        );
    }
    Ok(if result.stopped { FAILED } else { OK })
}

/// Reads all lines before the first letter is imported. The inner error is a wrong line or an empty file.
fn check(config: &Config, args: &Args) -> anyhow::Result<Result<Content, anyhow::Error>> {
    let mut content = Content::default();
    for letter in read_letters(&args.file)? {
        match letter.and_then(|letter| importable(config, letter)) {
            Ok(source) => {
                content.letters += 1;
                content.sources.insert(source);
            }
            Err(error) => return Ok(Err(error)),
        }
    }
    if content.letters == 0 {
        return Ok(Err(anyhow::anyhow!("{} holds no letters", args.file.display())));
    }
    Ok(Ok(content))
}

/// Returns the source of a letter that can be put back whole.
fn importable(config: &Config, letter: Letter) -> anyhow::Result<SourceName> {
    let webhook = &letter.queued.webhook;
    let source = &webhook.source;
    anyhow::ensure!(config.sources.contains_key(source), "source `{source}` is not configured");
    carriable::check(&letter.queued, config.amqp.frame_max)
        .with_context(|| format!("letter {}", letter.id))?;
    Ok(source.clone())
}
