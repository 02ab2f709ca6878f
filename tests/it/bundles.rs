//! Bundles: several webhooks in one message. Each is answered, processed and settled as if it were alone.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use hookswitch::{
    core::{
        delivery::{fault::Reason, queued::QueuedWebhook},
        providers::{self, NormalizeError, Normalized},
        webhook::Webhook,
    },
    edge::amqp::routes,
};
use lapin::options::{BasicGetOptions, BasicNackOptions};

use super::{
    dead_letters::{reindex, replay_all},
    ledger::balance,
    policies::set,
    support::{PATIENCE, RunningProcess, World, call, calls, depth, queued, until},
};

/// Posts so many calls at the same time, and returns the statuses.
async fn post(receiver: &RunningProcess, calls: usize) -> BTreeSet<u16> {
    let bodies = (0..calls).map(|n| &*call(n).leak());
    join_all(bodies.map(|body| receiver.post("salpre", body))).await.into_iter().collect()
}

fn webhooks(calls: std::ops::Range<usize>) -> Vec<QueuedWebhook> {
    calls.map(|n| queued("salpre", call(n))).collect()
}

async fn publish(world: &World, webhooks: &[QueuedWebhook]) {
    world.publish(routes::accept_together(webhooks)).await;
}

/// Takes the only message of the raw queue, and gives it back or rejects it.
async fn nack(world: &World, requeue: bool) {
    let channel = world.client().await.create_channel().await.unwrap();
    world.wait_for_depth("raw.salpre", 1).await;
    let got = channel.basic_get("raw.salpre".into(), BasicGetOptions { no_ack: false }).await.unwrap();
    let options = BasicNackOptions { multiple: false, requeue };
    channel.basic_nack(got.unwrap().delivery_tag, options).await.unwrap();
    channel.close(200, "".into()).await.unwrap();
}

#[tokio::test]
async fn webhooks_that_arrive_together_share_messages_and_each_is_processed_once() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    assert_eq!(post(&receiver, 300).await, BTreeSet::from([200]));
    let messages = receiver.metric("hookswitch_raw_messages_total{source=\"salpre\"}");
    assert!((1.0..300.0).contains(&messages), "{messages} messages");
    assert_eq!(f64::from(depth(&world.connect().await, "raw.salpre").await), messages);
    let worker = world.worker();
    let backlog = async || worker.metric("hookswitch_ledger{source=\"salpre\",state=\"accepted\"}") == 300.0;
    assert_eq!(calls(&world.events(300).await), (0..300).collect::<Vec<_>>());
    until("the ledger has them", backlog).await;
    world.wait_for_depth("raw.salpre", 0).await;
    assert!(worker.metric("hookswitch_webhooks_per_message{source=\"salpre\"}") > 1.0);
    let rest = balance(&world, |balance| balance.total.done == 300).await;
    assert_eq!((rest.total.accepted, rest.messages, rest.unaccounted()), (300, 0, 0));
    worker.finish().await;
    receiver.finish().await;
}

#[tokio::test]
async fn a_webhook_that_arrives_alone_is_a_message_as_it_came() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    for n in 0..3 {
        assert_eq!(receiver.post("salpre", call(n).leak()).await, 200);
    }
    let bodies: Vec<_> = world.look("raw.salpre").await.into_iter().map(|(body, _)| body).collect();
    assert_eq!(bodies, (0..3).map(call).collect::<Vec<_>>());
    assert_eq!(receiver.metric("hookswitch_raw_messages_total{source=\"salpre\"}"), 3.0);
    receiver.finish().await;
}

#[tokio::test]
async fn with_a_maximum_of_one_every_webhook_is_a_message() {
    let world = World::new().await.changed("[receiver]\n", "[receiver]\nbundle_max = 1\n").await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    assert_eq!(post(&receiver, 50).await, BTreeSet::from([200]));
    world.wait_for_depth("raw.salpre", 50).await;
    receiver.finish().await;
}

#[tokio::test]
async fn the_webhooks_of_a_refused_bundle_are_all_refused() {
    let world = World::new().await;
    set(&world, "^raw\\.", r#"{"max-length":1}"#).await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let (mut accepted, mut refused) = (0, 0);
    // A quorum queue refuses a little late.
    while refused == 0 {
        let bodies = (0..40).map(|n| &*call(accepted + n).leak());
        for status in join_all(bodies.map(|body| receiver.post("salpre", body))).await {
            match status {
                200 => accepted += 1,
                503 => refused += 1,
                status => panic!("{status}"),
            }
        }
        assert!(accepted < 10_000, "nothing is refused");
    }
    let worker = world.worker();
    until("all that was accepted is done", async || {
        worker.metric("hookswitch_deliveries_total{source=\"salpre\",disposition=\"done\"}")
            + worker.metric("hookswitch_deliveries_total{source=\"salpre\",disposition=\"duplicate\"}")
            >= accepted as f64
    })
    .await;
    let rest = balance(&world, |balance| balance.total.in_system == 0).await;
    assert_eq!(rest.total.accepted, i64::try_from(accepted).unwrap());
    worker.finish().await;
    receiver.finish().await;
}

#[tokio::test]
async fn a_bundle_that_comes_back_is_taken_apart_before_any_of_it_is_read() {
    let world = World::new().await;
    publish(&world, &webhooks(0..64)).await;
    nack(&world, true).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(64).await), (0..64).collect::<Vec<_>>());
    let of = |disposition| {
        worker.metric(&format!(
            "hookswitch_deliveries_total{{source=\"salpre\",disposition=\"{disposition}\"}}"
        ))
    };
    assert_eq!((of("retry"), of("done"), of("duplicate")), (64.0, 64.0, 0.0));
    world.wait_for_depth("raw.salpre", 0).await;
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
    worker.finish().await;
}

#[tokio::test]
async fn a_poison_webhook_takes_none_of_its_bundle_with_it() {
    let world = World::new().await;
    let mut bundle = webhooks(0..20);
    bundle.insert(7, queued("salpre", b"{\"event_type\":\xff".to_vec()));
    bundle.insert(9, queued("other", call(100)));
    publish(&world, &bundle).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(20).await), (0..20).collect::<Vec<_>>());
    let dead = world.dead("salpre", 2).await;
    let reasons: BTreeSet<_> = dead.iter().map(|letter| letter.history.reason.unwrap().as_str()).collect();
    assert_eq!(reasons, BTreeSet::from(["malformed_json", "unknown_source"]));
    assert!(dead.iter().any(|letter| letter.webhook.body == bundle[7].webhook.body));
    world.wait_for_depth("raw.salpre", 0).await;
    worker.finish().await;
}

#[tokio::test]
async fn a_worker_that_stops_gives_back_what_it_has_not_begun() {
    let world = World::unapplied().await;
    let world = world.changed("delivery_limit = 5\n", "delivery_limit = 100\n").await;
    let small = "[worker]\nconcurrency = 8\nprefetch = 400\n[retry]\n";
    let world = world.changed("[retry]\n", small).await;
    for n in 0..30 {
        publish(&world, &webhooks(n * 32..(n + 1) * 32)).await;
    }
    for _ in 0..8 {
        let worker = world.worker();
        let done = async || {
            worker.metric("hookswitch_deliveries_total{source=\"salpre\",disposition=\"done\"}") >= 40.0
        };
        until("some are done", done).await;
        worker.finish().await;
    }
    let worker = world.worker();
    assert_eq!(calls(&world.events(960).await), (0..960).collect::<Vec<_>>());
    world.wait_for_depth("raw.salpre", 0).await;
    worker.finish().await;
}

/// Normalizes slowly, so that a worker is stopped in the middle of a bundle.
fn slowly(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    std::thread::sleep(Duration::from_millis(5));
    providers::normalize(webhook)
}

#[tokio::test]
async fn a_worker_that_stops_finishes_the_bundle_that_it_has_begun() {
    let world = World::with("[worker]\nconcurrency = 8\nprefetch = 400").await;
    let mut bundle = webhooks(0..63);
    bundle.insert(0, queued("salpre", b"not JSON".to_vec()));
    for _ in 0..3 {
        publish(&world, &bundle).await;
    }
    let worker = world.worker_with(slowly);
    world.wait_for_depth("dead.salpre", 1).await;
    worker.finish().await;
    // It is dead once, and would be twice if the bundle had come back.
    let left = depth(&world.connect().await, "raw.salpre").await;
    world.wait_for_depth("dead.salpre", 3 - left).await;
    assert_eq!(calls(&world.events(63).await), (0..63).collect::<Vec<_>>());
    let worker = world.worker();
    assert_eq!(world.dead("salpre", 3).await.len(), 3);
    worker.finish().await;
}

#[tokio::test]
async fn a_webhook_of_another_source_in_a_bundle_that_comes_back_is_a_dead_letter() {
    let world = World::new().await;
    let mut bundle = webhooks(0..3);
    bundle.push(queued("other", call(100)));
    publish(&world, &bundle).await;
    nack(&world, true).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(3).await), (0..3).collect::<Vec<_>>());
    let dead = world.dead("salpre", 1).await;
    assert_eq!(dead[0].history.reason, Some(Reason::UnknownSource));
    worker.finish().await;
}

#[tokio::test]
async fn what_says_that_it_is_a_bundle_and_is_none_is_a_dead_letter_with_all_of_its_bytes() {
    let world = World::new().await;
    let mut publication = routes::accept_together(&webhooks(0..3)).unwrap();
    publication.body = publication.body.slice(..publication.body.len() - 1);
    let body = publication.body.clone();
    world.publish([publication]).await;
    let worker = world.worker();
    let dead = world.dead("salpre", 1).await;
    assert_eq!(dead[0].webhook.body, body);
    assert_eq!(dead[0].history.reason, Some(Reason::InvalidMessage));
    let error = dead[0].history.error.as_deref().unwrap();
    assert!(error.contains("it ends within webhook 3"), "{error}");
    worker.finish().await;
}

#[tokio::test]
async fn a_bundle_that_the_broker_dead_lettered_is_listed_and_replayed_letter_by_letter() {
    let world = World::new().await;
    let all = webhooks(0..10);
    publish(&world, &all).await;
    nack(&world, false).await;
    world.wait_for_depth("dead.salpre", 1).await;
    let came = reindex(&world).await;
    assert_eq!((came.listed, came.missing.len(), came.finished), (10, 0, 0));
    let dead = world.dead("salpre", 10).await;
    let reasons: BTreeSet<_> = dead.iter().filter_map(|letter| letter.history.reason).collect();
    assert_eq!(reasons, BTreeSet::from([Reason::Rejected]));
    let again = reindex(&world).await;
    assert_eq!((again.seen, again.listed, again.missing.len(), again.finished), (10, 0, 0, 0));
    let worker = world.worker();
    replay_all(&world, "salpre").await;
    assert_eq!(calls(&world.events(10).await), (0..10).collect::<Vec<_>>());
    worker.finish().await;
    // The bundle comes back, as if its ack had been forgotten: its letters are settled.
    publish(&world, &all).await;
    nack(&world, false).await;
    world.wait_for_depth("dead.salpre", 1).await;
    let again = reindex(&world).await;
    assert_eq!((again.listed, again.missing.len()), (0, 0));
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
}

#[tokio::test]
async fn a_sender_that_goes_away_leaves_the_others_of_its_bundle_alone() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let leaving = (0..100).map(|n| {
        let body = &*call(1_000 + n).leak();
        tokio::time::timeout(Duration::from_millis(n as u64 / 10), receiver.post("salpre", body))
    });
    let (statuses, _) = tokio::join!(post(&receiver, 100), join_all(leaving));
    assert_eq!(statuses, BTreeSet::from([200]));
    let worker = world.worker();
    let wanted: BTreeSet<_> = (0..100).collect();
    let mut seen = BTreeSet::new();
    let began = std::time::Instant::now();
    while !seen.is_superset(&wanted) {
        assert!(began.elapsed() < PATIENCE, "{} of 100", seen.intersection(&wanted).count());
        seen.extend(calls(&world.events(1).await));
    }
    worker.finish().await;
    receiver.finish().await;
}
