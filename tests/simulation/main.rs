//! A simulation of deliveries: the real state machine of `src/core/delivery/lifecycle.rs` against models of
//! the broker and of Redis, with the faults that a seed decides.
//!
//! `HOOKSWITCH_SIMULATIONS=n` sets the number of schedules. `HOOKSWITCH_SIMULATION_SEED=n` traces one of them
//! on stderr. `HOOKSWITCH_MUTANT=name` builds a known mistake in, see `mutant.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

/// Adds a line to the trace, if there is one.
macro_rules! trace {
    ($world:expr, $($line:tt)*) => {
        if $world.tracing {
            $world.trace.push(format!("{:>7} ms  {}", $world.clock.now, format_args!($($line)*)));
        }
    };
}

mod broker;
mod check;
mod clock;
mod disaster;
mod life;
mod mutant;
mod operator;
mod plan;
mod publisher;
mod random;
mod sender;
mod stats;
mod store;
mod worker;
mod world;

use std::{
    io::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use mutant::Mutant;
use plan::Schedules;
use stats::Stats;
use world::World;

/// Enough schedules for every kind of fault to meet every other, and few enough for every `cargo test`.
const SCHEDULES: u64 = 1_000_000;

/// Schedules from which on everything counted must have happened. In fewer, something may be missing by
/// chance.
const ENOUGH_TO_SEE_ALL: u64 = 100_000;

/// Schedules within which a mutant must be noticed: each needs fewer than ten.
const MUTANT_SCHEDULES: u64 = 1_000;

/// Lines shown of a failed schedule's trace.
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

#[test]
fn every_mutant_breaks_a_promise_within_a_few_schedules() {
    let retries = Schedules::new();
    for mutant in Mutant::ALL {
        let mut world = World::new(&retries, false);
        world.mutant = Some(mutant);
        let noticed = (0..MUTANT_SCHEDULES).find(|seed| world.run(*seed).is_err());
        assert!(noticed.is_some(), "{mutant:?} breaks no promise in {MUTANT_SCHEDULES} schedules");
    }
}

/// Runs one schedule with a trace, and panics if it fails.
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

/// Writes to stderr directly, because libtest captures the output of a passing test.
fn say(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}
