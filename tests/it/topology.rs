//! The topology: created by the program, checked with clear messages, never worked around.

use std::time::Duration;

use hookswitch::{
    app::process::ProcessError,
    edge::amqp::{
        depth,
        topology::{Topology, TopologyError},
    },
};
use lapin::{
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable},
};

use super::support::{PATIENCE, World, call, calls, program::Program, services::Broker, shared, until};

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

/// A broker that has just started takes connections and then says of its streams that their node is down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apply_waits_for_queues_that_have_no_leader_yet() {
    let started = tokio::task::spawn_blocking(|| (Broker::start(1), shared().redis.url(0)));
    let (broker, redis) = started.await.unwrap();
    let world = World::at(&broker.url(1), &redis, "").await;
    let program = Program::of(&world);
    tokio::task::block_in_place(|| {
        broker.stop();
        broker.start_again();
    });
    let said = program.ok("topology apply").await.out;
    assert!(said.contains(" exchanges and queues exist, with their bindings\n"), "{said}");
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
    // RabbitMQ's versions begin with another argument.
    assert!(text.contains("queue dead.other: x-"), "{text}");
    assert!(text.contains("; run `hookswitch topology replace dead.other`"), "{text}");

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
    assert!(tail.next().await.unwrap().is_some());
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_events_exchange_that_is_made_anew_under_load_leaves_no_event_unrouted() {
    let world = World::new().await;
    let worker = world.worker();
    world.accept("salpre", (0..100).map(call)).await;
    let channel = world.client().await.create_channel().await.unwrap();
    for (round, first) in (1..9_u32).zip((100_usize..).step_by(100)) {
        // The broker itself sends an event astray that it routes while it deletes an exchange.
        until("all is quiet", async || worker.metric("hookswitch_events_total") >= f64::from(round * 100))
            .await;
        channel.exchange_delete("hookswitch.events".into(), Default::default()).await.unwrap();
        tokio::join!(world.accept("salpre", (first..first + 100).map(call)), async { world.apply().await });
    }
    let mut seen = calls(&world.events(900).await);
    seen.dedup();
    assert_eq!(seen, (0..900).collect::<Vec<_>>());
    assert_eq!(super::support::depth(&world.connect().await, "events.unrouted").await, 0);
    worker.finish().await;
}

/// Returns the world without a section of its configuration, not applied.
fn without(world: &World, section: &str) -> World {
    let start = world.toml.find(section).unwrap();
    let end = world.toml[start + 1..].find("\n[").map_or(world.toml.len(), |end| start + 1 + end);
    World::of_toml(format!("{}{}", &world.toml[..start], &world.toml[end..]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_webhooks_of_a_removed_source_become_events_and_its_queues_are_named_and_pruned_once_empty() {
    let world = World::new().await;
    world.accept("other", (0..50).map(call)).await;
    world.accept("other", [b"not JSON".to_vec()]).await;
    let fewer = without(&world, "[sources.other]");
    let program = Program::of(&fewer);
    // Until the configuration without it is applied, nothing touches the queue.
    let said = program.ok("topology check").await;
    assert!(
        said.out.contains("queue raw.other is left over") && said.out.contains("51 messages"),
        "{said:?}"
    );
    assert!(said.out.contains("topology apply"), "{said:?}");
    let said = program.run("topology prune").await;
    assert!(said.code == Some(1) && said.err.contains("topology apply"), "{said:?}");

    program.ok("topology apply").await;
    let said = program.run("topology prune").await;
    assert!(said.code == Some(1) && said.out.contains("queue raw.other is kept: 51 messages"), "{said:?}");
    assert!(said.out.contains("queue dead.other is kept: queue raw.other dead-letters to it"), "{said:?}");

    let worker = fewer.worker();
    assert_eq!(calls(&world.events(50).await), (0..50).collect::<Vec<_>>());
    let letters = world.dead("other", 1).await;
    assert_eq!(letters[0].history.reason.unwrap().as_str(), "malformed_json");
    until("the worker lets go of the queue", async || {
        let connection = world.connect().await;
        depth::look(&connection, "raw.other").await.unwrap().consumers == 0
    })
    .await;
    let said = program.run("topology prune").await;
    assert!(said.code == Some(1) && said.out.contains("queue raw.other is deleted"), "{said:?}");
    assert!(said.out.contains("queue dead.other is kept: 1 message is ready"), "{said:?}");
    world.drain("dead.other", 1).await;
    let said = program.ok("topology prune").await;
    assert!(said.out.contains("queue dead.other is deleted"), "{said:?}");
    let said = program.ok("topology check").await;
    assert!(!said.out.contains("left over"), "{said:?}");
    // The source may come back.
    world.apply().await;
    assert_eq!(Topology::of(&world.config).check(&world.connect().await).await.unwrap().by_name, 0);
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_subscription_loses_its_old_binding() {
    let world = World::with("[subscriptions.some]\npatterns = [\"call.#\", \"x.#\"]").await;
    let changed = World::of_toml(world.toml.replace("[\"call.#\", \"x.#\"]", "[\"x.#\"]"));
    let said = Program::of(&changed).ok("topology apply").await;
    assert!(said.out.contains("removed a binding of an earlier configuration: some to"), "{said:?}");
    world.accept("salpre", (0..3).map(call)).await;
    let worker = changed.worker();
    assert_eq!(calls(&world.events(3).await), [0, 1, 2]);
    assert_eq!(super::support::depth(&world.connect().await, "some").await, 0);
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_is_replaced_under_load_and_no_webhook_is_lost_or_processed_twice() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let worker = world.worker();
    until("the worker is ready", async || worker.trouble().is_none()).await;
    let changed = World::of_toml(world.toml.replace("delivery_limit = 5", "delivery_limit = 7"));
    let program = Program::of(&changed);
    let said = program.run("topology check").await;
    assert!(
        said.code == Some(1) && said.out.contains("`hookswitch topology replace raw.salpre`"),
        "{said:?}"
    );

    program.ok("topology replace raw.other --wait 60").await;

    let replaced = tokio::spawn(async move { program.ok("topology replace raw.salpre --wait 60").await });
    let (mut accepted, mut refused, mut n) = (Vec::new(), 0, 0);
    while !replaced.is_finished() || accepted.len() < 20 {
        match receiver.post("salpre", Box::leak(call(n).into_boxed_slice())).await {
            200 => accepted.push(n),
            503 => refused += 1,
            other => panic!("{other}"),
        }
        n += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{} accepted, {refused} refused: {}", accepted.len(), replaced.await.unwrap().out);
    assert!(refused > 0);
    // The worker still expects the old argument; it is restarted with the new configuration.
    worker.finish().await;
    let worker = changed.worker();
    assert_eq!(calls(&world.events(accepted.len()).await), accepted);
    worker.finish().await;
    Program::of(&changed).ok("topology check").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_queue_of_another_type_is_replaced_with_its_letters() {
    let world = World::new().await;
    let worker = world.worker();
    world.accept("salpre", (0..40).map(|n| format!("{n} is not a webhook").into_bytes())).await;
    world.wait_for_depth("dead.salpre", 40).await;
    worker.finish().await;
    let before = bodies(&world, "dead.salpre").await;
    let connection = world.connect().await;
    let moved = Topology::of(&world.config).replace(&connection, "dead.salpre", PATIENCE).await.unwrap();
    assert_eq!(moved, 40);
    assert_eq!(bodies(&world, "dead.salpre").await, before);
    assert_eq!(world.dead("salpre", 40).await.len(), 40);
    for (queue, expected) in [("nothing", "needs no queue"), ("hookswitch.dead-log", "is a stream")] {
        let error = Topology::of(&world.config).replace(&connection, queue, PATIENCE).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_killed_at_any_moment_is_finished_by_running_it_again_and_loses_nothing() {
    const MANY: usize = 2_000;
    // Each kill may cost a delivery of what was on its way.
    let unapplied = World::unapplied().await;
    let world = World::of_toml(unapplied.toml.replace("delivery_limit = 5", "delivery_limit = 100"));
    world.apply().await;
    world.accept("salpre", (0..MANY).map(call)).await;
    let changed = World::of_toml(world.toml.replace("delivery_limit = 100", "delivery_limit = 70"));
    let program = Program::of(&changed);
    program.ok("topology replace raw.other").await;
    let mut killed = 0;
    // The queue is known to be free after two seconds or three; then its messages move there and back.
    for round in 0..8_u64 {
        let replacing = program.start("topology replace raw.salpre");
        tokio::time::sleep(Duration::from_millis(1_500 + 250 * round)).await;
        match replacing.kill() {
            Ok(()) => killed += 1,
            Err(said) => println!("over before the kill of round {round}: {said:?}"),
        }
        let said = program.run("topology check").await;
        let interrupted = said.out.contains("run `hookswitch topology replace raw.salpre`");
        println!("round {round}: code {:?}, interrupted: {interrupted}", said.code);
        assert!(interrupted || said.code == Some(0), "{said:?}");
    }
    assert!(killed > 3, "{killed} killed");
    let said = program.ok("topology replace raw.salpre").await;
    println!("{}", said.out);
    let said = program.ok("topology check").await;
    assert!(!said.out.contains("replac"), "{said:?}");
    let worker = changed.worker();
    assert_eq!(calls(&world.events(MANY).await), (0..MANY).collect::<Vec<_>>());
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_that_finds_a_consumer_brings_back_what_a_killed_one_has_moved() {
    const HOLD: &str = "hookswitch.hold.raw.salpre";
    let world = World::new().await;
    world.accept("salpre", (0..5).map(call)).await;
    let channel = world.client().await.create_channel().await.unwrap();
    let mut arguments = FieldTable::default();
    for (name, value) in [("x-queue-type", "quorum"), ("x-overflow", "reject-publish")] {
        arguments.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(1_000_000_000));
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(HOLD.into(), durable, arguments).await.unwrap();
    for (body, properties) in world.drain("raw.salpre", 5).await {
        channel.basic_publish("".into(), HOLD.into(), Default::default(), &body, properties).await.unwrap();
    }
    world.wait_for_depth(HOLD, 5).await;
    world.accept("salpre", (5..8).map(call)).await;
    let (tag, none) = ("".into(), FieldTable::default());
    let consumer = channel.basic_consume("raw.salpre".into(), tag, Default::default(), none).await.unwrap();

    let said = Program::of(&world).run("topology replace raw.salpre --wait 0").await;
    assert!(said.code != Some(0) && said.err.contains("still has 1 consumers"), "{said:?}");
    let said = Program::of(&world).ok("topology check").await;
    assert!(!said.out.contains("topology replace"), "{said:?}");
    drop(consumer);
    channel.close(200, "".into()).await.unwrap();
    assert!(depth::look(&world.connect().await, HOLD).await.is_err(), "{HOLD} is left");
    let worker = world.worker();
    assert_eq!(calls(&world.events(8).await), (0..8).collect::<Vec<_>>());
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_events_that_is_replaced_while_a_worker_publishes_gets_every_event() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let worker = world.worker();
    until("the worker is ready", async || worker.trouble().is_none()).await;
    let patterns = "patterns = [\"#\"]";
    let changed = World::of_toml(world.toml.replace(patterns, &format!("{patterns}\nlength_max = 100000")));
    let program = Program::of(&changed);
    let said = program.run("topology check").await;
    assert!(
        said.code == Some(1) && said.out.contains("`hookswitch topology replace events.all`"),
        "{said:?}"
    );
    let replaced = tokio::spawn(async move { program.ok("topology replace events.all").await });
    let mut accepted = 0;
    while !replaced.is_finished() {
        assert_eq!(receiver.post("salpre", call(accepted).leak()).await, 200);
        accepted += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("{accepted} accepted: {}", replaced.await.unwrap().out);
    until("all is published", async || worker.metric("hookswitch_events_total") >= accepted as f64).await;
    // An event of the moment in which two queues were bound may come twice.
    let mut seen = calls(&world.events(accepted).await);
    seen.dedup();
    assert_eq!(seen, (0..accepted).collect::<Vec<_>>());
    assert_eq!(super::support::depth(&world.connect().await, "events.unrouted").await, 0);
    worker.finish().await;
    receiver.finish().await;
}

async fn bodies(world: &World, queue: &str) -> Vec<Vec<u8>> {
    let mut bodies: Vec<_> = world.look(queue).await.into_iter().map(|(body, _)| body).collect();
    bodies.sort();
    bodies
}
