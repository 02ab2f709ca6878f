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
        ledger::Run,
        shard::{Shard, Sharding},
    },
    edge::amqp::{message, names},
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
    services::{Broker, Redis, free_port},
    webhook, yardstick,
};

/// Queue of hookswitch's events.
pub const QUEUE_OUT: &str = "events.bench";

/// Configuration of the one source of most measurements.
pub const ONE_SOURCE: &str = "[sources.bench]\nprovider = \"morph\"\nauth = \"none\"\n";

/// Redis database of the yardsticks, behind those of all builds.
const YARDSTICK_DATABASE: usize = 999;

/// Messages published at a time when a queue is filled, and their bytes.
const FILL_WINDOW: usize = 512;
const FILL_BYTES: usize = 4 << 20;
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
    pub broker: Broker,
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
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.child.id()
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

/// A broker setting that rolls the log of quorum queues over every 32 MiB instead of 512. A rollover writes
/// the log's content to each queue's own files, which up to doubles the CPU of a message for that time. With
/// 512 MiB it fell into some runs and not into others.
fn broker(vhosts: usize) -> Broker {
    let settings = "raft.wal_max_size_bytes = 33554432".to_owned();
    let broker = Broker::prepare(vhosts, free_port(), vec![("HOOKSWITCH_RABBITMQ_CONF", settings)]);
    broker.start_again();
    broker
}

impl World {
    /// Starts the services and declares all queues; `sources` and more configuration as TOML.
    pub async fn start(more: &str) -> Self {
        Self::with_builds(more, &[]).await
    }

    /// Does the same for more builds of hookswitch, which have the numbers 1, 2 and so on.
    pub async fn with_builds(more: &str, others: &[PathBuf]) -> Self {
        let mut builds = vec![PathBuf::from(super::PROGRAM)];
        builds.extend_from_slice(others);
        let vhosts = builds.len();
        let (broker, redis) = tokio::task::spawn_blocking(move || {
            (broker(vhosts), Redis::with(vec!["--appendfsync".to_owned(), "everysec".to_owned()]))
        })
        .await
        .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection::connect(&broker.url(1), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let world = Self {
            broker,
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
        self.broker.url(1 + build)
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
        let address = format!("127.0.0.1:{listen}");
        let mut command = self.program(build, &[role]);
        command
            .env("HOOKSWITCH_RECEIVER_LISTEN", &address)
            .env("HOOKSWITCH_ADMIN_LISTEN", format!("127.0.0.1:{admin}"))
            .stderr(log);
        if let Some(collector) = collector {
            command
                .env("HOOKSWITCH_TRACING_ENDPOINT", collector)
                .env("HOOKSWITCH_TRACING_SAMPLE_RATIO", "0.01");
        }
        Process { child: command.spawn().unwrap(), address }
    }

    /// Starts a yardstick's process, which receives all addresses on its command line.
    fn start_other(&self, mut command: Command) -> Process {
        let address = format!("127.0.0.1:{}", free_port());
        command
            .args(["--amqp", &self.broker.url(1), "--redis", &self.redis.url(YARDSTICK_DATABASE)])
            .args(["--listen", &address])
            .stdin(Stdio::null());
        Process { child: command.spawn().unwrap(), address }
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
        Meter { own, broker: self.broker.pid(), redis: self.redis.pid() }
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

    /// Publishes `count` new webhooks of this many bytes, as a receiver would, to the queue that `side`
    /// consumes.
    pub async fn fill(&mut self, side: Side, source: &str, count: u64, bytes: usize) {
        let began = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
        let run = Run { began, nonce: rand::random() };
        let numbers: Vec<u64> = (self.next..self.next + count).collect();
        self.next += count;
        let name = source.parse().unwrap();
        let keys: Vec<String> = self.shards().map(|shard| names::raw_key(&name, shard)).collect();
        for window in numbers.chunks((FILL_BYTES / bytes).clamp(1, FILL_WINDOW)) {
            let sending = window.iter().map(async |n| {
                let queued = webhook::queued(source, run, *n, bytes);
                let (exchange, key, properties) = match side {
                    Side::Ours | Side::Yardstick | Side::Node | Side::Untraced => {
                        let key = keys[*n as usize % keys.len()].as_str();
                        (names::RAW_EXCHANGE, key, message::properties(&queued))
                    }
                    Side::Lean => {
                        let id = queued.webhook.delivery_id.to_string();
                        ("", yardstick::LEAN.queue, yardstick::properties(&id))
                    }
                };
                self.publish(exchange, key, &queued.webhook.body, properties).await;
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
