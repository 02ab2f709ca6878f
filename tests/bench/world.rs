//! A private RabbitMQ and Redis, and the processes that are measured with them.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use hookswitch::{
    core::{
        delivery::{bundle, queued::QueuedWebhook},
        ledger::Run,
        shard::{Shard, Sharding},
    },
    edge::{
        amqp::{names, publish::Publication, routes},
        http,
    },
};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions, QueuePurgeOptions,
    },
    types::{AMQPValue, FieldTable, LongString},
};

use super::{
    meter::Meter,
    node,
    rabbitmq::RabbitMq,
    services::{Redis, free_port},
    webhook, yardstick,
};

/// Queue of hookswitch's events.
pub const QUEUE_OUT: &str = "events.bench";

/// Configuration of the one source of most measurements.
pub const ONE_SOURCE: &str = "[sources.bench]\nprovider = \"morph\"\nauth = \"none\"\n";

/// Redis database of the yardsticks, behind those of all builds.
const YARDSTICK_DATABASE: usize = 999;

/// Webhooks published at a time when a queue is filled, and their bytes.
const FILL_WINDOW: usize = 512;
const FILL_BYTES: usize = 4 << 20;
/// Webhooks in a bundle, as a busy receiver makes it, and the bytes that it takes at most by default.
const BUNDLED: usize = 16;
const BUNDLE_BYTES_MAX: usize = 64 << 10;
/// Time after which an operation counts as failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// Interval at which a queue's length is polled.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The owner of the measured processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    #[value(skip)]
    Ours,
    /// The least code, with the same work for the broker
    Yardstick,
    /// The least code, with the least work for the broker
    Lean,
    /// The yardstick's work in Node.js, with amqplib and ioredis
    Node,
    /// Hookswitch without traces; ours then records those of one webhook in a hundred
    Untraced,
}

impl Side {
    fn queue_in(self) -> String {
        match self {
            Self::Ours | Self::Yardstick | Self::Node | Self::Untraced => {
                names::raw_queue(&webhook::SOURCE.parse().unwrap(), Shard::FIRST)
            }
            Self::Lean => yardstick::LEAN.queue.to_owned(),
        }
    }

    pub fn queue_out(self) -> &'static str {
        match self {
            Self::Ours | Self::Yardstick | Self::Node | Self::Untraced => QUEUE_OUT,
            Self::Lean => yardstick::LEAN_OUT,
        }
    }
}

pub struct World {
    pub rabbitmq: RabbitMq,
    pub redis: Redis,
    pub channel: Channel,
    /// Kept open for the channel.
    _connection: Connection,
    dir: tempfile::TempDir,
    /// Builds of hookswitch, ours first. Each has a vhost, a Redis database and a configuration of its own.
    builds: Vec<PathBuf>,
    next: u64,
    /// Number of raw queues over which the webhooks of a source are spread in turn.
    pub shards: u8,
    /// The collector of our processes' traces; none if they record none.
    pub collector: Option<String>,
}

/// A measured process, which is killed when dropped.
pub struct Process {
    child: Child,
    /// Address of a receiver.
    pub address: String,
    /// Address of the metrics; none if it has none.
    admin: Option<String>,
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the number of messages in which a receiver has stored webhooks; none if it does not count
    /// them.
    pub async fn raw_messages(&self) -> Option<f64> {
        let url = format!("http://{}/metrics", self.admin.as_ref()?);
        let metrics = http::Client::new(PATIENCE).get(&url).await.unwrap().body;
        let metrics = std::str::from_utf8(&metrics).unwrap();
        let line = metrics.lines().find(|line| line.starts_with("hookswitch_raw_messages_total{"))?;
        Some(line.rsplit_once(' ')?.1.parse().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The cost of one message.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Cost {
    /// Messages per second.
    pub rate: f64,
    /// CPU microseconds per message: the processes, the broker, Redis.
    #[serde(rename = "cpu_us_own_broker_redis")]
    pub cpu: [f64; 3],
    /// Largest peak memory of the processes, in MiB.
    pub peak_mib: f64,
}

impl World {
    /// Starts the services and declares all queues; `sources` and more configuration as TOML.
    pub async fn start(more: &str) -> Self {
        Self::with(more, &[], false).await
    }

    /// Does the same for more builds of hookswitch, which have the numbers 1, 2 and so on, and perhaps on a
    /// cluster of RabbitMQ.
    pub async fn with(more: &str, others: &[PathBuf], cluster: bool) -> Self {
        let mut builds = vec![PathBuf::from(super::PROGRAM)];
        builds.extend_from_slice(others);
        let vhosts = builds.len();
        let (rabbitmq, redis) = tokio::task::spawn_blocking(move || {
            let redis = Redis::with(vec!["--appendfsync".to_owned(), "everysec".to_owned()]);
            (RabbitMq::start(vhosts, cluster), redis)
        })
        .await
        .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let connection =
            Connection::connect(&rabbitmq.url(1), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let world = Self {
            rabbitmq,
            redis,
            channel,
            _connection: connection,
            dir,
            builds,
            next: 1,
            shards: 1,
            collector: None,
        };
        (0..vhosts).for_each(|build| world.prepare(build, more));
        for queue in [yardstick::LEAN.queue, yardstick::LEAN_OUT] {
            let mut arguments = FieldTable::default();
            arguments.insert("x-queue-type".into(), AMQPValue::LongString(LongString::from("quorum")));
            let durable = QueueDeclareOptions::durable();
            world.channel.queue_declare(queue.into(), durable, arguments).await.unwrap();
        }
        let (queue, pattern) = (yardstick::LEAN_OUT.into(), yardstick::LEAN.events.1.into());
        let options = QueueBindOptions::default();
        world
            .channel
            .queue_bind(queue, "amq.topic".into(), pattern, options, FieldTable::default())
            .await
            .unwrap();
        (1..=vhosts).for_each(|vhost| world.rabbitmq.assert_replicated(vhost));
        world
    }

    /// Writes the configuration of a build and declares its queues.
    fn prepare(&self, build: usize, more: &str) {
        let config = format!(
            "[amqp]\nurl = \"{}\"\n[redis]\nurl = \"{}\"\n[log]\nformat = \"json\"\n\
             [subscriptions.\"{QUEUE_OUT}\"]\npatterns = [\"#\"]\n{more}",
            self.url(build),
            self.redis.url(build)
        );
        std::fs::write(self.config(build), config).unwrap();
        let applied = self.program(build, &["topology", "apply"]).stdout(Stdio::null()).status().unwrap();
        assert!(applied.success(), "the topology was not applied");
    }

    fn config(&self, build: usize) -> PathBuf {
        self.dir.path().join(format!("hookswitch-{build}.toml"))
    }

    /// Returns the address of a build's vhost.
    pub fn url(&self, build: usize) -> String {
        self.rabbitmq.url(1 + build)
    }

    fn program(&self, build: usize, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.builds[build]);
        command.args(arguments).env("HOOKSWITCH_CONFIG", self.config(build)).stdin(Stdio::null());
        command
    }

    /// Starts `hookswitch <role>`. Its log goes to a file, as in a container.
    pub fn start_ours(&self, role: &str) -> Process {
        self.start_build(0, role, self.collector.as_deref())
    }

    /// Starts a build like [`World::start_ours`], with traces if there is a collector for them.
    pub fn start_build(&self, build: usize, role: &str, collector: Option<&str>) -> Process {
        let (listen, admin) = (free_port(), free_port());
        let log = std::fs::File::create(self.dir.path().join(format!("{role}-{listen}.log"))).unwrap();
        let (address, admin) = (format!("127.0.0.1:{listen}"), format!("127.0.0.1:{admin}"));
        let mut command = self.program(build, &[role]);
        command
            .env("HOOKSWITCH_RECEIVER_LISTEN", &address)
            .env("HOOKSWITCH_ADMIN_LISTEN", &admin)
            .stderr(log);
        if let Some(collector) = collector {
            command
                .env("HOOKSWITCH_TRACING_ENDPOINT", collector)
                .env("HOOKSWITCH_TRACING_SAMPLE_RATIO", "0.01");
        }
        Process { child: command.spawn().unwrap(), address, admin: Some(admin) }
    }

    /// Starts a yardstick's process, which receives all addresses on its command line.
    fn start_other(&self, mut command: Command) -> Process {
        let address = format!("127.0.0.1:{}", free_port());
        command
            .args(["--amqp", &self.rabbitmq.url(1), "--redis", &self.redis.url(YARDSTICK_DATABASE)])
            .args(["--listen", &address])
            .stdin(Stdio::null());
        Process { child: command.spawn().unwrap(), address, admin: None }
    }

    pub fn start_side(&self, side: Side, role: &str) -> Process {
        match side {
            Side::Ours => self.start_ours(role),
            Side::Yardstick => self.start_other(yardstick::command(role, false)),
            Side::Lean => self.start_other(yardstick::command(role, true)),
            Side::Node => self.start_other(node::command(role)),
            Side::Untraced => self.start_build(0, role, None),
        }
    }

    pub fn meter(&self, processes: &[Process]) -> Meter {
        let own = processes.iter().map(Process::pid).collect();
        Meter { own, broker: self.rabbitmq.pids(), redis: self.redis.pid() }
    }

    /// Returns a section of Redis' INFO.
    pub async fn redis_info(&self, section: &str) -> String {
        redis::cmd("INFO").arg(section).query_async(&mut self.redis().await).await.unwrap()
    }

    /// Opens a connection to the private Redis.
    pub async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.redis.url(0)).unwrap();
        let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        client.get_multiplexed_async_connection_with_config(&patient).await.unwrap()
    }

    /// Returns the number of messages ready in a queue.
    pub async fn depth(&self, queue: &str) -> u64 {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
        let queue = self.channel.queue_declare(queue.into(), passive, FieldTable::default()).await.unwrap();
        u64::from(queue.message_count())
    }

    pub async fn purge(&self, queue: &str) {
        self.channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.unwrap();
    }

    fn shards(&self) -> impl Iterator<Item = Shard> + use<> {
        Sharding::new(self.shards, None).shards()
    }

    /// Purges a source's raw queues.
    pub async fn purge_raw(&self, source: &str) {
        for shard in self.shards() {
            self.purge(&names::raw_queue(&source.parse().unwrap(), shard)).await;
        }
    }

    /// Publishes `count` new webhooks of this many bytes to the queue that `side` consumes.
    pub async fn fill(&mut self, side: Side, source: &str, count: u64, bytes: usize) {
        let began = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
        let run = Run { began, nonce: rand::random() };
        let numbers: Vec<u64> = (self.next..self.next + count).collect();
        self.next += count;
        let shards: Vec<Shard> = self.shards().collect();
        for window in numbers.chunks((FILL_BYTES / bytes).clamp(1, FILL_WINDOW)) {
            let queued = |n: &u64| {
                let shard = shards[*n as usize / BUNDLED % shards.len()];
                webhook::queued(source, shard, run, *n, bytes)
            };
            let messages = messages(side, &window.iter().map(queued).collect::<Vec<_>>());
            let sending = messages.into_iter().map(async |message| {
                let Publication { exchange, routing_key, body, properties, .. } = message;
                self.publish(&exchange, &routing_key, &body, properties).await;
            });
            join_all(sending).await;
        }
    }

    pub async fn publish(&self, exchange: &str, key: &str, body: &[u8], properties: BasicProperties) {
        let options = BasicPublishOptions::default();
        let sent = self.channel.basic_publish(exchange.into(), key.into(), options, body, properties);
        assert!(sent.await.unwrap().await.unwrap().is_ack());
    }

    /// Measures a worker that turns `count` queued webhooks into events. The first tenth is not counted,
    /// which leaves out the cost of starting.
    pub async fn drain(&mut self, side: Side, count: u64) -> Cost {
        self.fill(side, webhook::SOURCE, count, webhook::TYPICAL).await;
        let worker = [self.start_side(side, "worker")];
        let cost = self.drained(&worker, side.queue_out(), count / 10, count).await;
        drop(worker);
        self.purge(&side.queue_in()).await;
        self.purge(side.queue_out()).await;
        cost
    }

    /// Measures processes while a queue goes from one number of messages to another.
    pub async fn drained(&self, processes: &[Process], queue: &str, from: u64, to: u64) -> Cost {
        let meter = self.meter(processes);
        let began = self.reached(queue, from).await;
        let before = meter.sample();
        let ended = self.reached(queue, to).await;
        let messages = ended.0 - began.0;
        Cost {
            rate: messages as f64 / (ended.1 - began.1).as_secs_f64(),
            cpu: meter.per_message(before, messages),
            peak_mib: meter.peak_mib(),
        }
    }

    /// Waits until a queue holds this many messages. Returns the number it held, and the time.
    async fn reached(&self, queue: &str, count: u64) -> (u64, Instant) {
        let began = Instant::now();
        loop {
            let depth = self.depth(queue).await;
            if depth >= count {
                return (depth, Instant::now());
            }
            assert!(began.elapsed() < PATIENCE, "{queue} holds {depth} of {count} messages");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Measures a receiver that accepts webhooks over this many connections, for this long.
    pub async fn accept(&self, side: Side, connections: usize, lasting: Duration) -> Cost {
        let process = [self.start_side(side, "receiver")];
        self.answers(&process[0]).await;
        let (address, body) = (&process[0].address, Bytes::from(webhook::body(0, webhook::TYPICAL)));
        let load = |lasting| {
            super::load::closed_loop(address, webhook::SOURCE, connections, lasting, || body.clone())
        };
        load(lasting / 5).await;
        let meter = self.meter(&process);
        let (before, began) = (meter.sample(), Instant::now());
        let accepted = load(lasting).await;
        let cost = Cost {
            rate: accepted as f64 / began.elapsed().as_secs_f64(),
            cpu: meter.per_message(before, accepted),
            peak_mib: meter.peak_mib(),
        };
        drop(process);
        self.purge(&side.queue_in()).await;
        cost
    }

    /// Waits until a receiver accepts webhooks.
    pub async fn answers(&self, process: &Process) {
        let began = Instant::now();
        let body = webhook::body(0, webhook::TYPICAL);
        loop {
            assert!(began.elapsed() < PATIENCE, "the receiver did not answer in time");
            if tokio::net::TcpStream::connect(&process.address).await.is_ok() {
                let mut client = super::load::Client::connect(&process.address).await;
                if client.try_post(webhook::SOURCE, "", &body).await == Some(200) {
                    return;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Returns the messages with webhooks in the form that `side` reads: bundles, as hookswitch's receiver makes
/// them under load, or a message for each webhook.
fn messages(side: Side, webhooks: &[QueuedWebhook]) -> Vec<Publication> {
    match side {
        Side::Ours | Side::Untraced => {
            let largest = webhooks.iter().map(bundle::weight).max().unwrap_or(1);
            let bundled = (BUNDLE_BYTES_MAX / largest).clamp(1, BUNDLED);
            let of_one_queue = webhooks.chunk_by(|one, next| one.shard == next.shard);
            let together = of_one_queue.flat_map(|webhooks| webhooks.chunks(bundled));
            together.filter_map(routes::accept_together).collect()
        }
        Side::Yardstick | Side::Node => webhooks.iter().map(routes::accept).collect(),
        Side::Lean => {
            let lean = |queued: &QueuedWebhook| Publication {
                exchange: names::DEFAULT_EXCHANGE.to_owned(),
                routing_key: yardstick::LEAN.queue.to_owned(),
                properties: yardstick::properties(&queued.webhook.delivery_id.to_string()),
                ..routes::accept(queued)
            };
            webhooks.iter().map(lean).collect()
        }
    }
}
