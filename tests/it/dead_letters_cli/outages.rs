//! Jobs beside a broker or a Redis that goes away.

use std::time::Duration;

use super::fixture::{
    FIXED, all_dead, assert_in_agreement, finish, jobs, letters, listed, reindex_if_told, sent,
};
use crate::support::{
    World, calls, depth,
    program::Program,
    services::{Broker, Redis},
    until,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_in_the_middle_of_a_replay_loses_no_letter_and_run_again_it_finishes() {
    const MANY: usize = 200;
    let (broker, redis) = tokio::task::spawn_blocking(|| (Broker::start(1), Redis::start())).await.unwrap();
    let world = World::at(&broker.url(1), &redis.url(0), "").await;
    // See tests/it/outages.rs: new queues.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let tool = Program::of(&world);
    world.bury(&letters(0..MANY, FIXED)).await;
    let replay =
        tool.start("dead-letters replay --all --no-canary --yes --no-export --note mended --rate 50");
    let connection = world.connect().await;
    until("the replay has begun", async || depth(&connection, "raw.other").await >= 10).await;
    tokio::task::block_in_place(|| {
        broker.kill();
        broker.start_again();
    });
    let said = replay.end().await;
    assert_eq!(said.code, Some(1));
    // A letter that was on its way names the link, every other step the broker.
    let names_it = ["RabbitMQ is unreachable", "broker"].iter().any(|text| said.err.contains(text));
    assert!(names_it, "{said:?}");
    // A broker that has just started may say for a moment that its streams are not there.
    until("the streams are there", async || tool.run("dead-letters stats").await.code == Some(0)).await;
    finish(&tool, |_| "dead-letters replay --all --no-canary --yes --no-export --note mended".to_owned())
        .await;
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
    world.bury(&letters(0..60, FIXED)).await;
    let before = all_dead(&world).await;
    redis.kill();
    for job in [
        "replay --all --no-canary --yes --no-export --note mended",
        "discard --all --yes --no-export --note ticket-7",
    ] {
        let said = tool.run(&format!("dead-letters {job}")).await;
        assert_eq!(said.code, Some(69), "{said:?}");
        assert!(said.err.contains("Redis is unreachable") && said.out.is_empty(), "{said:?}");
    }
    assert!(all_dead(&world).await == before);
    for look in ["stats", "list --limit 100", "jobs", "replay --dry-run"] {
        assert_eq!(tool.ok(&format!("dead-letters {look}")).await.err, "");
    }
    let tried = tool.ok("dead-letters try").await;
    assert!(tried.out.contains("60 would succeed") && tried.err.contains("not recognized"), "{tried:?}");

    // It goes in the middle of a replay.
    tokio::task::block_in_place(|| redis.start_again());
    let replay =
        tool.start("dead-letters replay --all --no-canary --yes --no-export --note mended --rate 20");
    let connection = world.connect().await;
    until("the replay has begun", async || depth(&connection, "raw.other").await >= 4).await;
    redis.kill();
    let said = replay.end().await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("stay in their queues"), "{said:?}");
    let (sent, left) = (sent(&connection).await, listed(&tool).await.len());
    assert_eq!(sent as usize + left, 60, "what is not sent stays");
    let job = jobs(&tool).await.pop().unwrap();
    assert_eq!((&job["outcome"], &job["gone"]["replayed"]), (&"failed".into(), &sent.into()), "{job}");
    tokio::task::block_in_place(|| redis.start_again());
    tool.ok("dead-letters replay --all --no-canary --yes --no-export --note mended").await;
    assert_in_agreement(&tool).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(60).await), (0..60).collect::<Vec<_>>());
    worker.finish().await;
}
