//! Consumers that the broker ends: what was not settled comes again, and no ack goes where it does not
//! belong.

use std::{collections::BTreeMap, time::Duration};

use amq_protocol::protocol::basic;
use hookswitch::{
    app::{parts::Roles, process::Process},
    config::Config,
    core::{
        delivery::queued::QueuedWebhook,
        providers::{self, Provider},
        shard::Shard,
    },
    edge::{
        amqp::{
            self, Connection,
            consume::{delivery::Delivery, raw::RawConsumer},
            message, routes,
        },
        trouble::Trouble,
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    gathering::queued,
    peer::{Heard, Link, Peer, Published, soon},
    services::Redis,
};

fn config(peer: &Peer, redis: &str) -> Config {
    let toml = format!(
        r#"
        [amqp]
        url = "{}"
        heartbeat = "60s"
        publish_channels = 3
        publish_window = 1
        [redis]
        url = "{redis}"
        [admin]
        listen = "127.0.0.1:0"
        [sources.salpre]
        provider = "salpre"
        auth = "none"
        "#,
        peer.url()
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), toml).unwrap();
    Config::load(Some(file.path()), &BTreeMap::new()).unwrap()
}

/// The webhook about call `n`.
fn webhook(n: u64) -> QueuedWebhook {
    let body = format!(
        r#"{{"event_type":"call_initiated","timestamp_utc":1760084505,"payload":{{"call_id":{n},"from":"+905555555555","to":"+905555555554","direction":"outbound","source":"salprebox:SALPRE_AABBCCDD"}},"is_test":false}}"#
    );
    queued("salpre", &body)
}

/// Delivers the webhook about call `n`.
async fn deliver(link: &mut Link, to: &Heard, tag: u64, n: u64) {
    let queued = webhook(n);
    link.deliver(to, tag, &message::properties(&queued), &queued.webhook.body).await;
}

/// The call that a published event is about.
fn call(published: &Published) -> u64 {
    let event: serde_json::Value = serde_json::from_slice(&published.body).unwrap();
    event["data"]["call_id"].as_str().unwrap().parse().unwrap()
}

fn acked(to: &Heard, tag: u64) -> Option<Heard> {
    let Heard::Consuming { channel, .. } = to else { panic!("{to:?}") };
    Some(Heard::Acked { channel: *channel, tag, multiple: true })
}

/// The broker takes the consumer away, as when its queue is deleted; the channel lives on.
async fn cancel(link: &mut Link, consuming: &Heard) {
    let Heard::Consuming { channel, consumer, .. } = consuming else { panic!("{consuming:?}") };
    let cancel = basic::Cancel { consumer_tag: consumer.as_str().into(), nowait: true };
    link.basic(*channel, basic::AMQPMethod::Cancel(cancel)).await;
}

async fn close_channel(link: &mut Link, consuming: &Heard) {
    let Heard::Consuming { channel, .. } = consuming else { panic!("{consuming:?}") };
    link.close_channel(*channel).await;
}

/// A consumer that holds two deliveries.
async fn consumer(peer: &Peer) -> (Connection, RawConsumer, Link, Heard, [Delivery; 2]) {
    let config = config(peer, "redis://127.0.0.1:1/0");
    let (connection, mut link) = tokio::join!(amqp::connect(&config.amqp, "test"), peer.meet());
    let connection = connection.unwrap();
    let source = "salpre".parse().unwrap();
    let (intake, consuming) =
        tokio::join!(RawConsumer::open(&connection, source, Shard::FIRST, Provider::Salpre, 10), link.hear());
    let (mut intake, consuming) = (intake.unwrap(), consuming.unwrap());
    for tag in [1, 2] {
        deliver(&mut link, &consuming, tag, tag).await;
    }
    let mut taken = Vec::new();
    while taken.len() < 2 {
        taken.extend(intake.next().await.unwrap());
    }
    (connection, intake, link, consuming, taken.try_into().unwrap())
}

/// Ends the connection and expects that nothing but that is said on it.
async fn end(connection: Connection, mut link: Link) {
    tokio::join!(connection.close(), link.hear_nothing_more());
}

#[tokio::test]
async fn an_intake_whose_channel_is_closed_ends_and_acks_nothing_more() {
    let peer = Peer::listen().await;
    let (connection, mut intake, mut link, consuming, [one, two]) = consumer(&peer).await;
    let settler = intake.settler();
    assert!(settler.ack([&one].into_iter()).await);
    assert_eq!(link.hear().await, acked(&consuming, 1));
    close_channel(&mut link, &consuming).await;
    assert!(soon("the end", intake.next()).await.is_none());
    soon("everybody knows", settler.gone()).await;
    assert!(!settler.ack([&two].into_iter()).await);
    end(connection, link).await;
}

#[tokio::test]
async fn an_intake_whose_consumer_is_cancelled_ends_and_what_it_has_taken_can_be_acked() {
    let peer = Peer::listen().await;
    let (connection, mut intake, mut link, consuming, [one, _two]) = consumer(&peer).await;
    let settler = intake.settler();
    cancel(&mut link, &consuming).await;
    assert!(soon("the end", intake.next()).await.is_none());
    assert!(settler.ack([&one].into_iter()).await);
    assert_eq!(link.hear().await, acked(&consuming, 1));
    end(connection, link).await;
}

#[tokio::test]
async fn an_intake_whose_end_stands_behind_a_delivery_gives_the_delivery_and_ends() {
    let peer = Peer::listen().await;
    let (connection, mut intake, mut link, consuming, _taken) = consumer(&peer).await;
    deliver(&mut link, &consuming, 3, 3).await;
    cancel(&mut link, &consuming).await;
    // Both are there before anybody asks.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(soon("the delivery", intake.next()).await.map(|deliveries| deliveries.len()), Some(1));
    assert!(soon("the end", intake.next()).await.is_none());
    end(connection, link).await;
}

#[tokio::test]
async fn a_bundle_is_acked_when_all_of_it_is_settled_and_not_before() {
    let peer = Peer::listen().await;
    let (connection, mut intake, mut link, consuming, [one, two]) = consumer(&peer).await;
    let bundle = routes::accept_together(&[webhook(3), webhook(4), webhook(5)]).unwrap();
    link.deliver(&consuming, 3, &bundle.properties, &bundle.body).await;
    deliver(&mut link, &consuming, 4, 6).await;
    let mut taken = Vec::new();
    while taken.len() < 4 {
        taken.extend(soon("the bundle", intake.next()).await.unwrap());
    }
    assert_eq!(taken.iter().map(|delivery| delivery.place).collect::<Vec<_>>(), [0, 1, 2, 0]);
    let settler = intake.settler();
    assert!(settler.ack([&one, &two, &taken[1], &taken[3]].into_iter()).await);
    assert_eq!(link.hear().await, acked(&consuming, 2));
    assert!(settler.ack([&taken[0]].into_iter()).await);
    let settling = async { assert!(settler.ack([&taken[2]].into_iter()).await) };
    let ((), heard) = tokio::join!(settling, link.hear());
    assert_eq!(heard, acked(&consuming, 4));
    end(connection, link).await;
}

/// A worker that has taken the deliveries 1 to 3 and published their events, each in a batch of its own.
struct Works {
    peer: Peer,
    publishing: Link,
    link: Link,
    consuming: Heard,
    /// By call.
    published: BTreeMap<u64, Published>,
    stop: CancellationToken,
    worker: tokio::task::JoinHandle<()>,
    _redis: Redis,
}

/// A worker takes the ledger's marks first; the consumer of its webhooks.
async fn consumes(link: &mut Link) -> Heard {
    let marks = link.hear().await;
    assert!(
        matches!(&marks, Some(Heard::Consuming { queue, .. }) if queue == "hookswitch.ledger"),
        "{marks:?}"
    );
    link.hear().await.unwrap()
}

async fn works() -> Works {
    let peer = Peer::listen().await;
    let redis = tokio::task::spawn_blocking(Redis::start).await.unwrap();
    let config = config(&peer, &redis.url(0));
    let roles = Roles { receiver: false, worker: true };
    let process = Process::build(config, roles, providers::normalize).await.unwrap();
    let (status, stop) = (process.status(), CancellationToken::new());
    let running = process.run(stop.clone());
    let worker = tokio::spawn(async move { running.await.unwrap() });
    let mut publishing = peer.meet().await;
    let ready = soon("the worker is about to consume", async {
        while status.trouble() != Some(Trouble::NotConsuming) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    tokio::select! {
        () = ready => {}
        heard = publishing.hear() => panic!("{heard:?}"),
    }
    let mut link = peer.meet().await;
    let ((), consuming) = tokio::join!(peer.greet(), consumes(&mut link));
    let mut published = BTreeMap::new();
    for n in 1..=3 {
        deliver(&mut link, &consuming, n, n).await;
        let message = publishing.hear_publish().await;
        assert!(published.insert(call(&message), message).is_none(), "published twice");
    }
    Works { peer, publishing, link, consuming, published, stop, worker, _redis: redis }
}

impl Works {
    async fn confirm(&mut self, call: u64) {
        self.publishing.ack(&self.published[&call], false).await;
    }

    /// The worker consumes again, over a new connection: what it had not acked comes again, with something
    /// new.
    async fn goes_on(mut self) {
        let mut link = self.peer.meet().await;
        let ((), consuming) = tokio::join!(self.peer.greet(), consumes(&mut link));
        // Tags begin anew: an ack that belonged to the old channel would settle another delivery.
        for (tag, n) in [(1, 4), (2, 3), (3, 2)] {
            deliver(&mut link, &consuming, tag, n).await;
        }
        // Calls 2 and 3 are done, so they are not published again.
        let new = self.publishing.hear_publish().await;
        assert_eq!(call(&new), 4);
        self.publishing.ack(&new, false).await;
        let (mut ack, mut through) = (link.hear().await, 1);
        while ack != acked(&consuming, 3) {
            assert_eq!(ack, acked(&consuming, through));
            (ack, through) = (link.hear().await, through + 1);
        }
        self.stop.cancel();
        let ((), (), stopped) =
            tokio::join!(link.hear_nothing_more(), self.publishing.hear_nothing_more(), self.worker);
        stopped.unwrap();
    }
}

#[tokio::test]
async fn a_worker_whose_channel_is_closed_acks_nothing_on_it_and_starts_anew() {
    let mut works = works().await;
    works.confirm(1).await;
    assert_eq!(works.link.hear().await, acked(&works.consuming, 1));
    close_channel(&mut works.link, &works.consuming).await;
    works.confirm(2).await;
    works.confirm(3).await;
    works.link.hear_nothing_more().await;
    works.goes_on().await;
}

#[tokio::test]
async fn a_worker_whose_consumer_is_cancelled_settles_what_it_has_and_starts_anew() {
    let mut works = works().await;
    works.confirm(1).await;
    assert_eq!(works.link.hear().await, acked(&works.consuming, 1));
    cancel(&mut works.link, &works.consuming).await;
    // The ack of 2 stands for 3 as well.
    works.confirm(3).await;
    works.confirm(2).await;
    assert_eq!(works.link.hear().await, acked(&works.consuming, 3));
    works.link.hear_nothing_more().await;
    works.goes_on().await;
}
