//! Publishing, as the publisher of `src/edge/amqp` does it for workers, the receiver and the operator.

use hookswitch::core::delivery::lifecycle::Answer;

use crate::{
    broker::{By, Op, What},
    clock::Event,
    life::Fate,
    plan::Time,
    stats::Count,
    world::World,
};

impl World<'_> {
    /// Begins to publish, and returns the publish.
    pub(crate) fn publish(&mut self, by: By, what: What) -> usize {
        let deadline = self.clock.now + self.plan.confirm_timeout;
        self.broker.ops.push(Op { by, what, link: 0, broker: 0, deadline, told: false });
        let op = self.broker.ops.len() - 1;
        if !self.healed && self.random.chance(self.plan.rates.slow) {
            let delay = self.random.below(self.plan.confirm_timeout * 2);
            self.after(delay, Event::Write(op));
        } else {
            self.write(op);
        }
        op
    }

    /// Returns the publisher's current connection.
    pub(crate) fn link_of(&self, by: By) -> u32 {
        match by {
            By::Life { life, .. } => self.workers[self.lives[life].worker].link,
            By::Receiver { .. } => self.receiver_link,
            By::Operator => self.operator_link,
        }
    }

    /// Schedules the result of a publish.
    pub(crate) fn answer(&mut self, op: usize, at: Time, answer: Answer) {
        match self.broker.ops[op].by {
            By::Life { life, step } => self.at(at, Event::Hear { life, step, answer }),
            By::Receiver { .. } | By::Operator => self.at(at, Event::Told { op, answer }),
        }
    }

    /// Gives a sender or the operator the result of its publish, once.
    pub(crate) fn told(&mut self, op: usize, answer: Answer) {
        if std::mem::replace(&mut self.broker.ops[op].told, true) {
            return;
        }
        let Op { by, what, .. } = self.broker.ops[op];
        match by {
            By::Receiver { webhook } => self.stored(what, webhook, answer),
            By::Operator if self.operator.op == Some(op) => self.replayed(answer),
            By::Operator | By::Life { .. } => {}
        }
    }

    /// Returns true if its publisher waits for this publish no longer.
    pub(crate) fn given_up(&self, op: usize) -> bool {
        match self.broker.ops[op].by {
            By::Life { life, step } => self.lives[life].fate != Fate::Alive || self.lives[life].step != step,
            By::Receiver { .. } | By::Operator => self.broker.ops[op].told,
        }
    }

    /// Writes a publish, unless its claim's fence has passed.
    pub(crate) fn write(&mut self, op: usize) {
        if self.given_up(op) {
            return;
        }
        let Op { by, what, deadline, .. } = self.broker.ops[op];
        if self.clock.now > deadline || !self.broker.up {
            let delay = self.random.below(self.plan.hop);
            return self.answer(op, self.clock.now + delay, Answer::Trouble);
        }
        let mut frozen = 0;
        if let By::Life { life, .. } = by {
            let worker = self.lives[life].worker;
            if let What::Event { position } = what {
                if self.workers[worker].clock(self.clock.now) > self.lives[life].not_after {
                    self.stats.count(Count::Fenced);
                    return self.answer(op, self.clock.now, Answer::Trouble);
                }
                self.check_sending(life, position);
            }
            if self.fault(self.plan.rates.freeze_in_sending) {
                self.freeze(worker);
                frozen = self.workers[worker].frozen_until - self.clock.now;
            }
        }
        trace!(self, "{by:?} publishes {what:?}");
        self.broker.ops[op].link = self.link_of(by);
        let arrives = self.clock.now + frozen + self.hop();
        if self.fault(self.plan.rates.swallowed) {
            return self.at(deadline, Event::Silence(op));
        }
        if arrives > deadline {
            self.at(deadline, Event::Silence(op));
        }
        self.at(arrives, Event::Arrive(op));
    }

    /// Gives up the connection when no confirm came in time, and with it every publish under way on it.
    pub(crate) fn silence(&mut self, op: usize) {
        let Op { by, link, .. } = self.broker.ops[op];
        if self.given_up(op) || link != self.link_of(by) {
            return;
        }
        trace!(self, "no confirm for {by:?}");
        match by {
            By::Life { life, .. } => self.cut_link(self.lives[life].worker),
            By::Receiver { .. } => self.answer(op, self.clock.now, Answer::Trouble),
            By::Operator => self.cut_operator(),
        }
    }
}
