//! The clock: the events of a schedule in the order of their time, and which part of the world each one
//! concerns.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use hookswitch::core::delivery::lifecycle::Answer;

use crate::{broker::By, plan::Time, store::Command, world::World};

/// Something that happens at its time.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A sender posts this webhook.
    Post(usize),
    /// The broker's delivery reaches the worker.
    Deliver {
        worker: usize,
        conn: u32,
        message: usize,
    },
    /// A life has waited out its backoff after an infrastructure error.
    Go {
        life: usize,
        step: u32,
    },
    /// A life receives the result of its step.
    Hear {
        life: usize,
        step: u32,
        answer: Answer,
    },
    /// The publisher's turn to write.
    Write(usize),
    /// A written publish reaches the broker.
    Arrive(usize),
    /// The broker has made a publish durable.
    Commit(usize),
    /// The publisher's wait for a confirm times out.
    Silence(usize),
    /// A sender or the operator receives the result of a publish.
    Told {
        op: usize,
        answer: Answer,
    },
    /// A command reaches Redis.
    Execute {
        life: usize,
        step: u32,
        command: Command,
        deadline: Time,
    },
    /// An ack reaches the broker.
    Acked {
        worker: usize,
        conn: u32,
        message: usize,
    },
    /// The head of a delay queue may have expired.
    Expire(usize),
    /// The worker notices that its connection is gone.
    WorkerLost {
        worker: usize,
        conn: u32,
    },
    /// The broker notices that the worker's connection is gone.
    BrokerLost {
        worker: usize,
        conn: u32,
    },
    /// A worker connects.
    Connect {
        worker: usize,
        incarnation: u32,
    },
    BrokerUp,
    StoreUp,
    /// The operator replays the dead letters of a source.
    Replay,
    /// One of the plan's disasters.
    Disaster,
    /// Faults end.
    Heal,
}

struct Scheduled {
    at: Time,
    number: u64,
    event: Event,
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Scheduled {}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

/// The time of the world, and the events to come. Events of the same time happen in the order of their
/// scheduling.
#[derive(Default)]
pub(crate) struct Clock {
    pub(crate) now: Time,
    events: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
}

impl Clock {
    pub(crate) fn reset(&mut self) {
        (self.now, self.scheduled) = (0, 0);
        self.events.clear();
    }

    /// Moves on to the next event and returns it; none if nothing is left to do.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let Reverse(Scheduled { at, event, .. }) = self.events.pop()?;
        self.now = at;
        Some(event)
    }

    fn schedule(&mut self, at: Time, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse(Scheduled { at, number: self.scheduled, event }));
    }
}

impl World<'_> {
    pub(crate) fn after(&mut self, delay: Time, event: Event) {
        self.at(self.clock.now + delay, event);
    }

    pub(crate) fn at(&mut self, at: Time, event: Event) {
        self.clock.schedule(at, event);
    }

    /// Lets an event happen, or puts it off while its worker is frozen.
    pub(crate) fn happen(&mut self, event: Event) {
        if let Some(worker) = self.whose(&event)
            && self.workers[worker].frozen_until > self.clock.now
        {
            return self.at(self.workers[worker].frozen_until, event);
        }
        match event {
            Event::Post(webhook) => self.post(webhook),
            Event::Deliver { worker, conn, message } => self.delivered(worker, conn, message),
            Event::Go { life, step } => self.go(life, step),
            Event::Hear { life, step, answer } => self.hear(life, step, answer),
            Event::Write(op) => self.write(op),
            Event::Arrive(op) => self.arrive(op),
            Event::Commit(op) => self.commit(op),
            Event::Silence(op) => self.silence(op),
            Event::Told { op, answer } => self.told(op, answer),
            Event::Execute { life, step, command, deadline } => self.execute(life, step, command, deadline),
            Event::Acked { worker, conn, message } => self.acked(worker, conn, message),
            Event::Expire(tier) => self.expire(tier),
            Event::WorkerLost { worker, conn } => self.worker_lost(worker, conn),
            Event::BrokerLost { worker, conn } => self.broker_lost(worker, conn),
            Event::Connect { worker, incarnation } => self.connect(worker, incarnation),
            Event::BrokerUp => self.broker_up(),
            Event::StoreUp => self.store.up = true,
            Event::Replay => self.replay(),
            Event::Disaster => self.disaster(),
            Event::Heal => {
                trace!(self, "no more faults");
                self.healed = true;
            }
        }
    }

    /// Returns the worker process in which an event happens.
    fn whose(&self, event: &Event) -> Option<usize> {
        match event {
            Event::Deliver { worker, .. }
            | Event::WorkerLost { worker, .. }
            | Event::Connect { worker, .. } => Some(*worker),
            Event::Go { life, .. } | Event::Hear { life, .. } => Some(self.lives[*life].worker),
            Event::Write(op) | Event::Silence(op) => match self.broker.ops[*op].by {
                By::Life { life, .. } => Some(self.lives[life].worker),
                By::Receiver { .. } | By::Operator => None,
            },
            Event::Post(_)
            | Event::Arrive(_)
            | Event::Commit(_)
            | Event::Told { .. }
            | Event::Execute { .. }
            | Event::Acked { .. }
            | Event::Expire(_)
            | Event::BrokerLost { .. }
            | Event::BrokerUp
            | Event::StoreUp
            | Event::Replay
            | Event::Disaster
            | Event::Heal => None,
        }
    }
}
