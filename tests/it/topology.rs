//! The topology: created by the program, checked with clear messages, never worked around.

use hookswitch::{
    app::process::ProcessError,
    edge::amqp::topology::{Topology, TopologyError},
};
use lapin::{options::QueueDeclareOptions, types::FieldTable};

use super::support::{World, call, calls, shared, until};

#[tokio::test]
async fn the_services_are_of_versions_that_we_support_and_of_those_that_are_asked_for() {
    let shared = tokio::task::spawn_blocking(shared).await.unwrap();
    // The broker's version; `rabbitmqctl version` would be that of the tool.
    let broker = shared.broker.ctl(&["eval", "io:format(rabbit_misc:version())."]);
    let broker = broker.trim_end().strip_suffix("ok").unwrap();
    let client = redis::Client::open(shared.redis.url(0)).unwrap();
    let mut store = client.get_multiplexed_async_connection().await.unwrap();
    let info: redis::InfoDict = redis::cmd("INFO").arg("server").query_async(&mut store).await.unwrap();
    let version_of = |name| info.get::<String>(&format!("{name}_version"));
    // Valkey also reports a Redis version, 7.2.
    let (name, store) = match version_of("valkey") {
        Some(version) => ("valkey", version),
        None => ("redis", version_of("redis").unwrap()),
    };
    println!("RabbitMQ {broker}, {name} {store}");
    let number = |version: &str| -> Vec<u32> { version.split('.').map_while(|n| n.parse().ok()).collect() };
    assert!(number(broker) >= vec![3, 10], "at-least-once dead-lettering came with 3.10: {broker}");
    assert!(number(&store) >= vec![7], "{name} {store}");
    // A run against other versions must not silently be one against the usual ones.
    for (variable, found) in [
        ("HOOKSWITCH_EXPECT_RABBITMQ", broker.to_owned()),
        ("HOOKSWITCH_EXPECT_REDIS", format!("{name} {store}")),
    ] {
        let expected = std::env::var(variable).unwrap_or_default();
        assert!(found.starts_with(&expected), "{found}, but {variable}={expected}");
    }
}

#[tokio::test]
async fn applying_the_topology_twice_changes_nothing() {
    let world = World::new().await;
    let connection = world.connect().await;
    let topology = Topology::of(&world.config);
    topology.apply(&connection).await.unwrap();
    assert!(topology.check(&connection).await.unwrap().whole > 10);
}

#[tokio::test]
async fn a_queue_that_is_missing_or_different_is_named_in_words_and_the_worker_refuses_to_run() {
    let world = World::new().await;
    let connection = world.connect().await;
    let channel = world.client().await.create_channel().await.unwrap();
    channel.queue_delete("retry.400ms".into(), Default::default()).await.unwrap();
    channel.queue_delete("dead.other".into(), Default::default()).await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare("dead.other".into(), durable, FieldTable::default()).await.unwrap();

    let Err(TopologyError::Differs(found)) = Topology::of(&world.config).check(&connection).await else {
        panic!("the check found nothing");
    };
    let text = found.iter().map(|d| format!("{}: {}\n", d.what, d.how)).collect::<String>();
    assert!(text.contains("queue retry.400ms: missing; run `hookswitch topology apply`"), "{text}");
    // RabbitMQ's versions report the present type differently.
    assert!(text.contains("queue dead.other: x-queue-type is "), "{text}");
    assert!(text.contains("but must be quorum; drain and delete the queue, then run"), "{text}");

    let mut worker = world.worker();
    let ended = tokio::time::timeout(super::support::PATIENCE, &mut worker.task).await.unwrap().unwrap();
    assert!(matches!(ended, Err(ProcessError::Topology(TopologyError::Differs(_)))));
}

#[tokio::test]
async fn an_event_that_no_queue_wants_is_kept_as_unrouted_even_during_a_tail() {
    let world = World::new().await;
    let connection = world.connect().await;
    let channel = world.client().await.create_channel().await.unwrap();
    channel.queue_delete("events.all".into(), Default::default()).await.unwrap();
    let mut tail =
        hookswitch::edge::amqp::consume::tail::Tail::open(&connection, &["call.#".to_owned()]).await.unwrap();
    let connection_of_worker = world.connect().await;
    Topology::of(&world.config).apply(&connection_of_worker).await.unwrap();
    channel
        .queue_unbind("events.all".into(), "hookswitch.events".into(), "#".into(), FieldTable::default())
        .await
        .unwrap();
    world.accept("salpre", [call(1)]).await;
    let worker = world.worker();
    assert_eq!(world.drain("events.unrouted", 1).await.len(), 1);
    assert!(tail.next().await.is_some());
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_events_exchange_that_is_made_anew_under_load_leaves_no_event_unrouted() {
    let world = World::new().await;
    let worker = world.worker();
    world.accept("salpre", (0..600).map(call)).await;
    until("work has begun", async || worker.metric("hookswitch_events_total") > 0.0).await;
    let channel = world.client().await.create_channel().await.unwrap();
    for round in 0..3 {
        channel.exchange_delete("hookswitch.events".into(), Default::default()).await.unwrap();
        world.accept("salpre", (600 + round * 100..700 + round * 100).map(call)).await;
        world.apply().await;
    }
    let mut seen = calls(&world.events(900).await);
    seen.dedup();
    assert_eq!(seen, (0..900).collect::<Vec<_>>());
    assert_eq!(super::support::depth(&world.connect().await, "events.unrouted").await, 0);
    worker.finish().await;
}
