//! A source with several raw queues: related webhooks stay together, and nothing is lost when the number of
//! queues changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use hookswitch::{
    app::ledger::Balance,
    core::{
        delivery::fault::Reason,
        providers::{NormalizeError, Normalized},
        webhook::Webhook,
    },
    edge::{
        amqp::{
            message,
            topology::{self, Topology},
        },
        http::Client,
    },
};

use super::support::{PATIENCE, RunningProcess, World, call, calls, depth, program::Program, until};

const BY_CALL: &str = "shard_by = \"/payload/call_id\"";
const BY_HEADER: &str = "shard_by = \"header:X-Call\"";

/// Creates a world with a source `split` of four shards.
async fn world(more: &str) -> World {
    World::with(&format!("[sources.split]\nprovider = \"salpre\"\nauth = \"none\"\nshards = 4\n{more}")).await
}

fn queue(shard: usize) -> String {
    if shard == 0 { "raw.split".to_owned() } else { format!("raw.split.{shard}") }
}

async fn depths(world: &World) -> Vec<u32> {
    let connection = world.connect().await;
    let mut depths = Vec::new();
    for shard in 0..4 {
        depths.push(depth(&connection, &queue(shard)).await);
    }
    depths
}

async fn receiver(world: &World) -> RunningProcess {
    let receiver = world.receiver().await;
    receiver.ready().await;
    receiver
}

async fn post(receiver: &RunningProcess, headers: &[(&str, &str)], body: impl Into<Bytes>) -> u16 {
    let url = format!("http://{}/in/split", receiver.address);
    Client::new(PATIENCE).post(&url, headers, body.into()).await.unwrap().status
}

/// Returns the body of another fact about call `n`.
fn later(n: usize) -> Vec<u8> {
    String::from_utf8(call(n)).unwrap().replace("1760084505", "1760084506").into_bytes()
}

/// Returns how many webhooks of the source a worker has done.
fn done(worker: &RunningProcess) -> f64 {
    worker.metric("hookswitch_deliveries_total{source=\"split\",disposition=\"done\"}")
}

/// Waits until the ledger counts `done` webhooks as done and misses none.
async fn balanced(world: &World, done: i64) {
    let (store, connection) = (world.store().await, world.connect().await);
    let declared = topology::known(&connection).await.unwrap();
    let shards = topology::raw_shards(&connection, &world.config, &declared).await.unwrap();
    until("the ledger balances", async || {
        let balance = Balance::compute(&store, &connection, &world.config, &shards, 0).await.unwrap();
        balance.total.done == done && balance.total.in_system == 0 && balance.queued + balance.waiting == 0
    })
    .await;
}

fn unlucky(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    panic!("over {}", webhook.body.len())
}

#[tokio::test]
async fn the_webhooks_of_a_call_go_to_one_queue_and_each_is_done_once() {
    let world = world(BY_CALL).await;
    let receiver = receiver(&world).await;
    for n in 0..30 {
        assert_eq!(post(&receiver, &[], call(n)).await, 200);
        assert_eq!(post(&receiver, &[], later(n)).await, 200);
    }
    let mut shards_of: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for shard in 0..4 {
        let webhooks = world.look(&queue(shard)).await;
        assert!(!webhooks.is_empty(), "{}", queue(shard));
        for (body, _) in webhooks {
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            shards_of.entry(body["payload"]["call_id"].to_string()).or_default().insert(shard);
        }
    }
    assert_eq!(shards_of.len(), 30);
    assert!(shards_of.values().all(|shards| shards.len() == 1), "{shards_of:?}");

    let worker = world.worker();
    let twice: Vec<_> = (0..30).flat_map(|n| [n, n]).collect();
    assert_eq!(calls(&world.events(60).await), twice);
    assert_eq!(done(&worker), 60.0);
    // The same fact in another queue is the same fact.
    let again: Vec<_> = (0..30).map(|n| super::support::queued("split", call(n))).collect();
    world.publish(again.iter().map(hookswitch::edge::amqp::routes::accept)).await;
    let duplicates = "hookswitch_duplicates_total{source=\"split\",body=\"same\"}";
    until("thirty duplicates", async || worker.metric(duplicates) == 30.0).await;
    assert!(world.events(0).await.is_empty());
    balanced(&world, 60).await;
    worker.finish().await;
}

#[tokio::test]
async fn what_does_not_say_where_it_belongs_goes_to_each_queue_in_turn() {
    let world = world("").await;
    let receiver = receiver(&world).await;
    for n in 0..40 {
        assert_eq!(post(&receiver, &[], call(n)).await, 200);
    }
    assert_eq!(depths(&world).await, [10, 10, 10, 10]);
    let worker = world.worker();
    assert_eq!(calls(&world.events(40).await), (0..40).collect::<Vec<_>>());
    worker.finish().await;
}

#[tokio::test]
async fn what_is_in_flight_is_the_sum_over_the_queues() {
    let world = world("").await;
    let receiver = receiver(&world).await;
    let worker = world.worker();
    assert_eq!(post(&receiver, &[], call(0)).await, 200);
    world.events(1).await;
    // While events cannot be published, webhooks stay in work.
    let channel = world.client().await.create_channel().await.unwrap();
    channel.exchange_delete("hookswitch.published".into(), Default::default()).await.unwrap();
    for n in 1..=8 {
        assert_eq!(post(&receiver, &[], call(n)).await, 200);
    }
    let in_flight = "hookswitch_in_flight{source=\"split\"}";
    until("eight are in flight", async || worker.metric(in_flight) == 8.0).await;
    world.apply().await;
    assert_eq!(calls(&world.events(8).await), (1..=8).collect::<Vec<_>>());
    until("none is in flight", async || worker.metric(in_flight) == 0.0).await;
    worker.finish().await;
}

#[tokio::test]
async fn a_retry_comes_back_to_its_queue() {
    let world = world(BY_CALL).await;
    let world = world.changed("\"200ms\", \"400ms\"", "\"3s\"").await;
    let world = world.changed("panic_retries = 2", "panic_retries = 1000").await;
    let receiver = receiver(&world).await;
    for n in 0..12 {
        assert_eq!(post(&receiver, &[], call(n)).await, 200);
    }
    let before = depths(&world).await;
    assert!(before.iter().all(|depth| *depth > 0), "{before:?}");
    let worker = world.worker_with(unlucky);
    world.wait_for_depth("retry.3s", 12).await;
    worker.finish().await;
    world.wait_for_depth("retry.3s", 0).await;
    until("all are back where they were", async || depths(&world).await == before).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(12).await), (0..12).collect::<Vec<_>>());
    balanced(&world, 12).await;
    worker.finish().await;
}

#[tokio::test]
async fn dead_letters_of_all_queues_lie_in_one_and_a_replay_goes_by_the_same_rule() {
    let world = world(BY_HEADER).await;
    let receiver = receiver(&world).await;
    // Every consumer of them dies, until the broker's delivery limit is reached.
    let header = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for call in header {
        assert_eq!(post(&receiver, &[("x-CALL", call)], format!("not json: {call}")).await, 200);
    }
    let before = depths(&world).await;
    assert!(before.iter().filter(|depth| **depth > 0).count() >= 3, "{before:?}");
    let dead = async || depth(&world.connect().await, "dead.split").await;
    for _ in 0..20 {
        if dead().await == 8 {
            break;
        }
        let connection = world.client().await;
        for shard in 0..4 {
            let channel = connection.create_channel().await.unwrap();
            let (options, none) = (Default::default(), Default::default());
            channel.basic_consume(queue(shard).as_str().into(), "".into(), options, none).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        connection.close(200, "".into()).await.unwrap();
    }
    let letters = world.dead("split", 8).await;
    assert!(letters.iter().all(|letter| letter.history.reason == Some(Reason::DeliveryLimit)));
    assert_eq!(depths(&world).await, [0; 4]);

    super::dead_letters::reindex(&world).await;
    super::dead_letters::replay_all(&world, "split").await;
    until("all are back where they were", async || depths(&world).await == before).await;
    for shard in 0..4 {
        for (body, properties) in world.look(&queue(shard)).await {
            let webhook = message::decode(&properties, body).unwrap().webhook;
            let header = webhook.headers.get("x-call").unwrap().to_owned();
            assert_eq!(webhook.body, format!("not json: {header}"));
        }
    }
    // Now a worker dead-letters them.
    let worker = world.worker();
    let letters = world.dead("split", 8).await;
    assert!(letters.iter().all(|letter| letter.history.reason == Some(Reason::MalformedJson)));
    worker.finish().await;
}

#[tokio::test]
async fn from_1_shard_to_4_and_back_while_webhooks_come_in_nothing_is_lost() {
    // However long it takes, no webhook runs out of retries.
    let four = world(BY_CALL).await.changed("panic_retries = 2", "panic_retries = 1000").await;
    let one = World::of_toml(four.toml.replace("shards = 4", "shards = 1"));
    let old_program = Program::of(&one);
    let old_receiver = receiver(&one).await;
    let mut n = 0;
    let mut send = async |receiver: &RunningProcess, count: usize| {
        for _ in 0..count {
            assert_eq!(post(receiver, &[], call(n)).await, 200);
            n += 1;
        }
    };
    // Some wait for a retry while the number changes.
    let failing = one.worker_with(unlucky);
    send(&old_receiver, 20).await;
    until("some wait", async || failing.metric("hookswitch_retries_total{source=\"split\"") >= 5.0).await;
    failing.finish().await;
    let old_worker = old_program.start("worker");
    send(&old_receiver, 100).await;
    let connection = one.connect().await;
    until("it works", async || depth(&connection, "events.all").await >= 50).await;
    let new_receiver = receiver(&four).await;
    send(&new_receiver, 50).await;
    let new_worker = four.worker();
    send(&new_receiver, 50).await;
    send(&old_receiver, 30).await;
    old_worker.kill().unwrap();
    old_receiver.finish().await;
    send(&new_receiver, 50).await;
    until("all four are worked on", async || depths(&four).await == [0; 4]).await;
    // And back: queues that are no longer configured are consumed too.
    new_worker.finish().await;
    send(&new_receiver, 40).await;
    let left = depths(&four).await;
    assert!(left.iter().all(|depth| *depth > 0), "{left:?}");
    new_receiver.finish().await;
    let worker = one.worker();
    let events = one.events(340).await;
    let calls: BTreeSet<_> = calls(&events).into_iter().collect();
    assert_eq!(calls, (0..340).collect());
    let ids: BTreeSet<_> = events.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), 340);
    assert_eq!(depths(&four).await, [0; 4]);
    balanced(&one, 340).await;
    worker.finish().await;
}

#[tokio::test]
async fn a_queue_that_is_left_over_is_counted_and_named_until_it_is_deleted() {
    let four = world("").await;
    let receiver = receiver(&four).await;
    for n in 0..8 {
        assert_eq!(post(&receiver, &[], call(n)).await, 200);
    }
    receiver.finish().await;
    let two = World::of_toml(four.toml.replace("shards = 4", "shards = 2"));
    let connection = two.connect().await;
    assert!(Topology::of(&two.config).check(&connection).await.is_ok());
    let program = Program::of(&two);
    let said = program.ok("topology check").await.out;
    for queue in ["raw.split.2", "raw.split.3"] {
        assert!(said.contains(&format!("queue {queue} is left over from")), "{said}");
    }
    assert!(said.contains("with 2 messages ready") && !said.contains("raw.split.1"), "{said}");
    assert_eq!(program.ok("ledger --json").await.json()["queued"], 8);

    let worker = two.worker();
    assert_eq!(calls(&two.events(8).await), (0..8).collect::<Vec<_>>());
    balanced(&two, 8).await;
    // The consumer ends with the queue, and the worker restarts without it.
    let declared = topology::known(&connection).await.unwrap();
    let shards = topology::raw_shards(&connection, &two.config, &declared).await.unwrap();
    let channel = two.client().await.create_channel().await.unwrap();
    for queue in ["raw.split.3", "raw.split.2"] {
        channel.queue_delete(queue.into(), Default::default()).await.unwrap();
    }
    two.accept("split", [call(8)]).await;
    assert_eq!(calls(&two.events(1).await), [8]);
    // A list of queues from before the deletion still works.
    let store = two.store().await;
    assert!(Balance::compute(&store, &connection, &two.config, &shards, 0).await.is_ok());
    let said = program.ok("topology check").await.out;
    assert!(!said.contains("is left"), "{said}");
    worker.finish().await;
}
