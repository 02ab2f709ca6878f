//! replay, discard, export, import and reindex: the jobs.

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;

use super::{
    Choice, Session, Usage, Who, bar,
    files::{self, LetterFile},
    output::{number, say},
};
use crate::{
    app::dead_letters::{Archive, Canary, Plan, Progress, Replay, Replayed},
    cli::{DATA, FAILED, OK},
    config::{Config, units},
    core::letters::{Kind, Letter},
};

#[derive(clap::Args)]
pub(in crate::cli) struct ReplayArgs {
    /// Only say what would be sent
    #[arg(long)]
    dry_run: bool,
    /// At most this many, the oldest
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true, value_name = "N")]
    limit: u64,
    /// At most this many a second
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Stop when more than this share of a wave fails again
    #[arg(long, default_value = "10%", value_name = "SHARE", value_parser = share)]
    max_failing: f64,
    /// How long to wait for the outcome of a wave
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = duration)]
    wait: Duration,
    /// Send all at once, and wait for no outcome
    #[arg(long, conflicts_with_all = ["max_failing", "wait"])]
    no_canary: bool,
    /// Also those whose key is done by a webhook with another body, which would be taken for duplicates
    #[arg(long)]
    again: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    choice: Choice,
}

#[derive(clap::Args)]
pub(in crate::cli) struct DiscardArgs {
    /// Only say what would be thrown away
    #[arg(long)]
    dry_run: bool,
    /// At most this many, the oldest
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true, value_name = "N")]
    limit: u64,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// The file to write them to first; without it dead-letters-<time>.ndjson here
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Write them nowhere: they are gone for good
    #[arg(long, conflicts_with = "export")]
    no_export: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    choice: Choice,
}

#[derive(clap::Args)]
pub(in crate::cli) struct ExportArgs {
    /// A file that is not there yet
    file: PathBuf,
    /// At most this many, the oldest
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true, value_name = "N")]
    limit: u64,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    choice: Choice,
}

#[derive(clap::Args)]
pub(in crate::cli) struct ImportArgs {
    /// A file that `export` or `discard` has written
    file: PathBuf,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: Who,
}

#[derive(clap::Args)]
pub(in crate::cli) struct ReindexArgs {
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    choice: Choice,
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

fn duration(text: &str) -> Result<Duration, String> {
    units::parse_duration(text).ok_or_else(|| "expected a time, as in 30s or 5m".to_owned())
}

/// The letters that are meant, while a spinner turns.
async fn plan(
    session: &Session<'_>,
    choice: &Choice,
    limit: u64,
    each: impl FnMut(&Letter),
) -> anyhow::Result<Plan> {
    let progress = bar(None, "looking");
    let (filter, mut each) = (choice.filter(session.config)?, each);
    let plan = session
        .desk()
        .plan(&filter, limit, |letter| {
            progress.inc(1);
            each(letter);
        })
        .await;
    progress.finish_and_clear();
    Ok(plan?)
}

/// How many of which source, for people.
fn in_words(plan: &Plan) -> String {
    let sources = plan.sources().iter().map(|(source, letters)| format!("{} of {source}", number(*letters)));
    let sources: Vec<_> = sources.collect();
    let letters = if plan.len() == 1 { "letter" } else { "letters" };
    let which = if sources.is_empty() { String::new() } else { format!(" ({})", sources.join(", ")) };
    format!("{} {letters}{which}", number(plan.len()))
}

fn nothing(choice: &Choice) -> u8 {
    eprintln!("no dead letter is meant by this; nothing was done");
    if choice.names_letters() { FAILED } else { OK }
}

fn dry(plan: &Plan, json: bool, what: &str) -> std::io::Result<u8> {
    if json {
        say(&json!({ "dry_run": true, "letters": plan.len(), "sources": plan.sources() }).to_string())?;
    } else {
        say(&format!("{} would be {what}; nothing was done", in_words(plan)))?;
    }
    Ok(OK)
}

pub(super) async fn replay(config: &Config, args: &ReplayArgs) -> anyhow::Result<u8> {
    let session = Session::open(config).await?;
    let plan = plan(&session, &args.choice, args.limit, |_| {}).await?;
    if args.dry_run {
        return Ok(dry(&plan, args.json, "sent back")?);
    }
    if plan.is_empty() {
        return Ok(nothing(&args.choice));
    }
    let order = args.who.order(Kind::Replay, args.choice.filter(config)?.to_string(), plan.len())?;
    let tools = session.tools().await?;
    let canary = Canary { max_failing: args.max_failing, patience: args.wait };
    let how = Replay { canary: (!args.no_canary).then_some(canary), rate: args.rate, again: args.again };
    let progress = bar(Some(plan.len()), "sent back");
    let mut tell = |now| match now {
        Progress::Letters(letters) => {
            progress.set_message("");
            progress.set_position(letters);
        }
        Progress::Waiting { sent, open } => {
            progress.set_message(format!("waiting for the outcome of {open} of {sent}"));
        }
    };
    let came = session.desk().replay(tools.lend(), &order, plan, how, &mut tell).await;
    progress.finish_and_clear();
    let came = came?;
    if args.json {
        say(&replayed_json(&came).to_string())?;
    } else {
        replayed(&came, how.canary.is_some())?;
    }
    Ok(if came.stopped.is_some() { FAILED } else { OK })
}

fn replayed_json(came: &Replayed) -> serde_json::Value {
    json!({
        "sent": came.sent,
        "already_done": came.already_done,
        "done_by_another_body": came.held_back,
        "not_found": came.not_found,
        "not_reached": came.not_reached,
        "outcomes": came.fates,
        "stopped": came.stopped.map(|stopped| stopped.to_string()),
    })
}

fn replayed(came: &Replayed, watched: bool) -> std::io::Result<()> {
    say(&format!("{} letters sent back", number(came.sent)))?;
    if watched {
        let fates = &came.fates;
        say(&format!("  {} succeeded", number(fates.done)))?;
        let others = [
            (fates.duplicate, "were duplicates: their webhooks were done meanwhile"),
            (fates.failed, "failed again"),
            (fates.open(), "have not been heard of yet"),
        ];
        for (letters, what) in others.into_iter().filter(|(letters, _)| *letters > 0) {
            say(&format!("  {} {what}", number(letters)))?;
        }
    }
    let others = [
        (came.already_done, "letters taken out and not sent: their webhooks were done meanwhile"),
        (came.held_back, "letters left: their key is done by another body (--again sends them)"),
        (came.not_found, "letters were not in their queue: somebody took them away (`dead-letters reindex`)"),
        (came.not_reached, "letters not reached"),
    ];
    for (letters, what) in others.into_iter().filter(|(letters, _)| *letters > 0) {
        say(&format!("{} {what}", number(letters)))?;
    }
    if let Some(stopped) = came.stopped {
        say(&format!("stopped: {stopped}; run it again to go on"))?;
    }
    Ok(())
}

pub(super) async fn discard(config: &Config, args: &DiscardArgs) -> anyhow::Result<u8> {
    // Before anything else, so that a script without a reason fails at once.
    let filter = args.choice.filter(config)?.to_string();
    let order = (!args.dry_run).then(|| args.who.order_with_reason(Kind::Discard, filter, 0)).transpose()?;
    let session = Session::open(config).await?;
    let plan = plan(&session, &args.choice, args.limit, |_| {}).await?;
    let Some(mut order) = order else {
        return Ok(dry(&plan, args.json, "thrown away")?);
    };
    if plan.is_empty() {
        return Ok(nothing(&args.choice));
    }
    order.letters = plan.len();
    if !args.yes && !confirmed(&plan)? {
        return Ok(FAILED);
    }
    let tools = session.tools().await?;
    let named = args.export.clone().unwrap_or_else(default_file);
    let mut file = if args.no_export { None } else { Some(LetterFile::create(&named)?) };
    let progress = bar(Some(plan.len()), "thrown away");
    let archive = file.as_mut().map(|file| file as &mut dyn Archive);
    let came = session.desk().discard(tools.lend(), &order, plan, archive, &mut counted(&progress)).await;
    progress.finish_and_clear();
    let (discarded, stopped) = match came {
        Ok(came) => came,
        Err(error) => {
            if let Some(file) = file {
                file.remove_if_empty();
            }
            return Err(error.into());
        }
    };
    let path = file.as_ref().map(LetterFile::path).map(Path::display);
    if args.json {
        let path = path.map(|path| path.to_string());
        say(&json!({ "discarded": discarded, "export": path, "stopped": stopped }).to_string())?;
    } else {
        say(&format!("{} letters thrown away", number(discarded)))?;
        if let Some(path) = path {
            say(&format!("they are in {path}: `hookswitch dead-letters import {path}` puts them back"))?;
        }
        if stopped {
            say("stopped by hand; run it again to go on")?;
        }
    }
    Ok(if stopped { FAILED } else { OK })
}

fn default_file() -> PathBuf {
    jiff::Timestamp::now().strftime("dead-letters-%Y%m%dT%H%M%S.ndjson").to_string().into()
}

fn confirmed(plan: &Plan) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        let words = in_words(plan);
        return Err(
            Usage(format!("{words} would be thrown away: add --yes, or look first with --dry-run")).into()
        );
    }
    eprint!("{} will be thrown away. Type yes: ", in_words(plan));
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    let yes = answer.trim() == "yes";
    if !yes {
        eprintln!("nothing was thrown away");
    }
    Ok(yes)
}

pub(super) async fn export(config: &Config, args: &ExportArgs) -> anyhow::Result<u8> {
    let session = Session::open(config).await?;
    let filter = args.choice.filter(config)?;
    let order = args.who.order_with_reason(Kind::Export, filter.to_string(), 0)?;
    let tools = session.tools().await?;
    let mut file = LetterFile::create(&args.file)?;
    let progress = bar(None, "written");
    let written = session
        .desk()
        .export(tools.lend(), &order, (&filter, args.limit), &mut file, &mut counted(&progress))
        .await;
    progress.finish_and_clear();
    let written = written?;
    say(&format!(
        "{} letters written to {}, whole: they hold personal data",
        number(written),
        args.file.display()
    ))?;
    let stopped = tools.stop.is_cancelled();
    if stopped {
        say("stopped by hand: these are not all")?;
    }
    Ok(if stopped || (written == 0 && args.choice.names_letters()) { FAILED } else { OK })
}

/// Shows how many letters are through.
fn counted(progress: &indicatif::ProgressBar) -> impl FnMut(Progress) {
    |now| {
        if let Progress::Letters(letters) = now {
            progress.set_position(letters);
        }
    }
}

pub(super) async fn import(config: &Config, args: &ImportArgs) -> anyhow::Result<u8> {
    // All lines are read before the first letter is put back.
    let mut letters = 0;
    for letter in files::letters(&args.file)? {
        let checked = letter.and_then(|letter| {
            let source = letter.inbound.webhook.source;
            anyhow::ensure!(config.sources.contains_key(&source), "no source `{source}` is configured");
            Ok(())
        });
        if let Err(error) = checked {
            eprintln!("hookswitch: {error:#}; nothing was put back");
            return Ok(DATA);
        }
        letters += 1;
    }
    let session = Session::open(config).await?;
    let order = args.who.order(Kind::Import, format!("file {}", args.file.display()), letters)?;
    let tools = session.tools().await?;
    let progress = bar(Some(letters), "put back");
    // A line that is no letter any more was changed since it was read.
    let lines = files::letters(&args.file)?.map_while(Result::ok);
    let came = session.desk().import(tools.lend(), &order, lines, &mut counted(&progress)).await;
    progress.finish_and_clear();
    let came = came?;
    if args.json {
        let shown =
            json!({ "put_back": came.put_back, "there_already": came.there, "stopped": came.stopped });
        say(&shown.to_string())?;
    } else {
        say(&format!(
            "{} letters put back, {} were there already",
            number(came.put_back),
            number(came.there)
        ))?;
        if came.stopped {
            say("stopped by hand; run it again to go on")?;
        }
    }
    Ok(if came.stopped { FAILED } else { OK })
}

pub(super) async fn reindex(config: &Config, args: &ReindexArgs) -> anyhow::Result<u8> {
    let session = Session::open(config).await?;
    let filter = args.choice.filter(config)?;
    let order = args.who.order(Kind::Reindex, filter.to_string(), 0)?;
    let tools = session.tools().await?;
    let progress = bar(None, "seen");
    let came = session.desk().reindex(tools.lend(), &order, &filter, &mut counted(&progress)).await;
    progress.finish_and_clear();
    let came = came?;
    if args.json {
        let shown = json!({
            "seen": came.seen,
            "listed": came.listed,
            "missing": came.missing,
            "finished": came.finished,
            "stopped": came.stopped,
        });
        say(&shown.to_string())?;
        return Ok(if came.stopped { FAILED } else { OK });
    }
    say(&format!("{} letters in the queues", number(came.seen)))?;
    let parts = [
        (came.listed, "were not listed, and are now"),
        (came.missing, "were listed and are in no queue; they are not listed any more"),
        (came.finished, "had been settled by a job that was killed, or were there twice: taken out"),
    ];
    for (letters, what) in parts.into_iter().filter(|(letters, _)| *letters > 0) {
        say(&format!("  {} {what}", number(letters)))?;
    }
    if came.stopped {
        say("stopped by hand; run it again to go on")?;
    }
    Ok(if came.stopped { FAILED } else { OK })
}
