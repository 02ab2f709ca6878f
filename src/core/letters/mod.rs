//! Dead letters: what they are told apart by, chosen by, counted by, and what is written down about what was done to
//! them. Pure; the queues are `app::dead_letters`' business.
//!
//! A source's letters rest in its dead-letter queue, `dead.<source>`: that queue is the truth. Each is also written to
//! a log, a stream that can be read as often as one likes without touching the queue. What has left the queue stands in
//! the journal of jobs, a second stream. So the letters that are there now are the log's, less the journal's:
//!
//! ```text
//! worker ─1→ dead.<source>   (quorum queue: the truth)          replay, discard: 1. publish or export
//!        └2→ hookswitch.dead-log   (stream: what is browsed)                     2. write it in the journal
//!            hookswitch.dead-jobs  (stream: the journal)  ←──────────────────────┘ 3. ack in the queue
//! ```
//!
//! The order of the steps is what keeps the log from ever showing a letter that is not in the queue.

mod archive;
mod filter;
mod fingerprint;
mod journal;
mod ramp;
mod stats;

use std::{fmt, str::FromStr};

use uuid::Uuid;

pub use self::{
    archive::{ArchiveError, Archived},
    filter::{Condition, Filter, InvalidCondition},
    fingerprint::{Fingerprint, InvalidFingerprint},
    journal::{Fate, Job, JobId, Journal, Kind, Outcome, Record},
    ramp::{Fates, Ramp, Verdict},
    stats::{Group, GroupKey, Histogram, Stats},
};
use super::delivery::queued::QueuedWebhook;

/// Names one dead letter: a webhook that dies again after a replay becomes another letter.
///
/// A UUIDv7 that the worker gives; where the broker itself made the letter, it follows from the letter's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LetterId(Uuid);

impl LetterId {
    /// Wraps an id that the worker made.
    pub fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// The id of a letter that carries none: the same letter always gets the same one.
    pub fn of_content(letter: &QueuedWebhook) -> Self {
        let (webhook, history) = (&letter.webhook, &letter.history);
        let name = format!(
            "{} {} {:?} {}",
            webhook.source, webhook.delivery_id, history.last_failed_at, history.replays
        );
        Self(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
    }

    /// The id under which a letter is put back that was taken away: always the same for the same letter, so that
    /// putting it back twice gives one.
    pub fn put_back(self) -> Self {
        Self(Uuid::new_v5(&self.0, b"put back"))
    }

    /// What stands for it where a million must fit into little memory: its low 64 bits, of which 62 are random. Two of a
    /// million letters share one with a probability of about 1 in 10 million.
    pub fn key(self) -> u64 {
        self.0.as_u64_pair().1
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for LetterId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its id.
    pub id: LetterId,
    /// The webhook, and why it is dead.
    pub inbound: QueuedWebhook,
}

impl Letter {
    /// What makes it the same failure as others.
    pub fn fingerprint(&self) -> Fingerprint {
        let QueuedWebhook { webhook, history, .. } = &self.inbound;
        Fingerprint::of(webhook.provider, history.reason, history.error.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        delivery::{
            fault::{Attempt, Reason},
            queued::History,
        },
        providers::Provider,
        shard::Shard,
        webhook::{Headers, Webhook},
    };

    /// One of Wavix.
    pub(super) fn letter() -> Letter {
        let webhook = Webhook {
            delivery_id: "01900000-0000-7000-8000-000000000001".parse().unwrap(),
            source: "wavix-eu".parse().unwrap(),
            provider: Provider::Wavix,
            received_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            headers: Headers::from_iter([("x-event", "call")]),
            body: br#"{"data":{"id":7,"name":"ann=b"}}"#.as_slice().into(),
        };
        let history = History {
            attempt: Attempt(1),
            error: Some("data.id: must be text".into()),
            first_failed_at: Some("2026-01-02T03:04:06Z".parse().unwrap()),
            last_failed_at: Some("2026-01-02T03:05:06Z".parse().unwrap()),
            reason: Some(Reason::InvalidPayload),
            version: Some("0.1.0".into()),
            ..History::default()
        };
        let inbound =
            QueuedWebhook { webhook, content_type: None, entry: None, shard: Shard::FIRST, history };
        Letter { id: "01900000-0000-7000-8000-000000000002".parse().unwrap(), inbound }
    }

    #[test]
    fn putting_a_letter_back_twice_gives_it_one_id_and_another_than_it_had() {
        let id = LetterId::new(Uuid::now_v7());
        assert_eq!(id.put_back(), id.put_back());
        assert_ne!(id.put_back(), id);
        assert_ne!(id.put_back().put_back(), id.put_back());
    }
}
