//! `hookswitch dead-letters discard`

use std::{io, path::Path};

use serde_json::json;

use super::{
    files::LetterFile,
    filter::TargetArgs,
    guards::{Guards, restore, save, withdraw_unless},
    progress::{bar, moving},
    selection::{describe, left_meanwhile, not_found, report_dry_run, report_if_empty, select},
    session::Session,
    who::Who,
};
use crate::{
    app::dead_letters::{Discarded, JobRequest},
    cli::{
        exit::{FAILED, OK},
        output::{Report, counts, letters},
    },
    config::Config,
    core::letters::JobKind,
};

/// Remove dead letters from their queues, after writing them to a file
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    guards: Guards,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    // The note is checked first, since it is forgotten most often. The letters are not known yet.
    let request = || args.who.request_with_note(JobKind::Discard, String::new(), None);
    let request = if args.target.dry_run { None } else { Some(request()?) };
    let filter = args.target.filter(config)?;
    let mut file = if args.target.dry_run { None } else { args.guards.file()? };
    let session = Session::open(config).await?;
    let plan = select(&session, &filter, args.target.limit).await?;
    let Some(request) = request else {
        return report_dry_run(&session, &plan, &filter, args.json, "discarded").await;
    };
    let request = JobRequest { filter: filter.to_string(), letters: Some(plan.len()), ..request };
    if let Some(code) = report_if_empty(&session, &plan, &filter, args.json).await? {
        return Ok(code);
    }
    if !args.guards.confirmed(&describe(&plan), "discarded").await? {
        return Ok(FAILED);
    }
    let services = session.job_services().await?;
    let services = services.borrow();
    let dead_letters = session.dead_letters();
    let selected = plan.len();
    let plan = save(&dead_letters, plan, file.as_mut(), services.stop).await?;
    let unsaved = selected - plan.len();
    let progress = bar(Some(plan.len()), "discarded");
    let result = dead_letters.discard(services, &request, plan, &mut moving(&progress)).await;
    progress.finish_and_clear();
    let taken = result.as_ref().is_ok_and(|result| result.discarded + result.unknown > 0);
    withdraw_unless(taken, &mut file);
    let mut result = result?;
    result.not_reached += unsaved;
    let path = file.as_ref().and_then(LetterFile::path);
    if args.json {
        args.guards.report().line(&as_json(&result, path).to_string())?;
    } else {
        print(&result, path, args.guards.report())?;
    }
    let complete = !result.stopped && result.not_found + result.not_reached == 0;
    match result.error {
        Some(error) => Err(error.into()),
        None => Ok(if complete { OK } else { FAILED }),
    }
}

fn as_json(result: &Discarded, path: Option<&Path>) -> serde_json::Value {
    json!({
        "discarded": result.discarded,
        "left_meanwhile": result.left_meanwhile,
        "not_found": result.not_found,
        "not_reached": result.not_reached,
        "unknown": result.unknown,
        "export": path.map(|path| path.display().to_string()),
        "stopped": result.stopped,
        "error": result.error.as_ref().map(ToString::to_string),
    })
}

fn print(result: &Discarded, path: Option<&Path>, report: Report) -> io::Result<()> {
    report.line(&format!("{} discarded", letters(result.discarded)))?;
    if let Some(path) = path {
        report.line(&restore(path))?;
    }
    if result.discarded > 0 {
        report
            .line("their bodies stay in the stream hookswitch.dead-log until its retention deletes them")?;
    }
    let others = [
        left_meanwhile(result.left_meanwhile),
        not_found(result.not_found),
        (
            result.unknown,
            "letter was in hand when it failed: the next job finishes it",
            "letters were in hand when it failed: the next job finishes them",
        ),
        (result.not_reached, "letter not reached: it stays", "letters not reached: they stay"),
    ];
    report.lines(&counts("", &others))?;
    if result.stopped {
        report.line("interrupted; run it again to continue")?;
    }
    Ok(())
}
