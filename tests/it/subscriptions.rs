//! Subscriptions: which events they get, what they do when they are full, and streams.

use std::collections::BTreeSet;

use hookswitch::{
    app::worker::read::settings,
    core::{
        delivery::queued::QueuedWebhook,
        providers::Provider,
        webhook::{Headers, Webhook},
    },
    edge::amqp::{
        consume::stream::{Reading, Start},
        routes,
        topology::Topology,
    },
};
use serde_json::Value;

use super::support::{World, call, calls, depth, program::Program, queued, until};

/// Returns the body of call `n`, changed by one replacement.
fn changed(n: usize, from: &str, to: &str) -> Vec<u8> {
    let body = String::from_utf8(call(n)).unwrap();
    assert!(body.contains(from), "{body}");
    body.replace(from, to).into_bytes()
}

fn inbound(n: usize) -> Vec<u8> {
    changed(n, "\"direction\":\"outbound\"", "\"direction\":\"inbound\"")
}

fn test(n: usize) -> Vec<u8> {
    changed(n, "\"is_test\":false", "\"is_test\":true")
}

/// Drains a queue that holds `count` events and returns their calls, sorted.
async fn calls_in(world: &World, queue: &str, count: usize) -> Vec<usize> {
    let events = world.drain(queue, count).await;
    calls(&events.iter().map(|(body, _)| serde_json::from_slice(body).unwrap()).collect::<Vec<_>>())
}

/// Returns the events that a stream holds now.
async fn history(world: &World, stream: &'static str) -> Vec<Value> {
    let mut reading = Reading::begin(&world.connect().await, stream, Start::First).await.unwrap();
    let mut events = Vec::new();
    while let Some(stored) = reading.next().await.unwrap() {
        events.push(serde_json::from_slice(&stored.body).unwrap());
    }
    reading.close().await;
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tests_that_are_kept_apart_reach_only_who_asks_for_them() {
    let world = World::with(
        "[events]\ntest_routing = \"apart\"\n\
         [subscriptions.calls]\npatterns = [\"call.#\"]\n[subscriptions.tests]\npatterns = [\"test.call.#\"]",
    )
    .await;
    let worker = world.worker();
    world.accept("salpre", [call(1), test(2), call(3)]).await;
    assert_eq!(calls(&world.events(3).await), [1, 2, 3]);
    assert_eq!(calls_in(&world, "calls", 2).await, [1, 3]);
    assert_eq!(calls_in(&world, "tests", 1).await, [2]);
    worker.finish().await;
    // By default they are routed as all others.
    let world = World::with("[subscriptions.calls]\npatterns = [\"call.#\"]").await;
    let worker = world.worker();
    world.accept("salpre", [test(2)]).await;
    assert_eq!(calls_in(&world, "calls", 1).await, [2]);
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filtered_subscription_gets_what_passes_and_what_nobody_gets_is_unrouted() {
    let world = World::with(
        "[subscriptions.\"real.inbound\"]\npatterns = [\"call.#\", \"#.salpre\"]\n\
         test = false\ndirection = \"inbound\"\n\
         [subscriptions.one-word]\npatterns = [\"*.*\", \"x.#\"]\n\
         [subscriptions.others]\npatterns = [\"#.other\"]\ndirection = \"inbound\"",
    )
    .await
    .changed("patterns = [\"#\"]", "patterns = [\"contact.#\"]")
    .await;
    let worker = world.worker();
    let both = changed(3, "\"direction\":\"outbound\"", "\"direction\":\"inbound\"");
    let both = String::from_utf8(both).unwrap().replace("\"is_test\":false", "\"is_test\":true");
    world.accept("salpre", [inbound(1), call(2), both.into_bytes()]).await;
    let events = world.drain("real.inbound", 1).await;
    assert_eq!(events.len(), 1);
    let (body, properties) = &events[0];
    assert_eq!(calls(&[serde_json::from_slice(body).unwrap()]), [1]);
    // Consumers do not see how it was routed.
    assert!(properties.headers().as_ref().is_none_or(|headers| !headers.contains_key("BCC")));
    assert_eq!(calls_in(&world, "events.unrouted", 2).await, [2, 3]);
    assert_eq!(depth(&world.connect().await, "one-word").await, 0);
    assert_eq!(depth(&world.connect().await, "others").await, 0);
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_gets_the_events_of_one_tenant_and_connector() {
    let world = World::with(
        "[sources.crm]\nprovider = \"morph\"\nauth = \"none\"\n\
         [subscriptions.acme]\npatterns = [\"#\"]\ntenant = \"acme\"\nconnector = \"hubspot\"",
    )
    .await;
    let worker = world.worker();
    let sample = hookswitch::samples::all().into_iter().find(|sample| sample.provider == Provider::Morph);
    let body = sample.unwrap().body;
    let webhook = |tenant: &str, connector: &str| {
        let headers = Headers::from_iter([("x-owner-id", tenant), ("x-conector-id", connector)]);
        let base = queued("crm", body.to_vec());
        let webhook = Webhook { provider: Provider::Morph, headers, ..base.webhook.clone() };
        QueuedWebhook { webhook, ..base }
    };
    let all = [webhook("acme", "hubspot"), webhook("acme", "aircall"), webhook("zeta", "hubspot")];
    world.publish(all.iter().map(routes::accept)).await;
    let correlated: BTreeSet<_> = world
        .events(3)
        .await
        .iter()
        .map(|event| event["correlationid"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(correlated.len(), 3, "{correlated:?}");
    let got = world.drain("acme", 1).await;
    let event: Value = serde_json::from_slice(&got[0].0).unwrap();
    assert_eq!((got.len(), &event["tenant"], &event["connector"]), (1, &"acme".into(), &"hubspot".into()));
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_is_one_of_the_settings_that_decide_what_a_worker_publishes() {
    let world = World::unapplied().await;
    let before = settings(&world.config);
    for more in [
        "[subscriptions.some]\npatterns = [\"call.#\"]",
        "[subscriptions.\"events.more\"]\npatterns = [\"#\"]\ntest = false\ntenant = \"acme\"",
    ] {
        let changed = settings(&World::of_toml(format!("{}\n{more}", world.toml)).config);
        assert_ne!(changed, before, "{more}");
    }
    let more = world.toml.replace("patterns = [\"#\"]", "patterns = [\"#\"]\nlength_max = 9");
    assert_eq!(settings(&World::of_toml(more).config), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_is_set_or_removed_changes_the_bindings_of_its_queue() {
    let world = World::with("[subscriptions.some]\npatterns = [\"call.#\"]").await;
    let filtered =
        World::of_toml(world.toml.replace("[\"call.#\"]", "[\"call.#\"]\ndirection = \"inbound\""));
    // Workers first, then the topology: otherwise the queue would miss what workers send to no filter.
    let worker = filtered.worker();
    world.accept("salpre", [call(1), inbound(2)]).await;
    assert_eq!(calls_in(&world, "some", 2).await, [1, 2]);
    let said = Program::of(&filtered).run("topology check").await;
    let differs = "queue some: bound as an earlier configuration wants it; run `hookswitch topology apply`";
    assert!(said.code == Some(1) && said.out.contains(differs), "{said:?}");
    let said = Program::of(&filtered).ok("topology apply").await;
    assert!(said.out.contains("removed a binding of an earlier configuration: some to"), "{said:?}");
    Program::of(&filtered).ok("topology check").await;
    world.accept("salpre", [call(3), inbound(4)]).await;
    assert_eq!(calls_in(&world, "some", 1).await, [4]);
    // The other way round.
    world.apply().await;
    world.accept("salpre", [call(5), inbound(6)]).await;
    assert_eq!(calls_in(&world, "some", 2).await, [5, 6]);
    worker.finish().await;
    let worker = world.worker();
    world.accept("salpre", [call(7), inbound(8)]).await;
    assert_eq!(calls_in(&world, "some", 2).await, [7, 8]);
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_that_drops_its_oldest_events_holds_up_nothing() {
    let world = World::with(
        "[subscriptions.latest]\npatterns = [\"call.#\"]\nlength_max = 5\noverflow = \"drop_oldest\"",
    )
    .await;
    let worker = world.worker();
    for n in 0..40 {
        world.accept("salpre", [call(n)]).await;
        until("it is published", async || worker.metric("hookswitch_events_total") >= (n + 1) as f64).await;
    }
    assert_eq!(world.events(40).await.len(), 40);
    assert_eq!(calls_in(&world, "latest", 5).await, [35, 36, 37, 38, 39]);
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_keeps_events_for_each_of_its_readers() {
    let world = World::with(
        "[subscriptions.history]\npatterns = [\"call.#\"]\nkind = \"stream\"\nretention = \"7d\"\n\
         bytes_max = \"1GiB\"\ndirection = \"inbound\"",
    )
    .await;
    let connection = world.connect().await;
    assert_eq!(Topology::of(&world.config).check(&connection).await.unwrap().by_name, 0);
    let worker = world.worker();
    world.accept("salpre", [call(1)].into_iter().chain((2..20).map(inbound))).await;
    world.events(19).await;
    for _ in 0..2 {
        assert_eq!(calls(&history(&world, "history").await), (2..20).collect::<Vec<_>>());
    }
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_becomes_a_stream_with_its_events_and_a_stream_is_never_moved_or_pruned() {
    let world = World::with("[subscriptions.past]\npatterns = [\"call.#\"]").await;
    let worker = world.worker();
    world.accept("salpre", (0..50).map(call)).await;
    world.wait_for_depth("past", 50).await;
    worker.finish().await;
    let kind =
        |kind: &str| World::of_toml(world.toml.replace("[\"call.#\"]", &format!("[\"call.#\"]\n{kind}")));
    let stream = kind("kind = \"stream\"\nretention = \"7d\"");
    let program = Program::of(&stream);
    let said = program.run("topology check").await;
    assert!(said.code == Some(1) && said.out.contains("`hookswitch topology replace past`"), "{said:?}");
    let said = program.ok("topology replace past").await;
    assert!(said.out.contains("queue past is replaced; 50 messages were moved"), "{said:?}");
    assert_eq!(calls(&history(&world, "past").await), (0..50).collect::<Vec<_>>());
    for (pattern, count) in [("call.#", 50), ("#.salpre", 50), ("message.#", 0), ("past", 0)] {
        let said = program.ok(&format!("tail {pattern} --from 1h --stream past --idle 2 --json")).await;
        assert_eq!(said.out.lines().count(), count, "{pattern}: {said:?}");
    }
    program.ok("topology check").await;
    // Whether the new configuration was applied since or not.
    for _ in 0..2 {
        let longer = kind("kind = \"stream\"\nretention = \"9d\"");
        for changed in [&world, &longer] {
            let said = Program::of(changed).run("topology replace past").await;
            assert!(said.code != Some(0) && said.err.contains("`past` is a stream"), "{said:?}");
        }
        program.ok("topology apply").await;
    }
    let without = World::of_toml(stream.toml.replace(
        "[subscriptions.past]",
        "[sources.more]\nauth = \"none\"\nprovider = \"salpre\"\n[subscriptions.new]",
    ));
    let program = Program::of(&without);
    let said = program.ok("topology apply").await;
    assert!(said.out.contains("queue past is left over") && said.out.contains("it is a stream"), "{said:?}");
    let said = program.run("topology prune").await;
    assert!(said.code == Some(1) && said.out.contains("queue past is kept: it is a stream"), "{said:?}");
    assert_eq!(calls(&history(&world, "past").await).len(), 50);
}
