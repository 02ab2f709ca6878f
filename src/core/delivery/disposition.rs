//! What becomes of a delivery: decided here, in one place, and nowhere else.

use super::{
    fault::{Attempt, Fault, Reason},
    retry::{Schedule, Tier},
};

/// What the handling of a delivery came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All events are confirmed and the key is marked done.
    Published {
        /// How many.
        events: usize,
    },
    /// The key was marked done before.
    AlreadyDone {
        /// Whether the body is another one than the first time.
        other_body: bool,
    },
    /// Somebody else holds the key: looked at again later, costs no attempt.
    Busy,
    /// A downstream queue refused an event (it is full): tried again later, costs no attempt.
    Refused,
    /// The message itself failed.
    Failed(Fault),
}

/// What the worker decides for a delivery: nothing else exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Everything is published.
    Done {
        /// How many events.
        events: usize,
    },
    /// The same fact was done before.
    Duplicate {
        /// Whether the body is another one than the first time.
        other_body: bool,
    },
    /// Into a delay queue.
    Retry {
        /// Which.
        tier: Tier,
        /// What the message will carry as its attempt.
        attempt: Attempt,
        /// Why, for the message's header.
        error: Option<String>,
    },
    /// Into the dead-letter queue.
    DeadLetter {
        /// Why, in a word.
        reason: Reason,
        /// Why, for people.
        error: String,
        /// How often it failed in all.
        attempts: Attempt,
    },
}

impl Disposition {
    /// Decides.
    pub fn decide(outcome: Outcome, attempt: Attempt, schedule: &Schedule) -> Self {
        match outcome {
            Outcome::Published { events } => Self::Done { events },
            Outcome::AlreadyDone { other_body } => Self::Duplicate { other_body },
            Outcome::Busy | Outcome::Refused => Self::Retry { tier: schedule.wait(), attempt, error: None },
            Outcome::Failed(fault) => Self::after(fault, attempt.next(), schedule),
        }
    }

    /// After `attempts` failures, the last of them `fault`.
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

    /// The word used in logs and metrics.
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
    fn an_unreadable_key_is_named_so_that_it_can_be_pasted_into_redis_cli() {
        let mut name = *b"d:0123456789abcdef";
        name[2..6].copy_from_slice(b"\x00\xff\"\\");
        let dead =
            Disposition::decide(Outcome::Failed(Fault::UnreadableKey { name }), Attempt(0), &schedule());
        let Disposition::DeadLetter { reason: Reason::UnreadableKey, error, .. } = dead else {
            panic!("{dead:?}")
        };
        assert!(error.contains(r#"DEL "d:\x00\xff\"\\456789abcdef" and"#), "{error}");
    }

    #[test]
    fn waiting_for_another_or_for_a_full_queue_costs_no_attempt() {
        for outcome in [Outcome::Busy, Outcome::Refused] {
            let disposition = Disposition::decide(outcome, Attempt(7), &schedule());
            let tier = schedule().wait();
            assert_eq!(disposition, Disposition::Retry { tier, attempt: Attempt(7), error: None });
        }
    }
}
