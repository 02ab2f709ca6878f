//! Known mistakes, built in to show that the simulation notices them: a simulation that cannot fail proves
//! nothing.
//!
//! `HOOKSWITCH_MUTANT=ack_before_publish` selects one. The state machine itself has no switch for them: a
//! [`MutantLife`] drives the real [`Life`] and misbehaves between it and the world.

use hookswitch::core::{
    delivery::{
        disposition::Disposition,
        lifecycle::{Answer, Claim, Life, Step},
        retry::Schedule,
    },
    events::key::BodyHash,
};

/// A known mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// The delivery is acked before its events are published.
    AckBeforePublish,
    /// The key is marked done before the events are published.
    DoneBeforePublish,
    /// A key claimed by another delivery counts as done.
    BusyIsDuplicate,
    /// The delivery is acked before its retry or dead letter is published.
    AckBeforeRetry,
    /// A dead letter is removed before its replay is confirmed. The program has a mutant of the same name.
    RemoveBeforeReplay,
    /// A bundle is acked when the first of its webhooks is settled. The program has a mutant of the same
    /// name.
    AckBundleEarly,
}

impl Mutant {
    pub(crate) const ALL: [Self; 6] = [
        Self::AckBeforePublish,
        Self::DoneBeforePublish,
        Self::BusyIsDuplicate,
        Self::AckBeforeRetry,
        Self::RemoveBeforeReplay,
        Self::AckBundleEarly,
    ];

    /// Returns the mutant of `HOOKSWITCH_MUTANT`; none for a mutant of another test.
    pub(crate) fn from_environment() -> Option<Self> {
        let name = std::env::var("HOOKSWITCH_MUTANT").ok()?;
        Self::ALL.into_iter().find(|mutant| mutant.as_str() == name)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::AckBeforePublish => "ack_before_publish",
            Self::DoneBeforePublish => "done_before_publish",
            Self::BusyIsDuplicate => "busy_is_duplicate",
            Self::AckBeforeRetry => "ack_before_retry",
            Self::RemoveBeforeReplay => "remove_before_replay",
            Self::AckBundleEarly => "ack_bundle_early",
        }
    }
}

/// A [`Life`] with at most one mistake. Without a mutant it passes every step and answer on.
pub(crate) struct MutantLife<'s> {
    life: Life<&'s Schedule>,
    fingerprint: u64,
    mutant: Option<Mutant>,
    /// The step out of order has been done.
    strayed: bool,
}

impl<'s> MutantLife<'s> {
    pub(crate) fn new(life: Life<&'s Schedule>, fingerprint: u64, mutant: Option<Mutant>) -> Self {
        Self { life, fingerprint, mutant, strayed: false }
    }

    /// Returns the next step: that of the real life, or the mutant's instead.
    pub(crate) fn step(&self) -> Step<'_> {
        self.stray().unwrap_or_else(|| self.life.step())
    }

    /// Returns the mutant's step out of order, if it is due.
    fn stray(&self) -> Option<Step<'static>> {
        if self.strayed {
            return None;
        }
        match (self.mutant?, self.life.step()) {
            (Mutant::AckBeforePublish, Step::Claim) | (Mutant::AckBeforeRetry, Step::SendOn(_)) => {
                Some(Step::Ack)
            }
            (Mutant::DoneBeforePublish, Step::Publish(0)) => Some(Step::MarkDone),
            _ => None,
        }
    }

    /// Advances with the answer to [`Self::step`].
    pub(crate) fn after(&mut self, answer: Answer) {
        if self.stray().is_some() {
            self.strayed = answer == Answer::Settled;
            return;
        }
        let busy = answer == Answer::Claim(Claim::Busy);
        if busy && self.mutant == Some(Mutant::BusyIsDuplicate) {
            return self.life.after(Answer::Claim(Claim::Done { body: BodyHash::from(self.fingerprint) }));
        }
        self.life.after(answer);
        // A delivery is acked once: one acked too early ends without its ack.
        let acks_early = matches!(self.mutant, Some(Mutant::AckBeforePublish | Mutant::AckBeforeRetry));
        if acks_early && self.strayed && self.life.step() == Step::Ack {
            self.life.after(Answer::Settled);
        }
    }

    /// Returns the decision; none before the end.
    pub(crate) fn disposition(&self) -> Option<&Disposition> {
        self.life.disposition()
    }
}
