//! The ledger: it balances through every failure, and it does not balance when a webhook is lost.

use std::time::Duration;

use hookswitch::{
    app::ledger::Balance,
    core::{
        ledger::{Entry, Mark, Run, State, Sum},
        letters::Filter,
        webhook::SourceName,
    },
    edge::{amqp::topology, redis::Store},
};
use lapin::options::QueuePurgeOptions;

use super::{
    dead_letters::{discard, replay_all},
    support::{RunningProcess, World, call, calls, depth, services::Redis, until},
};

/// Waits until the balance satisfies `settled`, and returns it.
pub(super) async fn balance(world: &World, settled: impl Fn(&Balance) -> bool) -> Balance {
    let (store, connection) = (world.store().await, world.connect().await);
    let declared = topology::known(&connection).await.unwrap();
    let shards = topology::raw_shards(&connection, &world.config, &declared).await.unwrap();
    let draw = async || Balance::compute(&store, &connection, &world.config, &shards, 0).await.unwrap();
    let mut last = draw().await;
    let what = "the ledger comes to rest";
    until(what, async || {
        last = draw().await;
        settled(&last)
    })
    .await;
    last
}

fn sum(accepted: i64, done: i64, duplicate: i64, discarded: i64, dead: i64, in_system: i64) -> Sum {
    Sum { accepted, done, duplicate, discarded, dead, in_system }
}

/// Returns the sum of a source as the ledger in Redis has it.
async fn sum_of(store: &Store, source: &SourceName, now: u64) -> Sum {
    store.ledger([source].into_iter(), now).await.unwrap().unwrap().sources[source.as_str()]
}

async fn post(receiver: &RunningProcess, body: Vec<u8>) -> u16 {
    receiver.post("salpre", body.leak()).await
}

#[tokio::test]
async fn it_shows_what_became_of_every_webhook() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    for n in 0..20 {
        assert_eq!(post(&receiver, call(n)).await, 200);
    }
    let worker = world.worker();
    balance(&world, |b| b.total.done == 20).await;
    for n in 0..5 {
        assert_eq!(post(&receiver, call(n)).await, 200);
    }
    for _ in 0..4 {
        assert_eq!(post(&receiver, b"not json".to_vec()).await, 200);
    }
    let rest = balance(&world, |b| b.total.dead == 4 && b.total.accepted == 29).await;
    assert_eq!(rest.sources["salpre"], sum(29, 20, 5, 0, 4, 0));
    assert_eq!(rest.sources["other"], Sum::default());
    assert_eq!(rest.unaccounted(), 0);

    // One letter is discarded; the others are replayed and die again.
    assert_eq!(discard(&world, Filter::default(), 1).await, 1);
    assert_eq!(balance(&world, |_| true).await.total, sum(29, 20, 5, 1, 3, 0));
    replay_all(&world, "salpre").await;
    let rest = balance(&world, |b| b.total.in_system == 0 && b.total.dead == 3).await;
    assert_eq!(rest.total, sum(29, 20, 5, 1, 3, 0));

    // A receiver that ends closes its run. It is summed up, and the sum stays the same.
    receiver.finish().await;
    world.wait_for_depth("hookswitch.ledger", 0).await;
    worker.finish().await;
    for _ in 0..2 {
        assert_eq!(balance(&world, |_| true).await.total, rest.total);
    }
}

#[tokio::test]
async fn an_overwritten_key_of_the_ledger_holds_up_no_webhook() {
    let world = World::new().await.patient_with_redis().await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let worker = world.worker();
    assert_eq!(post(&receiver, call(0)).await, 200);
    balance(&world, |b| b.total.done == 1 && b.total.accepted == 1).await;
    let mut redis = world.redis().await;
    let keys: Vec<String> =
        redis::cmd("KEYS").arg("hookswitch:ledger*").query_async(&mut redis).await.unwrap();
    assert_eq!(keys.len(), 5, "the root, the set of runs, a run, its block, the exporter: {keys:?}");
    for key in &keys {
        let mut overwriting = redis::pipe();
        overwriting.atomic().cmd("DEL").arg(key).cmd("XADD").arg(key).arg(&["*", "not", "ours"]);
        overwriting.exec_async(&mut redis).await.unwrap();
    }
    let receiver_of_more = world.receiver().await;
    receiver_of_more.ready().await;
    for n in 1..20 {
        assert_eq!(post(&receiver, call(n)).await, 200);
        assert_eq!(post(&receiver_of_more, call(n)).await, 200);
        assert_eq!(post(&receiver, b"not json".to_vec()).await, 200);
    }
    assert_eq!(calls(&world.events(20).await), (0..20).collect::<Vec<_>>());
    world.dead("salpre", 19).await;
    assert_eq!(worker.metric("hookswitch_reconnects_total{link=\"redis\""), 0.0);
    let store = world.store().await;
    assert!(store.ledger(world.config.sources.keys(), 0).await.unwrap().is_none(), "it is not kept");
    worker.finish().await;

    // As the runbook says.
    for key in &keys {
        redis::cmd("DEL").arg(key).exec_async(&mut redis).await.unwrap();
    }
    redis::cmd("HSET")
        .arg("hookswitch:ledger")
        .arg(&["instance", "none"])
        .exec_async(&mut redis)
        .await
        .unwrap();
    let worker = world.worker();
    until("the ledger is opened", async || worker.trouble().is_none()).await;
    // Runs that begin while it is being opened do not count.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    assert_eq!(post(&receiver, call(20)).await, 200);
    let rest = balance(&world, |b| b.total.done == 1 && b.total.accepted == 1).await;
    assert_eq!(rest.unaccounted(), 0);
    worker.finish().await;
}

#[tokio::test]
async fn it_sees_a_webhook_that_is_lost() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    for n in 0..10 {
        assert_eq!(post(&receiver, call(n)).await, 200);
    }
    let channel = world.client().await.create_channel().await.unwrap();
    channel.queue_purge("raw.salpre".into(), QueuePurgeOptions::default()).await.unwrap();
    let worker = world.worker();
    assert_eq!(post(&receiver, call(10)).await, 200);
    let rest = balance(&world, |b| b.total.done == 1 && b.total.accepted == 11).await;
    assert_eq!((rest.total.in_system, rest.unaccounted()), (10, 10));
    worker.finish().await;
}

#[tokio::test]
async fn a_webhook_that_was_refused_is_not_accepted() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    assert_eq!(post(&receiver, call(1)).await, 200);
    let channel = world.client().await.create_channel().await.unwrap();
    channel
        .queue_unbind("raw.salpre".into(), "hookswitch.raw".into(), "salpre".into(), Default::default())
        .await
        .unwrap();
    for _ in 0..3 {
        assert_eq!(post(&receiver, call(2)).await, 503);
    }
    let worker = world.worker();
    // Once a later webhook counts, the mark has arrived.
    channel
        .queue_bind(
            "raw.salpre".into(),
            "hookswitch.raw".into(),
            "salpre".into(),
            Default::default(),
            Default::default(),
        )
        .await
        .unwrap();
    assert_eq!(post(&receiver, call(3)).await, 200);
    let rest = balance(&world, |b| b.total.done == 2 && b.total.in_system == 0).await;
    receiver.finish().await;
    assert_eq!(rest.total, sum(2, 2, 0, 0, 0, 0));
    worker.finish().await;
}

#[tokio::test]
async fn what_redis_forgot_is_left_out_and_never_counted_wrongly() {
    let redis = Redis::start();
    let old_enough = Duration::from_secs(3);
    tokio::time::sleep(old_enough).await;
    let shared = World::new().await;
    let toml = shared.toml.clone();
    let old = toml.lines().find(|line| line.starts_with("url = \"redis:")).unwrap().to_owned();
    let world = shared.changed(&old, &format!("url = \"{}\"", redis.url(0))).await;
    let worker = world.worker();
    let receiver = world.receiver().await;
    receiver.ready().await;
    for n in 0..10 {
        assert_eq!(post(&receiver, call(n)).await, 200);
    }
    let before = balance(&world, |b| b.total.done == 10).await;

    // A restarted Redis has its data, and does not know what it may have lost.
    redis.kill();
    redis.start_again();
    let after = balance(&world, |b| b.since > before.since).await;
    assert_eq!(after.total, Sum::default());
    // The old run continues and is not counted.
    until("the worker is back", async || worker.trouble().is_none()).await;
    assert_eq!(post(&receiver, call(10)).await, 200);
    world.events(11).await;
    assert_eq!(balance(&world, |_| true).await.total, Sum::default());
    // A new run is counted, once it is late enough to be certain that nothing of it was lost.
    tokio::time::sleep(old_enough).await;
    let second = world.receiver().await;
    second.ready().await;
    assert_eq!(post(&second, call(11)).await, 200);
    let rest = balance(&world, |b| b.total.done == 1).await;
    assert_eq!(rest.total, sum(1, 1, 0, 0, 0, 0));
    worker.finish().await;
}

#[tokio::test]
async fn a_state_takes_the_place_of_another_as_the_rule_says() {
    let world = World::new().await;
    let store = world.store().await;
    let source: SourceName = "salpre".parse().unwrap();
    let states = [State::Done, State::Duplicate, State::Discarded, State::Refused, State::Dead];
    // This is in the future, and so after the store was opened.
    let run = Run { began: 4_000_000_000_000, nonce: 1 };
    let counted = |state| match state {
        State::Refused => Sum::default(),
        State::Done => sum(1, 1, 0, 0, 0, 0),
        State::Duplicate => sum(1, 0, 1, 0, 0, 0),
        State::Discarded => sum(1, 0, 0, 1, 0, 0),
        State::Dead => sum(1, 0, 0, 0, 1, 0),
    };
    let (mut expected, mut number) = (Sum::default(), 0);
    for old in [None].into_iter().chain(states.map(Some)) {
        for new in states {
            // These include the first and the last number of a block.
            number += 16_384;
            let entry = Entry { run, number: number - 1 };
            for state in old.into_iter().chain([new, new]) {
                store.record(&source, [entry].into_iter(), state).await.unwrap();
            }
            expected += counted(old.filter(|old| !new.may_follow(Some(*old))).unwrap_or(new));
        }
    }
    // Without a mark of its receiver, only the settled webhooks of a run count.
    assert_eq!(sum_of(&store, &source, 0).await, expected);
}

#[tokio::test]
async fn workers_that_die_again_and_again_leave_it_balanced() {
    // Each death costs a delivery, and so does each other prefetch.
    let world = World::unapplied().await.changed("delivery_limit = 5\n", "delivery_limit = 50\n").await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    for n in 0..200 {
        assert_eq!(post(&receiver, call(n)).await, 200);
    }
    let connection = world.connect().await;
    for _ in 0..4 {
        let worker = world.worker();
        let begun = || worker.metric("hookswitch_events_total") >= 10.0;
        until("it has begun, or has nothing to do", async || {
            begun() || depth(&connection, "raw.salpre").await == 0
        })
        .await;
        worker.task.abort();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let worker = world.worker();
    // A webhook that waited for a dead worker's claim may wait twice: the copy is an uncounted duplicate.
    let rest = balance(&world, |b| b.total.done == 200 && b.waiting == 0).await;
    assert_eq!(rest.total, sum(200, 200, 0, 0, 0, 0));
    assert_eq!(rest.unaccounted(), 0);
    worker.finish().await;
}

#[tokio::test]
async fn a_mark_that_comes_again_after_its_run_was_summed_up_changes_nothing() {
    let world = World::new().await;
    let store = world.store().await;
    let source: SourceName = "salpre".parse().unwrap();
    let run = Run { began: 4_000_000_000_000, nonce: 1 };
    let mark = Mark { source: source.to_string(), run, through: 3, refused: vec![2], closed: true };
    for number in [1, 3] {
        store.record(&source, [Entry { run, number }].into_iter(), State::Done).await.unwrap();
    }
    for _ in 0..3 {
        store.mark(&source, &mark).await.unwrap();
        // The first read sums it up.
        for _ in 0..2 {
            assert_eq!(sum_of(&store, &source, 0).await, sum(2, 2, 0, 0, 0, 0));
        }
    }
    // A late state of it is added nevertheless.
    store.record(&source, [Entry { run, number: 2 }].into_iter(), State::Dead).await.unwrap();
    assert_eq!(sum_of(&store, &source, 0).await, sum(3, 2, 0, 0, 1, 0));
}

#[tokio::test]
async fn unreported_numbers_of_a_dead_receiver_hide_no_lost_webhook() {
    let world = World::new().await;
    let store = world.store().await;
    let source: SourceName = "salpre".parse().unwrap();
    let run = Run { began: 4_000_000_000_000, nonce: 1 };
    let mark = Mark { source: source.to_string(), run, through: 5, refused: vec![], closed: false };
    store.mark(&source, &mark).await.unwrap();
    // Number 4 is lost; 6 and 7 were never reported.
    for number in [1, 2, 3, 5, 6, 7] {
        store.record(&source, [Entry { run, number }].into_iter(), State::Done).await.unwrap();
    }
    let long_after = run.began + 86_400_000;
    for _ in 0..2 {
        assert_eq!(sum_of(&store, &source, long_after).await, sum(7, 6, 0, 0, 0, 1));
    }
}

#[tokio::test]
async fn many_numbers_are_settled_at_once_each_by_its_own_state() {
    let world = World::new().await;
    let store = world.store().await;
    let source: SourceName = "salpre".parse().unwrap();
    let runs = [1, 2].map(|nonce| Run { began: 4_000_000_000_000, nonce });
    let entries = |numbers: &[u64]| -> Vec<Entry> {
        runs.iter()
            .flat_map(|run| numbers.iter().map(|number| Entry { run: *run, number: *number }))
            .collect()
    };
    // Numbers 65,535 and 65,536 are in different blocks.
    let all = entries(&[1, 2, 65_535, 65_536]);
    store.record(&source, entries(&[2]).into_iter(), State::Done).await.unwrap();
    store.record(&source, entries(&[65_536]).into_iter(), State::Dead).await.unwrap();
    // An entry that is repeated counts once.
    let twice = all.iter().chain(&all).copied();
    store.record(&source, twice, State::Duplicate).await.unwrap();
    assert_eq!(sum_of(&store, &source, 0).await, sum(8, 2, 6, 0, 0, 0));
    store.record(&source, all.into_iter(), State::Done).await.unwrap();
    assert_eq!(sum_of(&store, &source, 0).await, sum(8, 8, 0, 0, 0, 0));
}

#[tokio::test]
async fn numbers_next_to_each_other_keep_their_states() {
    let world = World::new().await;
    let store = world.store().await;
    let source: SourceName = "salpre".parse().unwrap();
    let run = Run { began: 4_000_000_000_000, nonce: 1 };
    let states = [State::Done, State::Duplicate, State::Discarded, State::Refused, State::Dead];
    for (number, state) in (10..).zip(states) {
        store.record(&source, [Entry { run, number }].into_iter(), state).await.unwrap();
    }
    assert_eq!(sum_of(&store, &source, 0).await, sum(4, 1, 1, 1, 1, 0));
    // They are within one word of the block; these are in three.
    let all = (4..20).map(|number| Entry { run, number });
    for _ in 0..2 {
        store.record(&source, all.clone(), State::Duplicate).await.unwrap();
        assert_eq!(sum_of(&store, &source, 0).await, sum(16, 1, 14, 1, 0, 0));
    }
}
