//! The one decision about a delivery: done, duplicate, retry or dead letter.

use super::{
    fault::{Attempt, Fault, Reason},
    retry::{Schedule, Tier},
};

/// The outcome of handling a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All events are confirmed and the key is marked done.
    Published {
        /// The number of events and their copies.
        messages: usize,
    },
    /// The key was marked done before.
    AlreadyDone {
        /// Set if the body differs from the one that was published.
        other_body: bool,
    },
    /// Another delivery holds the key: retried later, at the cost of no attempt.
    Busy,
    /// A downstream queue refused an event because it is full: retried later, at the cost of no attempt.
    Refused,
    /// It is of a bundle that came back, and goes on alone: retried later, at the cost of no attempt. It is
    /// not read: it may be the one that killed its worker, and must not take the others with it again.
    CameBack,
    /// The message itself failed.
    Failed(Fault),
}

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

/// The worker's decision about a delivery. There is no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Everything is published.
    Done {
        /// The number of events and their copies.
        messages: usize,
    },
    /// The same fact was done before.
    Duplicate {
        /// Set if the body differs from the one that was published.
        other_body: bool,
    },
    /// It goes to a delay queue.
    Retry {
        /// The delay queue.
        tier: Tier,
        /// The attempt that the message will carry.
        attempt: Attempt,
        /// The error, for the message's header; none where the message did not fail.
        error: Option<String>,
    },
    /// It goes to the dead-letter queue.
    DeadLetter {
        /// The reason from the closed list.
        reason: Reason,
        /// The error text for operators.
        error: String,
        /// The number of failures in all.
        attempts: Attempt,
    },
}

impl Disposition {
    /// Every word that [`Disposition::as_str`] returns.
    pub const WORDS: [&str; 4] = ["done", "duplicate", "retry", "dead_letter"];

    /// Decides what becomes of a delivery that carries `attempt`.
    pub fn decide(outcome: Outcome, attempt: Attempt, schedule: &Schedule) -> Self {
        match outcome {
            Outcome::Published { messages } => Self::Done { messages },
            Outcome::AlreadyDone { other_body } => Self::Duplicate { other_body },
            Outcome::Busy | Outcome::Refused | Outcome::CameBack => {
                Self::Retry { tier: schedule.wait(), attempt, error: None }
            }
            Outcome::Failed(fault) => Self::after(fault, attempt.next(), schedule),
        }
    }

    /// Decides after `attempts` failures, the last of them `fault`.
    fn after(fault: Fault, attempts: Attempt, schedule: &Schedule) -> Self {
        let (error, reason) = (fault.to_string(), fault.reason());
        let allowed = match fault {
            Fault::Permanent { .. } | Fault::UnreadableKey { .. } => schedule.retries_of(reason),
            Fault::Panicked { .. } => schedule.retries_of_panic(),
        };
        if attempts.0 <= allowed {
            Self::Retry { tier: schedule.tier_after(attempts), attempt: attempts, error: Some(error) }
        } else {
            Self::DeadLetter { reason, error, attempts }
        }
    }

    /// Returns the word used in logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Duplicate { .. } => "duplicate",
            Self::Retry { .. } => "retry",
            Self::DeadLetter { .. } => "dead_letter",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;

    fn schedule() -> Schedule {
        let tiers = [5, 30].map(Duration::from_secs);
        let retries = BTreeMap::from([(Reason::UnsupportedEvent, 2)]);
        Schedule::new(&tiers, Duration::from_secs(1), retries, 1)
    }

    fn failed(reason: Reason) -> Outcome {
        Outcome::Failed(Fault::Permanent { reason, error: "data.id: is missing".into() })
    }

    #[test]
    fn a_permanent_failure_is_dead_at_once() {
        let disposition = Disposition::decide(failed(Reason::InvalidPayload), Attempt(0), &schedule());
        assert_eq!(
            disposition,
            Disposition::DeadLetter {
                reason: Reason::InvalidPayload,
                error: "data.id: is missing".into(),
                attempts: Attempt(1)
            }
        );
    }

    #[test]
    fn a_class_with_retries_goes_through_the_tiers_and_then_dies_of_its_own_reason() {
        let decide =
            |attempt| Disposition::decide(failed(Reason::UnsupportedEvent), Attempt(attempt), &schedule());
        let tier = |disposition| {
            let Disposition::Retry { tier, attempt, .. } = disposition else { panic!("{disposition:?}") };
            (tier.name(), attempt.0)
        };
        assert_eq!(tier(decide(0)), ("5s".into(), 1));
        assert_eq!(tier(decide(1)), ("30s".into(), 2));
        assert!(matches!(decide(2), Disposition::DeadLetter { reason: Reason::UnsupportedEvent, .. }));
    }

    #[test]
    fn a_panic_is_tried_again_and_ends_as_retries_exhausted() {
        let panicked = || Outcome::Failed(Fault::Panicked { location: "src/x.rs:1:1".into() });
        assert!(matches!(
            Disposition::decide(panicked(), Attempt(0), &schedule()),
            Disposition::Retry { .. }
        ));
        let dead = Disposition::decide(panicked(), Attempt(1), &schedule());
        assert!(matches!(dead, Disposition::DeadLetter { reason: Reason::RetriesExhausted, .. }), "{dead:?}");
    }

    #[test]
    fn the_error_of_an_unreadable_key_says_how_to_delete_it() {
        let key: Box<str> = "hookswitch:d:k".into();
        let fault = Outcome::Failed(Fault::UnreadableKey { key: key.clone() });
        let dead = Disposition::decide(fault, Attempt(0), &schedule());
        let Disposition::DeadLetter { reason: Reason::UnreadableKey, error, .. } = dead else {
            panic!("{dead:?}")
        };
        assert!(error.contains(&format!("DEL \"{key}\"")), "{error}");
    }

    #[test]
    fn waiting_without_a_fault_costs_no_attempt() {
        for outcome in [Outcome::Busy, Outcome::Refused, Outcome::CameBack] {
            let disposition = Disposition::decide(outcome, Attempt(7), &schedule());
            let tier = schedule().wait();
            assert_eq!(disposition, Disposition::Retry { tier, attempt: Attempt(7), error: None });
        }
    }
}
