//! A dead letter and its id.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use super::fingerprint::Fingerprint;
use crate::core::delivery::queued::QueuedWebhook;

/// A dead letter's id. A webhook that dies again after a replay becomes another letter.
///
/// The worker assigns a UUIDv7; if the broker dead-lettered the message, the id is derived from its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LetterId(Uuid);

impl LetterId {
    /// Wraps a UUIDv7 made by the worker.
    pub fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// Derives the id of a letter that carries none. The same letter always gets the same id.
    pub fn of_content(letter: &QueuedWebhook) -> Self {
        let (webhook, history) = (&letter.webhook, &letter.history);
        let name = format!(
            "{} {} {:?} {}",
            webhook.source, webhook.delivery_id, history.last_failed_at, history.replays
        );
        Self(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
    }

    /// Derives the id under which a letter that left its queue is imported again. It is always the same, so
    /// that importing twice gives one letter.
    pub fn reimported(self) -> Self {
        Self(Uuid::new_v5(&self.0, b"put back"))
    }

    /// Returns the low 64 bits, 62 of them random, to keep a million ids in little memory. The probability
    /// that any two of a million letters share a key is about 1 in 10 million.
    pub fn key(self) -> u64 {
        self.0.as_u64_pair().1
    }
}

impl From<LetterId> for Uuid {
    fn from(id: LetterId) -> Self {
        id.0
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
    /// The webhook, and why it was dead-lettered.
    pub queued: QueuedWebhook,
}

impl Letter {
    /// Returns the fingerprint of its failure.
    pub fn fingerprint(&self) -> Fingerprint {
        let QueuedWebhook { webhook, history, .. } = &self.queued;
        Fingerprint::of(webhook.provider, history.reason, history.error.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
pub(super) mod tests {
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

    /// Returns a letter of a Wavix source.
    pub(in crate::core::letters) fn letter() -> Letter {
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
        let (shard, trace) = (Shard::FIRST, None);
        let queued = QueuedWebhook { webhook, content_type: None, entry: None, shard, trace, history };
        Letter { id: "01900000-0000-7000-8000-000000000002".parse().unwrap(), queued }
    }

    #[test]
    fn importing_a_letter_again_gives_it_one_new_id() {
        let id = LetterId::new(Uuid::now_v7());
        assert_eq!(id.reimported(), id.reimported());
        assert_ne!(id.reimported(), id);
        assert_ne!(id.reimported().reimported(), id.reimported());
    }
}
