//! The stage of the faults: services, processes, traffic, and a Prometheus that looks at them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    net::TcpStream,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use hookswitch::edge::http::Client;
use lapin::{options::BasicConsumeOptions, types::FieldTable};
use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use tokio::runtime::Runtime;

use crate::{
    faults::Fault,
    fleet::Fleet,
    prometheus::Prometheus,
    support::{
        PATIENCE, World, call,
        services::{Broker, Redis},
    },
};

/// The time within which an alert must fire, and must clear.
const ALERT_MAX: Duration = Duration::from_secs(240);

/// The time for which nothing may fire before the first fault, once everything has started.
const QUIET: Duration = Duration::from_secs(30);

/// When each alert of a fault changed last, or what fires instead.
type Changes = Result<BTreeMap<&'static str, Duration>, String>;

/// The services, the processes and the traffic. What goes on in the background ends first.
pub struct Stage {
    background: Vec<Repeating>,
    pub broker: Arc<Broker>,
    pub redis: Redis,
    pub fleet: Arc<Fleet>,
    pub prometheus: Prometheus,
    pub traffic: Arc<Traffic>,
    pub world: Arc<World>,
    pub runtime: Runtime,
    /// Each webhook is about another call.
    next: Arc<AtomicUsize>,
}

/// What flows while faults are made.
pub struct Traffic {
    /// Webhooks of all sources.
    pub flows: AtomicBool,
    /// Webhooks of the source `quiet`.
    pub quiet_flows: AtomicBool,
    /// A consumer takes the events.
    pub is_consumed: AtomicBool,
}

/// Something that is done again and again until it is dropped.
pub struct Repeating {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Repeating {
    /// Starts it, with this pause after each time.
    pub fn every(pause: Duration, mut each: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                each();
                std::thread::sleep(pause);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Repeating {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

impl Stage {
    /// Starts everything.
    pub fn new() -> Self {
        let (broker, redis, runtime) = (Arc::new(Broker::start(1)), Redis::start(), Runtime::new().unwrap());
        let toml = include_str!("hookswitch.toml")
            .replace("AMQP_URL", &broker.url(1))
            .replace("REDIS_URL", &redis.url(0));
        let world = Arc::new(World::of_toml(toml));
        runtime.block_on(world.apply());
        let fleet = Arc::new(Fleet::start(&world));
        let prometheus = Prometheus::start(&fleet.targets());
        let [flows, quiet_flows, is_consumed] = [true; 3].map(AtomicBool::new);
        let traffic = Arc::new(Traffic { flows, quiet_flows, is_consumed });
        let next = Arc::new(AtomicUsize::new(1));
        let background = Vec::new();
        let mut stage = Self { background, broker, redis, fleet, prometheus, traffic, world, runtime, next };
        let sending = [("steady", 200), ("quiet", 300), ("other", 300)]
            .map(|(source, pause)| stage.keep_sending(source, Duration::from_millis(pause)));
        stage.background.extend(sending);
        stage.background.push(stage.keep_consuming());
        stage
    }

    fn keep_sending(&self, source: &'static str, pause: Duration) -> Repeating {
        let (traffic, poster) = (self.traffic.clone(), self.poster());
        Repeating::every(pause, move || {
            let quiet = source == "quiet" && !traffic.quiet_flows.load(Ordering::Relaxed);
            if traffic.flows.load(Ordering::Relaxed) && !quiet {
                poster.post(source, poster.call());
            }
        })
    }

    fn keep_consuming(&self) -> Repeating {
        let (traffic, world, runtime) = (self.traffic.clone(), self.world.clone(), Runtime::new().unwrap());
        Repeating::every(Duration::from_millis(200), move || {
            if traffic.is_consumed.load(Ordering::Relaxed) {
                runtime.block_on(consume(&world, &traffic));
            }
        })
    }

    /// Returns what posts webhooks to the receiver.
    pub fn poster(&self) -> Poster {
        let (port, next) = (self.fleet.receiving(), self.next.clone());
        Poster { port, next, runtime: self.runtime.handle().clone() }
    }

    /// Runs commands of Redis, one after the other over one connection.
    pub fn redis(&self, commands: &[&[&str]]) {
        self.redis_at(&self.redis.url(0), commands);
    }

    /// Runs commands of the Redis at an address.
    pub fn redis_at(&self, url: &str, commands: &[&[&str]]) {
        self.runtime.block_on(async {
            let mut connection = patient(url).await;
            for command in commands {
                let mut call = redis::cmd(command[0]);
                call.arg(&command[1..]);
                call.query_async::<redis::Value>(&mut connection).await.unwrap();
            }
        });
    }

    /// Sets Redis' limit of memory so that it uses this share of it.
    pub fn leave_memory(&self, share: f64) {
        let url = self.redis.url(0);
        let info: String = self
            .runtime
            .block_on(async { redis::cmd("INFO").query_async(&mut patient(&url).await).await.unwrap() });
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        let max = (used.trim().parse::<f64>().unwrap() / share).round().to_string();
        self.redis(&[&["CONFIG", "SET", "maxmemory", &max]]);
    }

    /// Deletes a queue.
    pub fn delete_queue(&self, queue: &str) {
        self.runtime.block_on(async {
            let channel = self.world.client().await.create_channel().await.unwrap();
            channel.queue_delete(queue.into(), Default::default()).await.unwrap();
        });
    }

    /// Expects no alert to fire while nothing is wrong.
    pub fn expect_quiet(&self) {
        let (began, mut quiet_since) = (Instant::now(), Instant::now());
        while quiet_since.elapsed() < QUIET {
            let firing = self.prometheus.firing();
            if !firing.is_empty() {
                quiet_since = Instant::now();
            }
            let late = began.elapsed() > ALERT_MAX;
            assert!(!late, "nothing is wrong, and {firing:?} fires\n{}", self.fleet.logs());
            std::thread::sleep(Duration::from_secs(1));
        }
        println!("no alert within {QUIET:?} of traffic without a fault");
    }

    /// Makes a fault, waits until its alerts fire, mends it, and waits until they have cleared. Returns the
    /// alerts that did not.
    pub fn play(&self, fault: &Fault) -> Vec<&'static str> {
        let all = |firing: &BTreeSet<String>| fault.alerts.iter().all(|alert| firing.contains(*alert));
        let none = |firing: &BTreeSet<String>| !fault.alerts.iter().any(|alert| firing.contains(*alert));
        let quiet = self.wait(fault, none);
        // What it keeps is dropped before it is mended.
        let fires = caught(|| (fault.make)(self)).and_then(|_kept| self.wait(fault, all));
        let clears = caught(|| (fault.mend)(self)).and_then(|()| self.wait(fault, none));
        let seconds = |changes: &Changes, alert| match changes {
            Ok(changed) => format!("{} s", changed[alert].as_secs()),
            Err(_) => "?".to_owned(),
        };
        for alert in fault.alerts {
            let (fires, clears) = (seconds(&fires, alert), seconds(&clears, alert));
            println!("{alert:<30} {:<48} {fires:>6} {clears:>6}", fault.name);
        }
        let failed: Vec<_> = [quiet, fires, clears].into_iter().filter_map(Result::err).collect();
        failed.iter().for_each(|why| println!("{}: {why}", fault.name));
        if failed.is_empty() { Vec::new() } else { fault.alerts.to_vec() }
    }

    /// Waits until the alerts that fire are as they should be. Returns when each alert of the fault last
    /// changed.
    fn wait(&self, fault: &Fault, are_right: impl Fn(&BTreeSet<String>) -> bool) -> Changes {
        let (began, mut before) = (Instant::now(), self.prometheus.firing());
        let mut changed: BTreeMap<_, _> = fault.alerts.iter().map(|alert| (*alert, Duration::ZERO)).collect();
        loop {
            let firing = self.prometheus.firing();
            for alert in fault.alerts {
                if firing.contains(*alert) != before.contains(*alert) {
                    changed.insert(alert, began.elapsed());
                }
            }
            if are_right(&firing) {
                return Ok(changed);
            }
            if began.elapsed() > ALERT_MAX {
                return Err(format!("{firing:?} fires after {ALERT_MAX:?}\n{}", self.fleet.logs()));
            }
            before = firing;
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.traffic.is_consumed.store(false, Ordering::Relaxed);
    }
}

/// Returns what comes of it, or that it panicked, which is printed then.
fn caught<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|_| "it panicked: see above".to_owned())
}

/// Connects to a Redis, which may be slow: the machine may have other work.
async fn patient(url: &str) -> MultiplexedConnection {
    let (client, long) = (redis::Client::open(url).unwrap(), Some(PATIENCE));
    let config = AsyncConnectionConfig::new().set_connection_timeout(long).set_response_timeout(long);
    client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

/// Consumes events until they are not to be consumed, or the connection fails.
async fn consume(world: &World, traffic: &Traffic) {
    let consuming = async {
        let channel = world.client().await.create_channel().await?;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let mut consumer =
            channel.basic_consume("events.all".into(), "".into(), options, FieldTable::default()).await?;
        while traffic.is_consumed.load(Ordering::Relaxed) {
            match tokio::time::timeout(Duration::from_millis(200), consumer.next()).await {
                Ok(Some(delivery)) => drop(delivery?),
                Ok(None) => break,
                Err(_) => {}
            }
        }
        channel.close(200, "".into()).await
    };
    // A fault of the broker ends it; it begins again. The client gives up on a broker with a panic.
    drop(AssertUnwindSafe(consuming).catch_unwind().await);
}

/// Posts webhooks, from any thread.
pub struct Poster {
    port: u16,
    next: Arc<AtomicUsize>,
    runtime: tokio::runtime::Handle,
}

impl Poster {
    /// Returns the body of a webhook about a call that no other is about.
    pub fn call(&self) -> Vec<u8> {
        call(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Posts a body in the background, whatever the answer.
    pub fn post(&self, source: &str, body: Vec<u8>) {
        let url = format!("http://127.0.0.1:{}/in/{source}", self.port);
        self.runtime.spawn(async move {
            drop(Client::new(Duration::from_secs(10)).post(&url, &[], Bytes::from(body)).await);
        });
    }

    /// Begins to post a body of this length to a source, and sends all but the last byte.
    pub fn stall(&self, source: &str, length: usize) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!("POST /in/{source} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b' '; length - 1]).unwrap();
        stream
    }
}
