//! Metrics that answer an operator's questions, seen to move.

use hookswitch::{
    core::letters::{Letter, LetterId},
    edge::trouble::Trouble,
};
use uuid::Uuid;

use crate::support::{World, call, queued, services::Redis, until};

#[tokio::test]
async fn links_and_waits_are_measured_while_webhooks_pass() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let up = "hookswitch_link_up{link=";
    assert_eq!(receiver.metric(&format!("{up}\"broker\"}}")), 1.0);
    assert_eq!(receiver.metric("hookswitch_link_up{link=\"redis\""), 0.0, "it has no such link");
    assert!(!receiver.metrics().contains("link=\"redis\""));
    assert_eq!(receiver.metric("hookswitch_link_pending_max{link=\"broker\"}"), 256.0);
    assert_eq!(receiver.post("salpre", Box::leak(call(1).into_boxed_slice())).await, 200);
    assert_eq!(receiver.metric("hookswitch_link_answer_seconds_count{link=\"broker\"}"), 1.0);
    assert_eq!(receiver.metric("hookswitch_link_pending{link=\"broker\"}"), 0.0);
    assert!(receiver.metric("hookswitch_last_received_timestamp_seconds{source=\"salpre\"}") > 1.7e9);
    assert_eq!(receiver.metric("hookswitch_last_received_timestamp_seconds{source=\"other\"}"), 0.0);

    let worker = world.worker();
    until("it is done", async || {
        worker.metric("hookswitch_deliveries_total{source=\"salpre\",disposition=\"done\"}") == 1.0
    })
    .await;
    assert_eq!(worker.metric("hookswitch_wait_seconds_count{source=\"salpre\"}"), 1.0);
    assert!(worker.metric("hookswitch_wait_seconds_sum{source=\"salpre\"}") > 0.0);
    assert!(worker.metric("hookswitch_link_answer_seconds_count{link=\"redis\"}") >= 2.0);
    until("the queues were looked at", async || {
        worker.metric("hookswitch_queue_messages{queue=\"events.all\"}") == 1.0
            || worker.metrics().contains("hookswitch_queue_messages{queue=\"events.unrouted\"} 0")
    })
    .await;
    assert!(worker.metrics().contains("hookswitch_backlog_webhooks{source=\"salpre\"}"));
    assert!(worker.metrics().contains("hookswitch_delayed_webhooks{tier=\"200ms\"} 0"));
    until("Redis was asked", async || worker.metric("hookswitch_redis_used_bytes ") > 0.0).await;
    assert_eq!(worker.metric("hookswitch_redis_may_evict "), 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_shows_its_cause_its_time_and_the_age_of_what_waits() {
    let redis = tokio::task::spawn_blocking(Redis::start).await.unwrap();
    let world = World::with_redis(&redis).await;
    let worker = world.worker();
    worker.ready().await;
    redis.kill();
    until("the outage is noticed", async || worker.trouble() == Some(Trouble::StoreDown)).await;
    let down = "hookswitch_link_down_seconds_total{link=\"redis\",cause=\"store_down\"}";
    let before = worker.metric(down);
    world.accept("salpre", [call(1)]).await;
    until("it waits", async || worker.metric("hookswitch_oldest_in_hand_seconds{source=\"salpre\"}") > 0.2)
        .await;
    assert_eq!(worker.metric("hookswitch_oldest_in_hand_seconds{source=\"other\"}"), 0.0);
    assert_eq!(worker.metric("hookswitch_not_ready{cause=\"store_down\"}"), 1.0);
    assert_eq!(worker.metric("hookswitch_not_ready{"), 1.0, "one cause at a time");
    assert_eq!(worker.metric("hookswitch_link_up{link=\"redis\"}"), 0.0);
    assert!(worker.metric(down) > before, "the time is counted while it passes");
    assert!(worker.metric("hookswitch_reconnects_total{link=\"redis\",cause=\"store_down\"}") >= 1.0);

    tokio::task::block_in_place(|| redis.start_again());
    worker.ready().await;
    until("nothing waits", async || {
        worker.metric("hookswitch_oldest_in_hand_seconds{source=\"salpre\"}") == 0.0
    })
    .await;
    assert_eq!(worker.metric("hookswitch_not_ready{"), 0.0);
    assert_eq!(worker.metric("hookswitch_link_up{link=\"redis\"}"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_are_looked_at_while_the_report_of_a_receiver_waits_for_redis() {
    let redis = tokio::task::spawn_blocking(Redis::start).await.unwrap();
    let world = World::with_redis(&redis).await;
    let worker = world.worker();
    worker.ready().await;
    redis.kill();
    let receiver = world.receiver().await;
    receiver.ready().await;
    assert_eq!(receiver.post("salpre", Box::leak(call(1).into_boxed_slice())).await, 200);
    receiver.finish().await;
    world.wait_for_depth("hookswitch.ledger", 0).await;
    world.bury(&[Letter { id: LetterId::new(Uuid::now_v7()), queued: queued("salpre", call(2)) }]).await;
    until("the dead letter is seen", async || {
        worker.metric("hookswitch_dead_letters{source=\"salpre\"}") == 1.0
    })
    .await;
    assert_eq!(worker.trouble(), Some(Trouble::StoreDown));
}
