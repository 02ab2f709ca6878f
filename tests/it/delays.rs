//! Delay queues that the broker lets nothing out of: its own process that delivers what has waited long
//! enough is made to stand still.

use std::time::Duration;

use hookswitch::{
    core::delivery::{disposition::Disposition, fault::Attempt, retry::Tier},
    edge::amqp::routes,
};
use jiff::Timestamp;

use super::support::{
    World, call, calls, depth, queued,
    services::{Broker, Redis},
    until,
};

const OVERDUE: &str = "hookswitch_retry_overdue_seconds{";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_queue_that_is_stuck_is_seen_and_is_mended_without_a_loss() {
    let (broker, redis) = tokio::task::block_in_place(|| (Broker::start(1), Redis::start()));
    let world = World::at(&broker.url(1), &redis.url(0), "").await;
    let worker = world.worker();
    let watched = || worker.metrics().lines().filter(|line| line.starts_with(OVERDUE)).count();
    until("all three delay queues are watched", async || watched() == 3).await;
    tokio::task::block_in_place(|| broker.hold_delays());

    let tier = Tier { delay: Duration::from_millis(200) };
    let retry = Disposition::Retry { tier, attempt: Attempt(1), error: None };
    world.publish(routes::send_on(&queued("salpre", call(1)), &retry, Timestamp::now())).await;
    // No client can see that webhook from now on.
    world.wait_for_depth("retry.200ms", 0).await;
    for tier in ["100ms", "200ms", "400ms"] {
        let line = format!("{OVERDUE}tier=\"{tier}\"}}");
        until("the delay queue is overdue", async || worker.metric(&line) > 0.0).await;
    }
    assert_eq!(depth(&world.connect().await, "raw.salpre").await, 0);

    tokio::task::block_in_place(|| broker.mend_delays());
    assert_eq!(calls(&world.events(1).await), [1]);
    let in_time = async || watched() == 3 && worker.metric(OVERDUE) == 0.0;
    until("no delay queue is overdue", in_time).await;
    worker.finish().await;
}
