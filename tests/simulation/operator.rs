//! The operator, who replays dead letters one after the other.

use std::collections::VecDeque;

use hookswitch::core::delivery::lifecycle::Answer;

use crate::{
    broker::{By, Message, Place, What},
    clock::Event,
    mutant::Mutant,
    stats::Count,
    world::World,
};

/// The command of an operator that replays the dead letters of a source.
#[derive(Default)]
pub(crate) struct Operator {
    /// The dead letters still to replay.
    pub(crate) letters: VecDeque<usize>,
    /// The publish whose result it waits for.
    pub(crate) op: Option<usize>,
}

impl World<'_> {
    /// Begins to replay the dead letters of a source.
    pub(crate) fn replay(&mut self) {
        let source = self.random.count(0, self.plan.sources - 1);
        if !self.broker.up || self.operator.op.is_some() {
            return;
        }
        self.operator.letters.clear();
        self.operator.letters.extend(&self.broker.dead[source]);
        self.replay_next();
    }

    fn replay_next(&mut self) {
        let Some(letter) = self.operator.letters.front().copied() else { return };
        if self.fault(self.plan.rates.operator_dies) {
            return self.operator.letters.clear();
        }
        if self.mutant == Some(Mutant::RemoveBeforeReplay) {
            self.remove_letter(letter);
        }
        let message =
            self.broker.make(Message { webhook: self.broker.messages[letter].webhook, ..Message::default() });
        trace!(self, "letter {letter} is replayed as {message}");
        let op = self.publish(By::Operator, What::Copy { message, to: Place::Raw });
        self.operator.op = Some(op);
    }

    /// Removes the replayed letter if its publish was confirmed, and goes on to the next.
    pub(crate) fn replayed(&mut self, answer: Answer) {
        self.operator.op = None;
        let Some(letter) = self.operator.letters.pop_front() else { return };
        if answer != Answer::Confirmed || self.fault(self.plan.rates.operator_dies) {
            trace!(self, "letter {letter} stays: {answer:?}");
            return self.operator.letters.clear();
        }
        self.stats.count(Count::Replayed);
        if self.mutant != Some(Mutant::RemoveBeforeReplay) {
            self.remove_letter(letter);
        }
        self.replay_next();
    }

    fn remove_letter(&mut self, letter: usize) {
        self.check_ack(letter, "the operator");
        // An ack that is lost with its connection leaves the letter in its queue.
        if !self.fault(self.plan.rates.cut) {
            self.broker.bury(letter, &mut self.webhooks);
        }
    }

    /// Breaks the operator's connection.
    pub(crate) fn cut_operator(&mut self) {
        self.operator_link += 1;
        if let Some(op) = self.operator.op {
            self.after(0, Event::Told { op, answer: Answer::Trouble });
        }
    }
}
