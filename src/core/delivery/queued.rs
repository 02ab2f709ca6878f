//! A raw webhook in a queue, with the history that travels with it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    fault::{Attempt, Reason},
    written::{is_default, text},
};
use crate::core::{ledger::Entry, shard::Shard, trace::TraceParent, webhook::Webhook};

/// The most earlier deaths that a letter keeps: enough to see a pattern, in a few kilobytes of the head.
const PAST_MAX: usize = 10;

/// The most characters of an earlier death's error text that are kept.
const PAST_ERROR_MAX: usize = 200;

/// A raw webhook in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// Its HTTP content type, if the sender set one.
    pub content_type: Option<String>,
    /// Its place in the ledger; none if it did not come from a receiver.
    pub entry: Option<Entry>,
    /// The shard of its source whose raw queue it is in, or returns to. It travels in the routing key. It
    /// means nothing for a dead letter: the dead letters of all shards share one queue.
    pub shard: Shard,
    /// The span that stored it, under which those of its deliveries are; none if its trace is not recorded.
    pub trace: Option<TraceParent>,
    /// Its failures and replays.
    pub history: History,
}

impl QueuedWebhook {
    /// Returns the time of receipt, unless the webhook has failed or was replayed before: then it has not
    /// waited for a worker since.
    pub fn first_received(&self) -> Option<Timestamp> {
        let is_first = self.history.attempt == Attempt::default() && self.history.replays == 0;
        is_first.then_some(self.webhook.received_at)
    }
}

/// The failures and replays of a webhook, which travel with it from queue to queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// The number of failures by its own fault since the last replay.
    #[serde(skip_serializing_if = "is_default")]
    pub attempt: Attempt,
    /// The error text of the last failure.
    #[serde(skip_serializing_if = "is_default")]
    pub error: Option<String>,
    /// The time of the first failure.
    #[serde(skip_serializing_if = "is_default")]
    pub first_failed_at: Option<Timestamp>,
    /// The time of the last failure.
    #[serde(skip_serializing_if = "is_default")]
    pub last_failed_at: Option<Timestamp>,
    /// The reason of its death.
    #[serde(skip_serializing_if = "Option::is_none", with = "text")]
    pub reason: Option<Reason>,
    /// The version of the program that dead-lettered it.
    #[serde(skip_serializing_if = "is_default")]
    pub version: Option<String>,
    /// The number of times that an operator has replayed it.
    #[serde(skip_serializing_if = "is_default")]
    pub replays: u32,
    /// Its earlier deaths, the oldest first; each ended with a replay.
    #[serde(skip_serializing_if = "is_default")]
    pub past: Vec<Death>,
    /// The wave of the replay that sent it back last. The replay may be waiting for its outcome.
    #[serde(skip_serializing_if = "is_default")]
    pub wave: Option<String>,
}

/// An earlier death of a letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// The time.
    #[serde(default, with = "text")]
    pub at: Option<Timestamp>,
    /// The reason.
    #[serde(default, with = "text")]
    pub reason: Option<Reason>,
    /// The version of the program that dead-lettered it.
    pub version: Option<String>,
    /// The error text, truncated.
    pub error: String,
}

impl History {
    /// Returns the history of a letter that is replayed: its attempts restart, its deaths stay on record.
    pub fn replayed(&self, wave: Option<String>) -> Self {
        let mut past = self.past.clone();
        past.push(Death {
            at: self.last_failed_at,
            reason: self.reason,
            version: self.version.clone(),
            error: self.error.as_deref().unwrap_or_default().chars().take(PAST_ERROR_MAX).collect(),
        });
        past.drain(..past.len().saturating_sub(PAST_MAX));
        Self {
            first_failed_at: self.first_failed_at,
            replays: self.replays.saturating_add(1),
            past,
            wave,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_starts_the_attempts_anew_and_remembers_the_last_ten_deaths() {
        let mut history = History::default();
        for n in 0..12 {
            history.attempt = Attempt(3);
            history.reason = Some(Reason::InvalidPayload);
            history.error = Some(format!("death {n}"));
            history = history.replayed(None);
        }
        assert_eq!((history.attempt, history.reason, history.replays), (Attempt(0), None, 12));
        let errors: Vec<_> = history.past.iter().map(|death| death.error.as_str()).collect();
        assert_eq!((errors.len(), errors[0], errors[9]), (10, "death 2", "death 11"));
    }
}
