//! `hookswitch explain`

mod findings;
mod print;
mod subject;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use self::{
    findings::{Findings, FoundEvent, FoundLetter, FoundMark},
    subject::Subject,
};
use super::{
    connect::{block_on, open_store},
    dead_letters::{session::Session, who::Who},
    exit::{FAILED, OK, Unreachable},
    fields::Show,
    output::{Out, eprint_line},
    stream,
};
use crate::{
    app::dead_letters::DeadLetterError,
    config::Config,
    core::{events::key::IdempotencyKey, json::Document, letters::JobKind, webhook::SourceName},
    edge::amqp::consume::stream::{Reading, Start, StreamError},
};

const NOTES: &str = "It says what is recorded, and what follows from it:
  - a delivery id holds its time of receipt
  - the log of dead letters (90 days) and the journal of jobs (400 days): every death, and who sent the \
    letter back or discarded it
  - the mark of the idempotency key in Redis (dedup.lease, dedup.done_ttl). The key is the one that this \
    build derives from a dead letter's body, that an event carries, or that you give
  - the events in a stream that is bound to them, which is read from its beginning to where it ends now
  - of a dead letter that this build can normalize: what its key is made of, and with --fields where each \
    field of its events comes from. Bodies are kept of dead letters only: for another webhook, give its body \
    to `hookswitch normalize --fields`

It does not know more: a webhook that is queued, waits for a retry or is in work is nowhere on record by its \
id, duplicates are counted and not listed, and an event's id or a key leads to its webhook and its letters \
only by a stream. The keys themselves are not shown, since they can be made of personal data.

Examples:
  hookswitch explain 01932c5e-7d1e-7a3c-9f0e-3f1b2a4c5d6e
  hookswitch explain 3b0e2f5a-1c7d-5e8f-9a6b-0c1d2e3f4a5b --stream events.history
  hookswitch explain delivery:d-17 --source varda-eu
  hookswitch explain 01932c5e-7d1e-7a3c-9f0e-3f1b2a4c5d6e --fields

Exit codes:
  0   something is recorded
  1   nothing is recorded, or the output could not be written
  64  the command line or the configuration is wrong
  69  the broker or Redis is unreachable";

/// Explain what is recorded of one webhook: its deaths, its key's mark, its events, where it is
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub(super) struct Args {
    /// A delivery id, a letter id, an event id, or with --source an idempotency key
    id: String,
    /// The source whose idempotency key ID is
    #[arg(long, value_name = "SOURCE")]
    source: Option<SourceName>,
    /// A stream of events to search as well: the name of a subscription's queue that is a stream [default:
    /// the only subscription with kind = "stream", if it can be read]
    #[arg(long, value_name = "QUEUE")]
    stream: Option<String>,
    /// Of a dead letter, say where each field of its events comes from, without personal data
    #[arg(long)]
    fields: bool,
    /// With --fields: show personal data, which is recorded; needs --note
    #[arg(long, requires = "fields")]
    reveal: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// With --fields: print whole lines, even where the terminal is narrower
    #[arg(long, requires = "fields")]
    wide: bool,
    #[command(flatten)]
    who: Who,
}

pub(super) fn run(args: &Args, config: &Config) -> anyhow::Result<u8> {
    block_on(explain(args, config))
}

async fn explain(args: &Args, config: &Config) -> anyhow::Result<u8> {
    let mut subject = Subject::of(&args.id, args.source.as_ref())?;
    let stream = match stream::choose(args.stream.as_deref(), config) {
        Err(refused) if args.stream.is_some() => return Err(refused.into()),
        chosen => chosen.ok(),
    };
    let request = match args.reveal {
        true => Some(args.who.request_with_note(JobKind::Reveal, format!("id {}", args.id), None)?),
        false => None,
    };
    let session = Session::open(config).await?;
    let store = open_store(config, session.connection()).await?;
    let mut known = (None, Vec::new());
    if let Subject::Delivery(id) | Subject::Event(id) = subject {
        // A letter's id, of either version, leads to its delivery.
        let traced = session.dead_letters().trace(vec![id]).await.map_err(not_traced)?;
        if let Some(traced) = traced.first() {
            subject = Subject::Delivery(traced.letter.queued.webhook.delivery_id.uuid());
        }
        known = (Some(id), traced);
    }
    let mut findings = Findings { received_at: received_at(&subject), ..Findings::default() };
    let mut searched = false;
    if let Some(stream) = stream {
        match search(&session, &stream, &subject).await {
            Ok(events) => (findings.events, searched) = (events, true),
            Err(error) if args.stream.is_some() => return Err(error),
            Err(error) => eprint_line(&format!("stream {stream} is not searched: {error}")),
        }
    }
    let mut ids: Vec<Uuid> = findings.events.iter().map(|event| event.delivery).collect();
    ids.extend(if let Subject::Delivery(id) = &subject { Some(*id) } else { None });
    ids.sort();
    ids.dedup();
    findings.sought_letters = !ids.is_empty();
    let mut letters = match known {
        // The log is read once, unless the id led to others.
        (Some(id), traced) if ids == [id] => traced,
        _ => session.dead_letters().trace(ids).await.map_err(not_traced)?,
    };
    letters.sort_by_key(|traced| traced.letter.queued.webhook.delivery_id.uuid());
    findings.letters = letters.into_iter().map(|traced| FoundLetter::of(traced, config)).collect();
    for (source, key) in keys(&subject, &findings) {
        let (mark, left) =
            store.mark_of(&source, &key).await.map_err(|error| Unreachable(error.to_string()))?;
        findings.marks.push(FoundMark { source, mark, left });
    }
    if let Some(request) = request {
        let shown = findings.letters.len() as u64;
        let publisher = session.publisher().await?;
        session.dead_letters().reveal(&publisher, &request).await?.end(shown).await?;
    }
    print(args, &findings, &subject, searched)?;
    Ok(if findings.is_empty() { FAILED } else { OK })
}

fn print(args: &Args, findings: &Findings, subject: &Subject, searched: bool) -> anyhow::Result<()> {
    let show = Show { reveal: args.reveal, wide: args.wide };
    let mut out = Out::new();
    if args.json {
        out.line(&print::as_json(findings, show, args.fields).to_string())?;
    } else {
        for line in print::lines(findings, subject, searched, show) {
            out.line(&line)?;
        }
        if args.fields {
            print::fields(findings, show, &mut out)?;
        }
    }
    out.finish()?;
    Ok(())
}

/// Returns the time in a delivery id; none if it may be a letter's id, or is none.
fn received_at(subject: &Subject) -> Option<Timestamp> {
    let Subject::Delivery(id) = subject else { return None };
    let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?).ok()
}

/// Searches a stream for events, up to where it ends now.
async fn search(session: &Session<'_>, stream: &str, subject: &Subject) -> anyhow::Result<Vec<FoundEvent>> {
    // One command reads one stream.
    let stream: &'static str = Box::leak(stream.to_owned().into_boxed_str());
    let opening = Reading::begin(session.connection(), stream, Start::First).await;
    let mut reading = opening.map_err(not_read)?;
    let mut found: Vec<FoundEvent> = Vec::new();
    while let Some(stored) = reading.next().await.map_err(not_read)? {
        let readable = Document::parse(&stored.body).map(|document| document.readable()).ok();
        let event = readable.and_then(|event| serde_json::from_slice::<Value>(&event).ok());
        if let Some(event) = event.filter(|event| subject.has(event)) {
            found.extend(FoundEvent::of(&event));
        }
    }
    reading.close().await;
    Ok(found)
}

/// Returns the error of a stream that was not read to its end.
fn not_read(error: StreamError) -> anyhow::Error {
    match error {
        StreamError::Lost(_) | StreamError::Silent(_) => Unreachable(error.to_string()).into(),
        error @ (StreamError::Missing(_)
        | StreamError::Refused(..)
        | StreamError::NoStream(_)
        | StreamError::Denied(..)) => error.into(),
    }
}

/// Returns the error of letters that were not found to their end.
fn not_traced(error: DeadLetterError) -> anyhow::Error {
    if let DeadLetterError::Log(error) = error {
        return not_read(error);
    }
    if matches!(error, DeadLetterError::Lost(_)) {
        return Unreachable(error.to_string()).into();
    }
    error.into()
}

/// Returns the keys that are known of a subject, each once.
fn keys(subject: &Subject, findings: &Findings) -> Vec<(SourceName, IdempotencyKey)> {
    let mut keys = Vec::new();
    if let Subject::Key(source, key) = subject {
        keys.push((source.clone(), IdempotencyKey::from_text(key.clone())));
    }
    keys.extend(findings.events.iter().map(|event| (event.source.clone(), event.key.clone())));
    for FoundLetter { traced, .. } in &findings.letters {
        let source = &traced.letter.queued.webhook.source;
        keys.extend(traced.key.as_ref().ok().map(|key| (source.clone(), key.clone())));
    }
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    keys
}
