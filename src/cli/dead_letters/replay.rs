//! `hookswitch dead-letters replay`

use std::{io, time::Duration};

use indicatif::HumanCount;
use serde_json::json;

use super::{
    files::LetterFile,
    filter::TargetArgs,
    guards::{Guards, restore, save, withdraw_unless},
    progress::bar,
    selection::{describe, left_meanwhile, not_found, report_dry_run, report_if_empty, select},
    session::{JobServices, Session},
    who::Who,
};
use crate::{
    app::dead_letters::{Canary, DeadLetterError, JobRequest, Plan, Progress, Replay, Replayed, Stopped},
    cli::{
        connect::read_record,
        exit::{FAILED, OK, Usage},
        output::{Report, counts, eprint_line, letters},
    },
    config::{Config, units},
    core::letters::{Filter, JobKind},
};

/// Send dead letters back to be processed again: same bytes, attempts from zero
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// At most this many letters a second
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Stop when more than this share of a wave fails again
    #[arg(long, default_value = "10%", value_name = "SHARE", value_parser = share)]
    max_failing: f64,
    /// Time to wait for the outcomes of a wave, at most 20m
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = patience)]
    wait: Duration,
    /// Send all letters at once, without waiting for outcomes. It needs --note, asks, and writes the letters
    /// to a file first
    #[arg(long, conflicts_with_all = ["max_failing", "wait"])]
    no_canary: bool,
    /// Also send letters whose idempotency key is done by a webhook with another body. They are skipped
    /// otherwise, since workers would take them for duplicates
    #[arg(long)]
    again: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    guards: Guards,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    target: TargetArgs,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.trim_end_matches("/s").parse().map_err(|_| "expected a number, as in 50 or 50/s")?;
    if rate.is_finite() && rate > 0.0 {
        Ok(rate)
    } else {
        Err("expected more than 0 letters a second".to_owned())
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    match share {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a share between 0% and 100%".to_owned()),
    }
}

/// Parses the time to wait. It is limited since the broker closes a channel that holds a letter for 30
/// minutes.
fn patience(text: &str) -> Result<Duration, String> {
    let patience = units::parse_duration(text).filter(|time| *time <= Duration::from_secs(1_200));
    patience.ok_or_else(|| "expected a time of at most 20m, as in 30s or 5m".to_owned())
}

impl Args {
    /// Returns true if nothing but these guards would stop a mistake.
    fn is_guarded(&self) -> bool {
        self.no_canary && !self.target.dry_run
    }

    fn request(&self, filter: &Filter, letters: Option<u64>) -> Result<JobRequest, Usage> {
        let filter = filter.to_string();
        if self.is_guarded() {
            self.who.request_with_note(JobKind::Replay, filter, letters)
        } else {
            self.who.request(JobKind::Replay, filter, letters)
        }
    }
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    let filter = args.target.filter(config)?;
    let request = if args.target.dry_run { None } else { Some(args.request(&filter, None)?) };
    let mut file = if args.is_guarded() || args.guards.names_file() { args.guards.file()? } else { None };
    let session = Session::open(config).await?;
    let plan = select(&session, &filter, args.target.limit).await?;
    tell_pauses(&session, &plan).await?;
    let Some(request) = request else {
        return report_dry_run(&session, &plan, &filter, args.json, "replayed").await;
    };
    if let Some(code) = report_if_empty(&session, &plan, &filter, args.json).await? {
        return Ok(code);
    }
    if args.is_guarded() && !args.guards.confirmed(&describe(&plan), "replayed at once").await? {
        return Ok(FAILED);
    }
    let request = JobRequest { letters: Some(plan.len()), ..request };
    let services = session.job_services().await?;
    let selected = plan.len();
    let plan = save(&session.dead_letters(), plan, file.as_mut(), services.borrow().stop).await?;
    let unsaved = selected - plan.len();
    let result = replay(&session, &services, (&request, args), plan).await;
    let taken =
        result.as_ref().is_ok_and(|result| result.sent + result.already_done > 0 || result.error.is_some());
    withdraw_unless(taken, &mut file);
    let mut result = result?;
    result.not_reached += unsaved;
    let report = args.guards.report();
    if args.json {
        report.line(&as_json(&result).to_string())?;
    } else {
        print(&result, !args.no_canary, report)?;
        if let Some(path) = file.as_ref().and_then(LetterFile::path) {
            report.line(&restore(path))?;
        }
    }
    let complete = result.stopped.is_none() && result.not_found + result.held_back + unsaved == 0;
    match result.error {
        Some(error) => Err(error.into()),
        None => Ok(if complete { OK } else { FAILED }),
    }
}

/// Says which letters will wait in their queue, since their source is paused.
async fn tell_pauses(session: &Session<'_>, plan: &Plan) -> anyhow::Result<()> {
    let declared = read_record(session.connection()).await?;
    for (source, count) in plan.sources() {
        if let Some(pause) = declared.paused.get(source) {
            eprint_line(&format!(
                "source {source} is {pause}; {} to it would wait until `hookswitch resume {source}`",
                letters(count)
            ));
        }
    }
    Ok(())
}

async fn replay(
    session: &Session<'_>,
    services: &JobServices,
    (request, args): (&JobRequest, &Args),
    plan: Plan,
) -> Result<Replayed, DeadLetterError> {
    let canary = Canary { max_failing: args.max_failing, patience: args.wait };
    let options = Replay { canary: (!args.no_canary).then_some(canary), rate: args.rate, again: args.again };
    let progress = bar(Some(plan.len()), "replayed");
    let mut show = |now| match now {
        Progress::Letters(letters) => {
            progress.set_message("");
            progress.set_position(letters);
        }
        Progress::Waiting { sent, open } => {
            progress.set_message(format!("waiting for the outcome of {open} of {sent}"));
        }
    };
    let result = session.dead_letters().replay(services.borrow(), request, plan, options, &mut show).await;
    progress.finish_and_clear();
    result
}

fn as_json(result: &Replayed) -> serde_json::Value {
    json!({
        "sent": result.sent,
        "already_done": result.already_done,
        "done_by_another_body": result.held_back,
        "left_meanwhile": result.left_meanwhile,
        "not_found": result.not_found,
        "not_reached": result.not_reached,
        "outcomes": result.outcomes,
        "stopped": result.stopped.map(|stopped| stopped.to_string()),
        "error": result.error.as_ref().map(ToString::to_string),
    })
}

fn print(result: &Replayed, outcomes_awaited: bool, report: Report) -> io::Result<()> {
    report.line(&format!("{} replayed", letters(result.sent)))?;
    if outcomes_awaited {
        let outcomes = &result.outcomes;
        report.line(&format!("  {} succeeded", HumanCount(outcomes.done)))?;
        let others = [
            (
                outcomes.duplicate,
                "was a duplicate: its webhook was done meanwhile",
                "were duplicates: their webhooks were done meanwhile",
            ),
            (outcomes.failed, "failed again", "failed again"),
            (outcomes.open(), "has no outcome yet", "have no outcome yet"),
        ];
        report.lines(&counts("  ", &others))?;
    } else {
        report.line("  outcomes were not awaited: `dead-letters stats` shows letters that die again")?;
    }
    report.lines(&counts("", &letters_not_sent(result)))?;
    if let Some(stopped) = result.stopped {
        let prefix = if stopped == Stopped::Interrupted { "" } else { "stopped: " };
        report.line(&format!("{prefix}{stopped}; {}", next_step(stopped)))?;
    }
    Ok(())
}

/// Returns the numbers of letters that were not sent, each with the words for one and for several.
fn letters_not_sent(result: &Replayed) -> [(u64, &'static str, &'static str); 5] {
    [
        (
            result.already_done,
            "letter removed without a replay: its webhook was done meanwhile",
            "letters removed without a replay: their webhooks were done meanwhile",
        ),
        (
            result.held_back,
            "letter skipped: its key is done by another body (--again sends it)",
            "letters skipped: their key is done by another body (--again sends them)",
        ),
        left_meanwhile(result.left_meanwhile),
        not_found(result.not_found),
        (result.not_reached, "letter not reached", "letters not reached"),
    ]
}

fn next_step(stopped: Stopped) -> &'static str {
    match stopped {
        Stopped::Interrupted => "run it again to continue",
        Stopped::TooManyFailed(_) => "fix the cause and run `try` before the next replay",
        Stopped::NoOutcome(_) => {
            "check that workers are running, or give a longer --wait, before you run it again"
        }
        Stopped::SourcePaused(_) => "what was sent waits for `hookswitch resume`: run it again after that",
    }
}
