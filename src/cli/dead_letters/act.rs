//! replay, discard, export, import and reindex: the jobs.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    path::PathBuf,
    time::Duration,
};

use serde_json::json;

use super::{
    Aim, Choice, Session, Usage, Who, bar, counted,
    files::{self, LetterFile},
    output::{complain, counts, letters, number, say},
    stop_on_interrupt,
};
use crate::{
    app::dead_letters::{Archive, Canary, JobRequest, Plan, Progress, Replay, Replayed, Stopped},
    cli::{DATA, FAILED, OK},
    config::{Config, units},
    core::letters::{Filter, JobKind},
};

#[derive(clap::Args)]
pub(in crate::cli) struct ReplayArgs {
    /// At most this many a second
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Stop when more than this share of a wave fails again
    #[arg(long, default_value = "10%", value_name = "SHARE", value_parser = share)]
    max_failing: f64,
    /// How long to wait for the outcome of a wave, at most 20m
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = patience)]
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
    aim: Aim,
}

#[derive(clap::Args)]
pub(in crate::cli) struct DiscardArgs {
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
    aim: Aim,
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
    /// Take letters off the list that are in no queue; `export` them first: the list is all that is left of them
    #[arg(long)]
    forget_missing: bool,
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

/// The broker closes a channel that holds a letter for 30 minutes.
fn patience(text: &str) -> Result<Duration, String> {
    let patience = units::parse_duration(text).filter(|time| *time <= Duration::from_secs(1_200));
    patience.ok_or_else(|| "expected a time of at most 20m, as in 30s or 5m".to_owned())
}

/// The letters that are meant, while a spinner turns.
async fn plan(session: &Session<'_>, filter: &Filter, limit: u64) -> anyhow::Result<Plan> {
    let progress = bar(None, "looking");
    let plan = session.desk().plan(filter, limit, |_| progress.inc(1)).await;
    progress.finish_and_clear();
    let plan = plan?;
    for (source, letters) in plan.unconfigured() {
        let letters = number(*letters);
        complain(&format!(
            "{letters} letters are left out: no source `{source}` is configured, so nobody knows their queue"
        ));
    }
    Ok(plan)
}

/// How many of which source, for people.
fn in_words(plan: &Plan) -> String {
    let sources = plan.sources().map(|(source, letters)| format!("{} of {source}", number(letters)));
    let sources: Vec<_> = sources.collect();
    let which = if sources.is_empty() { String::new() } else { format!(" ({})", sources.join(", ")) };
    format!("{}{which}", letters(plan.len()))
}

/// Nothing is meant; unless the last job was killed, there is nothing to do.
async fn nothing(
    session: &Session<'_>,
    plan: &Plan,
    choice: &Choice,
    json: bool,
) -> anyhow::Result<Option<u8>> {
    if !plan.is_empty() {
        return Ok(None);
    }
    if session.desk().was_killed().await? {
        complain("no dead letter is meant by this; the last job was killed, and is finished now");
        return Ok(None);
    }
    if json {
        say(&json!({ "letters": 0 }).to_string())?;
    }
    complain("no dead letter is meant by this; nothing was done");
    Ok(Some(if choice.names_letters() { FAILED } else { OK }))
}

fn dry(plan: &Plan, json: bool, what: &str) -> std::io::Result<u8> {
    if json {
        say(&json!({ "dry_run": true, "letters": plan.len(), "sources": plan.sources().collect::<BTreeMap<_, _>>() }).to_string())?;
    } else {
        say(&format!("{} would be {what}; nothing was done", in_words(plan)))?;
    }
    Ok(OK)
}

pub(super) async fn replay(config: &Config, args: &ReplayArgs) -> anyhow::Result<u8> {
    let filter = args.aim.filter(config)?;
    let session = Session::open(config).await?;
    let plan = plan(&session, &filter, args.aim.limit).await?;
    if args.aim.dry_run {
        return Ok(dry(&plan, args.json, "sent back")?);
    }
    if let Some(code) = nothing(&session, &plan, &args.aim.choice, args.json).await? {
        return Ok(code);
    }
    let order = args.who.order(JobKind::Replay, filter.to_string(), Some(plan.len()))?;
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
    let whole = came.stopped.is_none() && came.not_found + came.held_back == 0;
    match came.error {
        Some(error) => Err(error.into()),
        None => Ok(if whole { OK } else { FAILED }),
    }
}

fn replayed_json(came: &Replayed) -> serde_json::Value {
    json!({
        "sent": came.sent,
        "already_done": came.already_done,
        "done_by_another_body": came.held_back,
        "left_meanwhile": came.left_meanwhile,
        "not_found": came.not_found,
        "not_reached": came.not_reached,
        "outcomes": came.outcomes,
        "stopped": came.stopped.map(|stopped| stopped.to_string()),
        "error": came.error.as_ref().map(ToString::to_string),
    })
}

fn say_all(lines: Vec<String>) -> std::io::Result<()> {
    lines.iter().try_for_each(|line| say(line))
}

fn what_now(stopped: Stopped) -> &'static str {
    match stopped {
        Stopped::Interrupted => "run it again to go on",
        Stopped::TooManyFailed(_) => "mend the cause and `try` before the next replay",
        Stopped::NoOutcome(_) => "see that workers run, or --wait longer, before you run it again",
    }
}

fn replayed(came: &Replayed, watched: bool) -> std::io::Result<()> {
    say(&format!("{} sent back", letters(came.sent)))?;
    if watched {
        let fates = &came.outcomes;
        say(&format!("  {} succeeded", number(fates.done)))?;
        let others = [
            (fates.duplicate, "were duplicates: their webhooks were done meanwhile"),
            (fates.failed, "failed again"),
            (fates.open(), "have not been heard of yet"),
        ];
        say_all(counts("  ", &others))?;
    } else {
        say("  nobody waited for their outcome: `dead-letters stats` shows those that die again")?;
    }
    let others = [
        (came.already_done, "letters taken out and not sent: their webhooks were done meanwhile"),
        (came.held_back, "letters left: their key is done by another body (--again sends them)"),
        (came.left_meanwhile, "letters had left meanwhile through another job"),
        (came.not_found, "letters were not in their queue: somebody took them away (`dead-letters reindex`)"),
        (came.not_reached, "letters not reached"),
    ];
    say_all(counts("", &others))?;
    if let Some(stopped) = came.stopped {
        let head = if stopped == Stopped::Interrupted { "" } else { "stopped: " };
        say(&format!("{head}{stopped}; {}", what_now(stopped)))?;
    }
    Ok(())
}

pub(super) async fn discard(config: &Config, args: &DiscardArgs) -> anyhow::Result<u8> {
    // The reason first: it is what is forgotten most. Which letters is not known yet.
    let order = || args.who.order_with_reason(JobKind::Discard, String::new(), None);
    let order = if args.aim.dry_run { None } else { Some(order()?) };
    let filter = args.aim.filter(config)?;
    let session = Session::open(config).await?;
    let plan = plan(&session, &filter, args.aim.limit).await?;
    let Some(order) = order else { return Ok(dry(&plan, args.json, "thrown away")?) };
    let order = JobRequest { filter: filter.to_string(), letters: Some(plan.len()), ..order };
    if let Some(code) = nothing(&session, &plan, &args.aim.choice, args.json).await? {
        return Ok(code);
    }
    if !args.yes && !confirmed(&plan).await? {
        return Ok(FAILED);
    }
    let tools = session.tools().await?;
    let named = args.export.clone().unwrap_or_else(default_file);
    let mut file = if args.no_export { None } else { Some(LetterFile::new(&named)?) };
    let progress = bar(Some(plan.len()), "thrown away");
    let archive = file.as_mut().map(|file| file as &mut dyn Archive);
    let came = session.desk().discard(tools.lend(), &order, plan, archive, &mut counted(&progress)).await;
    progress.finish_and_clear();
    let came = came?;
    let path = file.as_ref().and_then(LetterFile::path).map(|path| path.display().to_string());
    if args.json {
        say(&json!({
            "discarded": came.discarded,
            "left_meanwhile": came.left_meanwhile,
            "not_discarded": came.not_discarded,
            "export": path,
            "stopped": came.stopped,
            "error": came.error.as_ref().map(ToString::to_string),
        })
        .to_string())?;
    } else {
        say(&format!("{} thrown away", letters(came.discarded)))?;
        if let Some(path) = path {
            say(&format!("they are in {path}: `hookswitch dead-letters import {path}` puts them back"))?;
        }
        if came.left_meanwhile > 0 {
            say(&format!("{} letters had left meanwhile through another job", number(came.left_meanwhile)))?;
        }
        if came.stopped {
            say("stopped by hand; run it again to go on")?;
        } else if came.not_discarded > 0 {
            let letters = number(came.not_discarded);
            say(&format!(
                "{letters} letters were not in their queue: somebody took them away (`dead-letters reindex`)"
            ))?;
        }
    }
    match came.error {
        Some(error) => Err(error.into()),
        None => Ok(if came.not_discarded > 0 { FAILED } else { OK }),
    }
}

fn default_file() -> PathBuf {
    jiff::Timestamp::now().strftime("dead-letters-%Y%m%dT%H%M%S.ndjson").to_string().into()
}

async fn confirmed(plan: &Plan) -> anyhow::Result<bool> {
    let words = in_words(plan);
    if !std::io::stdin().is_terminal() {
        return Err(
            Usage(format!("{words} would be thrown away: add --yes, or look first with --dry-run")).into()
        );
    }
    // Apart, since the connection to the broker must live while somebody thinks.
    let asked = tokio::task::spawn_blocking(move || {
        eprint!("{words} will be thrown away. Type yes: ");
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        std::io::Result::Ok(answer.trim() == "yes")
    });
    let yes = asked.await??;
    if !yes {
        complain("nothing was thrown away");
    }
    Ok(yes)
}

pub(super) async fn export(config: &Config, args: &ExportArgs) -> anyhow::Result<u8> {
    let filter = args.choice.filter(config)?;
    let order = args.who.order_with_reason(JobKind::Export, filter.to_string(), None)?;
    let session = Session::open(config).await?;
    let (publisher, stop) = (session.publisher().await?, stop_on_interrupt());
    let mut file = LetterFile::new(&args.file)?;
    let progress = bar(None, "written");
    let written = session
        .desk()
        .export((&publisher, &stop), &order, (&filter, args.limit), &mut file, &mut counted(&progress))
        .await;
    progress.finish_and_clear();
    let written = written?;
    match file.path() {
        Some(path) => {
            say(&format!("{} written to {}, whole: with personal data", letters(written), path.display()))?;
        }
        None => complain("no dead letter is meant by this; no file was made"),
    }
    if stop.is_cancelled() {
        say("stopped by hand: these are not all")?;
    }
    Ok(if stop.is_cancelled() || (written == 0 && args.choice.names_letters()) { FAILED } else { OK })
}

pub(super) async fn import(config: &Config, args: &ImportArgs) -> anyhow::Result<u8> {
    // All lines are read before the first letter is put back.
    let mut letters = 0;
    for letter in files::letters(&args.file)? {
        let checked = letter.and_then(|letter| {
            let source = letter.queued.webhook.source;
            anyhow::ensure!(config.sources.contains_key(&source), "no source `{source}` is configured");
            Ok(())
        });
        if let Err(error) = checked {
            complain(&format!("hookswitch: {error:#}; nothing was put back"));
            return Ok(DATA);
        }
        letters += 1;
    }
    let session = Session::open(config).await?;
    let order = args.who.order(JobKind::Import, format!("file {}", args.file.display()), Some(letters))?;
    let tools = session.tools().await?;
    let progress = bar(Some(letters), "put back");
    // A line that is no letter any more was changed since it was read.
    let lines = files::letters(&args.file)?.map_while(Result::ok);
    let came = session.desk().import(tools.lend(), &order, lines, &mut counted(&progress)).await;
    progress.finish_and_clear();
    let came = came?;
    if args.json {
        say(&json!({ "put_back": came.put_back, "there_already": came.already_there, "stopped": came.stopped })
            .to_string())?;
    } else {
        say(&format!(
            "{} letters put back, {} were there already",
            number(came.put_back),
            number(came.already_there)
        ))?;
        if came.stopped {
            say("stopped by hand; run it again to go on")?;
        }
    }
    if !came.stopped && came.put_back + came.already_there != letters {
        anyhow::bail!(
            "the file has changed while it was read; run it again: what is there is not put back twice"
        );
    }
    Ok(if came.stopped { FAILED } else { OK })
}

pub(super) async fn reindex(config: &Config, args: &ReindexArgs) -> anyhow::Result<u8> {
    let session = Session::open(config).await?;
    let filter = args.choice.filter(config)?;
    let order = args.who.order(JobKind::Reindex, filter.to_string(), None)?;
    let tools = session.tools().await?;
    let progress = bar(None, "seen");
    let which = (&filter, args.forget_missing);
    let came = session.desk().reindex(tools.lend(), &order, which, &mut counted(&progress)).await;
    progress.finish_and_clear();
    let came = came?;
    if args.json {
        say(&json!({
            "seen": came.seen,
            "listed": came.listed,
            "missing": came.missing,
            "misplaced": came.misplaced,
            "finished": came.finished,
            "stopped": came.stopped,
        })
        .to_string())?;
        return Ok(if came.stopped { FAILED } else { OK });
    }
    say(&format!("{} in the queues", letters(came.seen)))?;
    let missing = if args.forget_missing {
        "were listed and are in no queue; they are not listed any more"
    } else {
        "are listed and in no queue: `export` has them whole; then --forget-missing, and `import` if you want them"
    };
    let parts = [
        (came.listed, "were not listed, and are now"),
        (came.missing, missing),
        (came.misplaced, "lie in the queue of another source than their own: move them back by hand"),
        (came.finished, "had been settled by a job that was killed, or were there twice: taken out"),
    ];
    say_all(counts("  ", &parts))?;
    if came.stopped {
        say("stopped by hand: these are not all; run it again")?;
    }
    Ok(if came.stopped { FAILED } else { OK })
}
