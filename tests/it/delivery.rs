//! The life of a delivery, for each way in which it can end.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use hookswitch::{
    core::{
        delivery::{
            fault::{Attempt, Reason},
            lifecycle::Claim,
        },
        events::{
            key::{IdempotencyKey, StoreKey},
            order::{ObjectKey, Place},
        },
        providers::{self, NormalizeError, Normalized},
        webhook::{SourceName, Webhook},
    },
    edge::{
        amqp::routes,
        metrics::LinkMetrics,
        redis::{Store, ToClaim, ToMark},
    },
};
use lapin::options::{BasicGetOptions, BasicRejectOptions};

use super::support::{World, call, calls, queued, until};

const CLAIMED: Claim = Claim::Claimed { published: None };

#[tokio::test]
async fn every_accepted_webhook_gives_its_events_exactly_once() {
    let world = World::new().await;
    world.accept("salpre", (0..300).map(call)).await;
    let worker = world.worker();
    let events = world.events(300).await;
    assert_eq!(calls(&events), (0..300).collect::<Vec<_>>());
    assert_eq!(worker.metric("hookswitch_deliveries_total{source=\"salpre\",disposition=\"done\"}"), 300.0);
    worker.finish().await;
}

#[tokio::test]
async fn the_same_fact_again_is_counted_and_published_nowhere() {
    let world = World::new().await;
    let mut other_body = call(1);
    other_body.push(b' ');
    world.accept("salpre", [call(1)]).await;
    let worker = world.worker();
    assert_eq!(world.events(1).await.len(), 1);
    world.accept("salpre", [call(1), call(1), other_body]).await;
    let duplicates = || {
        let of = |body| {
            worker.metric(&format!("hookswitch_duplicates_total{{source=\"salpre\",body=\"{body}\"}}"))
        };
        (of("same"), of("other"))
    };
    until("three duplicates", async || duplicates() == (2.0, 1.0)).await;
    assert_eq!(world.events(0).await.len(), 0);
    worker.finish().await;
}

#[tokio::test]
async fn many_copies_at_the_same_time_give_one_event() {
    let world = World::new().await;
    world.accept("salpre", (0..50).map(|_| call(7))).await;
    let (one, two) = (world.worker(), world.worker());
    assert_eq!(calls(&world.events(1).await), [7]);
    one.finish().await;
    two.finish().await;
}

#[tokio::test]
async fn two_sources_may_use_the_same_ids() {
    let world = World::new().await;
    world.accept("salpre", [call(1)]).await;
    world.accept("other", [call(1)]).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(2).await), [1, 1]);
    worker.finish().await;
}

#[tokio::test]
async fn a_key_that_is_claimed_but_not_done_waits_for_its_lease_and_costs_no_attempt() {
    let world = World::new().await;
    let store = Store::start(&world.config.redis, LinkMetrics::unexported()).unwrap();
    until("redis", async || store.trouble().is_none()).await;
    let webhook = queued("salpre", call(1)).webhook;
    let key = providers::normalize(&webhook).unwrap().key;
    let lease = Duration::from_secs(3);
    // This is what a worker leaves that dies after its claim.
    let key = key.store_key(&webhook.source);
    let dead = ToClaim { key, owner: "o-dead", entry: None, object: None };
    assert_eq!(store.claim(&webhook.source, &[dead], lease).await.unwrap(), [CLAIMED]);
    let began = Instant::now();
    world.accept("salpre", [call(1)]).await;
    let worker = world.worker();
    assert_eq!(world.events(1).await.len(), 1);
    assert!(began.elapsed() >= lease, "it did not wait");
    assert!(worker.metric("hookswitch_retries_total{source=\"salpre\",tier=\"100ms\"}") >= 1.0);
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
    worker.finish().await;
}

#[tokio::test]
async fn an_overwritten_key_fails_its_own_delivery_alone() {
    let world = World::with("[retry.retries]\nunreadable_key = 1").await.patient_with_redis().await;
    let key_of = |n| {
        let webhook = queued("salpre", call(n)).webhook;
        let key = providers::normalize(&webhook).unwrap().key.store_key(&webhook.source);
        [b"hookswitch:", key.as_bytes()].concat()
    };
    let mut redis = world.redis().await;
    redis::cmd("RPUSH").arg(key_of(0)).arg(1).exec_async(&mut redis).await.unwrap();
    // The last is a number, but one that hookswitch does not write.
    for (n, value) in [(1, &b""[..]), (2, b"oops"), (3, b"\xff"), (4, b"99999999999999999999")] {
        redis::cmd("SET").arg(key_of(n)).arg(value).exec_async(&mut redis).await.unwrap();
    }
    world.accept("salpre", (0..40).map(call)).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(35).await), (5..40).collect::<Vec<_>>());
    let letters = world.dead("salpre", 5).await;
    for letter in letters {
        let n = (0..5).find(|n| letter.webhook.body == call(*n)).unwrap();
        assert_eq!(letter.history.reason, Some(Reason::UnreadableKey));
        assert_eq!(letter.history.attempt, Attempt(2));
        let error = letter.history.error.unwrap();
        assert!(error.contains(&format!("DEL \"{}\"", key_of(n).escape_ascii())), "{error}");
    }
    assert_eq!(worker.metric("hookswitch_retries_total{source=\"salpre\",tier=\"200ms\"}"), 5.0);
    assert_eq!(worker.metric("hookswitch_dead_total{source=\"salpre\",reason=\"unreadable_key\"}"), 5.0);
    // It did not count as an outage.
    assert_eq!(worker.metric("hookswitch_reconnects_total{link=\"redis\""), 0.0);

    for n in 0..5 {
        redis::cmd("DEL").arg(key_of(n)).exec_async(&mut redis).await.unwrap();
    }
    super::dead_letters::replay_all(&world, "salpre").await;
    assert_eq!(calls(&world.events(5).await), (0..5).collect::<Vec<_>>());
    worker.finish().await;
}

#[tokio::test]
async fn a_crash_between_confirm_and_done_gives_the_same_event_ids_again() {
    let world = World::new().await;
    world.accept("salpre", [call(1)]).await;
    let worker = world.worker();
    let first = world.events(1).await;
    let store = Store::start(&world.config.redis, LinkMetrics::unexported()).unwrap();
    until("redis", async || store.trouble().is_none()).await;
    let webhook = queued("salpre", call(1)).webhook;
    // This is what a worker leaves that dies before it can mark the key.
    store.forget(&webhook.source, &providers::normalize(&webhook).unwrap().key).await.unwrap();
    world.accept("salpre", [call(1)]).await;
    let second = world.events(1).await;
    assert_eq!(first[0]["id"], second[0]["id"]);
    assert_ne!(first[0]["deliveryid"], second[0]["deliveryid"]);
    worker.finish().await;
}

#[tokio::test]
async fn a_permanent_failure_is_dead_at_once_with_reason_and_path_and_the_same_bytes() {
    let world = World::new().await;
    let bodies: [&[u8]; 4] = [
        b"\xff\xfe not text",
        b"{\"event_type\":",
        br#"{"event_type":"call_initiated","timestamp_utc":1760084505,"payload":{},"is_test":true}"#,
        br#"{"event_type":"moon_landing","timestamp_utc":1760084505,"payload":{"call_id":1},"is_test":true}"#,
    ];
    let ids = world.accept("salpre", bodies.map(<[u8]>::to_vec)).await;
    let worker = world.worker();
    let letters = world.dead("salpre", 4).await;
    let of = |n: usize| letters.iter().find(|letter| letter.webhook.delivery_id == ids[n]).unwrap();
    for (n, reason) in [
        (0, Reason::MalformedJson),
        (1, Reason::MalformedJson),
        (2, Reason::InvalidPayload),
        (3, Reason::UnsupportedEvent),
    ] {
        assert_eq!(of(n).history.reason, Some(reason), "{:?}", of(n).history);
        assert_eq!(of(n).webhook.body, bodies[n], "the bytes changed");
        assert_eq!(of(n).history.attempt, Attempt(1));
        assert!(of(n).history.first_failed_at.is_some() && of(n).history.last_failed_at.is_some());
        assert_eq!(of(n).history.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    }
    assert!(of(2).history.error.as_deref().unwrap().contains("payload.call_id"), "{:?}", of(2).history);
    assert_eq!(worker.metric("hookswitch_dead_total{source=\"salpre\",reason=\"malformed_json\"}"), 2.0);
    worker.finish().await;
}

/// Panics over call 13.
fn superstitious(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    assert!(webhook.body != call(13), "a bug");
    providers::normalize(webhook)
}

#[tokio::test]
async fn a_panic_is_caught_tried_again_through_the_delay_queues_and_ends_as_a_dead_letter() {
    let world = World::new().await;
    world.accept("salpre", [call(13), call(14)]).await;
    let worker = world.worker_with(superstitious);
    // The other webhook is not held up.
    assert_eq!(calls(&world.events(1).await), [14]);
    let letters = world.dead("salpre", 1).await;
    assert_eq!(letters[0].history.reason, Some(Reason::RetriesExhausted));
    assert_eq!(letters[0].history.attempt, Attempt(3));
    let error = letters[0].history.error.as_deref().unwrap();
    assert!(error.contains("tests/it/delivery.rs"), "{error}");
    assert_eq!(letters[0].webhook.body, call(13));
    for tier in ["200ms", "400ms"] {
        let line = format!("hookswitch_retries_total{{source=\"salpre\",tier=\"{tier}\"}}");
        assert_eq!(worker.metric(&line), 1.0, "{tier}");
    }
    worker.finish().await;
}

#[tokio::test]
async fn a_message_that_waits_for_its_retry_waits_in_the_broker() {
    let world = World::with("[retry.retries]\nunsupported_event = 1")
        .await
        .changed("\"200ms\", \"400ms\"", "\"30s\"")
        .await;
    let body = br#"{"event_type":"new","timestamp_utc":1,"payload":{"call_id":1},"is_test":true}"#;
    world.accept("salpre", [body.to_vec()]).await;
    let worker = world.worker();
    world.wait_for_depth("retry.30s", 1).await;
    // It stays there without a worker.
    worker.finish().await;
    world.wait_for_depth("retry.30s", 1).await;
    // Looking at it does not bring it back early: by default RabbitMQ 4 drops a message after 20
    // redeliveries.
    let channel = world.client().await.create_channel().await.unwrap();
    for _ in 0..30 {
        let looked =
            async || channel.basic_get("retry.30s".into(), BasicGetOptions { no_ack: false }).await.unwrap();
        let mut message = looked().await;
        until("it is put back", async || {
            if message.is_none() {
                message = looked().await;
            }
            message.is_some()
        })
        .await;
        let tag = message.unwrap().delivery_tag;
        channel.basic_reject(tag, BasicRejectOptions { requeue: true }).await.unwrap();
    }
    let waiting = world.drain("retry.30s", 1).await;
    assert_eq!(waiting[0].0, body);
    let expiration: u64 = waiting[0].1.expiration().as_ref().unwrap().as_str().parse().unwrap();
    assert!((27_000..=30_000).contains(&expiration), "{expiration}");
}

#[tokio::test]
async fn a_message_that_kills_its_worker_again_and_again_is_dead_by_the_delivery_limit() {
    use lapin::options::{BasicConsumeOptions, BasicQosOptions};
    let world = World::new().await;
    let ids = world.accept("salpre", [call(1)]).await;
    // This is a worker that crashes over it: delivered, never settled, connection gone.
    for _ in 0..20 {
        if super::support::depth(&world.connect().await, "dead.salpre").await == 1 {
            break;
        }
        let connection = world.client().await;
        let channel = connection.create_channel().await.unwrap();
        channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
        let options = BasicConsumeOptions::default();
        let mut consumer =
            channel.basic_consume("raw.salpre".into(), "".into(), options, Default::default()).await.unwrap();
        let next = futures_util::StreamExt::next(&mut consumer);
        drop(tokio::time::timeout(Duration::from_secs(1), next).await);
        connection.close(200, "".into()).await.unwrap();
    }
    let letters = world.dead("salpre", 1).await;
    assert_eq!(letters[0].history.reason, Some(Reason::DeliveryLimit));
    assert_eq!(letters[0].webhook.delivery_id, ids[0]);
    assert_eq!(letters[0].webhook.body, call(1));
}

#[tokio::test]
async fn a_message_that_the_receiver_did_not_make_is_a_dead_letter_and_can_be_replayed() {
    let world = World::new().await;
    let channel = world.client().await.create_channel().await.unwrap();
    let properties = lapin::BasicProperties::default().with_delivery_mode(2);
    let options = lapin::options::BasicPublishOptions::default();
    channel.basic_publish("".into(), "raw.salpre".into(), options, &call(5), properties).await.unwrap();
    let worker = world.worker();
    let letters = world.dead("salpre", 1).await;
    assert_eq!(letters[0].history.reason, Some(Reason::InvalidMessage));
    assert_eq!(letters[0].webhook.body, call(5));
    super::dead_letters::replay_all(&world, "salpre").await;
    assert_eq!(calls(&world.events(1).await), [5]);
    worker.finish().await;
}

#[tokio::test]
async fn an_event_that_is_too_large_for_the_broker_is_a_dead_letter() {
    let world = World::with("[worker]\nevent_bytes_max = \"1KiB\"").await;
    let big = String::from_utf8(call(1)).unwrap().replace("SALPRE_AABBCCDD", &"x".repeat(2_000));
    world.accept("salpre", [big.into_bytes(), call(2)]).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(1).await), [2]);
    assert_eq!(world.dead("salpre", 1).await[0].history.reason, Some(Reason::EventTooLarge));
    worker.finish().await;
}

#[tokio::test]
async fn an_unknown_event_is_passed_on_where_its_source_says_so() {
    let world =
        World::with("[sources.loose]\nprovider = \"salpre\"\nauth = \"none\"\nunsupported = \"pass_on\"")
            .await;
    let body = br#"{"event_type":"moon_landing","timestamp_utc":1,"payload":{"call_id":1},"is_test":true}"#;
    world.accept("loose", [body.to_vec()]).await;
    let worker = world.worker();
    let events = world.events(1).await;
    assert_eq!(events[0]["type"], "provider.unmapped");
    assert_eq!(events[0]["data"]["unmapped"]["event_type"], "moon_landing");
    worker.finish().await;
}

#[tokio::test]
async fn poison_of_one_source_holds_up_neither_its_neighbours_nor_other_sources() {
    let world = World::new().await;
    let deep = [b"{\"a\":".repeat(5_000), b"1".to_vec(), b"}".repeat(5_000)].concat();
    let huge = format!("{{\"event_type\":\"{}\"}}", "x".repeat(900_000)).into_bytes();
    let twice = br#"{"event_type":"call_initiated","event_type":"call_ended"}"#.to_vec();
    let number = String::from_utf8(call(3)).unwrap().replace("1760084505", "1e400").into_bytes();
    world.accept("salpre", [deep, huge, twice, number, b"[]".to_vec(), b"null".to_vec(), call(1)]).await;
    world.accept("other", (10..20).map(call)).await;
    let worker = world.worker();
    let seen: HashSet<usize> = calls(&world.events(11).await).into_iter().collect();
    assert!(seen.contains(&1) && (10..20).all(|n| seen.contains(&n)), "{seen:?}");
    assert_eq!(world.dead("salpre", 6).await.len(), 6);
    worker.finish().await;
}

#[tokio::test]
async fn a_flood_of_one_source_does_not_starve_another() {
    let world = World::with("[worker]\nprefetch = 8\nconcurrency = 4\nconcurrency_shared = 2").await;
    world.accept("salpre", (0..3_000).map(call)).await;
    let worker = world.worker();
    until("the flood is being worked on", async || {
        worker.metric("hookswitch_deliveries_total{source=\"salpre\",disposition=\"done\"}") > 50.0
    })
    .await;
    world.accept("other", [call(1)]).await;
    let done = |source| {
        worker.metric(&format!("hookswitch_deliveries_total{{source=\"{source}\",disposition=\"done\"}}"))
    };
    until("the other's event", async || done("other") == 1.0).await;
    assert!(done("salpre") < 3_000.0, "the flood was over before the other source got its turn");
    assert_eq!(world.events(3_001).await.len(), 3_001);
    worker.finish().await;
}

#[tokio::test]
async fn schema_drift_is_carried_and_counted() {
    let world = World::new().await;
    let body =
        String::from_utf8(call(1)).unwrap().replace("\"call_id\":1", "\"call_id\":1,\"mood\":\"good\"");
    world.accept("salpre", [body.into_bytes()]).await;
    let worker = world.worker();
    let events = world.events(1).await;
    assert_eq!(events[0]["data"]["unmapped"]["payload"]["mood"], "good");
    let line = "hookswitch_schema_drift_total{provider=\"salpre\",path=\"payload.mood\",class=\"string\"}";
    assert_eq!(worker.metric(line), 1.0);
    worker.finish().await;
}

#[tokio::test]
async fn redis_keeps_keys_as_short_hashes() {
    let world = World::new().await;
    let store = Store::start(&world.config.redis, LinkMetrics::unexported()).unwrap();
    until("redis", async || store.trouble().is_none()).await;
    let source: SourceName = "salpre".parse().unwrap();
    let store_key = |key: &str| IdempotencyKey::from_parts(&[key]).store_key(&source);
    let (lease, ttl) = (Duration::from_secs(5), Duration::from_secs(60));
    let claim = async |claims: &[(&'static str, &'static str)]| {
        let claims: Vec<_> = claims
            .iter()
            .map(|(key, owner)| ToClaim { key: store_key(key), owner, entry: None, object: None })
            .collect();
        store.claim(&source, &claims, lease).await.unwrap()
    };
    assert_eq!(claim(&[("k", "oa")]).await, [CLAIMED]);
    assert_eq!(claim(&[("k", "oa")]).await, [CLAIMED], "re-entrant");
    assert_eq!(claim(&[("k", "ob")]).await, [Claim::Busy]);
    store.release(store_key("k"), "ob").await.unwrap();
    assert_eq!(claim(&[("k", "ob")]).await, [Claim::Busy], "not the owner's release");
    store.release(store_key("k"), "oa").await.unwrap();
    assert_eq!(claim(&[("k", "ob")]).await, [CLAIMED]);
    let mark =
        |key: &str, body: u64| ToMark { key: store_key(key), body: body.into(), entry: None, place: None };
    store.mark_done(&source, &[mark("k", 42), mark("m", 43)], ttl).await.unwrap();
    let mixed = claim(&[("k", "oa"), ("l", "oa"), ("l", "ob"), ("m", "oa")]).await;
    let done = |body: u64| Claim::Done { body: body.into() };
    assert_eq!(mixed, [done(42), CLAIMED, Claim::Busy, done(43)]);
}

#[tokio::test]
async fn an_error_that_names_a_path_of_any_length_fits_into_the_headers_of_its_letter() {
    let world = World::new().await;
    let name = "x".repeat(500_000);
    world.accept("salpre", [format!(r#"{{"{name}":1,"{name}":2}}"#).into_bytes(), call(1)]).await;
    let worker = world.worker();
    let letters = world.dead("salpre", 1).await;
    assert_eq!(letters[0].history.reason, Some(Reason::InvalidPayload));
    let error = letters[0].history.error.as_deref().unwrap();
    assert!(error.starts_with("‹key›: ") && error.len() <= 1_000, "{error}");
    assert_eq!(calls(&world.events(1).await), [1]);
    worker.finish().await;
}

#[tokio::test]
async fn an_event_as_large_as_allowed_gets_through_the_brokers_own_limit() {
    const LIMIT: usize = 16 << 20;
    let world = World::new().await;
    assert_eq!(world.config.worker.event_bytes_max, LIMIT);
    let publisher = world.publisher().await;
    let accept = async |n, filling: usize| {
        let body = String::from_utf8(call(n)).unwrap().replace("SALPRE_AABBCCDD", &"x".repeat(filling));
        let mut queued = queued("salpre", body.into_bytes());
        // The event contains this time, so its length must not vary.
        queued.webhook.received_at = "2026-01-02T03:04:05Z".parse().unwrap();
        publisher.publish(routes::accept(&queued), super::support::PATIENCE).await.unwrap();
    };
    let worker = world.worker();
    accept(1, 0).await;
    let envelope = world.drain("events.all", 1).await[0].0.len();
    // Call 2 has gone further, so its event is late and has one more attribute.
    let room = LIMIT - envelope - "\"late\":true,".len();
    let further = Place { object: ObjectKey::of("salpre/call/2"), sequence: u64::MAX.into() };
    let mark = ToMark { key: StoreKey::default(), body: 1.into(), entry: None, place: Some(further) };
    let store = world.store().await;
    store.mark_done(&"salpre".parse().unwrap(), &[mark], Duration::from_secs(600)).await.unwrap();
    accept(2, room).await;
    accept(3, room + 1).await;
    // On a slow disk a confirm may be late; then the event is published twice.
    let events = world.drain("events.all", 1).await;
    assert_eq!(events[0].0.len(), LIMIT);
    assert!(events.iter().all(|event| event.0 == events[0].0));
    assert_eq!(world.dead("salpre", 1).await[0].history.reason, Some(Reason::EventTooLarge));
    worker.finish().await;
}
