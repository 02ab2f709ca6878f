//! stats, list, show, try and jobs: what changes nothing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Choice, Session, Usage, Who, bar, counted, files,
    output::{Out, age, bars, complain, counts, moment, number, table},
};
use crate::{
    app::{
        dead_letters::{Census, Difference, Trial},
        worker::read::NormalizedWebhook,
    },
    cli::{DATA, FAILED, OK, ledger::open_store},
    config::Config,
    core::{
        delivery::fault::Reason,
        letters::{Archived, Filter, JobKind, JobSummary, Letter, Stats},
        redact,
        webhook::SourceName,
    },
};

/// Bars of the histogram.
const BARS: usize = 24;

#[derive(clap::Args)]
pub(in crate::cli) struct StatsArgs {
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    choice: Choice,
}

#[derive(clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: u64,
    /// Go on after this place, which the page before has named
    #[arg(long, value_name = "PLACE")]
    after: Option<u64>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    choice: Choice,
}

#[derive(clap::Args)]
pub(in crate::cli) struct ShowArgs {
    /// A delivery id or letter id, as `list` prints it
    id: Uuid,
    /// With personal data, which goes on record; needs --reason
    #[arg(long)]
    reveal: bool,
    /// One JSON object a letter
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: Who,
}

#[derive(clap::Args)]
pub(in crate::cli) struct TryArgs {
    /// Letters of this file instead of those on the broker: neither broker nor Redis is needed then
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print the events that each letter would give, without personal data unless --reveal is given
    #[arg(long)]
    events: bool,
    /// Print events with personal data, which goes on record; needs --reason
    #[arg(long, requires = "events")]
    reveal: bool,
    /// At most this many letters
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true, value_name = "N")]
    limit: u64,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    choice: Choice,
}

#[derive(clap::Args)]
pub(in crate::cli) struct JobsArgs {
    /// At most this many, the newest
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) async fn stats(config: &Config, args: &StatsArgs) -> anyhow::Result<u8> {
    let filter = args.choice.filter(config)?;
    let session = Session::open(config).await?;
    let progress = bar(None, "reading");
    let census = session.desk().count(&filter, &mut counted(&progress)).await;
    progress.finish_and_clear();
    let Census { stats, queued, differences } = census?;
    let mut out = Out::new();
    if args.json {
        out.line(&stats_json(&stats, &queued).to_string())?;
    } else {
        for line in stats_lines(&stats, filter == Filter::default(), Timestamp::now()) {
            out.line(&line)?;
        }
    }
    out.finish()?;
    for difference in &differences {
        complain(&in_words(difference));
    }
    Ok(OK)
}

fn stats_json(stats: &Stats, queued: &BTreeMap<SourceName, u64>) -> Value {
    let groups = stats.groups().into_iter().map(|(key, group)| {
        json!({
            "source": key.source,
            "provider": key.provider,
            "reason": key.reason,
            "fingerprint": key.fingerprint.to_string(),
            "version": key.version,
            "letters": group.letters,
            "replayed_before": group.replayed,
            "oldest": group.oldest,
            "newest": group.newest,
            "error": group.error,
            "example": group.example,
        })
    });
    json!({
        "letters": stats.letters(),
        "groups": groups.collect::<Vec<_>>(),
        "histogram": stats.histogram(BARS),
        "in_queues": queued,
    })
}

fn stats_lines(stats: &Stats, of_all: bool, now: Timestamp) -> Vec<String> {
    if stats.letters() == 0 {
        return vec![if of_all { "no dead letters" } else { "no dead letter is meant by this" }.to_owned()];
    }
    let old = |at: Option<Timestamp>| at.map_or_else(|| "?".to_owned(), |at| age(at, now));
    let rows: Vec<_> = stats
        .groups()
        .into_iter()
        .map(|(key, group)| {
            vec![
                number(group.letters),
                key.source.to_string(),
                word(key.reason),
                key.fingerprint.to_string(),
                key.version.clone().unwrap_or_else(|| "-".to_owned()),
                format!("{} … {}", old(group.oldest), old(group.newest)),
                if group.replayed > 0 { number(group.replayed) } else { "-".to_owned() },
                group.error.clone(),
            ]
        })
        .collect();
    let head =
        ["letters", "source", "died of", "fingerprint", "version", "ago", "replayed", "error of one of them"];
    let mut lines = table(&head, &rows);
    lines.push(String::new());
    if let Some(histogram) = stats.histogram(BARS) {
        lines.push(format!("when they died (UTC, {} a bar)", width(histogram.minutes)));
        lines.extend(bars(&histogram));
        lines.push(String::new());
    }
    lines.push(format!("{} dead letters in {} groups", number(stats.letters()), rows.len()));
    lines
}

fn width(minutes: i64) -> String {
    match minutes {
        1 => "1 minute".to_owned(),
        2..60 => format!("{minutes} minutes"),
        60 => "1 hour".to_owned(),
        61..1_440 => format!("{} hours", minutes / 60),
        1_440 => "1 day".to_owned(),
        _ => format!("{} days", minutes / 1_440),
    }
}

fn in_words(difference: &Difference) -> String {
    let Difference { source, listed, queued } = difference;
    if queued > listed {
        let more = number(queued - listed);
        format!(
            "dead.{source} holds {more} letters that are not listed: run `hookswitch dead-letters reindex`"
        )
    } else {
        let fewer = number(listed - queued);
        format!(
            "dead.{source} holds {fewer} letters fewer than are listed: a job has them in hand, or somebody took \
             them away by other means; if no job runs, run `hookswitch dead-letters reindex`"
        )
    }
}

fn word(reason: Option<Reason>) -> String {
    reason.map_or("unknown", Reason::as_str).to_owned()
}

pub(super) async fn list(config: &Config, args: &ListArgs) -> anyhow::Result<u8> {
    let session = Session::open(config).await?;
    let mut browsing = session.desk().browse(args.choice.filter(config)?, args.after).await?;
    let mut out = Out::new();
    let (mut listed, mut last, mut more) = (0, None, false);
    let mut rows = Vec::new();
    while let Some((place, letter)) = browsing.next().await? {
        if listed == args.limit {
            more = true;
            break;
        }
        (listed, last) = (listed + 1, Some(place));
        if args.json {
            let mut line = summary(&letter);
            line["place"] = json!(place);
            if !out.line(&line.to_string())? {
                break;
            }
        } else {
            rows.push(row(&letter));
        }
    }
    browsing.close().await;
    if !args.json && listed > 0 {
        let head = ["delivery id", "source", "died of", "fingerprint", "died at (UTC)", "replays", "error"];
        for line in table(&head, &rows) {
            out.line(&line)?;
        }
    }
    out.finish()?;
    match last {
        Some(last) if more => complain(&format!("there are more: --after {last}")),
        None => complain("no dead letter is meant by this"),
        Some(_) => {}
    }
    Ok(if listed == 0 && args.choice.names_letters() { FAILED } else { OK })
}

fn row(letter: &Letter) -> Vec<String> {
    let (webhook, history) = (&letter.queued.webhook, &letter.queued.history);
    vec![
        webhook.delivery_id.to_string(),
        webhook.source.to_string(),
        word(history.reason),
        letter.fingerprint().to_string(),
        history.last_failed_at.map_or_else(|| "?".to_owned(), moment),
        history.replays.to_string(),
        history.error.clone().unwrap_or_else(|| "(the broker gives no text)".to_owned()),
    ]
}

/// A letter without its body and headers.
fn summary(letter: &Letter) -> Value {
    let (webhook, history) = (&letter.queued.webhook, &letter.queued.history);
    json!({
        "id": webhook.delivery_id,
        "letter": letter.id.to_string(),
        "source": webhook.source,
        "provider": webhook.provider,
        "reason": history.reason,
        "fingerprint": letter.fingerprint().to_string(),
        "error": history.error,
        "attempts": history.attempt.0,
        "received_at": webhook.received_at,
        "first_failed_at": history.first_failed_at,
        "last_failed_at": history.last_failed_at,
        "version": history.version,
        "replays": history.replays,
        "past": history.past,
        "bytes": webhook.body.len(),
    })
}

pub(super) async fn show(config: &Config, args: &ShowArgs) -> anyhow::Result<u8> {
    let session = Session::open(config).await?;
    let desk = session.desk();
    let mut found = Vec::new();
    let mut browsing = desk.browse(Choice::of_id(args.id).filter(config)?, None).await?;
    while let Some((_, letter)) = browsing.next().await? {
        found.push(letter);
    }
    browsing.close().await;
    if found.is_empty() {
        complain(&format!("no dead letter {}", args.id));
        return Ok(FAILED);
    }
    if args.reveal {
        let shown = found.len() as u64;
        let order = args.who.order_with_reason(JobKind::Reveal, format!("id {}", args.id), Some(shown))?;
        desk.reveal(&session.publisher().await?, &order).await?.end(shown).await?;
    }
    let mut out = Out::new();
    for letter in &found {
        if args.json {
            out.line(&whole_json(letter, args.reveal)?.to_string())?;
        } else {
            for line in whole(letter, args.reveal) {
                out.line(&line)?;
            }
        }
    }
    out.finish()?;
    Ok(OK)
}

fn whole_json(letter: &Letter, reveal: bool) -> anyhow::Result<Value> {
    if reveal {
        return Ok(serde_json::to_value(Archived::from(letter))?);
    }
    let webhook = &letter.queued.webhook;
    let mut whole = summary(letter);
    let header = |(name, value): (&str, &str)| {
        (name.to_owned(), Value::String(redact::header(webhook.provider, name, value)))
    };
    whole["headers"] = Value::Object(webhook.headers.iter().map(header).collect::<Map<_, _>>());
    whole["redacted_body"] = Value::String(redact::body(webhook.provider, &webhook.body));
    Ok(whole)
}

fn whole(letter: &Letter, reveal: bool) -> Vec<String> {
    let (webhook, history) = (&letter.queued.webhook, &letter.queued.history);
    let at = |at: Option<Timestamp>| at.map_or_else(|| "?".to_owned(), moment);
    let mut lines = vec![
        format!("delivery id   {}", webhook.delivery_id),
        format!("letter id     {}", letter.id),
        format!("source        {} ({})", webhook.source, webhook.provider),
        format!("died of       {}", word(history.reason)),
        format!("error         {}", history.error.as_deref().unwrap_or("(the broker gives no text)")),
        format!("fingerprint   {}", letter.fingerprint()),
        format!("attempts      {}", history.attempt.0),
        format!("declared by   {}", history.version.as_deref().unwrap_or("the broker")),
        format!("received at   {}", moment(webhook.received_at)),
        format!("first failed  {}", at(history.first_failed_at)),
        format!("died at       {}", at(history.last_failed_at)),
        format!("replays       {}", history.replays),
    ];
    for death in &history.past {
        let version = death.version.as_deref().unwrap_or("the broker");
        lines.push(format!(
            "  died before {} of {} ({version}): {}",
            at(death.at),
            word(death.reason),
            death.error
        ));
    }
    lines
        .push(format!("headers       {}", if webhook.headers.iter().next().is_none() { "none" } else { "" }));
    for (name, value) in webhook.headers.iter() {
        let value = if reveal { printable(value) } else { redact::header(webhook.provider, name, value) };
        lines.push(format!("  {name}: {value}"));
    }
    let redacted = if reveal { "" } else { ", personal data taken out: --reveal --reason \"…\" shows it" };
    lines.push(format!("body          {} bytes{redacted}", webhook.body.len()));
    let body = if reveal {
        printable(&String::from_utf8_lossy(&webhook.body))
    } else {
        redact::body(webhook.provider, &webhook.body)
    };
    lines.extend(body.lines().map(|line| format!("  {line}")));
    lines
}

/// A sender's text without what a terminal would take for a command.
fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

pub(super) async fn attempt(config: &Config, args: &TryArgs) -> anyhow::Result<u8> {
    let filter = args.choice.filter(config)?;
    let mut out = Out::new();
    let mut printed = Ok(());
    let mut each = |letter: &Letter, read: &NormalizedWebhook| {
        if args.events && printed.is_ok() {
            printed = print_events(letter, read, args, &mut out);
        }
    };
    let trial = match &args.file {
        Some(path) => match try_file(config, path, (&filter, args), &mut each).await? {
            Some(trial) => trial,
            None => return Ok(DATA),
        },
        None => try_listed(config, filter, args, &mut each).await?,
    };
    printed?;
    print_trial(&trial, args, &mut out)?;
    out.finish()?;
    Ok(if trial.letters == 0 && args.choice.names_letters() { FAILED } else { OK })
}

/// Tries the letters of a file; none if it cannot be read.
async fn try_file(
    config: &Config,
    path: &Path,
    (filter, args): (&Filter, &TryArgs),
    each: &mut dyn FnMut(&Letter, &NormalizedWebhook),
) -> anyhow::Result<Option<Trial>> {
    if args.reveal {
        let why = "the file holds the letters whole: --reveal is for those on the broker";
        return Err(Usage(why.to_owned()).into());
    }
    let mut trial = Trial::default();
    for letter in files::letters(path)? {
        if trial.letters == args.limit {
            break;
        }
        match letter {
            Ok(letter) if filter.matches(&letter) => trial.add(config, None, &[letter], each).await?,
            Ok(_) => {}
            Err(error) => {
                complain(&format!("hookswitch: {error:#}"));
                return Ok(None);
            }
        }
    }
    Ok(Some(trial))
}

async fn try_listed(
    config: &Config,
    filter: Filter,
    args: &TryArgs,
    each: &mut dyn FnMut(&Letter, &NormalizedWebhook),
) -> anyhow::Result<Trial> {
    let session = Session::open(config).await?;
    let desk = session.desk();
    let publisher = if args.reveal { Some(session.publisher().await?) } else { None };
    let reveal = match &publisher {
        Some(publisher) => {
            let order = args.who.order_with_reason(JobKind::Reveal, filter.to_string(), None)?;
            Some(desk.reveal(publisher, &order).await?)
        }
        None => None,
    };
    let store = open_store(config)
        .await
        .map_err(|error| complain(&format!("{error}; what is done meanwhile is not known")))
        .ok();
    let progress = bar(None, "trying");
    let which = (filter, args.limit);
    let trial = desk.try_all(store.as_ref(), which, each, &mut counted(&progress)).await;
    progress.finish_and_clear();
    let trial = trial?;
    if let Some(reveal) = reveal {
        reveal.end(trial.succeed).await?;
    }
    Ok(trial)
}

fn print_trial(trial: &Trial, args: &TryArgs, out: &mut Out) -> std::io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    if args.json {
        let fail = trial.fail.iter().map(|((reason, fingerprint), (letters, error))| {
            json!({ "reason": reason, "fingerprint": fingerprint.to_string(), "letters": letters, "error": error })
        });
        let shown = json!({
            "version": version,
            "letters": trial.letters,
            "succeed": trial.succeed,
            "already_done": trial.already_done,
            "done_by_another_body": trial.held_back,
            "fail": fail.collect::<Vec<_>>(),
        });
        out.line(&shown.to_string())?;
        return Ok(());
    }
    let letters = number(trial.letters);
    out.line(&format!("{letters} letters, tried with hookswitch {version}; nothing was published"))?;
    out.line(&format!("  {} would succeed", number(trial.succeed)))?;
    let others = [
        (trial.already_done, "are done already: their webhooks were sent again meanwhile"),
        (
            trial.held_back,
            "have a key that is done by another body: `replay` leaves them, `replay --again` sends them",
        ),
    ];
    for line in counts("  ", &others) {
        out.line(&line)?;
    }
    for ((reason, fingerprint), (letters, error)) in &trial.fail {
        out.line(&format!("  {} would fail: {reason} {fingerprint} {error}", number(*letters)))?;
    }
    Ok(())
}

fn print_events(
    letter: &Letter,
    read: &NormalizedWebhook,
    args: &TryArgs,
    out: &mut Out,
) -> std::io::Result<()> {
    for event in &read.events {
        let shown = if args.reveal {
            String::from_utf8_lossy(&event.body).into_owned()
        } else {
            redact::event(&event.body)
        };
        if args.json {
            let value: Value = serde_json::from_str(&shown).unwrap_or(Value::String(shown));
            out.line(
                &json!({ "delivery_id": letter.queued.webhook.delivery_id, "event": value }).to_string(),
            )?;
        } else {
            out.line(&format!("{} gives {}", letter.queued.webhook.delivery_id, event.kind))?;
            for line in shown.lines() {
                out.line(&format!("  {line}"))?;
            }
        }
    }
    Ok(())
}

pub(super) async fn jobs(config: &Config, args: &JobsArgs) -> anyhow::Result<u8> {
    let session = Session::open(config).await?;
    let journal = session.desk().journal().await?;
    let busy = session.desk().is_busy().await?;
    let jobs = journal.jobs();
    let jobs = &jobs[jobs.len().saturating_sub(args.limit)..];
    let mut out = Out::new();
    if args.json {
        for job in jobs {
            out.line(&serde_json::to_string(job)?)?;
        }
    } else if jobs.is_empty() {
        out.line("no jobs yet")?;
    } else {
        let runs =
            |job: &JobSummary| busy && journal.unfinished().is_some_and(|unfinished| unfinished.id == job.id);
        let rows: Vec<_> = jobs.iter().map(|job| job_row(job, runs(job))).collect();
        let head = ["began (UTC)", "took", "job", "who", "outcome", "letters", "which", "why"];
        for line in table(&head, &rows) {
            out.line(&line)?;
        }
    }
    out.finish()?;
    Ok(OK)
}

/// What a job does to letters that it does not take out of their queue.
fn handled(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Reveal => "shown",
        JobKind::Export => "written",
        JobKind::Import => "put back",
        JobKind::Reindex => "listed",
        JobKind::Replay | JobKind::Discard => "left",
    }
}

fn job_row(job: &JobSummary, runs: bool) -> Vec<String> {
    let mut letters: Vec<_> =
        job.gone.iter().map(|(fate, letters)| format!("{} {}", number(*letters), fate.as_str())).collect();
    if job.handled > 0 {
        letters.push(format!("{} {}", number(job.handled), handled(job.kind)));
    }
    let letters = if letters.is_empty() { "0".to_owned() } else { letters.join(", ") };
    let outcome = match (job.outcome, &job.note) {
        (Some(outcome), Some(note)) => format!("{}: {note}", outcome.as_str()),
        (Some(outcome), None) => outcome.as_str().to_owned(),
        (None, _) if runs => "runs".to_owned(),
        (None, _) if job.kind.is_exclusive() => "killed".to_owned(),
        (None, _) => "runs, or was killed".to_owned(),
    };
    vec![
        moment(job.begun_at),
        job.ended_at.map_or_else(|| "?".to_owned(), |ended| age(job.begun_at, ended)),
        job.kind.as_str().to_owned(),
        job.actor.clone(),
        outcome,
        job.letters.map_or_else(|| letters.clone(), |of| format!("{letters} of {}", number(of))),
        job.filter.clone(),
        job.reason.clone().unwrap_or_default(),
    ]
}
