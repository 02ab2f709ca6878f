//! `hookswitch dead-letters discard`

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

use indicatif::HumanCount;
use jiff::Timestamp;
use serde_json::json;

use super::{
    files::LetterFile,
    filter::TargetArgs,
    output::{eprint_line, letters, print_line},
    progress::{bar, counted},
    selection::{describe, report_dry_run, report_if_empty, select},
    session::Session,
    who::Who,
};
use crate::{
    app::dead_letters::{Archive, Discarded, JobRequest, Plan},
    cli::exit::{FAILED, OK, Usage},
    config::Config,
    core::letters::JobKind,
};

/// Remove dead letters for good, after writing them to a file
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// The file to write them to first [default: dead-letters-<time>.ndjson in the current directory]
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Write no file: the letters cannot be restored
    #[arg(long, conflicts_with = "export")]
    no_export: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    // The reason is checked first, since it is forgotten most often. The letters are not known yet.
    let request = || args.who.request_with_reason(JobKind::Discard, String::new(), None);
    let request = if args.target.dry_run { None } else { Some(request()?) };
    let filter = args.target.filter(config)?;
    let session = Session::open(config).await?;
    let plan = select(&session, &filter, args.target.limit).await?;
    let Some(request) = request else { return Ok(report_dry_run(&plan, args.json, "discarded")?) };
    let request = JobRequest { filter: filter.to_string(), letters: Some(plan.len()), ..request };
    if let Some(code) = report_if_empty(&session, &plan, &args.target.filter, args.json).await? {
        return Ok(code);
    }
    if !args.yes && !confirmed(&plan).await? {
        return Ok(FAILED);
    }
    let services = session.job_services().await?;
    let named = args.export.clone().unwrap_or_else(default_file);
    let mut file = if args.no_export { None } else { Some(LetterFile::new(&named)?) };
    let progress = bar(Some(plan.len()), "discarded");
    let archive = file.as_mut().map(|file| file as &mut dyn Archive);
    let services = services.borrow();
    let result =
        session.dead_letters().discard(services, &request, plan, archive, &mut counted(&progress)).await;
    progress.finish_and_clear();
    let result = result?;
    let path = file.as_ref().and_then(LetterFile::path).map(|path| path.display().to_string());
    if args.json {
        print_line(&as_json(&result, path).to_string())?;
    } else {
        print(&result, path)?;
    }
    match result.error {
        Some(error) => Err(error.into()),
        None => Ok(if result.not_discarded > 0 { FAILED } else { OK }),
    }
}

fn default_file() -> PathBuf {
    Timestamp::now().strftime("dead-letters-%Y%m%dT%H%M%S.ndjson").to_string().into()
}

/// Asks on the terminal for confirmation.
async fn confirmed(plan: &Plan) -> anyhow::Result<bool> {
    let selected = describe(plan);
    if !io::stdin().is_terminal() {
        let error = format!("{selected} would be discarded: add --yes, or check first with --dry-run");
        return Err(Usage(error).into());
    }
    // On another thread, so that the connection to the broker stays alive while the operator thinks.
    let asked = tokio::task::spawn_blocking(move || {
        eprint!("{selected} will be discarded. Type yes: ");
        io::stderr().flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        io::Result::Ok(answer.trim() == "yes")
    });
    let yes = asked.await??;
    if !yes {
        eprint_line("nothing was discarded");
    }
    Ok(yes)
}

fn as_json(result: &Discarded, path: Option<String>) -> serde_json::Value {
    json!({
        "discarded": result.discarded,
        "left_meanwhile": result.left_meanwhile,
        "not_discarded": result.not_discarded,
        "export": path,
        "stopped": result.stopped,
        "error": result.error.as_ref().map(ToString::to_string),
    })
}

fn print(result: &Discarded, path: Option<String>) -> io::Result<()> {
    print_line(&format!("{} discarded", letters(result.discarded)))?;
    if let Some(path) = path {
        print_line(&format!("they are in {path}: `hookswitch dead-letters import {path}` puts them back"))?;
    }
    if result.left_meanwhile > 0 {
        let moved = HumanCount(result.left_meanwhile);
        print_line(&format!("{moved} letters were moved by another job meanwhile"))?;
    }
    if result.stopped {
        print_line("stopped by Ctrl-C; run it again to continue")?;
    } else if result.not_discarded > 0 {
        let missing = HumanCount(result.not_discarded);
        print_line(&format!(
            "{missing} letters were not in their queue: they were removed by other means (run `dead-letters \
             reindex`)"
        ))?;
    }
    Ok(())
}
