//! The lives of deliveries, simulated: the real state machine of `src/core/delivery/lifecycle.rs` against a model of the broker
//! and of Redis, in which everything goes wrong that a seed decides.
//!
//! `HOOKSWITCH_SIMULATIONS=n` sets how many schedules there are, `HOOKSWITCH_SIMULATION_SEED=n` shows one of them step
//! by step on stderr.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

/// A line of the trace, written only if somebody wants to see it.
macro_rules! trace {
    ($world:expr, $($line:tt)*) => {
        if $world.tracing {
            $world.trace.push(format!("{:>7} ms  {}", $world.now, format_args!($($line)*)));
        }
    };
}

mod broker;
mod check;
mod plan;
mod random;
mod stats;
mod store;
mod world;

use std::{
    io::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use plan::Schedules;
use stats::Stats;
use world::World;

/// So many that each kind of fault meets each other, and few enough for every `cargo test`.
const SCHEDULES: u64 = 1_000_000;

/// With fewer, something may never happen by chance.
const ENOUGH_TO_SEE_ALL: u64 = 100_000;

/// How much of a failed schedule is shown.
const LAST_STEPS: usize = 120;

#[test]
fn nothing_is_lost_and_nothing_knowable_is_published_twice_in_any_schedule() {
    if let Some(seed) = number("HOOKSWITCH_SIMULATION_SEED") {
        return show(seed);
    }
    let schedules = number("HOOKSWITCH_SIMULATIONS").unwrap_or(SCHEDULES);
    let began = Instant::now();
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let sum = Mutex::new(Stats::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let retries = Schedules::new();
                let mut world = World::new(&retries, false);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= schedules.min(failed.load(Ordering::Relaxed)) {
                        break;
                    }
                    if world.run(seed).is_err() {
                        failed.fetch_min(seed, Ordering::Relaxed);
                    }
                }
                sum.lock().unwrap().add(&world.stats);
            });
        }
    });
    let failed = failed.into_inner();
    if failed < u64::MAX {
        show(failed);
    }
    let (stats, took) = (sum.into_inner().unwrap(), began.elapsed());
    say(&format!("{schedules} simulated schedules in {took:.1?}\n{stats}"));
    if schedules >= ENOUGH_TO_SEE_ALL {
        assert_eq!(
            stats.missing(),
            Vec::<String>::new(),
            "these never happened: the simulation has gone blind"
        );
    }
}

/// Runs one schedule with a trace; panics if it fails.
fn show(seed: u64) {
    let retries = Schedules::new();
    let mut world = World::new(&retries, true);
    let outcome = world.run(seed);
    let steps = if outcome.is_err() { LAST_STEPS } else { usize::MAX };
    let skipped = world.trace.len().saturating_sub(steps);
    say(&format!("seed {seed}\n{}\n", world.trace[skipped..].join("\n")));
    if let Err(broken) = outcome {
        panic!("seed {seed}: {broken}\nagain: make simulate SEED={seed}");
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

/// Past libtest, which would keep it to itself.
fn say(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}
