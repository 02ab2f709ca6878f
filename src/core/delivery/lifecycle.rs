//! The life of one delivery, without I/O: what to do next, given what came of what was done so far.
//!
//! The worker does the steps; the simulator in `tests/simulation` does them against a model of the broker and of
//! Redis, in every order that it can think of. Promises 2, 3 and 6 are decided here and nowhere else:
//!
//! ```text
//! claim ─claimed→ publish … publish ─all confirmed→ mark done ─→ ack        done
//!   │                └─a queue is full→ release ─→ send on ─→ ack           retry
//!   ├─done before───────────────────────────────────────────→ ack           duplicate
//!   ├─busy─────────────────────────────→ send on ───────────→ ack           retry, costs no attempt
//!   └─key unreadable─┐
//! cannot be read ────┴─────────────────→ send on ───────────→ ack           retry
//!                                           └─→ note it ────→ ack           dead letter
//! ```

use std::time::Duration;

use super::{
    disposition::{Disposition, Outcome},
    fault::{Attempt, Fault},
    retry::Schedule,
};
use crate::{
    core::events::key::{BodyHash, StoreKey},
    faults::{self, Mutant},
};

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The key is ours until the lease ends.
    Claimed,
    /// Somebody else holds it and has not finished: look again later.
    Busy,
    /// It is done; by a body with this hash.
    Done {
        /// The hash of the body that was published.
        body: BodyHash,
    },
    /// This process knows that its events are confirmed, though Redis could not be told so yet.
    Unmarked,
    /// Somebody has overwritten the key: nobody knows whether it is done, and it is not ours.
    Unreadable {
        /// The key.
        key: StoreKey,
    },
}

/// What to do next for a delivery.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Claim the key; the claim's [`fence`] begins before it is sent.
    Claim,
    /// Publish the event at this position, unless the claim's fence has passed.
    Publish(usize),
    /// Mark the key done, whoever holds it.
    MarkDone,
    /// Give the claim back. Whether that works does not matter: the lease ends by itself.
    Release,
    /// Publish the webhook to where this says: a delay queue or the dead-letter queue.
    SendOn(&'a Disposition),
    /// Note in the ledger that it is dead.
    NoteDead,
    /// Ack.
    Ack,
    /// Nothing: it is settled.
    End,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of [`Step::Claim`].
    Claim(Claim),
    /// Of [`Step::Publish`] and [`Step::SendOn`]: the broker has it.
    Confirmed,
    /// Of [`Step::Publish`]: a queue refused it, certainly.
    Refused,
    /// Of [`Step::MarkDone`], [`Step::Release`], [`Step::NoteDead`] and [`Step::Ack`]: done.
    Settled,
    /// Of any step: it may or may not have happened, through no fault of the message. Wait, and go on.
    Trouble,
}

/// How long after a claim was sent its owner may still publish.
///
/// Nothing in the broker fences off a worker that slept over its lease, so it fences itself: the lease, less the time
/// that a confirm may take. What comes later is [`Answer::Trouble`], and the life goes back to claiming.
pub fn fence(lease: Duration, confirm_timeout: Duration) -> Duration {
    lease.saturating_sub(confirm_timeout)
}

/// One delivery's life.
#[derive(Debug)]
pub struct Life<'a> {
    schedule: &'a Schedule,
    attempt: Attempt,
    body: BodyHash,
    events: usize,
    /// How many of the events need no more publishing.
    confirmed: usize,
    state: State,
    /// Only a mutant acks before its end.
    acked_early: bool,
}

#[derive(Debug)]
enum State {
    Claiming,
    Publishing,
    MarkingDone(Outcome),
    Releasing,
    SendingOn(Disposition),
    NotingDead(Disposition),
    Acking(Disposition),
    Ended(Disposition),
}

impl<'a> Life<'a> {
    /// Of a webhook that was read: it gives `events` events, and its body has this hash.
    pub fn of_webhook(attempt: Attempt, schedule: &'a Schedule, body: BodyHash, events: usize) -> Self {
        let state = State::Claiming;
        Self { schedule, attempt, body, events, confirmed: 0, state, acked_early: false }
    }

    /// Of a webhook that cannot be read.
    pub fn of_fault(attempt: Attempt, schedule: &'a Schedule, fault: Fault) -> Self {
        let mut life = Self::of_webhook(attempt, schedule, BodyHash::default(), 0);
        life.state = life.decided(Outcome::Failed(fault));
        life
    }

    /// What to do next.
    pub fn step(&self) -> Step<'_> {
        if self.must_ack_early() {
            return Step::Ack;
        }
        match &self.state {
            State::Claiming => Step::Claim,
            State::Publishing => Step::Publish(self.confirmed),
            State::MarkingDone(_) => Step::MarkDone,
            State::Releasing => Step::Release,
            State::SendingOn(disposition) => Step::SendOn(disposition),
            State::NotingDead(_) => Step::NoteDead,
            State::Acking(_) => Step::Ack,
            State::Ended(_) => Step::End,
        }
    }

    /// Goes on with what came of the step. An answer that is not of the step changes nothing, and the step comes
    /// again; so does every step but publishing after [`Answer::Trouble`].
    pub fn after(&mut self, answer: Answer) {
        if self.must_ack_early() {
            self.acked_early = answer == Answer::Settled;
            return;
        }
        let state = std::mem::replace(&mut self.state, State::Claiming);
        self.state = match (state, answer) {
            (State::Claiming, Answer::Claim(claim)) => self.claimed(claim),
            (State::Publishing, Answer::Confirmed) => {
                self.confirmed += 1;
                self.publishing()
            }
            (State::Publishing, Answer::Refused) => State::Releasing,
            // The lease may have ended meanwhile: claim again before publishing on.
            (State::Publishing, Answer::Trouble) => State::Claiming,
            (State::MarkingDone(_), Answer::Settled) if self.marked_too_early() => State::Publishing,
            (State::MarkingDone(outcome), Answer::Settled) => self.decided(outcome),
            (State::Releasing, Answer::Settled | Answer::Trouble) => self.decided(Outcome::Refused),
            (State::SendingOn(disposition @ Disposition::DeadLetter { .. }), Answer::Confirmed) => {
                State::NotingDead(disposition)
            }
            (State::SendingOn(disposition), Answer::Confirmed)
            | (State::NotingDead(disposition), Answer::Settled) => self.safe(disposition),
            (State::Acking(disposition), Answer::Settled) => State::Ended(disposition),
            (state, _) => state,
        };
    }

    /// What was decided; none before the end.
    pub fn disposition(&self) -> Option<&Disposition> {
        match &self.state {
            State::Ended(disposition) => Some(disposition),
            State::Claiming
            | State::Publishing
            | State::MarkingDone(_)
            | State::Releasing
            | State::SendingOn(_)
            | State::NotingDead(_)
            | State::Acking(_) => None,
        }
    }

    fn claimed(&self, claim: Claim) -> State {
        match claim {
            Claim::Claimed => self.publishing(),
            Claim::Busy if faults::is(Mutant::BusyIsDuplicate) => {
                self.decided(Outcome::AlreadyDone { other_body: false })
            }
            Claim::Busy => self.decided(Outcome::Busy),
            Claim::Done { body } => self.decided(Outcome::AlreadyDone { other_body: body != self.body }),
            Claim::Unmarked => State::MarkingDone(Outcome::AlreadyDone { other_body: false }),
            Claim::Unreadable { key } => self.decided(Outcome::Failed(Fault::UnreadableKey { key })),
        }
    }

    fn publishing(&self) -> State {
        let too_early = faults::is(Mutant::DoneBeforePublish) && self.confirmed == 0;
        if self.confirmed == self.events || too_early {
            State::MarkingDone(Outcome::Published { events: self.events })
        } else {
            State::Publishing
        }
    }

    fn decided(&self, outcome: Outcome) -> State {
        let disposition = Disposition::decide(outcome, self.attempt, self.schedule);
        match disposition {
            Disposition::Done { .. } | Disposition::Duplicate { .. } => self.safe(disposition),
            Disposition::Retry { .. } | Disposition::DeadLetter { .. } => State::SendingOn(disposition),
        }
    }

    /// The outcome is safe elsewhere.
    fn safe(&self, disposition: Disposition) -> State {
        if self.acked_early { State::Ended(disposition) } else { State::Acking(disposition) }
    }

    // What follows is true only of a mutant.

    fn must_ack_early(&self) -> bool {
        let now = match self.state {
            State::Claiming => faults::is(Mutant::AckBeforePublish),
            State::SendingOn(_) => faults::is(Mutant::AckBeforeRetry),
            State::Publishing
            | State::MarkingDone(_)
            | State::Releasing
            | State::NotingDead(_)
            | State::Acking(_)
            | State::Ended(_) => false,
        };
        now && !self.acked_early
    }

    fn marked_too_early(&self) -> bool {
        faults::is(Mutant::DoneBeforePublish) && self.confirmed < self.events
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;
    use crate::core::delivery::fault::Reason;

    fn schedule() -> Schedule {
        Schedule::new(&[Duration::from_secs(5)], Duration::from_secs(1), BTreeMap::new(), 0)
    }

    /// The steps of a life that gets these answers, one a step.
    fn steps(mut life: Life<'_>, answers: &[Answer]) -> Vec<String> {
        let mut steps = Vec::new();
        for answer in answers {
            let step = format!("{:?}", life.step());
            steps.push(step.split(['(', ' ']).next().unwrap_or_default().to_owned());
            life.after(*answer);
        }
        assert_eq!(life.step(), Step::End, "after {steps:?}");
        steps
    }

    fn webhook(schedule: &Schedule, events: usize) -> Life<'_> {
        Life::of_webhook(Attempt(0), schedule, BodyHash::from(7), events)
    }

    const CLAIMED: Answer = Answer::Claim(Claim::Claimed);

    #[test]
    fn a_good_webhook_is_claimed_published_marked_and_acked() {
        let answers = [CLAIMED, Answer::Confirmed, Answer::Confirmed, Answer::Settled, Answer::Settled];
        let steps = steps(webhook(&schedule(), 2), &answers);
        assert_eq!(steps, ["Claim", "Publish", "Publish", "MarkDone", "Ack"]);
    }

    #[test]
    fn after_trouble_it_claims_again_and_publishes_only_what_is_not_confirmed() {
        let schedule = schedule();
        let mut life = webhook(&schedule, 2);
        for answer in [Answer::Trouble, CLAIMED, Answer::Confirmed, Answer::Trouble, CLAIMED] {
            life.after(answer);
        }
        assert_eq!(life.step(), Step::Publish(1));
        for answer in [Answer::Confirmed, Answer::Trouble, Answer::Trouble] {
            life.after(answer);
        }
        assert_eq!(life.step(), Step::MarkDone);
    }

    #[test]
    fn a_busy_key_waits_and_is_never_a_duplicate() {
        let busy = Answer::Claim(Claim::Busy);
        let answers = [busy, Answer::Trouble, Answer::Confirmed, Answer::Settled];
        assert_eq!(steps(webhook(&schedule(), 1), &answers), ["Claim", "SendOn", "SendOn", "Ack"]);
    }

    #[test]
    fn an_unreadable_key_publishes_nothing_and_is_no_duplicate() {
        let schedule = schedule();
        let mut life = webhook(&schedule, 1);
        life.after(Answer::Claim(Claim::Unreadable { key: StoreKey::default() }));
        assert!(matches!(life.step(), Step::SendOn(Disposition::DeadLetter { .. })), "{:?}", life.step());
    }

    #[test]
    fn a_done_key_is_only_acked() {
        let done = Answer::Claim(Claim::Done { body: BodyHash::from(7) });
        assert_eq!(steps(webhook(&schedule(), 1), &[done, Answer::Settled]), ["Claim", "Ack"]);
    }

    #[test]
    fn a_refused_event_gives_the_claim_back_whether_or_not_redis_answers() {
        for released in [Answer::Settled, Answer::Trouble] {
            let answers = [CLAIMED, Answer::Refused, released, Answer::Confirmed, Answer::Settled];
            let steps = steps(webhook(&schedule(), 1), &answers);
            assert_eq!(steps, ["Claim", "Publish", "Release", "SendOn", "Ack"]);
        }
    }

    #[test]
    fn what_cannot_be_read_claims_and_publishes_nothing() {
        let fault = Fault::Permanent { reason: Reason::MalformedJson, error: "line 1".to_owned() };
        let schedule = schedule();
        let life = Life::of_fault(Attempt(0), &schedule, fault);
        assert!(matches!(life.step(), Step::SendOn(Disposition::DeadLetter { .. })));
        let answers = [Answer::Confirmed, Answer::Trouble, Answer::Settled, Answer::Settled];
        assert_eq!(steps(life, &answers), ["SendOn", "NoteDead", "NoteDead", "Ack"]);
    }
}
