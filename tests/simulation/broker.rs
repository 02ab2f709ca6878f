//! A model of RabbitMQ: quorum queues with prefetch, redelivery and a delivery limit; delay queues that
//! expire at their head; confirms only for what is kept.
//!
//! A bundle is one message for each of its webhooks here: they are published, delivered, acked and requeued
//! together.

use std::collections::VecDeque;

use hookswitch::core::delivery::{fault::Attempt, lifecycle::Answer};

use crate::{
    clock::Event,
    plan::Time,
    stats::Count,
    world::{Webhook, World},
};

/// The place of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// In no queue: not published yet, or removed.
    #[default]
    Nowhere,
    /// In the raw queue of its source.
    Raw,
    /// Delivered over this connection of this worker.
    Unacked { worker: usize, conn: u32 },
    /// In this delay queue.
    Waiting(usize),
    /// In the dead-letter queue of its source.
    Dead,
}

/// A copy of a webhook.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Message {
    pub(crate) webhook: usize,
    /// The attempt in its header.
    pub(crate) attempt: Attempt,
    /// Failures of its own since it came or was replayed, as counted by the simulation.
    pub(crate) faults: u32,
    pub(crate) place: Place,
    /// Time that it waits in a delay queue.
    pub(crate) delay: Time,
    pub(crate) expires: Time,
    pub(crate) given_out: u32,
    /// The bundle that it is part of, by its first webhook's message.
    pub(crate) bundle: Option<usize>,
    /// Its life in a worker has acked it; the broker hears of that when all of its bundle are.
    pub(crate) settled: bool,
}

/// The publisher of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    Life { life: usize, step: u32 },
    Receiver { webhook: usize },
    Operator,
}

/// The message of a publish.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Event { position: usize },
    Copy { message: usize, to: Place },
}

/// A publish under way.
#[derive(Clone, Copy)]
pub(crate) struct Op {
    pub(crate) by: By,
    pub(crate) what: What,
    /// The connection over which it was written.
    pub(crate) link: u32,
    /// The broker's run in which it arrived; a restart begins a new one.
    pub(crate) broker: u32,
    pub(crate) deadline: Time,
    /// A sender or the operator has received its result.
    pub(crate) told: bool,
}

/// The broker's side of a connection that consumes.
#[derive(Clone, Copy)]
struct Consumer {
    conn: u32,
    unacked: [usize; 2],
}

/// The model's state; its behaviour is implemented on `World`.
#[derive(Default)]
pub(crate) struct Broker {
    pub(crate) up: bool,
    run: u32,
    up_at: Time,
    conns: u32,
    consumers: Vec<Option<Consumer>>,
    pub(crate) messages: Vec<Message>,
    pub(crate) ops: Vec<Op>,
    raw: [VecDeque<usize>; 2],
    waiting: Vec<VecDeque<usize>>,
    pub(crate) dead: [Vec<usize>; 2],
    /// Time until which a queue of events is full.
    pub(crate) full_until: Time,
    /// Time until which no queue is bound.
    pub(crate) unbound_until: Time,
}

impl Broker {
    pub(crate) fn reset(&mut self, tiers: usize, workers: usize) {
        (self.up, self.run, self.up_at, self.conns) = (true, 0, 0, 0);
        (self.full_until, self.unbound_until) = (0, 0);
        self.messages.clear();
        self.ops.clear();
        self.consumers.clear();
        self.consumers.resize(workers, None);
        self.raw.iter_mut().for_each(VecDeque::clear);
        self.dead.iter_mut().for_each(Vec::clear);
        self.waiting.iter_mut().for_each(VecDeque::clear);
        self.waiting.resize_with(tiers, VecDeque::new);
    }

    /// Creates a message that is in no queue yet.
    pub(crate) fn make(&mut self, message: Message) -> usize {
        self.messages.push(message);
        self.messages.len() - 1
    }

    pub(crate) fn next_conn(&mut self) -> u32 {
        self.conns += 1;
        self.conns
    }

    pub(crate) fn consume(&mut self, worker: usize, conn: u32) {
        self.consumers[worker] = Some(Consumer { conn, unacked: [0; 2] });
    }

    /// Removes a dead letter.
    pub(crate) fn bury(&mut self, letter: usize, webhooks: &mut [Webhook]) {
        let webhook = &mut webhooks[self.messages[letter].webhook];
        let queue = &mut self.dead[webhook.source];
        if let Some(index) = queue.iter().position(|other| *other == letter) {
            queue.remove(index);
            webhook.copies -= 1;
            webhook.dead -= 1;
            self.messages[letter].place = Place::Nowhere;
        }
    }

    /// Counts the messages that are neither removed nor dead letters.
    pub(crate) fn unfinished(&self) -> usize {
        self.messages.iter().filter(|m| !matches!(m.place, Place::Nowhere | Place::Dead)).count()
    }
}

impl World<'_> {
    /// Receives a publish.
    pub(crate) fn arrive(&mut self, op: usize) {
        let Op { by, what, link, deadline, .. } = self.broker.ops[op];
        let alone = link != self.link_of(by);
        if !self.broker.up || (alone && self.random.coin()) {
            // Its publisher has lost the connection too, and knows.
            return;
        }
        let answer_at = self.clock.now + self.hop();
        if self.clock.now < self.broker.unbound_until && !self.healed {
            return self.answer(op, answer_at.min(deadline), Answer::Trouble);
        }
        let full = self.clock.now < self.broker.full_until && !self.healed;
        match what {
            What::Event { position } if full || self.fault(self.plan.rates.refused) => {
                // Another queue may have room. It then has the event although the publisher receives a
                // refusal.
                if self.random.coin() {
                    self.check_taken(op, position, true);
                }
                return self.answer(op, answer_at, Answer::Refused);
            }
            What::Copy { .. } if self.fault(self.plan.rates.refused) => {
                let refused = if matches!(by, By::Life { .. }) { Answer::Trouble } else { Answer::Refused };
                return self.answer(op, answer_at, refused);
            }
            What::Event { .. } | What::Copy { .. } => {}
        }
        self.broker.ops[op].broker = self.broker.run;
        if self.random.chance(700) {
            return self.commit(op);
        }
        let durable = self.clock.now + self.hop();
        if durable > deadline {
            self.at(deadline, Event::Silence(op));
        }
        self.at(durable, Event::Commit(op));
    }

    /// Makes a publish durable, and confirms it.
    pub(crate) fn commit(&mut self, op: usize) {
        let Op { by, what, link, broker, deadline, .. } = self.broker.ops[op];
        let restarted = broker != self.broker.run;
        if restarted && self.random.coin() {
            trace!(self, "what {by:?} published and was not confirmed did not survive the restart");
            return;
        }
        match what {
            What::Event { position } => self.check_taken(op, position, false),
            What::Copy { message, to } => self.place(message, to),
        }
        if restarted || link != self.link_of(by) {
            return;
        }
        let confirmed = self.clock.now + self.hop();
        if confirmed > deadline {
            self.at(deadline, Event::Silence(op));
        }
        self.answer(op, confirmed, Answer::Confirmed);
    }

    /// Returns the messages of a message's bundle, or just the message.
    pub(crate) fn bundle_of(&self, message: usize) -> Vec<usize> {
        let messages = &self.broker.messages;
        match messages[message].bundle {
            None => vec![message],
            bundle => (0..messages.len()).filter(|other| messages[*other].bundle == bundle).collect(),
        }
    }

    /// Puts a new copy of a message, or its bundle, into a queue.
    fn place(&mut self, message: usize, to: Place) {
        let bundle = self.bundle_of(message);
        for part in &bundle {
            self.webhooks[self.broker.messages[*part].webhook].copies += 1;
        }
        let (last, others) = bundle.split_last().expect("it holds the message");
        for other in others {
            self.broker.messages[*other].place = to;
            self.broker.raw[self.webhooks[self.broker.messages[*other].webhook].source].push_back(*other);
        }
        self.enqueue(*last, to);
    }

    fn enqueue(&mut self, message: usize, to: Place) {
        let it = &mut self.broker.messages[message];
        it.place = to;
        let webhook = &mut self.webhooks[it.webhook];
        trace!(self, "message {message} (webhook {}) is in {to:?}", it.webhook);
        match to {
            Place::Raw => {
                let source = webhook.source;
                self.broker.raw[source].push_back(message);
                self.pump();
            }
            Place::Waiting(tier) => {
                it.expires = self.clock.now + it.delay;
                let expires = it.expires;
                self.broker.waiting[tier].push_back(message);
                if self.broker.waiting[tier].len() == 1 {
                    self.at(expires, Event::Expire(tier));
                }
            }
            Place::Dead => {
                webhook.dead += 1;
                self.broker.dead[webhook.source].push(message);
            }
            Place::Nowhere | Place::Unacked { .. } => unreachable!("nothing is published to there"),
        }
    }

    /// Moves a message from one queue to another, at least once.
    fn move_on(&mut self, message: usize, to: Place) {
        if self.fault(self.plan.rates.moved_twice) {
            let twin = self.broker.make(self.broker.messages[message]);
            self.broker.messages[twin].given_out = 0;
            self.broker.messages[twin].bundle = None;
            self.place(twin, to);
        }
        self.broker.messages[message].given_out = 0;
        // What the broker makes a dead letter is taken apart by a reindex.
        self.broker.messages[message].bundle = None;
        self.enqueue(message, to);
    }

    pub(crate) fn expire(&mut self, tier: usize) {
        if !self.broker.up {
            return self.at(self.broker.up_at.max(self.clock.now + 1), Event::Expire(tier));
        }
        while let Some(message) = self.broker.waiting[tier].front().copied() {
            let expires = self.broker.messages[message].expires;
            if expires > self.clock.now {
                return self.at(expires, Event::Expire(tier));
            }
            self.broker.waiting[tier].pop_front();
            self.move_on(message, Place::Raw);
        }
    }

    /// Delivers as many messages as the workers' prefetch allows.
    pub(crate) fn pump(&mut self) {
        if !self.broker.up {
            return;
        }
        for source in 0..self.plan.sources {
            while !self.broker.raw[source].is_empty() {
                let first = self.random.count(0, self.plan.workers - 1);
                let workers = (0..self.plan.workers).map(|n| (first + n) % self.plan.workers);
                let prefetch = self.plan.prefetch;
                let has_room = |worker: &usize| {
                    self.broker.consumers[*worker].is_some_and(|it| it.unacked[source] < prefetch)
                };
                let Some(worker) = workers.into_iter().find(has_room) else { break };
                let Some(consumer) = &mut self.broker.consumers[worker] else { break };
                consumer.unacked[source] += 1;
                let conn = consumer.conn;
                let Some(first) = self.broker.raw[source].front().copied() else { break };
                let delay = self.hop();
                let bundle = self.bundle_of(first);
                self.broker.raw[source].retain(|message| !bundle.contains(message));
                for message in bundle {
                    self.broker.messages[message].place = Place::Unacked { worker, conn };
                    self.after(delay, Event::Deliver { worker, conn, message });
                }
            }
        }
    }

    /// Receives an ack, if its connection still exists.
    pub(crate) fn acked(&mut self, worker: usize, conn: u32, message: usize) {
        let place = self.broker.messages[message].place;
        let cut = self.workers[worker].conn == conn && !self.workers[worker].wire;
        if place != (Place::Unacked { worker, conn }) || (cut && self.random.coin()) {
            return;
        }
        let source = self.webhooks[self.broker.messages[message].webhook].source;
        for part in self.bundle_of(message) {
            if !self.broker.messages[part].settled {
                self.check_ack(part, "a bundle's ack");
            }
            self.broker.messages[part].place = Place::Nowhere;
            self.webhooks[self.broker.messages[part].webhook].copies -= 1;
            trace!(self, "message {part} is gone");
        }
        if let Some(consumer) = &mut self.broker.consumers[worker]
            && consumer.conn == conn
        {
            consumer.unacked[source] -= 1;
        }
        self.pump();
    }

    /// Requeues the unacked deliveries of a lost connection.
    pub(crate) fn broker_lost(&mut self, worker: usize, conn: u32) {
        if self.broker.consumers[worker].is_some_and(|consumer| consumer.conn == conn) {
            self.broker.consumers[worker] = None;
        }
        for message in (0..self.broker.messages.len()).rev() {
            if self.broker.messages[message].place == (Place::Unacked { worker, conn }) {
                self.requeue(message);
            }
        }
        self.pump();
    }

    fn requeue(&mut self, message: usize) {
        self.stats.count(Count::Redelivered);
        let it = &mut self.broker.messages[message];
        it.given_out += 1;
        it.settled = false;
        if it.given_out > self.plan.delivery_limit {
            self.stats.count(Count::DeadByDeliveryLimit);
            return self.move_on(message, Place::Dead);
        }
        it.place = Place::Raw;
        trace!(self, "message {message} goes back to its queue");
        self.broker.raw[self.webhooks[it.webhook].source].push_front(message);
    }

    /// Takes the broker down: all connections are lost, confirmed messages are kept.
    pub(crate) fn broker_down(&mut self, time: Time) {
        if !std::mem::replace(&mut self.broker.up, false) {
            return;
        }
        self.stats.count(Count::BrokerRestarts);
        self.broker.run += 1;
        self.broker.up_at = self.clock.now + time;
        for worker in 0..self.plan.workers {
            self.broker.consumers[worker] = None;
            self.workers[worker].wire = false;
            self.cut_link(worker);
            let (conn, delay) = (self.workers[worker].conn, self.random.below(500));
            self.after(delay, Event::WorkerLost { worker, conn });
        }
        self.cut_receiver();
        self.cut_operator();
        for message in (0..self.broker.messages.len()).rev() {
            if let Place::Unacked { .. } = self.broker.messages[message].place {
                self.requeue(message);
            }
        }
        self.after(time, Event::BrokerUp);
    }

    pub(crate) fn broker_up(&mut self) {
        trace!(self, "the broker is back");
        self.broker.up = true;
        self.pump();
    }
}
