//! Delays before retries, of messages and of connections: the only file that uses the `backoff` crate.
//!
//! `backoff` is unmaintained (RUSTSEC-2025-0012), so this file exposes nothing of it and calls only
//! `next_backoff()`. `backon` could replace it without a change elsewhere.

use std::{collections::BTreeMap, time::Duration};

use backoff::{SystemClock, backoff::Backoff as _, exponential::ExponentialBackoff};

use super::fault::{Attempt, Reason};

/// The factor between one delay and the next: with the default first tier of 5 s it gives 5 s, 25 s, 125 s,
/// 625 s, 3125 s, next to the default tiers of 5 s, 30 s, 2 min, 10 min and 1 h.
const MULTIPLIER: f64 = 5.0;

/// The share of a tier's delay by which a message may leave early, so that messages that failed together do
/// not return together. A queue expires messages at its head only, so this also bounds how long one waits
/// behind another.
const TIER_JITTER: f64 = 0.1;

/// A delay queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tier {
    /// The time that a message spends in it.
    pub delay: Duration,
}

impl Tier {
    /// Returns the name, as in `retry.<name>`.
    pub fn name(self) -> String {
        tier_name(self.delay)
    }

    /// Returns the delay of one message: the tier's, less up to a tenth that `seed` chooses (a hash of the
    /// message).
    pub fn delay_with_jitter(self, seed: u64) -> Duration {
        let share = (seed % 1_000) as f64 / 1_000.0;
        self.delay.mul_f64(1.0 - TIER_JITTER * share)
    }
}

/// The retry policy of failed messages: when, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    tiers: Vec<Tier>,
    wait: Tier,
    retries: BTreeMap<Reason, u32>,
    panic_retries: u32,
}

impl Schedule {
    /// Creates a schedule over `tiers`, in any order. Without tiers, every message waits in `wait`.
    ///
    /// `wait` is the tier of messages that are not at fault. `retries` holds the number of retries for each
    /// reason (0 for a reason that is absent), `panic_retries` the number of retries after a panic of the
    /// normalizer.
    pub fn new(
        tiers: &[Duration],
        wait: Duration,
        retries: BTreeMap<Reason, u32>,
        panic_retries: u32,
    ) -> Self {
        let mut tiers: Vec<_> = tiers.iter().map(|delay| Tier { delay: *delay }).collect();
        tiers.sort_unstable();
        tiers.dedup();
        Self { tiers, wait: Tier { delay: wait }, retries, panic_retries }
    }

    /// Returns the tier of messages that are not at fault.
    pub fn wait(&self) -> Tier {
        self.wait
    }

    /// Returns every delay queue, the one of messages that are not at fault first.
    pub fn all_tiers(&self) -> Vec<Tier> {
        let mut all = vec![self.wait];
        all.extend(self.tiers.iter().filter(|tier| **tier != self.wait));
        all
    }

    /// Returns the number of retries of a message that failed for `reason`.
    pub fn retries_of(&self, reason: Reason) -> u32 {
        self.retries.get(&reason).copied().unwrap_or(0)
    }

    /// Returns the number of retries of a message over which the normalizer panicked.
    pub fn retries_of_panic(&self) -> u32 {
        self.panic_retries
    }

    /// Returns the tier after the `failures`-th failure (1 is the first): the one whose delay is nearest, by
    /// ratio, to the exponential schedule's.
    pub fn tier_after(&self, failures: Attempt) -> Tier {
        let (Some(first), Some(last)) = (self.tiers.first(), self.tiers.last()) else {
            return self.wait;
        };
        let mut schedule = ExponentialBackoff::<SystemClock> {
            current_interval: first.delay,
            initial_interval: first.delay,
            randomization_factor: 0.0,
            multiplier: MULTIPLIER,
            max_interval: last.delay,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        let steps = failures.0.clamp(1, 64);
        let ideal = (0..steps).filter_map(|_| schedule.next_backoff()).last().unwrap_or(last.delay);
        let distance = |tier: &Tier| (tier.delay.as_secs_f64() / ideal.as_secs_f64()).ln().abs();
        let nearest = self.tiers.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        *nearest.unwrap_or(last)
    }
}

/// The delays between attempts to reach a service that is down: exponential, with jitter, without end.
pub struct Reconnect(ExponentialBackoff<SystemClock>);

impl Default for Reconnect {
    /// Starts at 100 ms and doubles up to 10 s; each delay varies by up to half in either direction.
    fn default() -> Self {
        Self(ExponentialBackoff {
            current_interval: Duration::from_millis(100),
            initial_interval: Duration::from_millis(100),
            randomization_factor: 0.5,
            multiplier: 2.0,
            max_interval: Duration::from_secs(10),
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        })
    }
}

impl Reconnect {
    /// Returns the time to wait before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        self.0.next_backoff().unwrap_or(self.0.max_interval)
    }

    /// Restarts at the shortest delay, after a success.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}

/// Formats the delay of a tier for the name of its queue: `5s`, `2m`, `1h`.
pub fn tier_name(delay: Duration) -> String {
    match delay.as_millis() {
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(tiers: &[u64]) -> Schedule {
        let tiers: Vec<_> = tiers.iter().map(|s| Duration::from_secs(*s)).collect();
        Schedule::new(&tiers, Duration::from_secs(1), BTreeMap::new(), 5)
    }

    #[test]
    fn each_failure_waits_one_default_tier_longer_and_the_last_stays() {
        let schedule = schedule(&[5, 30, 120, 600, 3600]);
        let seconds = |n| schedule.tier_after(Attempt(n)).delay.as_secs();
        assert_eq!([1, 2, 3, 4, 5, 6, 1000].map(seconds), [5, 30, 120, 600, 3600, 3600, 3600]);
    }

    #[test]
    fn without_tiers_everything_waits_in_the_waiting_queue() {
        assert_eq!(schedule(&[]).tier_after(Attempt(3)), schedule(&[]).wait());
    }

    #[test]
    fn jitter_takes_at_most_a_tenth_off() {
        let tier = Tier { delay: Duration::from_secs(100) };
        for seed in 0..2_000 {
            let delay = tier.delay_with_jitter(seed);
            assert!(delay <= tier.delay && delay >= Duration::from_secs(90), "{seed}: {delay:?}");
        }
        assert_ne!(tier.delay_with_jitter(1), tier.delay_with_jitter(900));
    }

    #[test]
    fn reconnecting_waits_longer_each_time_but_never_over_15_seconds() {
        let mut reconnect = Reconnect::default();
        let delays: Vec<_> = (0..40).map(|_| reconnect.next_delay()).collect();
        assert!(delays.iter().all(|d| *d >= Duration::from_millis(50) && *d <= Duration::from_secs(15)));
        assert!(delays[39] > delays[0]);
    }

    #[test]
    fn tiers_are_named_by_their_delay() {
        let names = [500, 1_000, 90_000, 120_000, 3_600_000].map(|ms| tier_name(Duration::from_millis(ms)));
        assert_eq!(names, ["500ms", "1s", "90s", "2m", "1h"]);
    }
}
