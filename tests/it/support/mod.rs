//! What the tests stand on: private services, and a world of one vhost and one Redis database per test.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod program;
pub mod services;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Once, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::StreamExt;
use hookswitch::{
    app::{
        ledger::Books,
        receiver::{Receiver, sink::RawExchangeSink},
        shards::Shards,
        worker::{Worker, gate::Gate, read::Normalize},
    },
    config::{Config, Log, LogFormat},
    core::{
        delivery::queued::{History, QueuedWebhook},
        letters::Letter,
        providers,
        shard::Shard,
        webhook::{DeliveryId, Headers, Webhook},
    },
    edge::{
        amqp::{
            self, Connection, depth, message,
            publish::{Publication, Publisher},
            routes,
            topology::Topology,
        },
        http::{self, Client, Limits},
        metrics::{self, LinkMetrics, WorkerMetrics, receiver::ReceiverMetrics},
        redis::Store,
    },
};
use lapin::{
    ConnectionProperties,
    options::{BasicAckOptions, BasicGetOptions},
    types::FieldTable,
};
use prometheus_client::registry::Registry;
use serde_json::Value;
use services::{Broker, Redis};
use tokio_util::sync::CancellationToken;

/// How long anything may take before a test gives up: far more than it ever needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Vhosts made when the shared broker starts; each test takes one.
const VHOSTS: usize = 120;

pub struct Shared {
    pub broker: Broker,
    pub redis: Redis,
    next: AtomicUsize,
}

/// The services that most tests share.
pub fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        // First, so that it is seconds older than everything that its ledger counts.
        let redis = Redis::start();
        Shared { broker: Broker::start(VHOSTS), redis, next: AtomicUsize::new(1) }
    })
}

/// One test's world.
pub struct World {
    pub config: Config,
    pub toml: String,
}

/// Settings that make waiting short: the same rules, quicker.
pub const QUICK: &str = r#"
[amqp]
confirm_timeout = "2s"
heartbeat = "2s"
[receiver]
listen = "127.0.0.1:0"
confirm_timeout = "2s"
read_timeout = "2s"
[admin]
listen = "127.0.0.1:0"
[retry]
tiers = ["200ms", "400ms"]
wait = "100ms"
panic_retries = 2
delivery_limit = 5
[dedup]
lease = "5s"
[sources.salpre]
provider = "salpre"
auth = "none"
[sources.other]
provider = "salpre"
auth = "none"
[subscriptions."events.all"]
patterns = ["\#"]
"#;

impl World {
    /// A world on the shared services, with the topology applied.
    pub async fn new() -> Self {
        Self::with("").await
    }

    /// The same, with more settings.
    pub async fn with(more: &str) -> Self {
        let (shared, n) = Self::place().await;
        Self::at(&shared.broker.url(n), &shared.redis.url(n), more).await
    }

    /// The shared services, and the number of a vhost and a database that nobody else has.
    async fn place() -> (&'static Shared, usize) {
        let shared = tokio::task::spawn_blocking(shared).await.unwrap();
        let n = shared.next.fetch_add(1, Ordering::Relaxed);
        assert!(n <= VHOSTS, "more tests than vhosts");
        (shared, n)
    }

    /// A world on the shared broker and a Redis of its own, which may be killed.
    pub async fn with_redis(redis: &Redis) -> Self {
        let (shared, n) = Self::place().await;
        Self::at(&shared.broker.url(n), &redis.url(0), "").await
    }

    /// A world on services of its own, which may be killed.
    pub async fn at(amqp: &str, redis: &str, more: &str) -> Self {
        let world = Self::configured(amqp, redis, more);
        world.apply().await;
        world
    }

    /// A world whose topology is not there yet.
    pub fn configured(amqp: &str, redis: &str, more: &str) -> Self {
        let quick = QUICK.replace("\\#", "#");
        let toml = format!("{quick}\n{more}");
        let toml = toml.replace("[amqp]", &format!("[amqp]\nurl = \"{amqp}\""));
        let toml = format!("[redis]\nurl = \"{redis}\"\n{toml}");
        Self::of_toml(toml)
    }

    pub fn of_toml(toml: String) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &toml).unwrap();
        let config = Config::load(Some(file.path()), &BTreeMap::new()).unwrap();
        // HOOKSWITCH_TEST_LOG=debug shows what the program says.
        if let Ok(filter) = std::env::var("HOOKSWITCH_TEST_LOG") {
            hookswitch::edge::telemetry::start(&Log { filter, format: LogFormat::Pretty });
        }
        Self { config, toml }
    }

    /// The same world with one setting changed.
    pub async fn changed(self, from: &str, to: &str) -> Self {
        assert!(self.toml.contains(from));
        let world = Self::of_toml(self.toml.replace(from, to));
        world.apply().await;
        world
    }

    /// The same world, where a slow disk under Redis is not taken for an outage: for tests that count outages.
    pub async fn patient_with_redis(self) -> Self {
        self.changed("[redis]\n", "[redis]\ntimeout = \"30s\"\n").await
    }

    /// Makes its topology.
    pub async fn apply(&self) {
        Topology::of(&self.config).apply(&self.connect().await).await.unwrap();
    }

    pub async fn connect(&self) -> Connection {
        let began = Instant::now();
        loop {
            match amqp::connect(&self.config.amqp, "test").await {
                Ok(connection) => return connection,
                Err(error) if began.elapsed() > PATIENCE => panic!("{error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// A client of the test's own, for what the program would not do.
    pub async fn client(&self) -> lapin::Connection {
        let (began, amqp) = (Instant::now(), &self.config.amqp);
        for url in amqp.urls.iter().cycle() {
            let connecting = lapin::Connection::connect(url.reveal(), ConnectionProperties::default());
            if let Ok(Ok(connection)) = tokio::time::timeout(amqp.connect_timeout, connecting).await {
                return connection;
            }
            assert!(began.elapsed() < PATIENCE, "no broker after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no address")
    }

    /// A publisher that is up.
    pub async fn publisher(&self) -> Publisher {
        let publisher = Publisher::start(self.config.amqp.clone(), "test", Arc::default());
        publisher.watch().wait_for(Option::is_none).await.unwrap();
        publisher
    }

    /// A store that is up.
    pub async fn store(&self) -> Store {
        let store = Store::start(&self.config.redis, Arc::default()).unwrap();
        store.watch().wait_for(Option::is_some).await.unwrap();
        store
    }

    /// Redis itself, for what the store would not do.
    pub async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let url = self.config.redis.urls[0].reveal();
        redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// Puts webhooks into the raw queue as the receiver does.
    pub async fn accept(&self, source: &str, bodies: impl IntoIterator<Item = Vec<u8>>) -> Vec<DeliveryId> {
        let webhooks: Vec<_> = bodies.into_iter().map(|body| inbound(source, body)).collect();
        self.publish(webhooks.iter().map(routes::accept)).await;
        webhooks.iter().map(|inbound| inbound.webhook.delivery_id).collect()
    }

    /// Publishes messages, each with a confirm.
    pub async fn publish(&self, publications: impl IntoIterator<Item = Publication>) {
        let publisher = self.publisher().await;
        let mut pending = Vec::new();
        for publication in publications {
            let publisher = publisher.clone();
            pending.push(tokio::spawn(async move { publisher.publish(publication, PATIENCE).await }));
        }
        for publish in pending {
            publish.await.unwrap().unwrap();
        }
    }

    /// Puts letters into their dead-letter queues, and then into the log.
    pub async fn bury(&self, letters: &[Letter]) {
        self.publish(letters.iter().map(routes::dead_letter)).await;
        self.publish(letters.iter().map(|letter| routes::log_entry(routes::dead_letter(letter)))).await;
    }

    /// Starts a worker in this process.
    pub fn worker(&self) -> RunningWorker {
        self.worker_with(providers::normalize)
    }

    /// Starts a worker with a normalizer of the test's.
    pub fn worker_with(&self, normalize: Normalize) -> RunningWorker {
        install_panic_hook();
        let mut registry = metrics::registry();
        let metrics = WorkerMetrics::register(&mut registry);
        let [broker, redis] = LinkMetrics::register(&mut registry, ["broker", "redis"]);
        let publisher = Publisher::start(self.config.amqp.clone(), "test worker", broker);
        let store = Store::start(&self.config.redis, redis).unwrap();
        let gate = Gate::watch(&publisher, &store, metrics.clone());
        let stop = CancellationToken::new();
        let worker = Worker::new(self.config.clone(), publisher, store, gate.clone(), metrics, normalize);
        let task = tokio::spawn(worker.run(stop.clone()));
        RunningWorker { registry, gate, stop, task }
    }

    /// Starts a receiver in this process; its address.
    pub async fn receiver(&self) -> RunningReceiver {
        let publisher = Publisher::start(self.config.amqp.clone(), "test receiver", Arc::default());
        let settings = self.config.receiver.clone();
        let books = Arc::new(Books::new(self.config.sources.keys()));
        let sink = RawExchangeSink::new(
            publisher.clone(),
            books.clone(),
            Shards::new(&self.config.sources),
            settings.confirm_timeout,
        );
        let receiver =
            Receiver::new(settings, self.config.sources.clone(), sink, Arc::new(ReceiverMetrics::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = Limits {
            header_timeout: self.config.receiver.read_timeout,
            connections_max: self.config.receiver.connections_max,
            drain_max: Duration::from_secs(1),
        };
        let stop = CancellationToken::new();
        tokio::spawn(http::serve(listener, receiver.router(), limits, stop.clone().cancelled_owned()));
        let telling = tokio::spawn({
            let (books, publisher) = (books.clone(), publisher.clone());
            async move { books.keep_telling(&publisher).await }
        });
        let address = address.to_string();
        RunningReceiver { publisher, address, books, telling, _stop: stop.drop_guard() }
    }

    /// Takes events off the consumer's queue until `count` have come, and then waits a little for more that should
    /// not come.
    pub async fn events(&self, count: usize) -> Vec<Value> {
        let events = self.drain("events.all", count).await;
        events.iter().map(|(body, _)| serde_json::from_slice(body).unwrap()).collect()
    }

    /// Takes messages off a queue, as [`World::events`].
    pub async fn drain(&self, queue: &str, count: usize) -> Vec<(Vec<u8>, lapin::BasicProperties)> {
        let channel = self.client().await.create_channel().await.unwrap();
        let (mut messages, began) = (Vec::new(), Instant::now());
        let mut quiet_since = Instant::now();
        loop {
            let got = channel.basic_get(queue.into(), BasicGetOptions { no_ack: false }).await.unwrap();
            match got {
                Some(message) => {
                    channel.basic_ack(message.delivery_tag, BasicAckOptions::default()).await.unwrap();
                    messages.push((message.delivery.data, message.delivery.properties));
                    quiet_since = Instant::now();
                }
                None if messages.len() >= count && quiet_since.elapsed() > Duration::from_millis(700) => {
                    break;
                }
                None if began.elapsed() > PATIENCE => {
                    panic!("{} of {count} messages in {queue} after {PATIENCE:?}", messages.len())
                }
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        messages
    }

    /// Waits until a queue holds exactly `count` messages ready.
    pub async fn wait_for_depth(&self, queue: &str, count: u32) {
        let connection = self.connect().await;
        let (mut holds, began) = (depth(&connection, queue).await, Instant::now());
        while holds != count {
            assert!(began.elapsed() < PATIENCE, "{queue} holds {holds} after {PATIENCE:?}, not {count}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            holds = depth(&connection, queue).await;
        }
    }

    /// What lies in a queue, in its order; it stays there. How often the broker counts it as given out goes up by one.
    pub async fn look(&self, queue: &str) -> Vec<(Vec<u8>, lapin::BasicProperties)> {
        let count = depth(&self.connect().await, queue).await;
        let channel = self.client().await.create_channel().await.unwrap();
        // What one consumer may hold; the broker gives back consumer by consumer, in the order of their tags.
        const SHARE: u16 = 1_000;
        channel.basic_qos(SHARE, Default::default()).await.unwrap();
        let mut messages = Vec::new();
        for n in 0..count.div_ceil(u32::from(SHARE)) {
            let tag = format!("look-{n:05}");
            let (options, none) = (Default::default(), FieldTable::default());
            let mut consumer =
                channel.basic_consume(queue.into(), tag.as_str().into(), options, none).await.unwrap();
            for _ in 0..(count - n * u32::from(SHARE)).min(u32::from(SHARE)) {
                let delivery =
                    tokio::time::timeout(PATIENCE, consumer.next()).await.unwrap().unwrap().unwrap();
                messages.push((delivery.data, delivery.properties));
            }
        }
        channel.close(200, "".into()).await.unwrap();
        self.wait_for_depth(queue, count).await;
        messages
    }

    /// What lies in a source's dead-letter queue, once it is so many; it stays there.
    pub async fn dead(&self, source: &str, count: usize) -> Vec<QueuedWebhook> {
        let queue = format!("dead.{source}");
        self.wait_for_depth(&queue, u32::try_from(count).unwrap()).await;
        let letters = self.look(&queue).await.into_iter();
        letters.map(|(body, properties)| message::decode(&properties, body).unwrap()).collect()
    }
}

/// The program's own hook hides a panic's text, and with it why a test failed: this one shows both.
fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        hookswitch::edge::panics::install_hook();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            eprintln!("{info}");
            hook(info);
        }));
    });
}

/// How many messages are ready in a queue.
pub async fn depth(connection: &Connection, queue: &str) -> u32 {
    depth::depth(connection, queue).await.unwrap()
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A webhook as the receiver makes it.
pub fn inbound(source: &str, body: Vec<u8>) -> QueuedWebhook {
    let webhook = Webhook {
        delivery_id: DeliveryId::new(uuid::Uuid::now_v7()),
        source: source.parse().unwrap(),
        provider: providers::Provider::Salpre,
        received_at: jiff::Timestamp::now(),
        headers: Headers::default(),
        body: body.into(),
    };
    let history = History::default();
    let content_type = Some("application/json".into());
    QueuedWebhook { webhook, content_type, entry: None, shard: Shard::FIRST, history }
}

/// A good webhook about call `n`.
pub fn call(n: usize) -> Vec<u8> {
    format!(
        r#"{{"event_type":"call_initiated","timestamp_utc":1760084505,"payload":{{"call_id":{n},"from":"+905555555555","to":"+905555555554","direction":"outbound","source":"salprebox:SALPRE_AABBCCDD"}},"is_test":false}}"#
    )
    .into_bytes()
}

/// The calls that events are about, sorted.
pub fn calls(events: &[Value]) -> Vec<usize> {
    let mut calls: Vec<usize> =
        events.iter().map(|event| event["data"]["call_id"].as_str().unwrap().parse().unwrap()).collect();
    calls.sort_unstable();
    calls
}

/// A worker of this process; stops when dropped.
pub struct RunningWorker {
    pub registry: Registry,
    pub gate: Gate,
    pub stop: CancellationToken,
    pub task: tokio::task::JoinHandle<Result<(), hookswitch::edge::amqp::topology::TopologyError>>,
}

impl RunningWorker {
    /// The value of a metric's line that starts like this; 0 if there is none.
    pub fn metric(&self, line_start: &str) -> f64 {
        metric(&self.registry, line_start)
    }

    /// Stops and waits.
    pub async fn finish(mut self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, &mut self.task).await.unwrap().unwrap().unwrap();
    }
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A receiver of this process; stops when dropped.
pub struct RunningReceiver {
    pub publisher: Publisher,
    pub address: String,
    books: Arc<Books>,
    telling: tokio::task::JoinHandle<()>,
    _stop: tokio_util::sync::DropGuard,
}

impl RunningReceiver {
    /// Posts a body; the status.
    pub async fn post(&self, source: &str, body: &'static [u8]) -> u16 {
        let url = format!("http://{}/in/{source}", self.address);
        Client::new(PATIENCE).post(&url, &[], Bytes::from_static(body)).await.unwrap().status
    }

    /// Ends, as on SIGTERM.
    pub async fn close(self) {
        self.telling.abort();
        self.books.close(&self.publisher).await;
    }

    /// Waits until it can take webhooks.
    pub async fn ready(&self) {
        self.publisher.watch().wait_for(Option::is_none).await.unwrap();
    }
}

/// The value of the first metric line that starts like this.
pub fn metric(registry: &Registry, line_start: &str) -> f64 {
    let text = metrics::encode(registry);
    let line = text.lines().find(|line| line.starts_with(line_start));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}
