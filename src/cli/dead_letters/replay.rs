//! `hookswitch dead-letters replay`

use std::{io, time::Duration};

use indicatif::HumanCount;
use serde_json::json;

use super::{
    filter::TargetArgs,
    output::{counts, letters, print_line, print_lines},
    progress::bar,
    selection::{report_dry_run, report_if_empty, select},
    session::Session,
    who::Who,
};
use crate::{
    app::dead_letters::{Canary, Progress, Replay, Replayed, Stopped},
    cli::exit::{FAILED, OK},
    config::{Config, units},
    core::letters::JobKind,
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
    /// Send all letters at once, without waiting for outcomes
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

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    let filter = args.target.filter(config)?;
    let session = Session::open(config).await?;
    let plan = select(&session, &filter, args.target.limit).await?;
    if args.target.dry_run {
        return Ok(report_dry_run(&plan, args.json, "replayed")?);
    }
    if let Some(code) = report_if_empty(&session, &plan, &args.target.filter, args.json).await? {
        return Ok(code);
    }
    let request = args.who.request(JobKind::Replay, filter.to_string(), Some(plan.len()))?;
    let services = session.job_services().await?;
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
    let result = session.dead_letters().replay(services.borrow(), &request, plan, options, &mut show).await;
    progress.finish_and_clear();
    let result = result?;
    if args.json {
        print_line(&as_json(&result).to_string())?;
    } else {
        print(&result, options.canary.is_some())?;
    }
    let complete = result.stopped.is_none() && result.not_found + result.held_back == 0;
    match result.error {
        Some(error) => Err(error.into()),
        None => Ok(if complete { OK } else { FAILED }),
    }
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

fn print(result: &Replayed, outcomes_awaited: bool) -> io::Result<()> {
    print_line(&format!("{} replayed", letters(result.sent)))?;
    if outcomes_awaited {
        let outcomes = &result.outcomes;
        print_line(&format!("  {} succeeded", HumanCount(outcomes.done)))?;
        let others = [
            (outcomes.duplicate, "were duplicates: their webhooks were done meanwhile"),
            (outcomes.failed, "failed again"),
            (outcomes.open(), "have no outcome yet"),
        ];
        print_lines(&counts("  ", &others))?;
    } else {
        print_line("  outcomes were not awaited: `dead-letters stats` shows letters that die again")?;
    }
    let others = [
        (result.already_done, "letters removed without a replay: their webhooks were done meanwhile"),
        (result.held_back, "letters skipped: their key is done by another body (--again sends them)"),
        (result.left_meanwhile, "letters were moved by another job meanwhile"),
        (
            result.not_found,
            "letters were not in their queue: they were removed by other means (run `dead-letters reindex`)",
        ),
        (result.not_reached, "letters not reached"),
    ];
    print_lines(&counts("", &others))?;
    if let Some(stopped) = result.stopped {
        let prefix = if stopped == Stopped::Interrupted { "" } else { "stopped: " };
        print_line(&format!("{prefix}{stopped}; {}", next_step(stopped)))?;
    }
    Ok(())
}

fn next_step(stopped: Stopped) -> &'static str {
    match stopped {
        Stopped::Interrupted => "run it again to continue",
        Stopped::TooManyFailed(_) => "fix the cause and run `try` before the next replay",
        Stopped::NoOutcome(_) => {
            "check that workers are running, or give a longer --wait, before you run it again"
        }
    }
}
