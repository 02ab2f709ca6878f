//! Infrastructure errors: the worker waits, spends no attempts, loses nothing, and recovers by itself.

use std::time::Duration;

use hookswitch::edge::trouble::Trouble;

use super::support::{
    World, call, calls,
    services::{Broker, Redis},
    until,
};

/// The time that a test gives a new topology before it kills the broker. RabbitMQ 3.10 and 4.0 (not 4.3)
/// write the directory of their quorum queues with a delay of seconds: a queue whose broker is killed right
/// after its declaration does not work after the restart, whatever the broker had confirmed.
const NEW_QUEUES_ARE_SAFE_AFTER: Duration = Duration::from_secs(6);

/// Starts services for one test.
async fn own() -> (Broker, Redis) {
    tokio::task::spawn_blocking(|| (Broker::start(1), Redis::start())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_under_load_loses_nothing() {
    let (broker, redis) = own().await;
    let world = World::at(&broker.url(1), &redis.url(0), "").await;
    tokio::time::sleep(NEW_QUEUES_ARE_SAFE_AFTER).await;
    world.accept("salpre", (0..1_500).map(call)).await;
    let worker = world.worker();
    until("work has begun", async || worker.metric("hookswitch_events_total") > 100.0).await;
    tokio::task::block_in_place(|| {
        broker.kill();
        broker.start_again();
    });
    world.accept("salpre", (1_500..1_600).map(call)).await;
    let mut seen = calls(&world.events(1_600).await);
    let with_duplicates = seen.len();
    seen.dedup();
    assert_eq!(seen, (0..1_600).collect::<Vec<_>>());
    // Only what was sent and not confirmed at the kill may come twice.
    assert!(with_duplicates - 1_600 <= world.config.worker.concurrency, "{with_duplicates}");
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_under_load_and_keeps_its_data_gives_no_event_twice() {
    let (broker, redis) = own().await;
    let world = World::at(&broker.url(1), &redis.url(0), "").await;
    world.accept("salpre", (0..1_500).map(call)).await;
    let worker = world.worker();
    until("work has begun", async || worker.metric("hookswitch_events_total") > 100.0).await;
    redis.kill();
    until("the worker is not ready", async || worker.trouble() == Some(Trouble::StoreDown)).await;
    tokio::task::block_in_place(|| redis.start_again());
    assert_eq!(calls(&world.events(1_500).await), (0..1_500).collect::<Vec<_>>());
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
    assert!(worker.metric("hookswitch_pauses_total{cause=\"store_down\"}") >= 1.0);
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_frozen_makes_the_worker_wait_and_spends_no_attempts() {
    let (broker, redis) = own().await;
    let world = World::at(&broker.url(1), &redis.url(0), "").await;
    let worker = world.worker();
    until("the worker is ready", async || worker.trouble().is_none()).await;
    redis.freeze();
    world.accept("salpre", (0..20).map(call)).await;
    until("the worker is not ready", async || worker.trouble() == Some(Trouble::StoreDown)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.events(0).await.len(), 0);
    redis.thaw();
    let mut seen = calls(&world.events(20).await);
    seen.dedup();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
    assert_eq!(
        worker.metric("hookswitch_deliveries_total{source=\"salpre\",disposition=\"dead_letter\"}"),
        0.0
    );
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_answers_later_than_the_broker_at_the_start_is_no_pause() {
    let (broker, redis) = own().await;
    let world = World::at(&broker.url(1), &redis.url(0), "").await.patient_with_redis().await;
    redis.freeze();
    let worker = world.worker();
    until("the broker has answered", async || worker.metric("hookswitch_link_up{link=\"broker\"}") == 1.0)
        .await;
    redis.thaw();
    until("the worker is ready", async || worker.trouble().is_none()).await;
    assert_eq!(worker.metric("hookswitch_pauses_total{cause=\"store_down\"}"), 0.0);
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_freezes_is_noticed_by_its_silence() {
    let (broker, redis) = own().await;
    let world = World::at(&broker.url(1), &redis.url(0), "").await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let worker = world.worker();
    until("the worker is ready", async || worker.trouble().is_none()).await;
    assert_eq!(receiver.post("salpre", Box::leak(call(1).into_boxed_slice())).await, 200);
    broker.freeze();
    // The receiver answers with 503 within the deadline, however silent the broker is.
    assert_eq!(receiver.post("salpre", Box::leak(call(2).into_boxed_slice())).await, 503);
    until("the silence is noticed", async || receiver.trouble().is_some()).await;
    broker.thaw();
    until("the receiver recovers", async || {
        receiver.post("salpre", Box::leak(call(3).into_boxed_slice())).await == 200
    })
    .await;
    // Call 2 was answered with 503, so it may come or not.
    until("calls 1 and 3", async || worker.metric("hookswitch_events_total") >= 2.0).await;
    let mut seen = calls(&world.events(2).await);
    seen.dedup();
    assert!(seen.contains(&1) && seen.contains(&3), "{seen:?}");
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_alarm_pauses_the_worker_makes_the_receiver_say_503_and_passes() {
    let (broker, redis) = own().await;
    let world = World::at(&broker.url(1), &redis.url(0), "").await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let worker = world.worker();
    until("the worker is ready", async || worker.trouble().is_none()).await;
    tokio::task::block_in_place(|| broker.ctl(&["set_vm_memory_high_watermark", "0.000001"]));
    until("the receiver refuses", async || receiver.post("salpre", b"{}").await == 503).await;
    until("it knows why", async || receiver.trouble() == Some(Trouble::BrokerBlocked)).await;
    tokio::task::block_in_place(|| broker.ctl(&["set_vm_memory_high_watermark", "0.6"]));
    until("the receiver recovers", async || {
        receiver.post("salpre", Box::leak(call(1).into_boxed_slice())).await == 200
    })
    .await;
    let mut seen = calls(&world.events(1).await);
    seen.dedup();
    assert_eq!(seen, [1]);
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_downstream_queue_holds_events_back_and_buries_none() {
    let world = World::with("[subscriptions.small]\npatterns = [\"call.#\"]\nlength_max = 5").await;
    let worker = world.worker();
    // A quorum queue accepts what is in flight before it refuses, so it is filled first.
    world.accept("salpre", (0..30).map(call)).await;
    until("the queue is full", async || worker.metric("hookswitch_events_total") >= 5.0).await;
    world.accept("salpre", (30..300).map(call)).await;
    until("events are refused", async || {
        worker.metric("hookswitch_pauses_total{cause=\"downstream_full\"}") >= 1.0
    })
    .await;
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
    // Once the queue is consumed, every event comes.
    let mut seen = std::collections::BTreeSet::new();
    until("every event", async || {
        for (body, _) in world.drain("small", 0).await {
            seen.extend(calls(&[serde_json::from_slice(&body).unwrap()]));
        }
        seen.len() == 300
    })
    .await;
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_starts_before_its_services_waits_for_them() {
    let (broker, redis) = own().await;
    let world = World::at(&broker.url(1), &redis.url(0), "").await;
    tokio::time::sleep(NEW_QUEUES_ARE_SAFE_AFTER).await;
    world.accept("salpre", [call(1)]).await;
    broker.kill();
    redis.kill();
    let worker = world.worker();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(worker.trouble().is_some());
    tokio::task::block_in_place(|| {
        redis.start_again();
        broker.start_again();
    });
    assert_eq!(calls(&world.events(1).await), [1]);
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_holds_messages_longer_than_the_broker_allows_restarts_and_publishes_nothing_twice() {
    let (broker, redis) = own().await;
    let world = World::at(&broker.url(1), &redis.url(0), "").await;
    // This makes an outage of Redis longer than the broker's timeout, which is half an hour by default.
    for setting in ["rabbit, consumer_timeout, 5000", "rabbit, channel_tick_interval, 1000"] {
        tokio::task::block_in_place(|| broker.ctl(&["eval", &format!("application:set_env({setting}).")]));
    }
    let worker = world.worker();
    until("the worker is ready", async || worker.trouble().is_none()).await;
    redis.freeze();
    world.accept("salpre", (0..20).map(call)).await;
    until("the worker is not ready", async || worker.trouble() == Some(Trouble::StoreDown)).await;
    world.wait_for_depth("raw.salpre", 20).await;
    redis.thaw();
    assert_eq!(calls(&world.events(20).await), (0..20).collect::<Vec<_>>());
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
    world.wait_for_depth("raw.salpre", 0).await;
    worker.finish().await;
}
