//! The keys in Redis: whose they are, how they are named, and that no work on them is without a bound.

use std::time::{Duration, Instant};

use hookswitch::{
    app::process::ProcessError,
    core::{
        ledger::{Entry, Mark, Run, State},
        providers,
        webhook::SourceName,
    },
    edge::{
        amqp::{message, publish::Publication},
        redis::ToMark,
        trouble::Trouble,
    },
};

use super::{
    ledger::balance,
    support::{PATIENCE, World, call, calls, queued, until},
};

async fn keys(world: &World) -> Vec<Vec<u8>> {
    let mut redis = world.redis().await;
    redis::cmd("KEYS").arg("*").query_async(&mut redis).await.unwrap()
}

/// Every node of a cluster that was given no name greets with a name of its own.
#[tokio::test]
async fn a_broker_of_another_name_is_known_by_its_topology() {
    let world = World::new().await;
    let worker = world.worker();
    world.accept("salpre", [call(1)]).await;
    assert_eq!(calls(&world.events(1).await), [1]);
    worker.finish().await;
    let mut redis = world.redis().await;
    let owner = "hookswitch:owner";
    redis::cmd("HSET").arg(owner).arg("broker").arg("another node").exec_async(&mut redis).await.unwrap();
    let worker = world.worker();
    world.accept("salpre", [call(2)]).await;
    assert_eq!(calls(&world.events(1).await), [2]);
    worker.finish().await;

    redis::cmd("HDEL").arg(owner).arg("topology").exec_async(&mut redis).await.unwrap();
    let mut foreign = world.worker();
    let ended = tokio::time::timeout(PATIENCE, &mut foreign.task).await.unwrap().unwrap();
    assert!(matches!(ended, Err(ProcessError::Store(_))), "{ended:?}");
}

#[tokio::test]
async fn another_virtual_host_refuses_to_start_on_a_namespace_in_use_and_says_what_to_do() {
    let first = World::new().await;
    first.accept("salpre", [call(1)]).await;
    let worker = first.worker();
    assert_eq!(calls(&first.events(1).await), [1]);

    let second = World::beside(&first).await;
    second.accept("salpre", [call(1)]).await;
    let mut foreign = second.worker();
    let ended = tokio::time::timeout(PATIENCE, &mut foreign.task).await.unwrap().unwrap();
    let Err(ProcessError::Store(error)) = ended else { panic!("{ended:?}") };
    assert_eq!(error.trouble(), Trouble::StoreForeign);
    let vhost = |world: &World| world.config.amqp.urls[0].reveal().rsplit('/').next().unwrap().to_owned();
    for part in
        [&*format!("`{}`", vhost(&first)), &format!("`{}`", vhost(&second)), "redis.namespace", "HDEL"]
    {
        assert!(error.to_string().contains(part), "{error}");
    }
    // Its store would take the keys over once nobody owns them.
    drop(foreign);
    // It has taken nothing, and a worker of the first goes on.
    second.wait_for_depth("raw.salpre", 1).await;
    first.accept("salpre", [call(2)]).await;
    assert_eq!(calls(&first.events(1).await), [2]);

    // With a namespace of its own it works beside the first, and swallows nothing.
    let second = second.changed("[redis]\n", "[redis]\nnamespace = \"second\"\n").await;
    let beside = second.worker();
    assert_eq!(calls(&second.events(1).await), [1]);
    beside.finish().await;
    worker.finish().await;

    // As the error says.
    let mut redis = first.redis().await;
    redis::cmd("HDEL").arg("hookswitch:owner").arg("broker").exec_async(&mut redis).await.unwrap();
    let third = World::beside(&first).await;
    third.accept("salpre", [call(3)]).await;
    let heir = third.worker();
    assert_eq!(calls(&third.events(1).await), [3]);
    heir.finish().await;
}

#[tokio::test]
async fn every_key_begins_with_the_namespace() {
    let world = World::new().await.changed("[redis]\n", "[redis]\nnamespace = \"{eu}\"\n").await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let worker = world.worker();
    for body in [call(1), call(1), b"not json".to_vec()] {
        assert_eq!(receiver.post("salpre", body.leak()).await, 200);
    }
    balance(&world, |b| b.total.dead == 1 && b.total.duplicate == 1 && b.total.accepted == 3).await;
    super::dead_letters::replay_all(&world, "salpre").await;
    let keys = keys(&world).await;
    assert!(keys.len() >= 6, "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with(b"{eu}:")), "{keys:?}");
    worker.finish().await;
}

#[tokio::test]
async fn what_version_0_1_0_has_marked_done_stays_done() {
    let world = World::new().await;
    let mut redis = world.redis().await;
    let webhook = queued("salpre", call(1)).webhook;
    let key = providers::normalize(&webhook).unwrap().key.store_key(&webhook.source);
    redis::pipe()
        .cmd("HSET")
        .arg("hookswitch:ledger")
        .arg(&["instance", "x", "since", "1763700000000"])
        .cmd("SET")
        .arg(key.as_bytes())
        .arg("7")
        .arg("EX")
        .arg("60")
        .exec_async(&mut redis)
        .await
        .unwrap();
    world.accept("salpre", [call(1), call(2)]).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(1).await), [2]);
    worker.finish().await;
    // It keeps these names, also when a worker starts again.
    world.accept("salpre", [call(2), call(3)]).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(1).await), [3]);
    worker.finish().await;
    let marks = keys(&world).await.into_iter().filter(|key| key.len() == 18 && key.starts_with(b"d:"));
    assert_eq!(marks.count(), 3);
}

#[tokio::test]
async fn a_mark_out_of_bounds_is_dropped_and_counted_and_keeps_redis_busy_for_no_moment() {
    let world = World::new().await.patient_with_redis().await;
    let worker = world.worker();
    until("the worker is ready", async || worker.trouble().is_none()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
    let mark = |through, refused: Vec<u64>| Mark {
        source: "salpre".to_owned(),
        run: Run { began: now, nonce: u32::try_from(refused.len()).unwrap() },
        through,
        refused,
        closed: true,
    };
    let publish = |marks: &[Mark]| Publication {
        exchange: String::new(),
        routing_key: "hookswitch.ledger".to_owned(),
        properties: message::marks_properties(jiff::Timestamp::now()),
        body: message::marks_body(marks),
        not_after: Instant::now() + PATIENCE,
    };
    let hostile =
        [mark(9_007_199_254_740_992, vec![]), mark(u64::MAX, vec![1]), mark(1 << 28, vec![1, 1 << 29])];
    // The last one is large and could be a receiver's: many refused numbers in one block, at the end of a
    // run.
    let good = mark(1 << 28, ((1 << 28) - 3_000..(1 << 28)).collect());
    world.publish([publish(&hostile), publish(std::slice::from_ref(&good))]).await;
    world.wait_for_depth("hookswitch.ledger", 0).await;
    until("they are counted", async || worker.metric("hookswitch_ledger_marks_dropped_total") == 3.0).await;
    let expected = (1 << 28) - 3_000;
    let rest = balance(&world, |b| b.total.accepted == expected).await;
    assert_eq!(rest.total.in_system, expected);
    let mut redis = world.redis().await;
    let began = Instant::now();
    redis::cmd("PING").exec_async(&mut redis).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(worker.metric("hookswitch_reconnects_total{link=\"redis\""), 0.0);
    worker.finish().await;
}

#[tokio::test]
async fn a_batch_of_any_size_is_claimed_marked_and_counted() {
    let world = World::new().await.patient_with_redis().await;
    let store = world.store().await;
    let source: SourceName = "salpre".parse().unwrap();
    let run = Run { began: 4_000_000_000_000, nonce: 1 };
    let key = |n: u64| {
        hookswitch::core::events::key::IdempotencyKey::from_parts(&[n.to_string()]).store_key(&source)
    };
    let marks: Vec<ToMark> = (1..=5_000)
        .map(|number| ToMark {
            key: key(number),
            body: number.into(),
            entry: Some(Entry { run, number }),
            place: None,
        })
        .collect();
    store.mark_done(&source, &marks, Duration::from_secs(60)).await.unwrap();
    store.record(&source, (1..=9_000).map(|number| Entry { run, number }), State::Refused).await.unwrap();
    let ledger = store.ledger([&source].into_iter(), 0).await.unwrap().unwrap();
    assert_eq!((ledger.sources["salpre"].done, ledger.sources["salpre"].accepted), (5_000, 5_000));
    let claims: Vec<_> = marks
        .iter()
        .map(|mark| hookswitch::edge::redis::ToClaim {
            key: mark.key,
            owner: "oa",
            entry: mark.entry,
            object: None,
        })
        .collect();
    let answers = store.claim(&source, &claims, Duration::from_secs(5)).await.unwrap();
    assert_eq!(answers.len(), 5_000);
    // A number that no receiver gives is not counted, and harms nothing.
    let beyond = Entry { run, number: u64::MAX };
    store.record(&source, [beyond].into_iter(), State::Done).await.unwrap();
    let ledger = store.ledger([&source].into_iter(), 0).await.unwrap().unwrap();
    assert_eq!(ledger.sources["salpre"].done, 5_000);
}

#[tokio::test]
async fn a_dead_receivers_run_of_many_blocks_is_counted_by_its_states() {
    let world = World::new().await.patient_with_redis().await;
    let store = world.store().await;
    let source: SourceName = "salpre".parse().unwrap();
    let run = Run { began: 4_000_000_000_000, nonce: 1 };
    let mark = Mark { source: source.to_string(), run, through: 200_000, refused: vec![], closed: false };
    store.mark(&source, &mark).await.unwrap();
    // 70,000 and 150,000 are lost.
    let settled = (1..=200_000).filter(|number| ![70_000, 150_000].contains(number));
    store.record(&source, settled.map(|number| Entry { run, number }), State::Done).await.unwrap();
    let long_after = run.began + 86_400_000;
    let ledger = store.ledger([&source].into_iter(), long_after).await.unwrap().unwrap();
    let sum = ledger.sources["salpre"];
    assert_eq!((sum.accepted, sum.done, sum.in_system), (200_000, 199_998, 2));
}

#[tokio::test]
async fn one_worker_at_a_time_exports_the_balance() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    for n in 0..3 {
        assert_eq!(receiver.post("salpre", call(n).leak()).await, 200);
    }
    let (one, two) = (world.worker(), world.worker());
    balance(&world, |b| b.total.done == 3 && b.total.accepted == 3).await;
    let drawn = |worker: &super::support::RunningProcess| {
        worker.metric("hookswitch_ledger_drawn_timestamp_seconds") > 0.0
    };
    until("one exports it", async || drawn(&one) != drawn(&two)).await;
    let (leader, other) = if drawn(&one) { (one, two) } else { (two, one) };
    assert_eq!(other.metric("hookswitch_ledger{"), 0.0);
    until("it is up to date", async || {
        leader.metric("hookswitch_ledger{source=\"salpre\",state=\"done\"}") == 3.0
    })
    .await;
    // The other takes over when the first ends.
    leader.finish().await;
    until("the other exports it", async || {
        other.metric("hookswitch_ledger{source=\"salpre\",state=\"done\"}") == 3.0
    })
    .await;
    other.finish().await;
}

#[tokio::test]
async fn the_webhooks_of_a_removed_source_are_in_its_queue_and_not_lost() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    for n in 0..4 {
        assert_eq!(receiver.post("other", call(n).leak()).await, 200);
    }
    receiver.finish().await;
    let removed = "[sources.other]\nprovider = \"salpre\"\nauth = \"none\"\n";
    // Until that is applied, no worker drains the queue.
    let world = World::of_toml(world.toml.replace(removed, ""));
    let worker = world.worker();
    world.wait_for_depth("hookswitch.ledger", 0).await;
    balance(&world, |b| b.total.accepted == 4 && b.unaccounted() == 0).await;
    worker.finish().await;
}
