//! `hookswitch dead-letters import`

use std::path::PathBuf;

use indicatif::HumanCount;
use serde_json::json;

use super::{
    files::read_letters,
    output::{eprint_line, letters, print_line},
    progress::{bar, counted},
    session::Session,
    who::Who,
};
use crate::{
    cli::exit::{DATA, FAILED, OK},
    config::Config,
    core::letters::JobKind,
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
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    let total = match check(config, args)? {
        Ok(total) => total,
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
    let result = session.dead_letters().import(services, &request, lines, &mut counted(&progress)).await;
    progress.finish_and_clear();
    let result = result?;
    let (put_back, already_there) = (result.put_back, result.already_there);
    if args.json {
        let shown =
            json!({ "put_back": put_back, "there_already": already_there, "stopped": result.stopped });
        print_line(&shown.to_string())?;
    } else {
        let already_there = HumanCount(already_there);
        print_line(&format!("{} imported, {already_there} were there already", letters(put_back)))?;
        if result.stopped {
            print_line("stopped by Ctrl-C; run it again to continue")?;
        }
    }
    if !result.stopped && put_back + already_there != total {
        anyhow::bail!(
            "the file changed while it was read; run the command again: no letter is imported twice"
        );
    }
    Ok(if result.stopped { FAILED } else { OK })
}

/// Reads all lines before the first letter is imported, and returns the number of letters. The inner error is
/// a wrong line.
fn check(config: &Config, args: &Args) -> anyhow::Result<Result<u64, anyhow::Error>> {
    let mut letters = 0;
    for letter in read_letters(&args.file)? {
        match letter {
            Ok(letter) if config.sources.contains_key(&letter.queued.webhook.source) => {
                if let Err(error) = carriable::check(&letter.queued, config.amqp.frame_max) {
                    return Ok(Err(anyhow::Error::from(error).context(format!("letter {}", letter.id))));
                }
                letters += 1;
            }
            Ok(letter) => {
                let source = letter.queued.webhook.source;
                return Ok(Err(anyhow::anyhow!("source `{source}` is not configured")));
            }
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(letters))
}
