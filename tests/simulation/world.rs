//! The world: time, the worker processes, the senders and the operator. Each does one thing at a time, when its moment
//! comes; what belongs to a process that stands still waits until it goes on.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
};

use hookswitch::{
    core::{
        delivery::{
            disposition::Disposition,
            fault::{Attempt, Fault, Reason},
            lifecycle::{Answer, Claim, Life, Step},
        },
        events::key::BodyHash,
    },
    faults::{self, Mutant},
};

use crate::{
    broker::{Broker, By, Message, Op, Place, What},
    plan::{Disaster, Plan, Schedules, Time},
    random::Random,
    stats::{Count, Stats, Window},
    store::Store,
};

/// The most events of one webhook.
pub(crate) const EVENTS_MAX: usize = 3;

/// Faults of single steps in one schedule: enough for the worst, and short enough to end.
const FAULTS_MAX: u32 = 40;

/// So many steps after the last fault, and nothing may be left to do: five times what was ever seen.
const DRAIN_MAX: u64 = 20_000;

/// What happens when its time has come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A sender posts this webhook.
    Post(usize),
    /// The broker's delivery reaches the worker.
    Deliver {
        worker: usize,
        conn: u32,
        message: usize,
    },
    /// A life has waited out its trouble.
    Go {
        life: usize,
        step: u32,
    },
    /// A life hears what came of its step.
    Hear {
        life: usize,
        step: u32,
        answer: Answer,
    },
    /// The publisher's turn to write.
    Write(usize),
    /// What was written reaches the broker.
    Arrive(usize),
    /// The broker has made it durable.
    Commit(usize),
    /// The publisher has waited for a confirm long enough.
    Silence(usize),
    /// A sender or the operator hears what came of a publish.
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
    /// Nothing goes wrong any more.
    Heal,
}

/// What is asked of Redis.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    Claim,
    Done,
    Release,
    /// The ledger's note that it is dead.
    NoteDead,
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

/// What is wrong with a webhook.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ill {
    Unsupported,
    Invalid,
    Panics,
    /// It kills the process that reads it.
    Poison,
}

/// One POST.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Webhook {
    pub(crate) source: usize,
    pub(crate) key: usize,
    pub(crate) fingerprint: u64,
    pub(crate) ill: Ill,
    /// How often it will still fail to be read; the largest number is for ever.
    pub(crate) ill_for: u32,
    /// Answered 200.
    pub(crate) accepted: bool,
    /// Copies that the broker keeps, dead ones included.
    pub(crate) copies: u32,
    pub(crate) dead: u32,
}

/// What consumers know of one event.
#[derive(Clone, Copy, Default)]
pub(crate) struct Taken {
    pub(crate) times: u32,
    /// Every queue that wants it has it.
    pub(crate) complete: bool,
    /// By whose publish it came last, and why that came at a bad time.
    pub(crate) last: usize,
    pub(crate) last_why: Option<Window>,
    pub(crate) last_half: bool,
}

/// One fact.
#[derive(Clone, Copy)]
pub(crate) struct Fact {
    pub(crate) events: usize,
    pub(crate) taken: [Taken; EVENTS_MAX],
}

impl Fact {
    pub(crate) fn complete(&self) -> bool {
        self.taken[..self.events].iter().all(|taken| taken.complete)
    }
}

/// What became of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Alive,
    Ended,
    Crashed,
    Abandoned,
}

/// A life, and what the simulation knows of it.
pub(crate) struct Living<'s> {
    life: Life<'s>,
    pub(crate) worker: usize,
    pub(crate) conn: u32,
    pub(crate) message: usize,
    pub(crate) webhook: usize,
    pub(crate) source: usize,
    pub(crate) key: usize,
    pub(crate) fate: Fate,
    pub(crate) readable: bool,
    /// Tells its steps apart, so that a late answer is not taken for another's.
    step: u32,
    waits: Option<Waits>,
    /// By the worker's clock.
    not_after: Time,
    pub(crate) claim_sent: Option<Time>,
    pub(crate) claimed: Option<Time>,
    /// The events of whose confirm it has heard, a bit each.
    pub(crate) knows: u8,
    pub(crate) refused: bool,
    /// Its process knew the key to be confirmed.
    pub(crate) unmarked: bool,
    /// When Redis marked the key done for it.
    pub(crate) marked: Option<Time>,
    /// It has heard that the key is marked done, by itself or by another.
    pub(crate) knows_marked: bool,
    backoff: Time,
}

/// What a life waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Claim,
    Publish(usize),
    Done,
    Release,
    SendOn,
    NoteDead,
    Trouble,
}

/// What a life's step says, without borrowing it.
enum Next {
    Claim,
    Publish(usize),
    MarkDone,
    Release,
    SendOn { attempt: Attempt, to: Place, expires: Time },
    NoteDead,
    Ack,
    End,
}

/// A worker process.
#[derive(Default)]
pub(crate) struct Worker {
    pub(crate) incarnation: u32,
    alive: bool,
    frozen_until: Time,
    /// By how much its clock has stood still, and when last.
    lag: Time,
    pub(crate) stopped_at: Option<Time>,
    /// Its connection for consuming.
    pub(crate) conn: u32,
    pub(crate) connected: bool,
    /// Whether anything passes through that connection.
    pub(crate) wire: bool,
    /// Its connection for publishing.
    pub(crate) link: u32,
    inbox: [VecDeque<usize>; 2],
    running: [usize; 2],
    lives: Vec<usize>,
    /// Keys whose events are confirmed while Redis could not be told so, a bit each.
    unmarked: u64,
}

impl Worker {
    /// Its own clock, which never jumps, but stands still while the machine is suspended.
    fn clock(&self, now: Time) -> Time {
        now + (1 << 40) - self.lag
    }

    fn reset(&mut self) {
        self.inbox.iter_mut().for_each(VecDeque::clear);
        self.lives.clear();
        let (inbox, lives) = (std::mem::take(&mut self.inbox), std::mem::take(&mut self.lives));
        *self = Self { alive: true, inbox, lives, ..Self::default() };
    }
}

/// Somebody who replays dead letters, one after the other.
#[derive(Default)]
struct Operator {
    letters: VecDeque<usize>,
    /// The publish that it waits for.
    op: Option<usize>,
}

/// Everything.
pub(crate) struct World<'s> {
    schedules: &'s Schedules,
    pub(crate) plan: Plan<'s>,
    pub(crate) random: Random,
    pub(crate) now: Time,
    events: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    pub(crate) healed: bool,
    faults_left: u32,
    pub(crate) broker: Broker,
    pub(crate) store: Store,
    pub(crate) workers: Vec<Worker>,
    pub(crate) lives: Vec<Living<'s>>,
    pub(crate) webhooks: Vec<Webhook>,
    pub(crate) facts: Vec<Fact>,
    operator: Operator,
    operator_link: u32,
    receiver_link: u32,
    broken: Option<String>,
    pub(crate) stats: Stats,
    pub(crate) tracing: bool,
    pub(crate) trace: Vec<String>,
}

impl<'s> World<'s> {
    pub(crate) fn new(schedules: &'s Schedules, tracing: bool) -> Self {
        let mut random = Random::new(0);
        Self {
            schedules,
            plan: Plan::draw(&mut random, schedules),
            random,
            now: 0,
            events: BinaryHeap::new(),
            scheduled: 0,
            healed: false,
            faults_left: 0,
            broker: Broker::default(),
            store: Store::new(),
            workers: Vec::new(),
            lives: Vec::new(),
            webhooks: Vec::new(),
            facts: Vec::new(),
            operator: Operator::default(),
            operator_link: 0,
            receiver_link: 0,
            broken: None,
            stats: Stats::default(),
            tracing,
            trace: Vec::new(),
        }
    }

    /// Runs the schedule that `seed` decides, until nothing is left to do; or says which promise was broken.
    pub(crate) fn run(&mut self, seed: u64) -> Result<(), String> {
        self.begin(seed);
        let mut drain = 0;
        while let Some(Reverse(Scheduled { at, event, .. })) = self.events.pop() {
            self.now = at;
            self.stats.count(Count::Steps);
            drain += u64::from(self.healed);
            if drain > DRAIN_MAX {
                self.fail(format_args!("not drained {DRAIN_MAX} steps after the last fault"));
            }
            self.happen(event);
            if let Some(broken) = self.broken.take() {
                return Err(broken);
            }
        }
        self.stats.longest_drain = self.stats.longest_drain.max(drain);
        self.check_end();
        self.broken.take().map_or(Ok(()), Err)
    }

    fn begin(&mut self, seed: u64) {
        self.random = Random::new(seed);
        self.plan = Plan::draw(&mut self.random, self.schedules);
        (self.now, self.scheduled, self.healed, self.faults_left) = (0, 0, false, FAULTS_MAX);
        self.events.clear();
        self.lives.clear();
        self.webhooks.clear();
        self.facts.clear();
        self.trace.clear();
        self.operator.letters.clear();
        self.operator.op = None;
        self.broker.reset(self.plan.tiers.len(), self.plan.workers);
        self.store.reset(self.plan.keys);
        self.workers.resize_with(self.plan.workers, Worker::default);
        self.workers.iter_mut().for_each(Worker::reset);
        self.stats.count(Count::Schedules);

        for _ in 0..self.plan.keys {
            let events = self.random.count(1, EVENTS_MAX);
            self.facts.push(Fact { events, taken: Default::default() });
        }
        for worker in 0..self.plan.workers {
            let at = self.random.below(300);
            self.after(at, Event::Connect { worker, incarnation: 0 });
        }
        for webhook in 0..self.plan.webhooks {
            let made = self.make_webhook();
            self.webhooks.push(made);
            let last = self.random.pick(&[1, 500, self.plan.heals_at * 3 / 2]);
            let at = self.random.below(last);
            self.after(at, Event::Post(webhook));
        }
        for _ in 0..self.plan.replays {
            let at = self.random.below(self.plan.heals_at * 2);
            self.after(at, Event::Replay);
        }
        if self.plan.disasters.iter().any(Option::is_some) {
            let at = self.random.below(self.plan.peace);
            self.after(at, Event::Disaster);
        }
        self.after(self.plan.heals_at, Event::Heal);
        trace!(
            self,
            "{} webhooks of {} keys and {} sources, {} workers, prefetch {}, concurrency {}, lease {} ms, \
             confirm {} ms, Redis {} ms, done {} ms, delivery limit {}, faults until {} ms, {:?}",
            self.plan.webhooks,
            self.plan.keys,
            self.plan.sources,
            self.plan.workers,
            self.plan.prefetch,
            self.plan.concurrency,
            self.plan.lease,
            self.plan.confirm_timeout,
            self.plan.store_timeout,
            self.plan.done_ttl,
            self.plan.delivery_limit,
            self.plan.heals_at,
            self.plan.disasters.iter().flatten().collect::<Vec<_>>(),
        );
    }

    fn make_webhook(&mut self) -> Webhook {
        let key = self.random.count(0, self.plan.keys - 1);
        let ill = self.random.chance(self.plan.unreadable);
        let poison = ill && self.random.chance(self.plan.poison);
        let kind = self.random.pick(&[Ill::Unsupported, Ill::Invalid, Ill::Panics]);
        let for_ever = self.random.coin();
        let ill_for = if poison || for_ever { u32::MAX } else { self.random.within(1, 3) as u32 };
        Webhook {
            source: key % self.plan.sources,
            key,
            fingerprint: u64::from(self.random.chance(900)),
            ill: if poison { Ill::Poison } else { kind },
            ill_for: if ill { ill_for } else { 0 },
            accepted: false,
            copies: 0,
            dead: 0,
        }
    }

    /// Says that a promise is broken; the first counts.
    pub(crate) fn fail(&mut self, what: std::fmt::Arguments<'_>) {
        trace!(self, "BROKEN: {what}");
        self.broken.get_or_insert_with(|| what.to_string());
    }

    pub(crate) fn after(&mut self, delay: Time, event: Event) {
        self.at(self.now + delay, event);
    }

    pub(crate) fn at(&mut self, at: Time, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse(Scheduled { at, number: self.scheduled, event }));
    }

    /// How long it takes to get from one process to another.
    pub(crate) fn hop(&mut self) -> Time {
        let slow = !self.healed && self.random.chance(self.plan.rates.slow);
        1 + self.random.below(if slow { self.plan.lease * 2 } else { self.plan.hop })
    }

    /// Whether a fault of this rate happens now.
    pub(crate) fn fault(&mut self, rate: u64) -> bool {
        let happens = rate > 0 && !self.healed && self.faults_left > 0 && self.random.chance(rate);
        self.faults_left -= u32::from(happens);
        happens
    }

    fn happen(&mut self, event: Event) {
        if let Some(worker) = self.whose(event)
            && self.workers[worker].frozen_until > self.now
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

    /// The worker process in which an event happens.
    fn whose(&self, event: Event) -> Option<usize> {
        match event {
            Event::Deliver { worker, .. }
            | Event::WorkerLost { worker, .. }
            | Event::Connect { worker, .. } => Some(worker),
            Event::Go { life, .. } | Event::Hear { life, .. } => Some(self.lives[life].worker),
            Event::Write(op) | Event::Silence(op) => match self.broker.ops[op].by {
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

    // Senders.

    fn post(&mut self, webhook: usize) {
        let message = self.broker.make(Message { webhook, ..Message::default() });
        trace!(self, "webhook {webhook} is posted: {:?}", self.webhooks[webhook]);
        self.publish(By::Receiver { webhook }, What::Copy { message, to: Place::Raw });
    }

    /// Posted again, as providers do: with an id of its own.
    fn post_again(&mut self, webhook: usize) {
        self.stats.count(Count::Indeterminate);
        if self.webhooks.len() < 2 * self.plan.webhooks && self.random.coin() {
            let again = Webhook { accepted: false, copies: 0, dead: 0, ..self.webhooks[webhook] };
            self.webhooks.push(again);
            let delay = self.random.within(10, 5_000);
            self.after(delay, Event::Post(self.webhooks.len() - 1));
        }
    }

    // The operator.

    fn replay(&mut self) {
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
        if faults::is(Mutant::RemoveBeforeReplay) {
            self.remove_letter(letter);
        }
        let message =
            self.broker.make(Message { webhook: self.broker.messages[letter].webhook, ..Message::default() });
        trace!(self, "letter {letter} is replayed as {message}");
        let op = self.publish(By::Operator, What::Copy { message, to: Place::Raw });
        self.operator.op = Some(op);
    }

    fn replayed(&mut self, answer: Answer) {
        self.operator.op = None;
        let Some(letter) = self.operator.letters.pop_front() else { return };
        if answer != Answer::Confirmed || self.fault(self.plan.rates.operator_dies) {
            trace!(self, "letter {letter} stays: {answer:?}");
            return self.operator.letters.clear();
        }
        self.stats.count(Count::Replayed);
        if !faults::is(Mutant::RemoveBeforeReplay) {
            self.remove_letter(letter);
        }
        self.replay_next();
    }

    fn remove_letter(&mut self, letter: usize) {
        self.check_ack(letter, "the operator");
        // An ack that is lost with its connection leaves the letter where it is.
        if !self.fault(self.plan.rates.cut) {
            self.broker.bury(letter, &mut self.webhooks);
        }
    }

    /// A sender or the operator hears of its publish.
    fn told(&mut self, op: usize, answer: Answer) {
        if std::mem::replace(&mut self.broker.ops[op].told, true) {
            return;
        }
        match self.broker.ops[op].by {
            By::Receiver { webhook } if answer == Answer::Confirmed => {
                trace!(self, "webhook {webhook} is answered 200");
                self.stats.count(Count::Accepted);
                self.webhooks[webhook].accepted = true;
            }
            By::Receiver { webhook } => self.post_again(webhook),
            By::Operator if self.operator.op == Some(op) => self.replayed(answer),
            By::Operator | By::Life { .. } => {}
        }
    }

    // Workers.

    fn connect(&mut self, worker: usize, incarnation: u32) {
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

    fn delivered(&mut self, worker: usize, conn: u32, message: usize) {
        let it = &mut self.workers[worker];
        if !it.alive || !it.connected || !it.wire || it.conn != conn {
            return;
        }
        let source = self.webhooks[self.broker.messages[message].webhook].source;
        it.inbox[source].push_back(message);
        self.take(worker, source);
    }

    /// Begins as many lives as may be.
    fn take(&mut self, worker: usize, source: usize) {
        while self.workers[worker].running[source] < self.plan.concurrency {
            let Some(message) = self.workers[worker].inbox[source].pop_front() else { return };
            let conn = self.workers[worker].conn;
            if !self.begin_life(worker, conn, message) {
                return;
            }
        }
    }

    /// Reads the webhook; false if that killed the worker.
    fn begin_life(&mut self, worker: usize, conn: u32, message: usize) -> bool {
        let Message { webhook, attempt, .. } = self.broker.messages[message];
        self.check_attempt(message);
        let Webhook { source, key, fingerprint, ill, ill_for, .. } = self.webhooks[webhook];
        if ill_for > 0 && ill_for < u32::MAX {
            self.webhooks[webhook].ill_for -= 1;
        }
        let schedule = self.plan.schedule;
        let permanent = |reason| Fault::Permanent { reason, error: String::new() };
        let fault = match (ill_for, ill) {
            (0, _) => None,
            (_, Ill::Unsupported) => Some(permanent(Reason::UnsupportedEvent)),
            (_, Ill::Invalid) => Some(permanent(Reason::InvalidPayload)),
            (_, Ill::Panics) => Some(Fault::Panicked { location: String::new() }),
            (_, Ill::Poison) => {
                trace!(self, "worker {worker} reads message {message}, which kills it");
                self.crash(worker);
                return false;
            }
        };
        let readable = fault.is_none();
        let life = match fault {
            None => Life::of_webhook(attempt, schedule, BodyHash::from(fingerprint), self.facts[key].events),
            Some(fault) => Life::of_fault(attempt, schedule, fault),
        };
        self.lives.push(Living {
            life,
            worker,
            conn,
            message,
            webhook,
            source,
            key,
            fate: Fate::Alive,
            readable,
            step: 0,
            waits: None,
            not_after: 0,
            claim_sent: None,
            claimed: None,
            knows: 0,
            refused: false,
            unmarked: false,
            marked: None,
            knows_marked: false,
            backoff: 50,
        });
        let life = self.lives.len() - 1;
        trace!(
            self,
            "worker {worker} takes message {message} (webhook {webhook}, key {key}, attempt {}): life {life}",
            attempt.0
        );
        self.workers[worker].running[source] += 1;
        self.workers[worker].lives.push(life);
        self.perform(life);
        // It may have died of a fault by now.
        self.workers[worker].alive
    }

    fn go(&mut self, life: usize, step: u32) {
        if self.lives[life].fate == Fate::Alive && self.lives[life].step == step {
            self.perform(life);
        }
    }

    /// Does the next step, and those after it that need no answer from elsewhere.
    fn perform(&mut self, life: usize) {
        loop {
            let worker = self.lives[life].worker;
            if self.fault(self.plan.rates.crash_before) {
                return self.crash(worker);
            }
            if self.fault(self.plan.rates.cut) {
                self.cut(worker);
            }
            self.lives[life].step += 1;
            if self.fault(self.plan.rates.freeze) {
                self.freeze(worker);
                let step = self.lives[life].step;
                return self.after(0, Event::Go { life, step });
            }
            let key = self.lives[life].key;
            match self.next(life) {
                Next::Claim if self.workers[worker].unmarked & (1 << key) != 0 => {
                    trace!(self, "life {life} is of a key that this process knows to be confirmed");
                    self.stats.count(Count::Unmarked);
                    self.lives[life].unmarked = true;
                    self.lives[life].life.after(Answer::Claim(Claim::Unmarked));
                }
                Next::Claim => {
                    let it = &mut self.lives[life];
                    it.claim_sent = Some(self.now);
                    it.not_after = self.workers[worker].clock(self.now) + self.plan.fence;
                    return self.ask(life, Command::Claim, Waits::Claim);
                }
                Next::Publish(position) => {
                    self.lives[life].waits = Some(Waits::Publish(position));
                    let step = self.lives[life].step;
                    self.publish(By::Life { life, step }, What::Event { position });
                    return;
                }
                Next::MarkDone => return self.ask(life, Command::Done, Waits::Done),
                Next::Release => return self.ask(life, Command::Release, Waits::Release),
                Next::NoteDead => return self.ask(life, Command::NoteDead, Waits::NoteDead),
                Next::SendOn { attempt, to, expires } => return self.send_on(life, attempt, to, expires),
                Next::Ack => {
                    self.ack(life);
                    if self.fault(self.plan.rates.crash_after) {
                        return self.crash(worker);
                    }
                    self.lives[life].life.after(Answer::Settled);
                }
                Next::End => return self.end(life),
            }
        }
    }

    fn next(&self, life: usize) -> Next {
        let it = &self.lives[life];
        match it.life.step() {
            Step::Claim => Next::Claim,
            Step::Publish(position) => Next::Publish(position),
            Step::MarkDone => Next::MarkDone,
            Step::Release => Next::Release,
            Step::SendOn(Disposition::Retry { tier, attempt, .. }) => {
                let number = self.plan.tiers.iter().position(|other| other == tier);
                let number = number.expect("a schedule's tiers are all that it uses");
                let delay = tier.delay_with_jitter(it.webhook as u64 * 397).as_millis() as Time;
                Next::SendOn { attempt: *attempt, to: Place::Waiting(number), expires: delay }
            }
            Step::SendOn(Disposition::DeadLetter { attempts, .. }) => {
                Next::SendOn { attempt: *attempts, to: Place::Dead, expires: 0 }
            }
            Step::SendOn(Disposition::Done { .. } | Disposition::Duplicate { .. }) => {
                unreachable!("what is done is not sent on")
            }
            Step::NoteDead => Next::NoteDead,
            Step::Ack => Next::Ack,
            Step::End => Next::End,
        }
    }

    fn send_on(&mut self, life: usize, attempt: Attempt, to: Place, delay: Time) {
        let it = &mut self.lives[life];
        it.waits = Some(Waits::SendOn);
        let (step, webhook, readable) = (it.step, it.webhook, it.readable);
        let faults = self.broker.messages[it.message].faults + u32::from(!readable);
        if to == Place::Dead && readable {
            self.fail(format_args!("life {life} makes webhook {webhook} a dead letter, and it can be read"));
        }
        let message = Message { webhook, attempt, faults, delay, ..Message::default() };
        let message = self.broker.make(message);
        self.publish(By::Life { life, step }, What::Copy { message, to });
    }

    /// The ack is written; whether it arrives is another matter.
    fn ack(&mut self, life: usize) {
        let Living { worker, conn, message, .. } = self.lives[life];
        trace!(self, "life {life} acks message {message}");
        if self.broker.messages[message].place == (Place::Unacked { worker, conn }) {
            self.check_ack(message, "a life");
            self.check_marked(life);
        }
        if self.workers[worker].connected {
            let delay = self.hop();
            self.after(delay, Event::Acked { worker, conn, message });
        }
    }

    fn end(&mut self, life: usize) {
        let it = &self.lives[life];
        let disposition = it.life.disposition().expect("it has ended");
        trace!(self, "life {life} has ended: {disposition:?}");
        let count = match disposition {
            Disposition::Done { .. } => None,
            Disposition::Duplicate { .. } => Some(Count::DroppedAsDuplicate),
            Disposition::Retry { .. } if it.readable => None,
            Disposition::Retry { .. } => Some(Count::RetriesOfFaults),
            Disposition::DeadLetter { .. } => Some(Count::DeadLetters),
        };
        if let Some(count) = count {
            self.stats.count(count);
        }
        self.leave(life, Fate::Ended);
        let Living { worker, source, .. } = self.lives[life];
        self.take(worker, source);
    }

    /// A life leaves its process; the last one on a lost connection makes room for a new one.
    fn leave(&mut self, life: usize, fate: Fate) {
        let it = &mut self.lives[life];
        it.fate = fate;
        let worker = it.worker;
        let process = &mut self.workers[worker];
        process.running[it.source] -= 1;
        process.lives.retain(|other| *other != life);
        if !process.connected && process.lives.is_empty() {
            let (incarnation, delay) = (process.incarnation, self.random.within(10, 500));
            self.after(delay, Event::Connect { worker, incarnation });
        }
    }

    fn hear(&mut self, life: usize, step: u32, answer: Answer) {
        let it = &self.lives[life];
        if it.fate != Fate::Alive || it.step != step {
            return;
        }
        let (worker, key, Some(waits)) = (it.worker, it.key, it.waits) else { return };
        if self.fault(self.plan.rates.crash_after) {
            return self.crash(worker);
        }
        trace!(self, "life {life} hears of its {waits:?}: {answer:?}");
        let it = &mut self.lives[life];
        it.step += 1;
        it.waits = None;
        match (waits, answer) {
            (Waits::Publish(position), Answer::Confirmed) => it.knows |= 1 << position,
            (Waits::Publish(_), Answer::Refused) => {
                it.refused = true;
                self.stats.count(Count::Refused);
            }
            (Waits::Done, Answer::Settled) => {
                it.knows_marked = true;
                self.workers[worker].unmarked &= !(1 << key);
                self.store.acked(key);
            }
            (Waits::Done, Answer::Trouble) => self.workers[worker].unmarked |= 1 << key,
            (Waits::Claim, Answer::Claim(Claim::Done { .. })) => it.knows_marked = true,
            (Waits::Claim, Answer::Claim(Claim::Busy)) => self.stats.count(Count::Busy),
            (
                Waits::Claim
                | Waits::Publish(_)
                | Waits::Done
                | Waits::Release
                | Waits::SendOn
                | Waits::NoteDead
                | Waits::Trouble,
                _,
            ) => {}
        }
        self.lives[life].life.after(answer);
        if answer == Answer::Trouble {
            self.wait_out(life);
        } else {
            self.perform(life);
        }
    }

    fn wait_out(&mut self, life: usize) {
        let it = &mut self.lives[life];
        if !self.workers[it.worker].connected {
            return self.abandon(life);
        }
        it.waits = Some(Waits::Trouble);
        it.backoff = (it.backoff * 2).min(2_000);
        let (step, most) = (it.step, it.backoff);
        let delay = self.random.within(most / 2, most);
        self.after(delay, Event::Go { life, step });
    }

    fn abandon(&mut self, life: usize) {
        trace!(self, "life {life} is abandoned");
        self.stats.count(Count::Abandoned);
        self.leave(life, Fate::Abandoned);
    }

    /// The worker knows that its channel is gone: what waits is abandoned, what is at something finishes that.
    fn worker_lost(&mut self, worker: usize, conn: u32) {
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
            if self.lives[life].waits == Some(Waits::Trouble) {
                self.abandon(life);
            }
        }
        if self.workers[worker].lives.is_empty() {
            self.after(50, Event::Connect { worker, incarnation });
        }
    }

    fn crash(&mut self, worker: usize) {
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

    fn freeze(&mut self, worker: usize) {
        let most = self.random.pick(&[self.plan.confirm_timeout, self.plan.lease * 2]);
        let time = self.random.below(most);
        trace!(self, "worker {worker} stands still for {time} ms");
        self.stats.count(Count::WorkerFreezes);
        let it = &mut self.workers[worker];
        it.frozen_until = it.frozen_until.max(self.now + time);
        // For the broker it may be gone by then.
        if it.connected && self.random.coin() {
            let (conn, noticed) = (it.conn, self.random.below(time + 1));
            it.wire = false;
            self.after(noticed, Event::BrokerLost { worker, conn });
            self.after(noticed, Event::WorkerLost { worker, conn });
        }
    }

    /// Both of its connections break; each end notices in its own time.
    fn cut(&mut self, worker: usize) {
        trace!(self, "the connections of worker {worker} break");
        self.stats.count(Count::ConnectionsCut);
        self.cut_link(worker);
        self.cut_wire(worker);
    }

    fn cut_wire(&mut self, worker: usize) {
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

    /// What was written over this connection for publishing is unknown from now on.
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

    pub(crate) fn cut_operator(&mut self) {
        self.operator_link += 1;
        if let Some(op) = self.operator.op {
            self.after(0, Event::Told { op, answer: Answer::Trouble });
        }
    }

    pub(crate) fn cut_receiver(&mut self) {
        self.receiver_link += 1;
        for op in 0..self.broker.ops.len() {
            let it = &self.broker.ops[op];
            if matches!(it.by, By::Receiver { .. }) && !it.told {
                self.after(0, Event::Told { op, answer: Answer::Trouble });
            }
        }
    }

    // Publishing, as far as the publisher does it.

    fn publish(&mut self, by: By, what: What) -> usize {
        let deadline = self.now + self.plan.confirm_timeout;
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

    /// The current connection of whoever publishes.
    pub(crate) fn link_of(&self, by: By) -> u32 {
        match by {
            By::Life { life, .. } => self.workers[self.lives[life].worker].link,
            By::Receiver { .. } => self.receiver_link,
            By::Operator => self.operator_link,
        }
    }

    /// Whoever published hears of it.
    pub(crate) fn answer(&mut self, op: usize, at: Time, answer: Answer) {
        match self.broker.ops[op].by {
            By::Life { life, step } => self.at(at, Event::Hear { life, step, answer }),
            By::Receiver { .. } | By::Operator => self.at(at, Event::Told { op, answer }),
        }
    }

    /// Whether nobody waits for this publish any more.
    pub(crate) fn given_up(&self, op: usize) -> bool {
        match self.broker.ops[op].by {
            By::Life { life, step } => self.lives[life].fate != Fate::Alive || self.lives[life].step != step,
            By::Receiver { .. } | By::Operator => self.broker.ops[op].told,
        }
    }

    /// Looks at the fence, and writes.
    fn write(&mut self, op: usize) {
        if self.given_up(op) {
            return;
        }
        let Op { by, what, deadline, .. } = self.broker.ops[op];
        if self.now > deadline || !self.broker.up {
            let delay = self.random.below(self.plan.hop);
            return self.answer(op, self.now + delay, Answer::Trouble);
        }
        let mut stands_still = 0;
        if let By::Life { life, .. } = by {
            let worker = self.lives[life].worker;
            if let What::Event { position } = what {
                if self.workers[worker].clock(self.now) > self.lives[life].not_after {
                    self.stats.count(Count::Fenced);
                    return self.answer(op, self.now, Answer::Trouble);
                }
                self.check_sending(life, position);
            }
            if self.fault(self.plan.rates.freeze_in_sending) {
                self.freeze(worker);
                stands_still = self.workers[worker].frozen_until - self.now;
            }
        }
        trace!(self, "{by:?} publishes {what:?}");
        self.broker.ops[op].link = self.link_of(by);
        let arrives = self.now + stands_still + self.hop();
        if self.fault(self.plan.rates.swallowed) {
            return self.at(deadline, Event::Silence(op));
        }
        if arrives > deadline {
            self.at(deadline, Event::Silence(op));
        }
        self.at(arrives, Event::Arrive(op));
    }

    /// No confirm in time: the connection is given up, and with it all that is on its way.
    fn silence(&mut self, op: usize) {
        let Op { by, link, .. } = self.broker.ops[op];
        if self.given_up(op) || link != self.link_of(by) {
            return;
        }
        trace!(self, "no confirm for {by:?}");
        match by {
            By::Life { life, .. } => self.cut_link(self.lives[life].worker),
            By::Receiver { .. } => self.answer(op, self.now, Answer::Trouble),
            By::Operator => self.cut_operator(),
        }
    }

    // Redis, as far as the worker asks it.

    fn ask(&mut self, life: usize, command: Command, waits: Waits) {
        let it = &mut self.lives[life];
        it.waits = Some(waits);
        let step = it.step;
        let deadline = self.now + self.plan.store_timeout;
        let arrives = self.now + self.hop();
        let never = self.fault(self.plan.rates.unasked);
        if never || arrives > deadline {
            self.at(deadline, Event::Hear { life, step, answer: Answer::Trouble });
        }
        if !never {
            self.at(arrives, Event::Execute { life, step, command, deadline });
        }
    }

    /// A command that nobody waits for any more is done all the same.
    fn execute(&mut self, life: usize, step: u32, command: Command, deadline: Time) {
        let it = &mut self.lives[life];
        let (key, owner) = (it.key, life as u32);
        if !self.store.up {
            return self.at(deadline.max(self.now), Event::Hear { life, step, answer: Answer::Trouble });
        }
        let answer = match command {
            Command::Claim => {
                let claim = self.store.claim(key, owner, self.plan.lease, self.now);
                if claim == Claim::Claimed {
                    it.claimed = Some(self.now);
                }
                Answer::Claim(claim)
            }
            Command::Done => {
                let fingerprint = self.webhooks[it.webhook].fingerprint;
                self.store.done(key, fingerprint, self.plan.done_ttl, self.now);
                it.marked = Some(self.now);
                Answer::Settled
            }
            Command::Release => {
                self.store.release(key, owner, self.now);
                Answer::Settled
            }
            Command::NoteDead => Answer::Settled,
        };
        trace!(self, "Redis does the {command:?} of life {life} on key {key}: {answer:?}");
        let heard = self.now + self.hop();
        if self.fault(self.plan.rates.unanswered) || heard > deadline {
            self.at(deadline.max(self.now), Event::Hear { life, step, answer: Answer::Trouble });
        } else {
            self.at(heard, Event::Hear { life, step, answer });
        }
    }

    // Disasters.

    fn disaster(&mut self) {
        if self.healed {
            return;
        }
        let next = self.random.within(1, self.plan.peace);
        self.after(next, Event::Disaster);
        let which = self.random.count(0, Disaster::ALL.len() - 1);
        let Some(disaster) = self.plan.disasters[which] else { return };
        let worker = self.random.count(0, self.plan.workers - 1);
        let time = self.random.within(1, self.plan.lease * 2);
        trace!(self, "{disaster:?}");
        match disaster {
            Disaster::BrokerRestart => self.broker_down(time),
            Disaster::StoreRestart => self.store_down(time),
            Disaster::StoreLoss => {
                self.stats.count(Count::StoreLosses);
                for key in 0..self.plan.keys {
                    if self.random.coin() {
                        self.store.lose(key, self.now);
                    }
                }
                self.store_down(time);
            }
            Disaster::StoreClockJump => {
                self.stats.count(Count::StoreClockJumps);
                self.store.jump(time, self.now);
            }
            Disaster::DownstreamFull => self.broker.full_until = self.now + time,
            Disaster::TopologyGone => self.broker.unbound_until = self.now + time,
            Disaster::WorkerCrash => self.crash(worker),
            Disaster::WorkerFreeze => self.freeze(worker),
            Disaster::WorkerClockStop => {
                self.freeze(worker);
                let it = &mut self.workers[worker];
                it.lag += it.frozen_until.saturating_sub(self.now);
                it.stopped_at = Some(self.now);
            }
            Disaster::WorkerCut => match self.random.below(3) {
                0 => self.cut_link(worker),
                1 => self.cut_wire(worker),
                _ => self.cut(worker),
            },
            Disaster::ReceiverCut => self.cut_receiver(),
        }
    }

    fn store_down(&mut self, time: Time) {
        self.stats.count(Count::StoreRestarts);
        if std::mem::replace(&mut self.store.up, false) {
            self.after(time, Event::StoreUp);
        }
    }
}
