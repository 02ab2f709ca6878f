//! The life of one delivery, without I/O: the next step, given the results of the steps so far.
//!
//! The worker performs the steps. The simulation in `tests/simulation` performs them against models of the
//! broker and of Redis, under every order of faults that it can draw. Promises 2, 3 and 6 are decided here
//! and nowhere else:
//!
//! ```text
//! claim ─claimed→ publish … publish ─all confirmed→ mark done ─→ ack        done
//!   │                └─a queue is full→ release ─→ send on ─→ ack           retry
//!   ├─done before───────────────────────────────────────────→ ack           duplicate
//!   ├─busy─────────────────────────────→ send on ───────────→ ack           retry, costs no attempt
//!   └─key unreadable─┐
//! cannot be read ────┴─────────────────→ send on ───────────→ ack           retry
//!                                           └─→ note it ────→ ack           dead letter
//! of a bundle that came back ──────────→ send on ───────────→ ack           retry, costs no attempt
//! ```

use std::{ops::Deref, time::Duration};

use super::{
    disposition::{Disposition, Outcome},
    fault::{Attempt, Fault},
    retry::Schedule,
};
use crate::core::events::{key::BodyHash, order::Place};

/// The result of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// This delivery holds the key until the lease ends.
    Claimed {
        /// The last place of the events about its object that were published before; none if it is unknown.
        published: Option<Place>,
    },
    /// Another delivery holds the key and has not finished: retry later.
    Busy,
    /// The key is done, by a body with this hash.
    Done {
        /// The hash of the body that was done.
        body: BodyHash,
    },
    /// This process knows that the key's events are confirmed, but its done mark has not reached Redis yet.
    Unmarked,
    /// The key holds a value that hookswitch did not write: it is unknown whether it is done, and it is not
    /// claimed.
    Unreadable {
        /// The name of the key in Redis, as `redis-cli` takes it between double quotes.
        key: Box<str>,
    },
}

/// The next step of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Claim the key; the claim's [`fence`] begins before it is sent.
    Claim,
    /// Publish the message at this position, unless the claim's fence has passed.
    Publish(usize),
    /// Mark the key done, regardless of its owner.
    MarkDone,
    /// Release the claim. A failure does not matter, because the lease ends by itself.
    Release,
    /// Publish the webhook to the delay queue or dead-letter queue of this disposition.
    SendOn(&'a Disposition),
    /// Note the dead letter in the ledger.
    NoteDead,
    /// Ack.
    Ack,
    /// Nothing: the delivery is settled.
    End,
}

/// The result of a step. Each variant names the steps that it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of [`Step::Claim`].
    Claim(Claim),
    /// Of [`Step::Publish`] and [`Step::SendOn`]: the broker has confirmed the message.
    Confirmed,
    /// Of [`Step::Publish`]: a queue certainly refused the event.
    Refused,
    /// Of [`Step::MarkDone`], [`Step::Release`], [`Step::NoteDead`] and [`Step::Ack`]: done.
    Settled,
    /// Of any step: an infrastructure error, so the step may or may not have happened. Wait, then continue.
    Trouble,
}

/// Returns the time after sending a claim during which its owner may still publish.
///
/// Nothing in the broker fences off a worker that slept past its lease, so it fences itself: the lease, less
/// the time that a confirm may take. A later publish is [`Answer::Trouble`], and the life goes back to
/// claiming.
pub fn fence(lease: Duration, confirm_timeout: Duration) -> Duration {
    lease.saturating_sub(confirm_timeout)
}

/// The life of one delivery, with a pointer to the schedule of its retries.
#[derive(Debug)]
pub struct Life<S> {
    schedule: S,
    attempt: Attempt,
    body: BodyHash,
    /// Number of messages to publish: events and their copies.
    messages: usize,
    /// Number of messages that the broker has confirmed, in order.
    confirmed: usize,
    state: State,
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

impl<S: Deref<Target = Schedule>> Life<S> {
    /// Begins with a webhook that gives `messages` messages to publish, and whose body has this hash.
    pub fn of_webhook(attempt: Attempt, schedule: S, body: BodyHash, messages: usize) -> Self {
        let state = State::Claiming;
        Self { schedule, attempt, body, messages, confirmed: 0, state }
    }

    /// Begins with a webhook that is not read, or cannot be: what becomes of it is known.
    pub fn of_unread(attempt: Attempt, schedule: S, outcome: Outcome) -> Self {
        let mut life = Self::of_webhook(attempt, schedule, BodyHash::from(0), 0);
        life.state = life.decided(outcome);
        life
    }

    /// Returns the next step.
    pub fn step(&self) -> Step<'_> {
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

    /// Advances with the result of the current step.
    ///
    /// An answer to another step changes nothing, and the step comes again. So does every step but publishing
    /// after [`Answer::Trouble`].
    pub fn after(&mut self, answer: Answer) {
        let state = std::mem::replace(&mut self.state, State::Claiming);
        self.state = match (state, answer) {
            (State::Claiming, Answer::Claim(claim)) => self.claimed(claim),
            (State::Publishing, Answer::Confirmed) => {
                self.confirmed += 1;
                self.publishing()
            }
            (State::Publishing, Answer::Refused) => State::Releasing,
            // The lease may have ended in the meantime: claim again before publishing the rest.
            (State::Publishing, Answer::Trouble) => State::Claiming,
            (State::MarkingDone(outcome), Answer::Settled) => self.decided(outcome),
            (State::Releasing, Answer::Settled | Answer::Trouble) => self.decided(Outcome::Refused),
            (State::SendingOn(disposition @ Disposition::DeadLetter { .. }), Answer::Confirmed) => {
                State::NotingDead(disposition)
            }
            (State::SendingOn(disposition), Answer::Confirmed)
            | (State::NotingDead(disposition), Answer::Settled) => State::Acking(disposition),
            (State::Acking(disposition), Answer::Settled) => State::Ended(disposition),
            (state, _) => state,
        };
    }

    /// Returns the decision; none before the end.
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
            Claim::Claimed { .. } => self.publishing(),
            Claim::Busy => self.decided(Outcome::Busy),
            Claim::Done { body } => self.decided(Outcome::AlreadyDone { other_body: body != self.body }),
            Claim::Unmarked => State::MarkingDone(Outcome::AlreadyDone { other_body: false }),
            Claim::Unreadable { key } => self.decided(Outcome::Failed(Fault::UnreadableKey { key })),
        }
    }

    fn publishing(&self) -> State {
        if self.confirmed == self.messages {
            State::MarkingDone(Outcome::Published { messages: self.messages })
        } else {
            State::Publishing
        }
    }

    fn decided(&self, outcome: Outcome) -> State {
        let disposition = Disposition::decide(outcome, self.attempt, &self.schedule);
        match disposition {
            Disposition::Done { .. } | Disposition::Duplicate { .. } => State::Acking(disposition),
            Disposition::Retry { .. } | Disposition::DeadLetter { .. } => State::SendingOn(disposition),
        }
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

    /// Returns the steps of a life that receives these answers, one per step.
    fn steps(mut life: Life<&Schedule>, answers: &[Answer]) -> Vec<String> {
        let mut steps = Vec::new();
        for answer in answers {
            let step = format!("{:?}", life.step());
            steps.push(step.split(['(', ' ']).next().unwrap_or_default().to_owned());
            life.after(answer.clone());
        }
        assert_eq!(life.step(), Step::End, "after {steps:?}");
        steps
    }

    fn webhook(schedule: &Schedule, events: usize) -> Life<&Schedule> {
        Life::of_webhook(Attempt(0), schedule, BodyHash::from(7), events)
    }

    const CLAIMED: Answer = Answer::Claim(Claim::Claimed { published: None });

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
        life.after(Answer::Claim(Claim::Unreadable { key: "k".into() }));
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
        let life = Life::of_unread(Attempt(0), &schedule, fault.into());
        assert!(matches!(life.step(), Step::SendOn(Disposition::DeadLetter { .. })));
        let answers = [Answer::Confirmed, Answer::Trouble, Answer::Settled, Answer::Settled];
        assert_eq!(steps(life, &answers), ["SendOn", "NoteDead", "NoteDead", "Ack"]);
    }
}
