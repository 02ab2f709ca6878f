//! The plan of a schedule, drawn from its seed before anything happens: sizes, times, and which faults there
//! are.
//!
//! Swarm testing: each seed has a random subset of the faults. A schedule with all of them rarely gets far
//! enough for the effects of just two of them together.

use std::{collections::BTreeMap, time::Duration};

use hookswitch::core::delivery::{
    fault::Reason,
    lifecycle,
    retry::{Schedule, Tier},
};

use crate::{disaster::Disaster, random::Random};

/// Milliseconds since a schedule began.
pub(crate) type Time = u64;

/// Retry schedules to draw from, with their delay queues.
pub(crate) struct Schedules(Vec<(Schedule, Vec<Tier>)>);

impl Schedules {
    pub(crate) fn new() -> Self {
        let tiers = [Duration::from_secs(2), Duration::from_secs(6)];
        let mut all = Vec::new();
        for wait in [700, 2_000].map(Duration::from_millis) {
            for retries in 0..3 {
                let by_reason = BTreeMap::from([(Reason::UnsupportedEvent, retries)]);
                let schedule = Schedule::new(&tiers, wait, by_reason, 2 - retries);
                let tiers = schedule.all_tiers();
                all.push((schedule, tiers));
            }
        }
        Self(all)
    }
}

/// Fault rates, per thousand occasions.
pub(crate) struct Rates {
    /// A worker dies before a step.
    pub(crate) crash_before: u64,
    /// A worker dies after a step, before it receives the result.
    pub(crate) crash_after: u64,
    /// A worker freezes before a step.
    pub(crate) freeze: u64,
    /// A worker freezes between checking its fence and writing.
    pub(crate) freeze_in_sending: u64,
    /// A worker's connections to the broker break before a step.
    pub(crate) cut: u64,
    /// A message between processes is slow, possibly slower than every timeout.
    pub(crate) slow: u64,
    /// A publish never arrives at the broker.
    pub(crate) swallowed: u64,
    /// A command never arrives at Redis.
    pub(crate) unasked: u64,
    /// Redis runs a command, and its answer never arrives.
    pub(crate) unanswered: u64,
    /// A queue refuses an event once, as if it were full.
    pub(crate) refused: u64,
    /// The broker moves a message twice: it promises at least once.
    pub(crate) moved_twice: u64,
    /// The operator's command dies between two steps.
    pub(crate) operator_dies: u64,
}

/// A schedule before it runs.
pub(crate) struct Plan<'s> {
    /// There are no faults at all.
    pub(crate) calm: bool,
    pub(crate) sources: usize,
    pub(crate) workers: usize,
    pub(crate) prefetch: usize,
    pub(crate) concurrency: usize,
    pub(crate) keys: usize,
    pub(crate) webhooks: usize,
    pub(crate) lease: Time,
    pub(crate) fence: Time,
    pub(crate) confirm_timeout: Time,
    pub(crate) store_timeout: Time,
    pub(crate) done_ttl: Time,
    pub(crate) delivery_limit: u32,
    /// Usual upper bound of the time between two processes.
    pub(crate) hop: Time,
    /// When faults end.
    pub(crate) heals_at: Time,
    pub(crate) schedule: &'s Schedule,
    pub(crate) tiers: &'s [Tier],
    /// Per thousand webhooks.
    pub(crate) unreadable: u64,
    /// Webhooks that kill the worker that reads them, per thousand unreadable ones.
    pub(crate) poison: u64,
    pub(crate) replays: usize,
    pub(crate) rates: Rates,
    pub(crate) disasters: [Option<Disaster>; Disaster::ALL.len()],
    /// Longest time between two disasters.
    pub(crate) peace: Time,
}

impl<'s> Plan<'s> {
    pub(crate) fn draw(random: &mut Random, schedules: &'s Schedules) -> Self {
        let (schedule, tiers) = &schedules.0[random.count(0, schedules.0.len() - 1)];
        let prefetch = random.count(1, 4);
        let webhooks = random.count(1, 5);
        let confirm_timeout = random.pick(&[400, 1_000, 2_500]);
        let lease = confirm_timeout * random.within(2, 4) + 100;
        let [fence, _] = [lease, confirm_timeout].map(Duration::from_millis);
        let fence = lifecycle::fence(fence, Duration::from_millis(confirm_timeout)).as_millis() as Time;
        let calm = random.chance(20);
        let mut rate = || if calm || random.chance(700) { 0 } else { random.pick(&[10, 40, 150]) };
        let rates = Rates {
            crash_before: rate(),
            crash_after: rate(),
            freeze: rate(),
            freeze_in_sending: rate(),
            cut: rate(),
            slow: rate(),
            swallowed: rate(),
            unasked: rate(),
            unanswered: rate(),
            refused: rate(),
            moved_twice: rate(),
            operator_dies: rate() * 3,
        };
        let disasters = Disaster::ALL.map(|disaster| (!calm && random.chance(250)).then_some(disaster));
        let poison = if calm { 0 } else { random.pick(&[0, 0, 200]) };
        Self {
            calm,
            sources: random.count(1, 2),
            workers: random.count(1, 3),
            prefetch,
            concurrency: random.count(1, prefetch),
            keys: random.count(1, webhooks),
            webhooks,
            lease,
            fence,
            confirm_timeout,
            store_timeout: random.pick(&[100, 500, 2_000]),
            done_ttl: if !calm && random.chance(150) { lease + random.below(5_000) } else { 1 << 40 },
            // Only a poison webhook may reach the limit: every other dead letter must be dead by its own
            // fault.
            delivery_limit: if poison > 0 { random.within(2, 5) as u32 } else { 1_000_000 },
            hop: random.pick(&[3, 20, 60]),
            heals_at: random.within(1_000, 20_000),
            schedule,
            tiers,
            unreadable: random.pick(&[0, 0, 200, 600]),
            poison,
            replays: random.count(0, 2),
            rates,
            disasters,
            peace: random.pick(&[500, 2_000, 8_000]),
        }
    }
}
