//! Worker processes: they connect, take deliveries, die, freeze and lose connections.

use std::collections::VecDeque;

use hookswitch::core::delivery::lifecycle::Answer;

use crate::{
    clock::Event,
    life::{Fate, Waits},
    plan::Time,
    stats::Count,
    world::World,
};

/// A worker process.
#[derive(Default)]
pub(crate) struct Worker {
    pub(crate) incarnation: u32,
    pub(crate) alive: bool,
    pub(crate) frozen_until: Time,
    /// Time by which its own clock is behind, since it was stopped.
    pub(crate) lag: Time,
    /// When its own clock was last stopped.
    pub(crate) stopped_at: Option<Time>,
    /// Its connection for consuming.
    pub(crate) conn: u32,
    pub(crate) connected: bool,
    /// That connection passes messages on.
    pub(crate) wire: bool,
    /// Its connection for publishing.
    pub(crate) link: u32,
    /// Deliveries not begun, by source.
    pub(crate) inbox: [VecDeque<usize>; 2],
    /// Lives under way, by source.
    pub(crate) running: [usize; 2],
    pub(crate) lives: Vec<usize>,
    /// Keys whose events are confirmed and whose done mark failed, a bit each.
    pub(crate) unmarked: u64,
}

impl Worker {
    /// Returns its own monotonic clock, which never jumps, but stops while the machine is suspended.
    pub(crate) fn clock(&self, now: Time) -> Time {
        now + (1 << 40) - self.lag
    }

    pub(crate) fn reset(&mut self) {
        self.inbox.iter_mut().for_each(VecDeque::clear);
        self.lives.clear();
        let (inbox, lives) = (std::mem::take(&mut self.inbox), std::mem::take(&mut self.lives));
        *self = Self { alive: true, inbox, lives, ..Self::default() };
    }
}

impl World<'_> {
    pub(crate) fn connect(&mut self, worker: usize, incarnation: u32) {
        let it = &mut self.workers[worker];
        if it.incarnation != incarnation || it.connected {
            return;
        }
        it.alive = true;
        if !self.broker.up {
            return self.after(300, Event::Connect { worker, incarnation });
        }
        it.conn = self.broker.next_conn();
        (it.connected, it.wire) = (true, true);
        trace!(self, "worker {worker} is connected ({})", it.conn);
        let conn = it.conn;
        self.broker.consume(worker, conn);
        self.pump();
    }

    pub(crate) fn delivered(&mut self, worker: usize, conn: u32, message: usize) {
        let it = &mut self.workers[worker];
        if !it.alive || !it.connected || !it.wire || it.conn != conn {
            return;
        }
        let source = self.webhooks[self.broker.messages[message].webhook].source;
        it.inbox[source].push_back(message);
        self.take(worker, source);
    }

    /// Begins deliveries up to the worker's concurrency.
    pub(crate) fn take(&mut self, worker: usize, source: usize) {
        while self.workers[worker].running[source] < self.plan.concurrency {
            let Some(message) = self.workers[worker].inbox[source].pop_front() else { return };
            let conn = self.workers[worker].conn;
            if !self.begin_life(worker, conn, message) {
                return;
            }
        }
    }

    /// Lets the worker notice that its channel is gone: lives that wait are abandoned, others finish their
    /// step.
    pub(crate) fn worker_lost(&mut self, worker: usize, conn: u32) {
        let it = &mut self.workers[worker];
        if it.conn != conn || !it.connected {
            return;
        }
        trace!(self, "worker {worker} has lost its connection {conn}");
        it.connected = false;
        it.inbox.iter_mut().for_each(VecDeque::clear);
        let incarnation = it.incarnation;
        for index in (0..it.lives.len()).rev() {
            let life = self.workers[worker].lives[index];
            if self.lives[life].waits == Some(Waits::Backoff) {
                self.abandon(life);
            }
        }
        if self.workers[worker].lives.is_empty() {
            self.after(50, Event::Connect { worker, incarnation });
        }
    }

    pub(crate) fn crash(&mut self, worker: usize) {
        trace!(self, "worker {worker} dies");
        self.stats.count(Count::WorkerCrashes);
        let mut in_window = 0;
        for life in &self.workers[worker].lives {
            let it = &mut self.lives[*life];
            it.fate = Fate::Crashed;
            in_window += u64::from(it.knows != 0 && !it.knows_marked);
        }
        self.stats.most_in_window = self.stats.most_in_window.max(in_window);
        let it = &mut self.workers[worker];
        it.incarnation += 1;
        it.link += 1;
        it.lives.clear();
        it.inbox.iter_mut().for_each(VecDeque::clear);
        (it.running, it.unmarked, it.frozen_until) = ([0; 2], 0, 0);
        (it.alive, it.connected) = (false, false);
        let (incarnation, conn) = (it.incarnation, it.conn);
        let (noticed, back) = (self.hop(), self.random.within(50, 3_000));
        self.after(noticed, Event::BrokerLost { worker, conn });
        self.after(back, Event::Connect { worker, incarnation });
    }

    pub(crate) fn freeze(&mut self, worker: usize) {
        let most = self.random.pick(&[self.plan.confirm_timeout, self.plan.lease * 2]);
        let time = self.random.below(most);
        trace!(self, "worker {worker} stands still for {time} ms");
        self.stats.count(Count::WorkerFreezes);
        let it = &mut self.workers[worker];
        it.frozen_until = it.frozen_until.max(self.clock.now + time);
        // For the broker it may be gone by then.
        if it.connected && self.random.coin() {
            let (conn, noticed) = (it.conn, self.random.below(time + 1));
            it.wire = false;
            self.after(noticed, Event::BrokerLost { worker, conn });
            self.after(noticed, Event::WorkerLost { worker, conn });
        }
    }

    /// Breaks both of its connections; each end notices in its own time.
    pub(crate) fn cut(&mut self, worker: usize) {
        trace!(self, "the connections of worker {worker} break");
        self.stats.count(Count::ConnectionsCut);
        self.cut_link(worker);
        self.cut_wire(worker);
    }

    /// Breaks its connection for consuming.
    pub(crate) fn cut_wire(&mut self, worker: usize) {
        let it = &mut self.workers[worker];
        if !it.connected || !it.wire {
            return;
        }
        it.wire = false;
        let conn = it.conn;
        let most = self.random.pick(&[10, 1_000, self.plan.lease]);
        let (here, there) = (self.random.below(most), self.random.below(most));
        self.after(here, Event::WorkerLost { worker, conn });
        self.after(there, Event::BrokerLost { worker, conn });
    }

    /// Breaks its connection for publishing: the result of what was written over it stays unknown.
    pub(crate) fn cut_link(&mut self, worker: usize) {
        self.workers[worker].link += 1;
        for index in 0..self.workers[worker].lives.len() {
            let life = self.workers[worker].lives[index];
            let it = &self.lives[life];
            if matches!(it.waits, Some(Waits::Publish(_) | Waits::SendOn)) {
                let step = it.step;
                self.after(0, Event::Hear { life, step, answer: Answer::Trouble });
            }
        }
    }
}
