//! The ground of the tests: private services, and a world of one vhost and one Redis database per test.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod program;
pub mod redis_cluster;
pub mod services;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, Once, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use hookswitch::{
    app::{
        parts::Roles,
        process::{Process, ProcessError, Status},
        worker::read::Normalize,
    },
    config::{Amqp, Config, Log, LogFormat},
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
        http::Client,
        metrics::LinkMetrics,
        redis::Store,
        trouble::Trouble,
    },
};
use lapin::{
    ConnectionProperties,
    options::{BasicAckOptions, BasicGetOptions},
    types::FieldTable,
};
use serde_json::Value;
use services::{Broker, Redis};
use tokio_util::sync::CancellationToken;

/// The time after which a test gives up on anything: far more than it ever needs.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Vhosts that the shared broker starts with, and that are added at a time. Each takes the broker a tenth of
/// a second and more, so none is made that no world needs.
const VHOSTS: usize = 40;

pub struct Shared {
    pub broker: Broker,
    pub redis: Redis,
    next: AtomicUsize,
    vhosts: Mutex<usize>,
}

impl Shared {
    /// Returns the number of a vhost and a database of Redis that no other world uses.
    fn place(&self) -> usize {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let mut vhosts = self.vhosts.lock().unwrap();
        if n > *vhosts {
            let add = format!(
                "[begin ok = rabbit_vhost:add(V, <<\"test\">>), \
                 rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, V, <<\".*\">>, <<\".*\">>, \
                 <<\".*\">>, <<\"test\">>) end || N <- lists:seq({}, {}), \
                 V <- [<<\"t\", (integer_to_binary(N))/binary>>]].",
                *vhosts + 1,
                *vhosts + VHOSTS
            );
            self.broker.ctl(&["eval", &add]);
            *vhosts += VHOSTS;
        }
        n
    }
}

/// Returns the services that most tests share.
pub fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        // Redis comes first, so that it is seconds older than everything that its ledger counts.
        let redis = Redis::start();
        Shared { broker: Broker::start(VHOSTS), redis, next: AtomicUsize::new(1), vhosts: Mutex::new(VHOSTS) }
    })
}

/// The world of one test.
pub struct World {
    pub config: Config,
    pub toml: String,
}

/// Settings that make waiting short.
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
    /// Creates a world on the shared services, with the topology applied.
    pub async fn new() -> Self {
        Self::with("").await
    }

    /// Creates such a world with more settings.
    pub async fn with(more: &str) -> Self {
        let (shared, n) = Self::place().await;
        Self::at(&shared.broker.url(n), &shared.redis.url(n), more).await
    }

    /// Creates a world on the shared services, without a topology.
    pub async fn unapplied() -> Self {
        let (shared, n) = Self::place().await;
        Self::configured(&shared.broker.url(n), &shared.redis.url(n), "")
    }

    /// Returns the shared services, and the number of a vhost and a database that no other world uses.
    async fn place() -> (&'static Shared, usize) {
        let placing = tokio::task::spawn_blocking(|| (shared(), shared().place()));
        placing.await.unwrap()
    }

    /// Creates a world on the shared broker and a Redis of its own, which may be killed.
    pub async fn with_redis(redis: &Redis) -> Self {
        let (shared, n) = Self::place().await;
        Self::at(&shared.broker.url(n), &redis.url(0), "").await
    }

    /// Creates a world on a vhost of its own, and with the Redis, the database and the settings of another.
    pub async fn beside(other: &Self) -> Self {
        let (shared, n) = Self::place().await;
        let [theirs, ours] = [other.config.amqp.urls[0].reveal(), &shared.broker.url(n)];
        let world = Self::of_toml(other.toml.replace(theirs, ours));
        world.apply().await;
        world
    }

    /// Creates a world on services of its own, which may be killed.
    pub async fn at(amqp: &str, redis: &str, more: &str) -> Self {
        let world = Self::configured(amqp, redis, more);
        world.apply().await;
        world
    }

    /// Creates a world without a topology.
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
        // HOOKSWITCH_TEST_LOG=debug shows the program's log.
        if let Ok(filter) = std::env::var("HOOKSWITCH_TEST_LOG") {
            hookswitch::edge::telemetry::start(&Log { filter, format: LogFormat::Pretty });
        }
        Self { config, toml }
    }

    /// Changes one setting of the world.
    pub async fn changed(self, from: &str, to: &str) -> Self {
        assert!(self.toml.contains(from));
        let world = Self::of_toml(self.toml.replace(from, to));
        world.apply().await;
        world
    }

    /// Raises the timeout of Redis so that a slow disk does not count as an outage: for tests that count
    /// outages.
    pub async fn patient_with_redis(self) -> Self {
        self.changed("[redis]\n", "[redis]\ntimeout = \"30s\"\n").await
    }

    /// Returns the name of its virtual host.
    pub fn vhost(&self) -> String {
        self.config.amqp.urls[0].reveal().rsplit_once('/').unwrap().1.to_owned()
    }

    /// Creates its topology.
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

    /// Connects with lapin itself, for what the program does not do.
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

    /// Starts a publisher, and waits until it is connected.
    pub async fn publisher(&self) -> Publisher {
        self.publisher_of(self.config.amqp.clone()).await
    }

    async fn publisher_of(&self, config: Amqp) -> Publisher {
        let publisher = Publisher::start(config, "test", LinkMetrics::unexported());
        let mut trouble = publisher.watch();
        let connected = tokio::time::timeout(PATIENCE, trouble.wait_for(Option::is_none)).await;
        assert!(connected.is_ok(), "no broker after {PATIENCE:?}");
        publisher
    }

    /// Starts a store, and waits until it is connected.
    pub async fn store(&self) -> Store {
        let store = Store::start(&self.config.redis, LinkMetrics::unexported()).unwrap();
        let mut link = store.watch();
        if tokio::time::timeout(PATIENCE, link.wait_for(Result::is_ok)).await.is_err() {
            panic!("no Redis after {PATIENCE:?}: {:?}", store.watch().borrow().as_ref().err());
        }
        store
    }

    /// Connects to Redis itself, for what the store does not do.
    pub async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let url = self.config.redis.urls[0].reveal();
        redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// Puts webhooks into the raw queue as the receiver does. Returns their delivery ids.
    pub async fn accept(&self, source: &str, bodies: impl IntoIterator<Item = Vec<u8>>) -> Vec<DeliveryId> {
        let webhooks: Vec<_> = bodies.into_iter().map(|body| queued(source, body)).collect();
        self.publish(webhooks.iter().map(routes::accept)).await;
        webhooks.iter().map(|queued| queued.webhook.delivery_id).collect()
    }

    /// Publishes messages, each with a confirm, however long the broker takes: they are what a test begins
    /// with.
    pub async fn publish(&self, publications: impl IntoIterator<Item = Publication>) {
        let patient = Amqp { confirm_timeout: PATIENCE, ..self.config.amqp.clone() };
        let publisher = self.publisher_of(patient).await;
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

    /// Starts a worker inside this process.
    pub fn worker(&self) -> RunningProcess {
        self.worker_with(providers::normalize)
    }

    /// Starts a worker with the test's own normalizer.
    pub fn worker_with(&self, normalize: Normalize) -> RunningProcess {
        self.start(Roles { receiver: false, worker: true }, normalize)
    }

    /// Starts a receiver inside this process.
    pub async fn receiver(&self) -> RunningProcess {
        self.start(Roles { receiver: true, worker: false }, providers::normalize)
    }

    fn start(&self, roles: Roles, normalize: Normalize) -> RunningProcess {
        install_panic_hook();
        // Building binds to numeric addresses, which does not wait.
        let built = Process::build(self.config.clone(), roles, normalize).now_or_never();
        let process = built.expect("building does not wait").unwrap();
        let (status, address, stop) =
            (process.status(), process.receiver_address(), CancellationToken::new());
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        RunningProcess { task: tokio::spawn(process.run(stop.clone())), address, status, stop }
    }

    /// Consumes events until `count` have come, and then waits briefly for more that should not come.
    pub async fn events(&self, count: usize) -> Vec<Value> {
        let events = self.drain("events.all", count).await;
        events.iter().map(|(body, _)| serde_json::from_slice(body).unwrap()).collect()
    }

    /// Consumes messages of a queue, as [`World::events`] does.
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

    /// Returns the messages of a queue in their order, and leaves them there. Their delivery counts go up by
    /// one.
    pub async fn look(&self, queue: &str) -> Vec<(Vec<u8>, lapin::BasicProperties)> {
        let count = depth(&self.connect().await, queue).await;
        let channel = self.client().await.create_channel().await.unwrap();
        // The most that one consumer may hold. The broker requeues consumer by consumer, in the order of
        // their tags.
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

    /// Waits until a source has `count` dead letters and returns them. They stay in their queue.
    pub async fn dead(&self, source: &str, count: usize) -> Vec<QueuedWebhook> {
        let queue = format!("dead.{source}");
        self.wait_for_depth(&queue, u32::try_from(count).unwrap()).await;
        let letters = self.look(&queue).await.into_iter();
        letters.map(|(body, properties)| message::decode(&properties, body).unwrap()).collect()
    }
}

/// Installs a hook that prints a panic's text. The program's own hook hides it, and with it why a test
/// failed.
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

/// Returns how many messages are ready in a queue.
pub async fn depth(connection: &Connection, queue: &str) -> u32 {
    depth::depth(connection, queue).await.unwrap()
}

/// Waits until a condition holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Creates a webhook as the receiver does.
pub fn queued(source: &str, body: Vec<u8>) -> QueuedWebhook {
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
    QueuedWebhook { webhook, content_type, entry: None, shard: Shard::FIRST, trace: None, history }
}

/// Returns the body of a valid webhook about call `n`.
pub fn call(n: usize) -> Vec<u8> {
    format!(
        r#"{{"event_type":"call_initiated","timestamp_utc":1760084505,"payload":{{"call_id":{n},"from":"+905555555555","to":"+905555555554","direction":"outbound","source":"salprebox:SALPRE_AABBCCDD"}},"is_test":false}}"#
    )
    .into_bytes()
}

/// Returns the calls that events are about, sorted.
pub fn calls(events: &[Value]) -> Vec<usize> {
    let mut calls: Vec<usize> =
        events.iter().map(|event| event["data"]["call_id"].as_str().unwrap().parse().unwrap()).collect();
    calls.sort_unstable();
    calls
}

/// A receiver or worker inside this process; stops when dropped.
pub struct RunningProcess {
    pub task: tokio::task::JoinHandle<Result<(), ProcessError>>,
    /// The address of a receiver.
    pub address: String,
    status: Status,
    stop: CancellationToken,
}

impl RunningProcess {
    /// Returns what keeps it from working now.
    pub fn trouble(&self) -> Option<Trouble> {
        self.status.trouble()
    }

    /// Waits until it works.
    pub async fn ready(&self) {
        until("the process is ready", async || self.trouble().is_none()).await;
    }

    /// Returns its metrics as text.
    pub fn metrics(&self) -> String {
        self.status.metrics()
    }

    /// Returns the sum of the metrics whose lines start like this; 0 if there are none.
    pub fn metric(&self, line_start: &str) -> f64 {
        let text = self.metrics();
        let lines = text.lines().filter(|line| line.starts_with(line_start));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Posts a body to a receiver. Returns the status.
    pub async fn post(&self, source: &str, body: &'static [u8]) -> u16 {
        let url = format!("http://{}/in/{source}", self.address);
        Client::new(PATIENCE).post(&url, &[], Bytes::from_static(body)).await.unwrap().status
    }

    /// Stops it as SIGTERM does, and waits for its end.
    pub async fn finish(mut self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, &mut self.task).await.unwrap().unwrap().unwrap();
    }
}

impl Drop for RunningProcess {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
