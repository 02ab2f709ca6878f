//! What is recorded of a webhook.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::subject::source_of;
use crate::{
    app::{
        dead_letters::Traced,
        worker::read::{Normalize, read_of_any_source},
    },
    cli::fields,
    config::Config,
    core::{
        events::key::{BodyHash, IdempotencyKey},
        webhook::{SourceName, Webhook},
    },
    edge::redis::Mark,
};

/// What is recorded.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The time in the id.
    pub(super) received_at: Option<Timestamp>,
    /// Its events in a stream.
    pub(super) events: Vec<FoundEvent>,
    /// Set if letters were sought: they are found by a delivery id.
    pub(super) sought_letters: bool,
    /// Its letters.
    pub(super) letters: Vec<FoundLetter>,
    /// What Redis holds under its keys.
    pub(super) marks: Vec<FoundMark>,
}

/// A letter.
#[derive(Debug)]
pub(super) struct FoundLetter {
    pub(super) traced: Traced,
    /// Where its key and the fields of its events come from; otherwise why it has none.
    pub(super) fields: Result<fields::Traced, String>,
}

impl FoundLetter {
    /// Reads a letter's webhook as this build does, also if its source is not configured.
    pub(super) fn of(traced: Traced, config: &Config) -> Self {
        let read = |normalize: Normalize, webhook: &Webhook| read_of_any_source(config, normalize, webhook);
        Self { fields: fields::trace(&traced.letter.queued.webhook, read), traced }
    }
}

/// An event in a stream.
#[derive(Debug)]
pub(super) struct FoundEvent {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) time: String,
    pub(super) source: SourceName,
    pub(super) delivery: Uuid,
    pub(super) key: IdempotencyKey,
}

impl FoundEvent {
    /// Reads an event of hookswitch's.
    pub(super) fn of(event: &Value) -> Option<Self> {
        let text = |name: &str| event[name].as_str().map(str::to_owned);
        Some(Self {
            id: text("id")?,
            kind: text("type")?,
            time: text("time")?,
            source: source_of(event)?,
            delivery: Uuid::parse_str(&text("deliveryid")?).ok()?,
            key: IdempotencyKey::from_text(text("idempotencykey")?),
        })
    }
}

/// What Redis holds under a key.
#[derive(Debug)]
pub(super) struct FoundMark {
    pub(super) source: SourceName,
    pub(super) mark: Mark,
    /// For how much longer.
    pub(super) left: Option<Duration>,
}

impl Findings {
    /// Returns true if nothing is recorded. The time in an id is no record.
    pub(super) fn is_empty(&self) -> bool {
        let is_nothing = |found: &FoundMark| found.mark == Mark::Nothing;
        self.events.is_empty() && self.letters.is_empty() && self.marks.iter().all(is_nothing)
    }

    /// Returns what follows about the place where the webhook is now.
    pub(super) fn now(&self) -> &'static str {
        let has = |is: fn(Mark) -> bool| self.marks.iter().any(|found| is(found.mark));
        let waits = self.letters.iter().any(|found| found.traced.is_waiting);
        let is_done = has(|mark| matches!(mark, Mark::Done(_)));
        match (waits, is_done) {
            (true, true) => {
                "a dead letter waits in its queue, and its key is done: by another delivery of the same \
                 fact, or by a replay that was killed before it removed the letter"
            }
            (true, false) => "a dead letter: it waits in its queue for an operator",
            (false, true) => {
                "done by its key: the events of this delivery, or of another of the same fact, were published"
            }
            (false, false) if has(|mark| mark == Mark::Claimed) => {
                "a worker has claimed its key: it is in work, or that worker died and another goes on after \
                 the lease"
            }
            (false, false) if !self.events.is_empty() => {
                "its events were published; the mark that it is done has expired, or Redis has lost it"
            }
            (false, false) if !self.letters.is_empty() => {
                "no dead letter any more, and not done by its key: discarded, on its way after a replay, or \
                 done longer ago than marks are kept"
            }
            (false, false) if !self.sought_letters => {
                "not recorded under what is known: dead letters are found by delivery id only, so it may be \
                 one; or it is queued, waits for a retry, is in work, was done longer ago than marks are \
                 kept, or never came"
            }
            (false, false) => {
                "not recorded: it is queued, waits for a retry, is in work, was done under a key that is not \
                 known here, or never came"
            }
        }
    }

    /// Returns whether a letter's body is the one that was done under its key; none if its key is not done.
    pub(super) fn is_done_body(&self, traced: &Traced) -> Option<bool> {
        let webhook = &traced.letter.queued.webhook;
        let of_source = self.marks.iter().filter(|found| found.source == webhook.source);
        let mut done = of_source.filter_map(|found| match found.mark {
            Mark::Done(body) => Some(body),
            Mark::Nothing | Mark::Claimed | Mark::Unreadable => None,
        });
        let body = BodyHash::of(&webhook.body);
        let first = done.next()?;
        Some(first == body || done.any(|other| other == body))
    }
}
