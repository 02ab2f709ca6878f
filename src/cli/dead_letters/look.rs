//! stats, list, show, try and jobs: what changes nothing.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Choice, Session, Usage, Who, bar, files,
    output::{Out, age, bars, complain, moment, number, table},
};
use crate::{
    app::{
        dead_letters::{self, Standing},
        reading::Readout,
    },
    cli::{DATA, FAILED, OK, ledger::open_store},
    config::Config,
    core::{
        disposition::{Fault, Reason},
        letters::{Archived, Filter, Fingerprint, Job, Kind, Letter, Stats},
        redact,
        webhook::SourceName,
    },
    edge::store::Store,
};

/// Letters that are tried together: one question to Redis.
const BATCH: usize = 64;

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
    let desk = session.desk();
    let progress = bar(None, "reading");
    // A narrower filter says nothing of how many there are.
    let whole =
        Filter { sources: filter.sources.clone(), providers: filter.providers.clone(), ..Filter::default() };
    let before = if filter == whole { desk.depths(&filter).await? } else { BTreeMap::new() };
    let mut browsing = desk.browse(filter.clone(), None).await?;
    let mut stats = Stats::default();
    while let Some((_, letter)) = browsing.next().await? {
        stats.add(&letter);
        progress.inc(1);
    }
    browsing.close().await;
    progress.finish_and_clear();
    let after = if filter == whole { desk.depths(&filter).await? } else { BTreeMap::new() };
    let differences = differences(&stats, &before, &after);
    let mut out = Out::new();
    if args.json {
        out.line(&stats_json(&stats, &after).to_string())?;
    } else {
        for line in stats_lines(&stats, filter == Filter::default(), Timestamp::now()) {
            out.line(&line)?;
        }
    }
    out.finish()?;
    for line in differences {
        complain(&line);
    }
    Ok(OK)
}

fn stats_json(stats: &Stats, depths: &BTreeMap<SourceName, u64>) -> Value {
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
        "in_queues": depths,
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

/// Where the queues do not hold what is listed, neither before nor after it was read: letters may die meanwhile.
fn differences(
    stats: &Stats,
    before: &BTreeMap<SourceName, u64>,
    after: &BTreeMap<SourceName, u64>,
) -> Vec<String> {
    let line = |(source, before): (&SourceName, &u64)| {
        let (listed, after) = (stats.of_source(source), after.get(source)?);
        let (least, most) = (before.min(after), before.max(after));
        if *least > listed {
            let more = number(least - listed);
            Some(format!(
                "dead.{source} holds {more} letters that are not listed: run `hookswitch dead-letters reindex`"
            ))
        } else if *most < listed {
            let fewer = number(listed - most);
            Some(format!(
                "dead.{source} holds {fewer} letters fewer than are listed: a job has them in hand, or somebody took \
                 them away by other means; if no job runs, run `hookswitch dead-letters reindex`"
            ))
        } else {
            None
        }
    };
    before.iter().filter_map(line).collect()
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
    let (webhook, history) = (&letter.inbound.webhook, &letter.inbound.history);
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
    let (webhook, history) = (&letter.inbound.webhook, &letter.inbound.history);
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
        let order = args.who.order_with_reason(Kind::Reveal, format!("id {}", args.id), Some(shown))?;
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
    let webhook = &letter.inbound.webhook;
    let mut whole = summary(letter);
    let header = |(name, value): (&str, &str)| {
        (name.to_owned(), Value::String(redact::header(webhook.provider, name, value)))
    };
    whole["headers"] = Value::Object(webhook.headers.iter().map(header).collect::<Map<_, _>>());
    whole["redacted_body"] = Value::String(redact::body(webhook.provider, &webhook.body));
    Ok(whole)
}

fn whole(letter: &Letter, reveal: bool) -> Vec<String> {
    let (webhook, history) = (&letter.inbound.webhook, &letter.inbound.history);
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

/// What trying letters came to.
#[derive(Default)]
struct Tried {
    letters: u64,
    succeed: u64,
    already_done: u64,
    held_back: u64,
    fail: BTreeMap<(Reason, Fingerprint), (u64, String)>,
}

pub(super) async fn attempt(config: &Config, args: &TryArgs) -> anyhow::Result<u8> {
    let mut out = Out::new();
    let mut tried = Tried::default();
    if let Some(path) = &args.file {
        if args.reveal {
            return Err(Usage(
                "the file holds the letters whole: --reveal is for those on the broker".into(),
            )
            .into());
        }
        let filter = args.choice.filter(config)?;
        for letter in files::letters(path)? {
            if tried.letters == args.limit {
                break;
            }
            let letter = match letter {
                Ok(letter) => letter,
                Err(error) => {
                    complain(&format!("hookswitch: {error:#}"));
                    return Ok(DATA);
                }
            };
            if filter.matches(&letter) {
                tried.batch(config, None, &[letter], args, &mut out).await?;
            }
        }
    } else {
        let filter = args.choice.filter(config)?;
        let session = Session::open(config).await?;
        let desk = session.desk();
        let publisher = if args.reveal { Some(session.publisher().await?) } else { None };
        let reveal = match &publisher {
            Some(publisher) => {
                let order = args.who.order_with_reason(Kind::Reveal, filter.to_string(), None)?;
                Some(desk.reveal(publisher, &order).await?)
            }
            None => None,
        };
        let store = open_store(config)
            .await
            .map_err(|error| complain(&format!("{error}; what is done meanwhile is not known")))
            .ok();
        let mut browsing = desk.browse(filter, None).await?;
        let progress = bar(None, "trying");
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let letter =
                if tried.letters + (batch.len() as u64) < args.limit { browsing.next().await? } else { None };
            let at_end = letter.is_none();
            batch.extend(letter.map(|(_, letter)| letter));
            if at_end || batch.len() == BATCH {
                progress.inc(batch.len() as u64);
                tried.batch(config, store.as_ref(), &batch, args, &mut out).await?;
                batch.clear();
            }
            if at_end {
                break;
            }
        }
        browsing.close().await;
        progress.finish_and_clear();
        if let Some(reveal) = reveal {
            reveal.end(tried.succeed).await?;
        }
    }
    tried.print(args, &mut out)?;
    out.finish()?;
    Ok(if tried.letters == 0 && args.choice.names_letters() { FAILED } else { OK })
}

impl Tried {
    async fn batch(
        &mut self,
        config: &Config,
        store: Option<&Store>,
        letters: &[Letter],
        args: &TryArgs,
        out: &mut Out,
    ) -> anyhow::Result<()> {
        let tried: Vec<_> =
            letters.iter().map(|letter| (letter, dead_letters::attempt(config, letter))).collect();
        let standings = match store {
            Some(store) => dead_letters::standings(store, &tried).await?,
            None => vec![Standing::Open; tried.len()],
        };
        for ((letter, read), standing) in tried.iter().zip(standings) {
            self.letters += 1;
            match (read, standing) {
                (Ok(read), Standing::Open) => {
                    self.succeed += 1;
                    if args.events {
                        print_events(letter, read, args, out)?;
                    }
                }
                (Ok(_), Standing::Done) => self.already_done += 1,
                (Ok(_), Standing::DoneByAnother) => self.held_back += 1,
                (Err(fault), _) => self.fails(letter, fault),
            }
        }
        Ok(())
    }

    fn fails(&mut self, letter: &Letter, fault: &Fault) {
        let (reason, error) = match fault {
            Fault::Permanent { reason, error } => (*reason, error.clone()),
            Fault::Panicked { .. } => (Reason::RetriesExhausted, fault.to_string()),
        };
        let fingerprint = Fingerprint::of(letter.inbound.webhook.provider, Some(reason), &error);
        self.fail.entry((reason, fingerprint)).or_insert((0, error)).0 += 1;
    }

    fn print(&self, args: &TryArgs, out: &mut Out) -> std::io::Result<()> {
        if args.json {
            let fail = self.fail.iter().map(|((reason, fingerprint), (letters, error))| {
                json!({ "reason": reason, "fingerprint": fingerprint.to_string(), "letters": letters, "error": error })
            });
            let shown = json!({
                "version": env!("CARGO_PKG_VERSION"),
                "letters": self.letters,
                "succeed": self.succeed,
                "already_done": self.already_done,
                "done_by_another_body": self.held_back,
                "fail": fail.collect::<Vec<_>>(),
            });
            out.line(&shown.to_string())?;
            return Ok(());
        }
        let version = env!("CARGO_PKG_VERSION");
        out.line(&format!(
            "{} letters, tried with hookswitch {version}; nothing was published",
            number(self.letters)
        ))?;
        out.line(&format!("  {} would succeed", number(self.succeed)))?;
        if self.already_done > 0 {
            let n = number(self.already_done);
            out.line(&format!("  {n} are done already: their webhooks were sent again meanwhile"))?;
        }
        if self.held_back > 0 {
            let n = number(self.held_back);
            out.line(&format!("  {n} have a key that is done by another body: `replay` leaves them, `replay --again` sends them"))?;
        }
        for ((reason, fingerprint), (letters, error)) in &self.fail {
            out.line(&format!("  {} would fail: {reason} {fingerprint} {error}", number(*letters)))?;
        }
        Ok(())
    }
}

fn print_events(letter: &Letter, read: &Readout, args: &TryArgs, out: &mut Out) -> std::io::Result<()> {
    for event in &read.events {
        let shown = if args.reveal {
            String::from_utf8_lossy(&event.body).into_owned()
        } else {
            redact::event(&event.body)
        };
        if args.json {
            let value: Value = serde_json::from_str(&shown).unwrap_or(Value::String(shown));
            out.line(
                &json!({ "delivery_id": letter.inbound.webhook.delivery_id, "event": value }).to_string(),
            )?;
        } else {
            out.line(&format!("{} gives {}", letter.inbound.webhook.delivery_id, event.kind))?;
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
        let last = journal.jobs().iter().rev().find(|job| job.kind.is_alone());
        let runs = |job: &Job| busy && last.is_some_and(|last| last.id == job.id);
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
fn handled(kind: Kind) -> &'static str {
    match kind {
        Kind::Reveal => "shown",
        Kind::Export => "written",
        Kind::Import => "put back",
        Kind::Reindex => "listed",
        Kind::Replay | Kind::Discard => "left",
    }
}

fn job_row(job: &Job, runs: bool) -> Vec<String> {
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
        (None, _) if job.kind.is_alone() => "killed".to_owned(),
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
