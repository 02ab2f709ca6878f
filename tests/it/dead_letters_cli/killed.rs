//! Jobs killed at random moments and run again.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use hookswitch::{
    core::letters::{Archived, Letter},
    edge::amqp::{Connection, consume::lock::Lock, routes},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::fixture::{
    BUSY, FIXED, OTHER, all_dead, assert_in_agreement, fingerprint, finish, jobs, letters, letters_of,
    listed, of_two_kinds, reindex_if_told,
};
use crate::support::{
    World, calls,
    program::{Program, Said, moment},
};

/// Returns a random number generator. HOOKSWITCH_TEST_SEED repeats an earlier run.
fn dice() -> StdRng {
    let seed = std::env::var("HOOKSWITCH_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    eprintln!("HOOKSWITCH_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// Returns true if a job holds the lock.
async fn is_locked(connection: &Connection) -> bool {
    Lock::is_held(connection).await.unwrap()
}

/// Runs a job `tries` times and kills it at random moments, mostly while it works. Returns the number of jobs
/// killed.
async fn kill_often(
    world: &World,
    tool: &Program,
    dice: &mut StdRng,
    (tries, mut within): (usize, Duration),
    line: impl Fn(usize) -> String,
) -> usize {
    let connection = world.connect().await;
    let mut killed = 0;
    for n in 0..tries {
        let mut job = tool.start(&line(n));
        let when_it_works = dice.random_bool(0.8);
        while when_it_works && !job.is_over() && !is_locked(&connection).await {
            moment().await;
        }
        tokio::time::sleep(within.mul_f64(dice.random_range(0.0..1.0))).await;
        match job.kill() {
            Ok(()) => killed += 1,
            // The broker may not have noticed the last one's end.
            Err(said) if said.err.contains(BUSY) => {}
            // It was quicker than expected, or nothing is left to do.
            Err(said) if said.code == Some(0) => within /= 2,
            Err(said) => panic!("{said:?}"),
        }
    }
    eprintln!("killed {killed} times");
    killed
}

/// Checks that killed jobs are on record without an end, and all others with one.
async fn assert_on_record(tool: &Program, kind: &str, killed: usize, last: &Said) {
    let mut jobs = jobs(tool).await;
    jobs.retain(|job| job["kind"] == kind);
    let open = jobs.iter().filter(|job| job["outcome"].is_null() && job["ended_at"].is_null()).count();
    assert!((1..=killed).contains(&open), "{open} of {killed} killed jobs without an end: {jobs:?}");
    assert!(jobs.iter().all(|job| job["outcome"].is_null() || job["outcome"] == "finished"), "{jobs:?}");
    // The one that was killed last may have written down everything as done: then no other began.
    let nothing_was_left = last.err.contains("nothing was done");
    assert!(nothing_was_left || jobs.last().unwrap()["outcome"] == "finished", "{last:?} {jobs:?}");
}

#[tokio::test]
async fn a_replay_killed_at_any_moment_and_run_again_sends_every_letter_and_gives_each_event_once() {
    const MANY: usize = 700;
    let world = World::new().await;
    let (tool, mut dice) = (Program::of(&world), dice());
    world.bury(&of_two_kinds(MANY)).await;
    let mut others = all_dead(&world).await;
    others.values_mut().for_each(|l| l.retain(|(_, l)| l.history.error.as_deref() == Some(OTHER)));
    let guarded = "dead-letters replay --no-canary --yes --no-export --note fixed";
    let line = |n: usize| {
        // Some are slow and are killed between two batches, and some within one.
        let rate = if n.is_multiple_of(3) { "--rate 300" } else { "" };
        format!("{guarded} --fingerprint {} {rate}", fingerprint(FIXED))
    };
    let killed = kill_often(&world, &tool, &mut dice, (7, Duration::from_millis(250)), line).await;
    let last = finish(&tool, |_| line(1)).await;
    reindex_if_told(&tool, killed).await;
    assert!(all_dead(&world).await == others, "the others are where they were");
    assert_eq!(listed(&tool).await.len(), MANY);
    assert_on_record(&tool, "replay", killed, &last).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(MANY).await), (0..MANY).collect::<Vec<_>>());
    worker.finish().await;
    assert!(all_dead(&world).await == others, "none died again");
}

#[tokio::test]
async fn a_discard_killed_at_any_moment_and_run_again_throws_away_what_is_in_its_files_and_nothing_else() {
    const MANY: usize = 900;
    let world = World::new().await;
    let (tool, mut dice) = (Program::of(&world), dice());
    let all = of_two_kinds(MANY);
    world.bury(&all).await;
    let mut others = all_dead(&world).await;
    others.values_mut().for_each(|l| l.retain(|(_, l)| l.history.error.as_deref() == Some(OTHER)));
    let line = |n| {
        let print = fingerprint(FIXED);
        format!("dead-letters discard --yes --export {n}.ndjson --note ticket-7 --fingerprint {print}")
    };
    let killed = kill_often(&world, &tool, &mut dice, (7, Duration::from_millis(250)), line).await;
    let last = finish(&tool, line).await;
    reindex_if_told(&tool, killed).await;
    assert!(all_dead(&world).await == others, "the others are where they were");
    assert_on_record(&tool, "discard", killed, &last).await;
    let files: Vec<PathBuf> = std::fs::read_dir(tool.file(".")).unwrap().map(|f| f.unwrap().path()).collect();
    let files = files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "ndjson"));
    let written: BTreeMap<_, _> =
        files.flat_map(|path| letters_of(path)).map(|letter| (letter.id, letter)).collect();
    let is_fixed = |letter: &&Letter| letter.queued.history.error.as_deref() == Some(FIXED);
    let expected: BTreeMap<_, _> =
        all.iter().filter(is_fixed).map(|letter| (letter.id, letter.clone())).collect();
    assert!(written == expected, "{} written, {MANY} thrown away", written.len());
}

#[tokio::test]
async fn an_import_killed_at_any_moment_and_run_again_puts_every_letter_back_once() {
    const MANY: usize = 1_000;
    let world = World::new().await;
    let (tool, mut dice) = (Program::of(&world), dice());
    let all = letters(0..MANY, FIXED);
    let lines: Vec<_> =
        all.iter().map(|letter| serde_json::to_string(&Archived::from(letter)).unwrap() + "\n").collect();
    std::fs::write(tool.file("letters.ndjson"), lines.concat()).unwrap();
    let line = |_| "dead-letters import letters.ndjson".to_owned();
    let killed = kill_often(&world, &tool, &mut dice, (7, Duration::from_millis(400)), line).await;
    let last = finish(&tool, line).await;
    reindex_if_told(&tool, killed).await;
    let expected: BTreeMap<_, _> = all.into_iter().map(|letter| (letter.id, letter.queued)).collect();
    let there: Vec<_> = all_dead(&world).await.into_values().flatten().collect();
    assert_eq!(there.len(), MANY, "each once");
    assert!(there.into_iter().collect::<BTreeMap<_, _>>() == expected, "whole");
    assert_eq!(listed(&tool).await.len(), MANY);
    assert_eq!(listed(&tool).await.into_iter().collect::<BTreeSet<_>>(), expected.into_keys().collect());
    assert_on_record(&tool, "import", killed, &last).await;
}

#[tokio::test]
async fn a_reindex_killed_at_any_moment_and_run_again_makes_the_list_true_and_loses_no_letter() {
    let world = World::new().await;
    let (tool, mut dice) = (Program::of(&world), dice());
    // Some are in the queue and listed, some not listed, some listed and gone, some there twice, and some
    // settled.
    let settled = letters(0..100, OTHER);
    world.bury(&settled).await;
    tool.ok("dead-letters discard --all --yes --no-export --note ticket-7").await;
    world.publish(settled.iter().map(routes::dead_letter)).await;
    let good = letters(100..300, FIXED);
    world.bury(&good).await;
    let unlisted = letters(300..600, FIXED);
    world.publish(unlisted.iter().map(routes::dead_letter)).await;
    let gone = letters(600..700, FIXED);
    world.publish(gone.iter().map(|letter| routes::log_entry(routes::dead_letter(letter)))).await;
    world.publish(good[..50].iter().map(routes::dead_letter)).await;
    let line = |_| "dead-letters reindex --forget-missing --yes --no-export --note gone".to_owned();
    let killed = kill_often(&world, &tool, &mut dice, (7, Duration::from_millis(600)), line).await;
    let last = finish(&tool, line).await;
    assert_in_agreement(&tool).await;
    let expected: BTreeMap<_, _> =
        good.iter().chain(&unlisted).map(|letter| (letter.id, letter.queued.clone())).collect();
    let there: Vec<_> = all_dead(&world).await.into_values().flatten().collect();
    assert_eq!(there.len(), 500, "each once");
    assert!(there.into_iter().collect::<BTreeMap<_, _>>() == expected, "whole");
    let listed = listed(&tool).await;
    assert_eq!(listed.len(), 500, "each once");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected.into_keys().collect());
    assert_on_record(&tool, "reindex", killed, &last).await;
}
