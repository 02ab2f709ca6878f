//! The world of one schedule: its parts, how a seed sets them up, and what they know of webhooks and events.
//!
//! Each process does one thing at a time, when its moment comes. What belongs to a frozen process waits until
//! it thaws.

use crate::{
    broker::Broker,
    clock::{Clock, Event},
    life::Living,
    mutant::Mutant,
    operator::Operator,
    plan::{Plan, Schedules, Time},
    random::Random,
    stats::{Count, Stats, Window},
    store::Store,
    worker::Worker,
};

/// The most events of one webhook.
pub(crate) const EVENTS_MAX: usize = 3;

/// Faults of single steps in one schedule: enough for the worst, and few enough to end.
const FAULTS_MAX: u32 = 40;

/// Steps after the last fault within which a schedule must end: five times the most ever seen.
const DRAIN_MAX: u64 = 20_000;

/// A webhook's own fault.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ill {
    Unsupported,
    Invalid,
    Panics,
    /// Kills the process that reads it.
    Poison,
}

/// One POST.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Webhook {
    pub(crate) source: usize,
    pub(crate) key: usize,
    pub(crate) fingerprint: u64,
    pub(crate) ill: Ill,
    /// Reads that will still fail; `u32::MAX` means all of them.
    pub(crate) ill_for: u32,
    /// Answered 200.
    pub(crate) accepted: bool,
    /// Copies that the broker keeps, dead ones included.
    pub(crate) copies: u32,
    pub(crate) dead: u32,
}

/// One event, as its consumers have received it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Taken {
    pub(crate) times: u32,
    /// Every queue bound to it has it.
    pub(crate) complete: bool,
    /// The life that published it last, and why that publish came without a valid claim.
    pub(crate) last: usize,
    pub(crate) last_why: Option<Window>,
    pub(crate) last_half: bool,
}

/// The events that one idempotency key stands for.
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

/// All parts of the simulation. Each part implements its own behaviour on `World`, in its own file.
pub(crate) struct World<'s> {
    schedules: &'s Schedules,
    pub(crate) plan: Plan<'s>,
    pub(crate) random: Random,
    pub(crate) clock: Clock,
    pub(crate) healed: bool,
    faults_left: u32,
    pub(crate) broker: Broker,
    pub(crate) store: Store,
    pub(crate) workers: Vec<Worker>,
    pub(crate) lives: Vec<Living<'s>>,
    pub(crate) webhooks: Vec<Webhook>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) operator: Operator,
    /// The operator's connection for publishing.
    pub(crate) operator_link: u32,
    /// The receiver's connection for publishing.
    pub(crate) receiver_link: u32,
    /// Sources with a publish of the receiver under way, and what has gathered for them meanwhile.
    pub(crate) gathering: [Option<Vec<usize>>; 2],
    pub(crate) mutant: Option<Mutant>,
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
            clock: Clock::default(),
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
            gathering: [None, None],
            mutant: Mutant::from_environment(),
            broken: None,
            stats: Stats::default(),
            tracing,
            trace: Vec::new(),
        }
    }

    /// Runs the schedule that `seed` decides, until nothing is left to do.
    ///
    /// # Errors
    ///
    /// The first promise that was broken.
    pub(crate) fn run(&mut self, seed: u64) -> Result<(), String> {
        self.begin(seed);
        let mut drain = 0;
        while let Some(event) = self.clock.next() {
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
        (self.healed, self.faults_left) = (false, FAULTS_MAX);
        self.clock.reset();
        self.lives.clear();
        self.webhooks.clear();
        self.facts.clear();
        self.trace.clear();
        self.operator.letters.clear();
        self.operator.op = None;
        self.gathering = [None, None];
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

    /// Records a broken promise; the first one counts.
    pub(crate) fn fail(&mut self, what: std::fmt::Arguments<'_>) {
        trace!(self, "BROKEN: {what}");
        self.broken.get_or_insert_with(|| what.to_string());
    }

    /// Draws the time from one process to another.
    pub(crate) fn hop(&mut self) -> Time {
        let slow = !self.healed && self.random.chance(self.plan.rates.slow);
        1 + self.random.below(if slow { self.plan.lease * 2 } else { self.plan.hop })
    }

    /// Draws whether a fault of this rate happens now.
    pub(crate) fn fault(&mut self, rate: u64) -> bool {
        let happens = rate > 0 && !self.healed && self.faults_left > 0 && self.random.chance(rate);
        self.faults_left -= u32::from(happens);
        happens
    }
}
