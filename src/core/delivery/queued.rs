//! A raw webhook together with what rides with it from queue to queue.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fault::{Attempt, Reason};
use crate::core::{ledger::Entry, shard::Shard, webhook::Webhook};

/// How many earlier deaths a letter remembers: enough to see a pattern, and a header of a few kilobytes at most.
const PAST_MAX: usize = 10;

/// How many characters of an earlier death's error text are kept.
const PAST_ERROR_MAX: usize = 200;

/// A raw webhook as it stands in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// Its HTTP content type, where the sender gave one.
    pub content_type: Option<String>,
    /// Its place in the ledger; none where a receiver did not put it there.
    pub entry: Option<Entry>,
    /// Which of its source's raw queues it is in, goes to or comes back to; it rides in the routing key. It means nothing
    /// for a dead letter: those of all shards are in one queue.
    pub shard: Shard,
    /// What has happened to it.
    pub history: History,
}

/// What rides with a webhook from try to try.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// How often it has failed by its own fault.
    pub attempt: Attempt,
    /// The last failure's text.
    pub error: Option<String>,
    /// When it failed first.
    pub first_failed_at: Option<Timestamp>,
    /// When it failed last.
    pub last_failed_at: Option<Timestamp>,
    /// Why it is dead.
    pub reason: Option<Reason>,
    /// The version of the program that declared it dead.
    pub version: Option<String>,
    /// How often an operator has sent it back.
    pub replays: u32,
    /// Its earlier deaths, the oldest first: each ended with a replay.
    pub past: Vec<Death>,
    /// The wave of the replay that sent it back last, whose outcome somebody may be waiting for.
    pub wave: Option<String>,
}

/// An earlier death of a letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// When.
    pub at: Option<Timestamp>,
    /// Why, in a word.
    pub reason: Option<Reason>,
    /// By which version of the program.
    pub version: Option<String>,
    /// Why, for people; cut.
    pub error: String,
}

impl History {
    /// The history of a letter that is sent back: its attempts start anew, its deaths stay on record.
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
