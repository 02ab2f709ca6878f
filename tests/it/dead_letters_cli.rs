//! `hookswitch dead-letters` as the engineer on call runs it: the real program, killed, interrupted, piped, and beside
//! services that go away.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hookswitch::{
    core::{
        delivery::{fault::Reason, queued::QueuedWebhook},
        letters::{Archived, Letter, LetterId},
        providers::{self, NormalizeError, Normalized, Provider},
        webhook::{Headers, Webhook},
    },
    edge::amqp::{Connection, consume::lock::Lock, message, routes},
    samples,
};
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::Value;

use super::support::{
    PATIENCE, World, call, calls, depth,
    program::{Program, Running, Said, moment},
    queued,
    services::{Broker, Redis},
    until,
};

const NOT_JSON: &[u8] = b"{\"event_type\":\xff";
const UNKNOWN: &[u8] =
    br#"{"event_type":"moon_landing","timestamp_utc":1,"payload":{"call_id":1},"is_test":true}"#;

/// A third source, of another provider.
const VARDA: &str = "[sources.varda]\nprovider = \"varda\"\nauth = \"none\"";

/// The error that a fix has mended.
const MENDED: &str = "payload.call_id: a bug of old";

/// Another one.
const OTHER: &str = "payload.from: another bug";

/// A letter about call `n` that an old version declared dead, long ago.
fn letter(source: &str, n: usize, error: &str) -> Letter {
    let mut queued = queued(source, call(n));
    let history = &mut queued.history;
    history.reason = Some(Reason::InvalidPayload);
    history.error = Some(error.to_owned());
    history.version = Some("0.0.1".into());
    history.last_failed_at = Some("2026-01-02T03:04:05Z".parse().unwrap());
    Letter { id: LetterId::new(uuid::Uuid::now_v7()), queued }
}

/// Letters of two sources in turn, about these calls.
fn letters(calls: std::ops::Range<usize>, error: &str) -> Vec<Letter> {
    calls.map(|n| letter(["salpre", "other"][n % 2], n, error)).collect()
}

/// Mended letters about calls 0 to `count`, and among them as many of another kind.
fn of_two_kinds(count: usize) -> Vec<Letter> {
    let (mended, others) = (letters(0..count, MENDED), letters(count..2 * count, OTHER));
    mended.into_iter().zip(others).flat_map(|(a, b)| [a, b]).collect()
}

fn fingerprint(error: &str) -> String {
    letter("salpre", 0, error).fingerprint().to_string()
}

/// What lies in a source's dead-letter queue, in its order. A replay or discard that passes a letter and leaves it
/// raises the broker's count of how often it was given out (a quorum queue has no other way to look behind its head):
/// so that is not looked at here.
async fn dead(world: &World, source: &str) -> Vec<(LetterId, QueuedWebhook)> {
    let messages = world.look(&format!("dead.{source}")).await.into_iter();
    let read = |(body, properties): (Vec<u8>, _)| {
        (message::letter_id(&properties).unwrap(), message::decode(&properties, body).unwrap())
    };
    messages.map(read).collect()
}

/// What lies in every dead-letter queue.
async fn all_dead(world: &World) -> BTreeMap<String, Vec<(LetterId, QueuedWebhook)>> {
    let mut all = BTreeMap::new();
    for source in world.config.sources.keys() {
        all.insert(source.to_string(), dead(world, source.as_str()).await);
    }
    all
}

/// The letters that are listed.
async fn listed(tool: &Program) -> Vec<LetterId> {
    let lines = tool.ok("dead-letters list --json --limit 100000").await.lines();
    lines.iter().map(|line| line["letter"].as_str().unwrap().parse().unwrap()).collect()
}

async fn jobs(tool: &Program) -> Vec<Value> {
    tool.ok("dead-letters jobs --json --limit 1000").await.lines()
}

/// Checks that `stats` finds nothing in the queues that is not listed and nothing listed that is not in them.
async fn assert_in_agreement(tool: &Program) {
    let stats = tool.ok("dead-letters stats --json").await;
    assert_eq!(stats.err, "");
}

/// How many letters `stats` counts by source and fingerprint.
fn counts(stats: &Value) -> BTreeMap<(String, String), u64> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let count = |group: &Value| {
        ((text(&group["source"]), text(&group["fingerprint"])), group["letters"].as_u64().unwrap())
    };
    stats["groups"].as_array().unwrap().iter().map(count).collect()
}

/// The build with a bug: it takes no good webhook of salpre.
fn old_build(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    match providers::normalize(webhook) {
        Ok(_) if webhook.provider == Provider::Salpre => {
            Err(NormalizeError::invalid("payload.direction", "must be a number"))
        }
        normalized => normalized,
    }
}

#[tokio::test]
async fn from_stats_to_the_drained_kind_takes_five_commands_and_nothing_of_the_other_kinds_moves() {
    let world = World::with(VARDA).await;
    let not_varda = br#"{"type":"no.such.event"}"#;
    // The kinds lie mixed in their queues.
    for round in 0..5 {
        world.accept("salpre", vec![NOT_JSON.to_vec(); 60]).await;
        world.accept("salpre", (0..50).map(|n| call(round * 50 + n))).await;
        world.accept("other", vec![UNKNOWN.to_vec(); 50]).await;
        world.accept("other", (0..40).map(|n| call(1_000 + round * 40 + n))).await;
        let of_varda = (0..40).map(|_| {
            let mut queued = queued("varda", not_varda.to_vec());
            queued.webhook.provider = Provider::Varda;
            routes::accept(&queued)
        });
        world.publish(of_varda).await;
    }
    let worker = world.worker_with(old_build);
    for (source, count) in [("salpre", 550), ("other", 450), ("varda", 200)] {
        world.wait_for_depth(&format!("dead.{source}"), count).await;
    }
    worker.finish().await;
    let before = all_dead(&world).await;
    let is_mended = |letter: &QueuedWebhook| {
        letter.history.error.as_deref() == Some("payload.direction: must be a number")
    };
    let worker = world.worker();
    let tool = Program::of(&world);

    // 1
    let stats = tool.ok("dead-letters stats --json").await;
    assert_eq!(stats.err, "", "the list agrees with the queues");
    let stats = stats.json();
    assert_eq!(stats["letters"], 1_200);
    let found = counts(&stats);
    let mut sizes: Vec<_> = found.iter().map(|((source, _), letters)| (source.as_str(), *letters)).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [("other", 200), ("other", 250), ("salpre", 250), ("salpre", 300), ("varda", 200)]);
    let suspect = stats["groups"]
        .as_array()
        .unwrap()
        .iter()
        .find(|g| g["error"] == "payload.direction: must be a number");
    let (id, print) = (&suspect.unwrap()["example"], suspect.unwrap()["fingerprint"].as_str().unwrap());
    // 2
    let shown = tool.ok(&format!("dead-letters show {}", id.as_str().unwrap())).await.out;
    assert!(shown.contains("payload.direction: must be a number") && !shown.contains("90555"), "{shown}");
    // 3
    let tried = tool.ok(&format!("dead-letters try --fingerprint {print} --json")).await.json();
    assert_eq!((&tried["letters"], &tried["succeed"]), (&450.into(), &450.into()), "{tried}");
    // 4
    let came = tool.ok(&format!("dead-letters replay --fingerprint {print} --json")).await.json();
    assert_eq!(
        (&came["sent"], &came["outcomes"]["done"], &came["not_found"]),
        (&450.into(), &450.into(), &0.into())
    );
    // 5
    let stats = tool.ok("dead-letters stats --json").await;
    assert_eq!(stats.err, "", "the list agrees with the queues");
    let mut left = found.clone();
    left.retain(|(_, kind), _| kind != print);
    assert_eq!(counts(&stats.json()), left);

    let expected: Vec<_> = (0..250).chain(1_000..1_200).collect();
    assert_eq!(calls(&world.events(450).await), expected, "each once");
    worker.finish().await;
    let mut others = before;
    others.values_mut().for_each(|letters| letters.retain(|(_, letter)| !is_mended(letter)));
    assert_eq!(others.values().map(Vec::len).sum::<usize>(), 750);
    assert!(all_dead(&world).await == others, "the same letters in the same order");
    let jobs = jobs(&tool).await;
    assert_eq!(
        (jobs.len(), &jobs[0]["gone"]["replayed"], &jobs[0]["outcome"]),
        (1, &450.into(), &"finished".into())
    );
}

/// Random moments that can be had again: HOOKSWITCH_TEST_SEED.
fn dice() -> StdRng {
    let seed = std::env::var("HOOKSWITCH_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    eprintln!("HOOKSWITCH_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// Whether a job holds the lock.
async fn is_locked(connection: &Connection) -> bool {
    Lock::is_held(connection).await.unwrap()
}

const BUSY: &str = "somebody else is working on dead letters";

/// Runs a job `tries` times, and kills it at random moments, most of them while it works. How many were killed.
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

/// Runs a job to its end, as soon as the broker has let go of the lock of one that was killed.
async fn finish(tool: &Program, line: impl Fn(usize) -> String) -> Said {
    let began = Instant::now();
    for n in 1_000.. {
        let said = tool.run(&line(n)).await;
        if said.code == Some(0) {
            return said;
        }
        assert!(said.err.contains(BUSY) && began.elapsed() < PATIENCE, "{said:?}");
        eprintln!("locked after {:?}", began.elapsed());
    }
    unreachable!()
}

/// Checks that jobs that were killed are on record without an end, and the others with one.
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

/// What killed jobs leave behind are copies of letters that are settled on record, of each job at most those that it had
/// in hand; `stats` tells of them, and says what to do.
async fn reindex_if_told(tool: &Program, killed: usize) {
    const IN_HAND: usize = 64;
    let stats = tool.ok("dead-letters stats").await;
    if stats.err.contains("dead-letters reindex") {
        let came = tool.ok("dead-letters reindex --json").await.json();
        eprintln!("{}{came}", stats.err);
        assert_eq!((&came["missing"], &came["listed"]), (&0.into(), &0.into()), "{stats:?}");
        assert!(came["finished"].as_u64().unwrap() as usize <= killed * IN_HAND, "{came}");
    }
    assert_in_agreement(tool).await;
}

#[tokio::test]
async fn a_replay_killed_at_any_moment_and_run_again_sends_every_letter_and_gives_each_event_once() {
    const MANY: usize = 700;
    let world = World::new().await;
    let (tool, mut dice) = (Program::of(&world), dice());
    world.bury(&of_two_kinds(MANY)).await;
    let mut others = all_dead(&world).await;
    others.values_mut().for_each(|l| l.retain(|(_, l)| l.history.error.as_deref() == Some(OTHER)));
    let line = |n: usize| {
        // Some are slow and are killed between two batches, and some within one.
        let rate = if n.is_multiple_of(3) { "--rate 300" } else { "" };
        format!("dead-letters replay --no-canary --fingerprint {} {rate}", fingerprint(MENDED))
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

/// The letters of a file that `discard` or `export` wrote.
fn letters_of(path: &Path) -> Vec<Letter> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| Archived::read(line).unwrap()).collect()
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
        let print = fingerprint(MENDED);
        format!("dead-letters discard --yes --export {n}.ndjson --reason ticket-7 --fingerprint {print}")
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
    let is_mended = |letter: &&Letter| letter.queued.history.error.as_deref() == Some(MENDED);
    let expected: BTreeMap<_, _> =
        all.iter().filter(is_mended).map(|letter| (letter.id, letter.clone())).collect();
    assert!(written == expected, "{} written, {MANY} thrown away", written.len());
}

#[tokio::test]
async fn an_import_killed_at_any_moment_and_run_again_puts_every_letter_back_once() {
    const MANY: usize = 1_000;
    let world = World::new().await;
    let (tool, mut dice) = (Program::of(&world), dice());
    let all = letters(0..MANY, MENDED);
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
    // Some are in the queue and listed, some not listed, some listed and gone, some there twice, and some settled.
    let settled = letters(0..100, OTHER);
    world.bury(&settled).await;
    tool.ok("dead-letters discard --all --yes --no-export --reason ticket-7").await;
    world.publish(settled.iter().map(routes::dead_letter)).await;
    let good = letters(100..300, MENDED);
    world.bury(&good).await;
    let unlisted = letters(300..600, MENDED);
    world.publish(unlisted.iter().map(routes::dead_letter)).await;
    let gone = letters(600..700, MENDED);
    world.publish(gone.iter().map(|letter| routes::log_entry(routes::dead_letter(letter)))).await;
    world.publish(good[..50].iter().map(routes::dead_letter)).await;
    let line = |_| "dead-letters reindex --forget-missing".to_owned();
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_in_the_middle_of_a_replay_loses_no_letter_and_run_again_it_finishes() {
    const MANY: usize = 200;
    let (broker, redis) = tokio::task::spawn_blocking(|| (Broker::start(1), Redis::start())).await.unwrap();
    let world = World::at(&broker.url(1), &redis.url(0), "").await;
    // See tests/it/outages.rs: new queues.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let tool = Program::of(&world);
    world.bury(&letters(0..MANY, MENDED)).await;
    let replay = tool.start("dead-letters replay --all --no-canary --rate 50");
    let connection = world.connect().await;
    until("the replay has begun", async || depth(&connection, "raw.other").await >= 10).await;
    tokio::task::block_in_place(|| {
        broker.kill();
        broker.start_again();
    });
    let said = replay.end().await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("broker"), "{said:?}");
    // A broker that has just started may say for a moment that its streams are not there.
    until("the streams are there", async || tool.run("dead-letters stats").await.code == Some(0)).await;
    finish(&tool, |_| "dead-letters replay --all --no-canary".to_owned()).await;
    reindex_if_told(&tool, 1).await;
    for source in ["salpre", "other"] {
        world.wait_for_depth(&format!("dead.{source}"), 0).await;
    }
    let worker = world.worker();
    assert_eq!(calls(&world.events(MANY).await), (0..MANY).collect::<Vec<_>>());
    worker.finish().await;
    let mut jobs = jobs(&tool).await;
    jobs.retain(|job| job["kind"] == "replay");
    assert!(jobs.len() == 2 && jobs[0]["outcome"] != "finished", "{jobs:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_nothing_is_moved_and_letters_can_still_be_looked_at() {
    let redis = tokio::task::spawn_blocking(Redis::start).await.unwrap();
    let world = World::with_redis(&redis).await.changed("[redis]", "[redis]\ntimeout = \"300ms\"").await;
    let tool = Program::of(&world);
    world.bury(&letters(0..60, MENDED)).await;
    let before = all_dead(&world).await;
    redis.kill();
    for job in ["replay --all --no-canary", "discard --all --yes --no-export --reason ticket-7"] {
        let said = tool.run(&format!("dead-letters {job}")).await;
        assert_eq!(said.code, Some(69), "{said:?}");
        assert!(said.err.contains("Redis does not answer") && said.out.is_empty(), "{said:?}");
    }
    assert!(all_dead(&world).await == before);
    for look in ["stats", "list --limit 100", "jobs", "replay --dry-run"] {
        assert_eq!(tool.ok(&format!("dead-letters {look}")).await.err, "");
    }
    let tried = tool.ok("dead-letters try").await;
    assert!(tried.out.contains("60 would succeed") && tried.err.contains("not known"), "{tried:?}");

    // It goes in the middle of a replay.
    tokio::task::block_in_place(|| redis.start_again());
    let replay = tool.start("dead-letters replay --all --no-canary --rate 20");
    let connection = world.connect().await;
    until("the replay has begun", async || depth(&connection, "raw.other").await >= 4).await;
    redis.kill();
    let said = replay.end().await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("letters stay where they are"), "{said:?}");
    let (sent, left) = (sent(&connection).await, listed(&tool).await.len());
    assert_eq!(sent as usize + left, 60, "what is not sent stays");
    let job = jobs(&tool).await.pop().unwrap();
    assert_eq!((&job["outcome"], &job["gone"]["replayed"]), (&"failed".into(), &sent.into()), "{job}");
    tokio::task::block_in_place(|| redis.start_again());
    tool.ok("dead-letters replay --all --no-canary").await;
    assert_in_agreement(&tool).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(60).await), (0..60).collect::<Vec<_>>());
    worker.finish().await;
}

/// How many webhooks wait in the raw queues.
async fn sent(connection: &Connection) -> u32 {
    depth(connection, "raw.salpre").await + depth(connection, "raw.other").await
}

#[tokio::test]
async fn a_second_job_says_whose_the_first_one_is_and_ctrl_c_ends_the_first_one_in_good_order() {
    let world = World::new().await;
    let tool = Program::of(&world);
    world.bury(&letters(0..60, MENDED)).await;
    let first = tool.start("dead-letters replay --all --no-canary --rate 10 --reason mended");
    let connection = world.connect().await;
    until("the replay has begun", async || depth(&connection, "raw.other").await >= 2).await;
    // An export disturbs nobody, and is not what the second one has to wait for.
    tool.ok("dead-letters export all.ndjson --reason ticket-7 --actor eve").await;
    let mut export = tool.start("dead-letters export more.ndjson --reason ticket-7 --actor eve");
    while !export.is_over() && letters_of(&tool.file("more.ndjson")).is_empty() {
        moment().await;
    }
    drop(export.kill());
    for job in [
        "replay --all",
        "discard --all --yes --reason ticket-7 --export x.ndjson",
        "reindex",
        "import all.ndjson",
    ] {
        let second = tool.run(&format!("dead-letters {job} --actor bob")).await;
        assert_eq!(second.code, Some(1), "{second:?}");
        assert!(
            second.err.contains(BUSY) && second.err.contains("(replay by ann, since "),
            "{job}: {second:?}"
        );
    }
    // Looking is free.
    for look in ["stats", "list", "try", "replay --dry-run"] {
        tool.ok(&format!("dead-letters {look}")).await;
    }
    first.signal("INT");
    let said = first.end().await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("stopped by hand; run it again to go on"), "{said:?}");
    let sent_before = sent(&connection).await;
    assert!((1..60).contains(&sent_before), "{sent_before}");
    assert!(said.out.contains(&format!("{sent_before} letters sent back")), "{said:?}");
    assert!(said.out.contains(&format!("{} letters not reached", 60 - sent_before)), "{said:?}");
    let jobs_before = jobs(&tool).await;
    assert_eq!(
        (&jobs_before[0]["outcome"], &jobs_before[0]["reason"]),
        (&"interrupted".into(), &"mended".into())
    );
    // What was told to wait can be done now, under the same command line.
    tool.ok("dead-letters discard --all --yes --reason ticket-7 --export x.ndjson --limit 1").await;
    tool.ok("dead-letters replay --all --no-canary").await;
    assert_eq!(sent(&connection).await, 59);
    assert_in_agreement(&tool).await;
}

#[tokio::test]
async fn ctrl_c_ends_a_replay_that_waits_for_workers_that_do_not_run() {
    let world = World::new().await;
    let tool = Program::of(&world);
    world.bury(&letters(0..60, MENDED)).await;
    let replay = tool.start("dead-letters replay --all --wait 10m --json");
    let connection = world.connect().await;
    until("a wave is sent", async || sent(&connection).await == 10).await;
    replay.signal("INT");
    let said = replay.end().await;
    assert_eq!(said.code, Some(1), "{said:?}");
    let came = said.json();
    assert_eq!((&came["sent"], &came["stopped"]), (&10.into(), &"stopped by hand".into()), "{came}");
    assert_eq!(jobs(&tool).await[0]["outcome"], "interrupted");
    assert_in_agreement(&tool).await;
}

/// Names and words of the people that the samples are about.
const NAMES: &str = "Ada Marsh Okoye Cleo Jane Doe Acme Roof roof Elm Kitchen Monday Greeting Hello example.com google.com SALPRE";

/// Every leaf of the samples that is a phone number by its digits and not public.
fn phone_numbers() -> BTreeSet<String> {
    fn leaves(provider: Provider, value: &Value, path: &str, found: &mut BTreeSet<String>) {
        let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(key, value)| leaves(provider, value, &join(key), found))
            }
            Value::Array(items) => {
                items.iter().for_each(|item| leaves(provider, item, &format!("{path}[]"), found));
            }
            Value::String(_) | Value::Number(_) if !provider.schema().is_public(path) => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let digits = text.trim_start_matches('+');
                if digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    found.insert(digits.to_owned());
                }
            }
            Value::String(_) | Value::Number(_) | Value::Null | Value::Bool(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    for sample in samples::all() {
        leaves(sample.provider, &serde_json::from_slice(sample.body).unwrap(), "", &mut found);
    }
    found
}

/// Something personal in `text`.
fn something_personal<'a>(text: &str, phones: &'a BTreeSet<String>) -> Option<&'a str> {
    let is_phone = |rest: &str| rest.bytes().take_while(u8::is_ascii_digit).count() >= 7;
    if text.contains('@') {
        return Some("@");
    }
    if text.split('+').skip(1).any(is_phone) {
        return Some("a phone number");
    }
    let number = phones.iter().map(String::as_str).find(|number| text.contains(number));
    number.or_else(|| NAMES.split(' ').find(|name| text.contains(name)))
}

/// The build that takes nothing that is a JSON object.
fn takes_nothing(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    providers::normalize(webhook).and(Err(NormalizeError::invalid("data", "a bug of old")))
}

#[tokio::test]
async fn no_command_shows_personal_data_unless_it_is_asked_to_and_that_is_on_record() {
    let more: Vec<_> = ["morph", "allo", "wavix", "varda"]
        .map(|name| format!("[sources.{name}]\nprovider = \"{name}\"\nauth = \"none\""))
        .into();
    let world = World::with(&more.join("\n")).await;
    let (tool, phones) = (Program::of(&world), phone_numbers());
    assert!(phones.len() >= 5, "{phones:?}");
    // All samples come under one delivery id: so one `show` shows them all.
    let id = queued("salpre", Vec::new()).webhook.delivery_id;
    let (mut webhooks, mut personal) = (Vec::new(), 0);
    for sample in samples::all() {
        let text = String::from_utf8(sample.body.to_vec()).unwrap();
        personal += usize::from(something_personal(&text, &phones).is_some());
        let cut = text.as_bytes()[..text.len() * 2 / 3].to_vec();
        for body in [text.clone().into_bytes(), cut, format!("[{text}]").into_bytes()] {
            let mut queued = queued(sample.provider.as_str(), body);
            queued.webhook.delivery_id = id;
            queued.webhook.provider = sample.provider;
            queued.webhook.headers = Headers::from_iter(sample.headers.clone());
            webhooks.push(queued);
        }
    }
    assert!(personal > 60, "{personal} samples with something personal");
    let secret = "\u{e9}\n ada@example.com \u{1b}[2J";
    let special = [secret.as_bytes().to_vec(), NOT_JSON.to_vec()].map(|body| queued("salpre", body));
    let count = webhooks.len() + special.len();
    world.publish(webhooks.iter().chain(&special).map(routes::accept)).await;
    let worker = world.worker_with(takes_nothing);
    let mut shown = Said { code: None, out: String::new(), err: String::new() };
    until("all are listed", async || {
        shown = tool.ok("dead-letters stats --json").await;
        shown.json()["letters"] == count && shown.err.is_empty()
    })
    .await;
    worker.finish().await;

    let mut seen = Vec::new();
    for look in
        ["stats", "list --limit 1000", "try", "try --events", "replay --dry-run", "discard --dry-run", "jobs"]
    {
        seen.push(tool.ok(&format!("dead-letters {look}")).await);
        seen.push(tool.ok(&format!("dead-letters {look} --json")).await);
    }
    let events = seen.iter().filter(|said| said.out.contains("specversion")).count();
    assert_eq!(events, 2, "events were shown");
    for json in ["", "--json"] {
        let said = tool.ok(&format!("dead-letters show {id} {json}")).await;
        assert!(
            said.out.contains("a bug of old") && said.out.lines().count() >= 3 * personal,
            "{}",
            said.out.len()
        );
        seen.push(said);
    }
    for letter in &special {
        seen.push(tool.ok(&format!("dead-letters show {}", letter.webhook.delivery_id)).await);
    }
    // Without a reason nothing is revealed.
    let refused = tool.run(&format!("dead-letters show {id} --reveal")).await;
    assert_eq!(refused.code, Some(64));
    seen.push(refused);
    let refused = tool.run("dead-letters try --events --reveal").await;
    assert_eq!(refused.code, Some(64));
    seen.push(refused);
    assert_eq!(jobs(&tool).await.len(), 0, "looking is on nobody's record");
    for said in &seen {
        for text in [&said.out, &said.err] {
            let personal = something_personal(text, &phones);
            let place = personal.and_then(|word| text.lines().find(|line| line.contains(word)));
            assert_eq!(personal, None, "{place:?}");
            assert!(!text.contains('\u{1b}'), "a control character of a body reaches the terminal");
        }
    }

    // With one, everything is: byte for byte.
    for letter in &special {
        let id = letter.webhook.delivery_id;
        let said = tool.ok(&format!("dead-letters show {id} --reveal --reason ticket-7 --json")).await;
        assert_eq!(Archived::read(said.out.trim_end()).unwrap().queued.webhook.body, letter.webhook.body);
    }
    let said = tool.ok(&format!("dead-letters show {id} --reveal --reason ticket-7 --json")).await;
    let revealed: BTreeSet<_> =
        said.out.lines().map(|line| Archived::read(line).unwrap().queued.webhook.body).collect();
    assert_eq!(revealed, webhooks.iter().map(|queued| queued.webhook.body.clone()).collect());
    tool.ok("dead-letters try --events --reveal --reason ticket-8").await;
    let jobs = jobs(&tool).await;
    let told: Vec<_> = jobs.iter().map(|job| (job["kind"].as_str(), job["reason"].as_str())).collect();
    let (seven, eight) = ((Some("reveal"), Some("ticket-7")), (Some("reveal"), Some("ticket-8")));
    assert_eq!(told, [seven, seven, seven, eight]);
    assert!(jobs.iter().all(|job| job["actor"] == "ann" && job["outcome"] == "finished"), "{jobs:?}");
    assert_eq!(jobs[2]["filter"], format!("id {id}"));
}

/// Reads one line of what a command says, closes its output, and waits for its end.
async fn one_line_of(mut running: Running) -> (String, Said) {
    let mut line = String::new();
    let out = running.take_out();
    let line = tokio::task::spawn_blocking(move || {
        BufReader::new(out).read_line(&mut line).unwrap();
        line
    });
    (line.await.unwrap(), running.end().await)
}

#[tokio::test]
async fn a_command_whose_output_nobody_reads_ends_well_and_a_job_is_done_all_the_same() {
    let world = World::new().await;
    let tool = Program::of(&world);
    world.bury(&letters(0..600, MENDED)).await;
    for list in ["list --json --limit 1000", "list --limit 1000"] {
        // More than a pipe holds.
        assert!(tool.ok(&format!("dead-letters {list}")).await.out.len() > 70_000);
        let (line, said) = one_line_of(tool.start(&format!("dead-letters {list}"))).await;
        assert!(!line.is_empty());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{list}");
    }
    for line in [
        "list",
        "stats",
        "stats --json",
        "try",
        "jobs",
        "replay --dry-run",
        "replay --all --no-canary --limit 100 --json",
        "replay --all --no-canary --limit 100",
        "discard --all --yes --no-export --reason ticket-7 --limit 100",
        "export all.ndjson --reason ticket-7",
        "import all.ndjson",
        "reindex",
    ] {
        let mut running = tool.start(&format!("dead-letters {line}"));
        drop(running.take_out());
        let said = running.end().await;
        assert_eq!(said.code, Some(0), "{line}: {said:?}");
        assert!(!said.err.contains("panic"), "{line}: {said:?}");
    }
    let connection = world.connect().await;
    assert_eq!(sent(&connection).await, 200);
    assert_in_agreement(&tool).await;
    let jobs = jobs(&tool).await;
    let kinds: Vec<_> = jobs.iter().map(|job| job["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["replay", "replay", "discard", "export", "import", "reindex"]);
    assert!(jobs.iter().all(|job| job["outcome"] == "finished"), "{jobs:?}");
}

#[tokio::test]
async fn page_after_page_shows_every_letter_once() {
    let world = World::new().await;
    let tool = Program::of(&world);
    world.bury(&letters(0..45, MENDED)).await;
    world.bury(&letters(45..60, OTHER)).await;
    for (choice, count) in
        [("", 60_usize), (&*format!("--fingerprint {}", fingerprint(MENDED)), 45), ("--source other", 30)]
    {
        let (mut seen, mut after, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = tool.ok(&format!("dead-letters list --json --limit 7 {choice} {after}")).await;
            seen.extend(page.lines().iter().map(|line| line["letter"].as_str().unwrap().to_owned()));
            pages += 1;
            match page.err.trim_end().strip_prefix("there are more: ") {
                Some(next) => after = next.to_owned(),
                None => {
                    assert_eq!(page.err, "");
                    break;
                }
            }
        }
        assert_eq!((seen.len(), pages), (count, count.div_ceil(7)), "{choice}");
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), count, "each once");
    }
}

/// A letter for the filters.
fn told_apart(source: &str, died: Timestamp, version: &str, change: impl FnOnce(&mut Letter)) -> Letter {
    let mut letter = letter(source, 0, MENDED);
    letter.queued.history.last_failed_at = Some(died);
    letter.queued.history.version = Some(version.to_owned());
    change(&mut letter);
    letter
}

#[tokio::test]
async fn each_filter_chooses_what_it_says() {
    let world = World::with(VARDA).await;
    let tool = Program::of(&world);
    let now = Timestamp::now();
    let ago = |minutes| now - SignedDuration::from_mins(minutes);
    let old: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let letters = [
        told_apart("salpre", old, "0.0.1", |letter| letter.queued.webhook.headers.push("X-Kind", "a=b")),
        told_apart("salpre", ago(300), "0.1.0-rc.1", |letter| {
            letter.queued.history.reason = Some(Reason::MalformedJson);
            letter.queued.webhook.body = NOT_JSON.to_vec().into();
        }),
        told_apart("other", ago(30), "0.1.0", |letter| letter.queued.webhook.body = call(17).into()),
        told_apart("varda", ago(5), "0.10.0", |letter| {
            letter.queued.webhook.provider = Provider::Varda;
            letter.queued.history.error = Some(OTHER.to_owned());
        }),
    ];
    world.bury(&letters).await;
    let delivery = |n: usize| letters[n].queued.webhook.delivery_id;
    let cases: &[(String, &[usize])] = &[
        (String::new(), &[0, 1, 2, 3]),
        ("--source salpre".into(), &[0, 1]),
        ("--source salpre --source varda".into(), &[0, 1, 3]),
        ("--provider salpre".into(), &[0, 1, 2]),
        ("--provider varda".into(), &[3]),
        ("--provider varda --source salpre".into(), &[]),
        ("--died-of malformed_json".into(), &[1]),
        ("--died-of malformed_json --died-of invalid_payload".into(), &[0, 1, 2, 3]),
        (format!("--fingerprint {}", letters[0].fingerprint()), &[0, 2]),
        (format!("--fingerprint {}", letters[3].fingerprint()), &[3]),
        ("--since 10m".into(), &[3]),
        ("--since 1h".into(), &[2, 3]),
        ("--since 1d".into(), &[1, 2, 3]),
        ("--before 1h".into(), &[0, 1]),
        ("--since 1d --before 10m".into(), &[1, 2]),
        ("--since 2026-01-02T03:04:05Z".into(), &[0, 1, 2, 3]),
        ("--since 2026-01-02T03:04:06Z".into(), &[1, 2, 3]),
        ("--since 2026-01-02T05:04:06+02:00".into(), &[1, 2, 3]),
        ("--before 2026-01-02T03:04:05Z".into(), &[]),
        ("--before 2026-01-02T03:04:06Z".into(), &[0]),
        ("--version 0.1.0".into(), &[2]),
        ("--failed-before 0.1.0".into(), &[0, 1]),
        ("--failed-before 0.2.0".into(), &[0, 1, 2]),
        (format!("--id {}", delivery(2)), &[2]),
        (format!("--id {} --id {}", letters[0].id, delivery(3)), &[0, 3]),
        ("--header x-kind=a=b".into(), &[0]),
        ("--header X-KIND=a=b".into(), &[0]),
        ("--header x-kind=a".into(), &[]),
        ("--pointer /payload/call_id=17".into(), &[2]),
        ("--pointer /payload/direction=outbound".into(), &[0, 2, 3]),
        ("--pointer /is_test=false --pointer /payload/call_id=0".into(), &[0, 3]),
        ("--pointer /payload/none=17".into(), &[]),
    ];
    for (choice, expected) in cases {
        let said = tool.run(&format!("dead-letters list --json {choice}")).await;
        let listed: BTreeSet<String> =
            said.lines().iter().map(|line| line["letter"].as_str().unwrap().to_owned()).collect();
        assert_eq!(
            listed,
            expected.iter().map(|n| letters[*n].id.to_string()).collect(),
            "{choice}: {said:?}"
        );
        assert_eq!(said.code, Some(0), "{choice}: {said:?}");
        assert_eq!(said.err.contains("no dead letter is meant"), expected.is_empty(), "{choice}: {said:?}");
    }
    // Asked for by its name, none is a failure.
    let nobody = uuid::Uuid::now_v7();
    for line in [format!("list --id {nobody}"), format!("show {nobody}"), format!("replay --id {nobody}")] {
        assert_eq!(tool.run(&format!("dead-letters {line}")).await.code, Some(1), "{line}");
    }
    // Nothing has died since: that is known at once, and no error.
    for since in ["2099-01-01T00:00:00Z", "1s"] {
        let said = tool.ok(&format!("dead-letters stats --since {since}")).await;
        assert_eq!((said.out.as_str(), said.err.as_str()), ("no dead letter is meant by this\n", ""));
    }
}

#[tokio::test]
async fn a_wrong_filter_is_refused_and_the_message_says_what_is_expected() {
    let world = World::new().await;
    let tool = Program::of(&world);
    for (line, expected) in [
        ("list --source nowhere", "no source `nowhere` is configured; there are other, salpre"),
        ("stats --source nowhere", "there are other, salpre"),
        ("replay --source nowhere", "there are other, salpre"),
        ("export x.ndjson --reason ticket-7 --source nowhere", "there are other, salpre"),
        ("reindex --source nowhere", "there are other, salpre"),
        ("list --source A_B", "1 to 63 of a-z"),
        ("list --provider nobody", "one of morph, allo, wavix, salpre, varda"),
        ("list --died-of boredom", "one of malformed_json"),
        ("list --fingerprint 123", "eight hexadecimal digits"),
        ("list --since yesterday", "expected an age, as in 90m, 2h or 3d, or a time"),
        ("list --before 2026-13-01", "or a time, as in 2026-01-02T03:04:05Z"),
        ("list --failed-before new", "version"),
        ("list --id 17", "invalid"),
        ("list --header x-kind", "expected NAME=VALUE"),
        ("list --pointer call_id=17", "expected a JSON pointer and a value, as in /payload/call_id=17"),
        ("list --limit many", "invalid digit"),
        ("show 17", "invalid"),
        ("replay --rate 0", "more than 0 letters a second"),
        ("replay --rate fast", "expected a number, as in 50 or 50/s"),
        ("replay --max-failing 120%", "between 0% and 100%"),
        ("replay --wait long", "expected a time of at most 20m, as in 30s or 5m"),
        ("discard --yes", "say why with --reason"),
        ("discard --yes --reason malformed_json", "--died-of malformed_json"),
        ("export x.ndjson", "say why with --reason"),
    ] {
        let said = tool.run(&format!("dead-letters {line}")).await;
        assert_eq!(said.code, Some(64), "{line}: {said:?}");
        assert!(said.err.contains(expected), "{line}: {said:?}");
        assert_eq!(said.out, "", "{line}");
    }
    assert_eq!(jobs(&tool).await.len(), 0);
    assert!(!tool.file("x.ndjson").exists());
}
