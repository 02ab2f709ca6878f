//! Redacted copies of events: who gets them, and that nobody who should not gets a plain event, whatever
//! changes meanwhile.

use hookswitch::edge::trouble::Trouble;
use serde_json::Value;

use super::support::{World, call, calls, depth, program::Program, until};

const KEY: &str = "[events]\nredaction_key = \"0123456789abcdef0123456789abcdef\"\n";

/// The digits that the numbers of every call have in common.
const NUMBER: &str = "90555555555";

/// Drains a queue that holds `count` events.
async fn events_in(world: &World, queue: &str, count: usize) -> Vec<Value> {
    let events = world.drain(queue, count).await;
    events.iter().map(|(body, _)| serde_json::from_slice(body).unwrap()).collect()
}

fn callers(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["data"]["from"]["raw"].as_str().unwrap_or("none")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_queue_gets_the_events_as_its_profile_says() {
    let world = World::with(&format!(
        "{KEY}[subscriptions.masked]\npatterns = [\"call.#\"]\nredact = \"mask\"\n\
         [subscriptions.masked-too]\npatterns = [\"#.salpre\", \"#\"]\nredact = \"mask\"\ntest = false\n\
         [subscriptions.hashed]\npatterns = [\"call.initiated.*\"]\nredact = \"hash\"\n\
         [subscriptions.others]\npatterns = [\"contact.#\"]\nredact = \"drop\"\n\
         [subscriptions.plain]\npatterns = [\"call.#\"]\ntest = false",
    ))
    .await;
    let worker = world.worker();
    world.accept("salpre", [call(1), b"not JSON".to_vec(), call(2)]).await;
    let plain = events_in(&world, "plain", 2).await;
    assert_eq!(calls(&plain), [1, 2]);
    assert_eq!(callers(&plain), ["+905555555555"; 2]);
    assert_eq!(world.events(2).await.len(), 2);
    let mut hashed = Vec::new();
    for queue in ["masked", "masked-too", "hashed"] {
        for (body, properties) in world.drain(queue, 2).await {
            assert!(!String::from_utf8_lossy(&body).contains(NUMBER), "{queue}");
            let copy: Value = serde_json::from_slice(&body).unwrap();
            assert!(plain.iter().all(|event| event["id"] != copy["id"]), "its id is made with the key");
            let is_same = |event: &&Value| event["data"]["call_id"] == copy["data"]["call_id"];
            assert_eq!(plain.iter().find(is_same).expect("its event")["time"], copy["time"]);
            assert_eq!(properties.message_id().as_ref().unwrap().as_str(), copy["id"]);
            hashed.extend((queue == "hashed").then(|| copy.clone()));
            let (from, class) = (&copy["data"]["from"], &copy["dataclassification"]);
            match queue {
                "hashed" => assert_eq!(class, "confidential"),
                _ => assert_eq!((&from["raw"], class), (&"***55".into(), &"internal".into())),
            }
        }
    }
    let tokens = callers(&hashed);
    assert!(tokens[0] == tokens[1] && tokens[0].starts_with("hmac:"), "{tokens:?}");
    assert_eq!(depth(&world.connect().await, "others").await, 0);
    assert_eq!(world.dead("salpre", 1).await.len(), 1);
    // Copies are no events.
    assert_eq!(worker.metric("hookswitch_events_total"), 2.0);
    Program::of(&world).ok("topology check").await;
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_without_a_queue_waits_and_no_plain_event_goes_before_it() {
    let world = World::with("[subscriptions.masked]\npatterns = [\"call.#\"]\nredact = \"mask\"").await;
    let channel = world.client().await.create_channel().await.unwrap();
    let (queue, exchange, key) = ("masked".into(), "hookswitch.redacted".into(), "for masked".into());
    channel.queue_unbind(queue, exchange, key, Default::default()).await.unwrap();
    let worker = world.worker();
    world.accept("salpre", [call(1)]).await;
    until("it waits", async || worker.trouble() == Some(Trouble::Topology)).await;
    let connection = world.connect().await;
    assert_eq!((depth(&connection, "masked").await, depth(&connection, "events.all").await), (0, 0));
    world.apply().await;
    assert_eq!(callers(&events_in(&world, "masked", 1).await), ["***55"]);
    assert_eq!(world.events(1).await.len(), 1);
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_that_is_set_changed_or_removed_lets_no_plain_event_through_and_loses_none() {
    let world = World::with("[subscriptions.some]\npatterns = [\"call.#\"]").await;
    let redacted = |profile: &str| {
        World::of_toml(world.toml.replace("[\"call.#\"]", &format!("[\"call.#\"]\nredact = \"{profile}\"")))
    };
    let (masked, dropped) = (redacted("mask"), redacted("drop"));
    let worker = world.worker();
    world.accept("salpre", (0..20).map(call)).await;
    assert_eq!(callers(&events_in(&world, "some", 20).await), ["+905555555555"; 20]);
    worker.finish().await;
    // Workers first: they wait, so the queue that is still bound to the plain events gets none.
    let worker = masked.worker();
    masked.accept("salpre", (20..40).map(call)).await;
    until("they wait", async || worker.trouble() == Some(Trouble::Topology)).await;
    assert_eq!(depth(&world.connect().await, "some").await, 0);
    let said = Program::of(&masked).ok("topology apply").await;
    assert!(said.out.contains("removed a binding of an earlier configuration: some to"), "{said:?}");
    let copies = events_in(&masked, "some", 20).await;
    assert_eq!((calls(&copies), callers(&copies)), ((20..40).collect(), vec!["***55"; 20]));
    worker.finish().await;
    // Another profile needs no other topology.
    let worker = dropped.worker();
    Program::of(&dropped).ok("topology check").await;
    dropped.accept("salpre", (40..60).map(call)).await;
    let copies = events_in(&dropped, "some", 20).await;
    assert_eq!((calls(&copies), callers(&copies)), ((40..60).collect(), vec!["none"; 20]));
    // Without a profile, the topology first.
    let said = Program::of(&world).ok("topology apply").await;
    assert!(said.out.contains("some to hookswitch.redacted"), "{said:?}");
    world.accept("salpre", (60..70).map(call)).await;
    until("they wait", async || worker.trouble() == Some(Trouble::Topology)).await;
    worker.finish().await;
    let worker = world.worker();
    let plain = events_in(&world, "some", 10).await;
    assert_eq!((calls(&plain), callers(&plain)), ((60..70).collect(), vec!["+905555555555"; 10]));
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redacted_queue_that_is_replaced_keeps_its_copies_and_gets_more() {
    let world = World::with("[subscriptions.some]\npatterns = [\"call.#\"]\nredact = \"mask\"").await;
    let worker = world.worker();
    world.accept("salpre", (0..10).map(call)).await;
    world.wait_for_depth("some", 10).await;
    let limited =
        World::of_toml(world.toml.replace("redact = \"mask\"", "redact = \"mask\"\nlength_max = 1000"));
    Program::of(&limited).ok("topology replace some").await;
    limited.accept("salpre", (10..20).map(call)).await;
    let copies = events_in(&limited, "some", 20).await;
    assert_eq!((calls(&copies), callers(&copies)), ((0..20).collect(), vec!["***55"; 20]));
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_replaced_as_it_gets_its_first_profile_gets_no_plain_event_any_more() {
    let world = World::with("[subscriptions.some]\npatterns = [\"call.#\"]").await;
    let masked = World::of_toml(world.toml.replace("[\"call.#\"]", "[\"call.#\"]\nredact = \"mask\""));
    let limited =
        World::of_toml(masked.toml.replace("redact = \"mask\"", "redact = \"mask\"\nlength_max = 1000"));
    let worker = masked.worker();
    masked.accept("salpre", (0..10).map(call)).await;
    until("they wait", async || worker.trouble() == Some(Trouble::Topology)).await;
    Program::of(&limited).ok("topology replace some").await;
    assert_eq!(masked.events(10).await.len(), 10);
    assert_eq!(depth(&masked.connect().await, "some").await, 10);
    let copies = events_in(&masked, "some", 10).await;
    assert_eq!((calls(&copies), callers(&copies)), ((0..10).collect(), vec!["***55"; 10]));
    worker.finish().await;
}
