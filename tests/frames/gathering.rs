//! Gathering: which webhooks share a message, and that each is answered by its own message's outcome.

use std::{sync::Arc, time::Duration};

use hookswitch::{
    app::receiver::gather::{BundleMax, Gatherer},
    core::{
        delivery::queued::{History, QueuedWebhook},
        providers::Provider,
        shard::Shard,
        webhook::{DeliveryId, Headers, Webhook},
    },
    edge::{
        amqp::{message, publish::PublishError},
        metrics::{ReceiverMetrics, Registry},
    },
};
use tokio::task::JoinHandle;

use super::{
    peer::{Heard, Link, Peer, Published, soon},
    publishing::connected,
};

type Verdict = Result<(), PublishError>;

const MAX: BundleMax = BundleMax { webhooks: 4, bytes: 64 << 10 };

/// A webhook as a receiver takes it.
pub(super) fn queued(source: &str, body: &str) -> QueuedWebhook {
    let webhook = Webhook {
        delivery_id: DeliveryId::new(uuid::Uuid::now_v7()),
        source: source.parse().unwrap(),
        provider: Provider::Salpre,
        received_at: jiff::Timestamp::now(),
        headers: Headers::default(),
        body: body.to_owned().into(),
    };
    let (shard, history) = (Shard::FIRST, History::default());
    QueuedWebhook { webhook, content_type: None, entry: None, shard, trace: None, history }
}

struct Gathering {
    gatherer: Gatherer,
    link: Link,
}

impl Gathering {
    async fn begin(max: BundleMax) -> Self {
        let peer = Peer::listen().await;
        let (publisher, link) = connected(&peer, Duration::from_secs(60)).await;
        let metrics: Arc<ReceiverMetrics> = ReceiverMetrics::register(&mut Registry::new());
        Self { gatherer: Gatherer::new(publisher, max, Duration::from_secs(60), metrics), link }
    }

    /// Sends webhooks one after the other, in this order.
    async fn send(&self, source: &str, bodies: &[&str]) -> Vec<JoinHandle<Verdict>> {
        let mut sent = Vec::new();
        for body in bodies {
            let (gatherer, queued) = (self.gatherer.clone(), queued(source, body));
            sent.push(tokio::spawn(async move { gatherer.publish(queued).await }));
            // It is there before the next is.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sent
    }

    /// Hears a message, and returns it with the bodies in it.
    async fn hear(&mut self) -> (Published, Vec<String>) {
        let message = self.link.hear_publish().await;
        let bodies = match message::decode_bundle(&message.properties, &message.body) {
            Some(webhooks) => {
                webhooks.unwrap().into_iter().map(|queued| queued.webhook.body.to_vec()).collect()
            }
            None => vec![message.body.clone()],
        };
        (message, bodies.into_iter().map(|body| String::from_utf8(body).unwrap()).collect())
    }
}

async fn verdicts(sent: Vec<JoinHandle<Verdict>>) -> Vec<Verdict> {
    let all = sent.into_iter().map(async |sent| sent.await.unwrap());
    soon("every verdict", futures_util::future::join_all(all)).await
}

fn unanswered(sent: &[JoinHandle<Verdict>]) -> bool {
    sent.iter().all(|sent| !sent.is_finished())
}

#[tokio::test]
async fn what_arrives_while_a_message_is_not_confirmed_goes_out_together() {
    let mut all = Gathering::begin(MAX).await;
    let alone = all.send("salpre", &["1"]).await;
    let (first, bodies) = all.hear().await;
    assert_eq!(bodies, ["1"]);
    let gathered = all.send("salpre", &["2", "3"]).await;
    // Another raw queue has nothing to wait for.
    let other = all.send("other", &["a"]).await;
    let (a, bodies) = all.hear().await;
    assert_eq!((a.routing_key.as_str(), bodies), ("other", vec!["a".to_owned()]));
    assert!(unanswered(&alone) && unanswered(&gathered) && unanswered(&other));
    all.link.ack(&first, false).await;
    assert_eq!(verdicts(alone).await, [Ok(())]);
    let (second, bodies) = all.hear().await;
    assert_eq!((second.routing_key.as_str(), bodies), ("salpre", vec!["2".to_owned(), "3".to_owned()]));
    assert!(unanswered(&gathered), "their own message is not confirmed");
    all.link.nack(&second, false).await;
    assert_eq!(verdicts(gathered).await, [Err(PublishError::Refused); 2]);
    all.link.ack(&a, false).await;
    assert_eq!(verdicts(other).await, [Ok(())]);
}

#[tokio::test]
async fn a_full_bundle_waits_for_nothing() {
    let mut all = Gathering::begin(MAX).await;
    let alone = all.send("salpre", &["1"]).await;
    let (first, _) = all.hear().await;
    let gathered = all.send("salpre", &["2", "3", "4", "5", "6"]).await;
    let (second, bodies) = all.hear().await;
    assert_eq!(bodies, ["2", "3", "4", "5"]);
    all.link.ack(&second, false).await;
    let (third, bodies) = all.hear().await;
    assert_eq!(bodies, ["6"]);
    assert_eq!(third.body, b"6", "alone, it is as it came");
    assert!(unanswered(&alone), "a confirm of a later message is not its own");
    all.link.ack(&third, false).await;
    all.link.ack(&first, false).await;
    assert_eq!(verdicts(gathered).await, [Ok(()); 5]);
    assert_eq!(verdicts(alone).await, [Ok(())]);
}

#[tokio::test]
async fn a_large_webhook_shares_no_message() {
    let mut all = Gathering::begin(BundleMax { bytes: 1_000, ..MAX }).await;
    let alone = all.send("salpre", &["1"]).await;
    let (first, _) = all.hear().await;
    let large = "x".repeat(2_000);
    let gathered = all.send("salpre", &["2", &large]).await;
    let (second, third) = (all.hear().await, all.hear().await);
    assert_eq!((second.1, third.1), (vec!["2".to_owned()], vec![large]));
    for message in [first, second.0, third.0] {
        all.link.ack(&message, false).await;
    }
    assert_eq!(verdicts(alone).await, [Ok(())]);
    assert_eq!(verdicts(gathered).await, [Ok(()); 2]);
}

#[tokio::test]
async fn a_webhook_whose_request_has_ended_is_left_out_and_the_others_go_out() {
    let mut all = Gathering::begin(MAX).await;
    let mut sent = all.send("salpre", &["1", "2", "3"]).await;
    let (first, _) = all.hear().await;
    // The first has gone while its message is under way, the second while it waited.
    let stays = sent.pop().unwrap();
    sent.into_iter().for_each(|gone| gone.abort());
    tokio::time::sleep(Duration::from_millis(50)).await;
    all.link.ack(&first, false).await;
    let (second, bodies) = all.hear().await;
    assert_eq!(bodies, ["3"]);
    all.link.ack(&second, false).await;
    assert_eq!(verdicts(vec![stays]).await, [Ok(())]);
    // Nothing is left behind: the next goes out at once.
    let next = all.send("salpre", &["4"]).await;
    let (last, bodies) = all.hear().await;
    assert_eq!(bodies, ["4"]);
    all.link.ack(&last, false).await;
    assert_eq!(verdicts(next).await, [Ok(())]);
}

#[tokio::test]
async fn webhooks_of_a_lost_connection_are_all_told_that_the_outcome_is_unknown() {
    let mut all = Gathering::begin(MAX).await;
    let sent = all.send("salpre", &["1", "2"]).await;
    let (first, _) = all.hear().await;
    all.link.close_channel(first.channel).await;
    let verdicts = verdicts(sent).await;
    assert_eq!(verdicts[0], Err(PublishError::Unknown));
    assert!(matches!(verdicts[1], Err(PublishError::NotSent(_) | PublishError::Unknown)), "{verdicts:?}");
    assert!(!matches!(all.link.hear().await, Some(Heard::Published(_))), "it was sent");
}
