//! The world of a run: services, processes, sender, consumers, and the operations of the rows on them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lapin::Connection;
use tokio::runtime::Handle;

use super::{
    Options, PROGRAM,
    book::{Book, Wrong, now},
    consumer,
    fleet::{Fleet, PATIENCE, Role, wait_for},
    proxy::Proxy,
    rows::{Row, Tally},
    sender::Sender,
    services::{Broker, Redis, documented},
    traffic::{Dice, EVENT_BYTES_MAX},
};

/// Queue of the consumer.
pub const EVENTS: &str = "events.all";
/// Virtual host of the run.
pub const VHOST: &str = "t1";
/// Lease of a worker's claim: `dedup.lease` of the run.
pub const LEASE: Duration = Duration::from_secs(5);
/// Time before the first fault. RabbitMQ 3.10 writes the directory of its quorum queues late, so a queue
/// whose broker is killed sooner is lost.
pub const NEW_QUEUES_ARE_SAFE_AFTER: Duration = Duration::from_secs(6);

pub struct World {
    pub options: Options,
    pub runtime: Handle,
    pub dir: PathBuf,
    pub config: PathBuf,
    pub broker: Broker,
    pub redis: Redis,
    pub links: Links,
    pub fleet: Fleet,
    pub book: Arc<Book>,
    pub sender: Arc<Sender>,
    /// The consumer's pause before each event, in milliseconds.
    pub tap: Arc<AtomicU64>,
    pub tally: Tally,
    pub recoveries: Mutex<BTreeMap<&'static str, Recovery>>,
    /// The next rolling upgrade goes back to the old program.
    upgraded: Mutex<bool>,
}

/// The results of a row.
#[derive(Default)]
pub struct Recovery {
    pub injected: usize,
    /// Time from the end of each fault to the next event, in milliseconds.
    pub first: Vec<u64>,
    /// Time from the end of each fault to the event of a webhook received after it, in milliseconds.
    pub through: Vec<u64>,
    /// A file that the row needs and that is missing.
    pub missing: Option<&'static str>,
}

/// Links of one receiver and one worker to the services, which can be cut. The other processes connect
/// directly.
pub struct Links {
    pub broker: Proxy,
    pub redis: Proxy,
}

impl Links {
    /// Index of the process behind the links, among those of its role.
    const FIRST: usize = 0;

    async fn open(broker: &Broker, redis: &Redis) -> Self {
        let (broker, redis) = (port(&broker.url(1)), port(&redis.url(0)));
        Self { broker: Proxy::amqp(broker).await, redis: Proxy::plain(redis).await }
    }

    fn env(&self, broker: String, redis: String) -> Vec<(String, String)> {
        let through = |url: String, proxy: &Proxy| {
            let (from, to) = (format!(":{}/", port(&url)), format!(":{}/", proxy.port()));
            url.replace(&from, &to)
        };
        vec![
            (BROKER_URL.to_owned(), through(broker, &self.broker)),
            ("HOOKSWITCH_REDIS_URL".to_owned(), through(redis, &self.redis)),
        ]
    }
}

fn port(url: &str) -> u16 {
    url::Url::parse(url).unwrap().port().unwrap()
}

/// Environment variable with the address of the broker.
const BROKER_URL: &str = "HOOKSWITCH_AMQP_URL";

/// Gives the user of a role these permissions: configure, write, read.
pub fn allow(broker: &Broker, role: Role, patterns: &[String; 3]) {
    let [configure, write, read] = patterns;
    broker.ctl(&["set_permissions", "-p", VHOST, role.user(), configure, write, read]);
}

/// Returns the broker's address for a role.
fn url_of(broker: &Broker, role: Role) -> String {
    broker.url(1).replace("guest:guest", &format!("{}:secret", role.user()))
}

/// Addresses of the services, for the harness and most processes.
pub struct Services {
    pub broker: Broker,
    pub redis: Redis,
}

impl Services {
    pub fn start() -> Self {
        std::thread::scope(|scope| {
            let broker = scope.spawn(|| Broker::start(1));
            Self { redis: Redis::start(), broker: broker.join().unwrap() }
        })
    }

    /// Makes a user for each role, with the documented permissions.
    pub fn add_users(&self) {
        for role in [Role::Receiver, Role::Worker] {
            self.broker.ctl(&["add_user", role.user(), "secret"]);
            allow(&self.broker, role, &documented(role.user()));
        }
    }

    /// Writes the configuration of the run.
    pub fn configure(&self, dir: &Path) -> PathBuf {
        let sources = ["morph", "allo", "wavix", "salpre", "varda"].map(|name| {
            format!("[sources.{name}]\nprovider = \"{name}\"\nauth = \"none\"\nbody_bytes_max = \"16MiB\"\n")
        });
        let toml = format!(
            r##"
[amqp]
url = "{}"
connect_timeout = "5s"
heartbeat = "3s"
confirm_timeout = "2s"
[redis]
url = "{}"
[receiver]
confirm_timeout = "2s"
[worker]
grace = "20s"
event_bytes_max = {EVENT_BYTES_MAX}
[retry]
tiers = ["1s", "5s"]
wait = "500ms"
[dedup]
lease = "{}s"
[log]
format = "json"
[subscriptions."{EVENTS}"]
patterns = ["#"]
{}"##,
            self.broker.url(1),
            self.redis.url(0),
            LEASE.as_secs(),
            sources.concat(),
        );
        let path = dir.join("hookswitch.toml");
        std::fs::write(&path, toml).unwrap();
        path
    }
}

/// Applies the topology, and waits until a kill of the broker cannot undo it.
pub fn apply_topology(config: &Path) {
    let output = Command::new(PROGRAM).args(["topology", "apply", "--config"]).arg(config).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::thread::sleep(NEW_QUEUES_ARE_SAFE_AFTER);
}

impl World {
    /// Starts the processes and everything around them.
    pub fn start(
        options: Options,
        runtime: Handle,
        dir: PathBuf,
        services: Services,
        config: PathBuf,
        book: Arc<Book>,
    ) -> Self {
        let Services { broker, redis } = services;
        let links = runtime.block_on(Links::open(&broker, &redis));
        let env = |role, n| {
            let url = url_of(&broker, role);
            let links = match n {
                Links::FIRST => links.env(url, redis.url(0)),
                _ => vec![(BROKER_URL.to_owned(), url)],
            };
            [options.env(role, n), links].concat()
        };
        let program = options.old_binary.clone().unwrap_or_else(|| PathBuf::from(PROGRAM));
        let fleet = Fleet::start(
            options.receivers,
            options.workers,
            &program,
            config.clone(),
            dir.clone(),
            env,
            book.clone(),
        );
        let sender = Sender::new(book.clone(), fleet.receiver_addresses(), options.rate, options.mix(), &dir);
        Self {
            options,
            runtime,
            dir,
            config,
            broker,
            redis,
            links,
            fleet,
            book,
            sender,
            tap: Arc::default(),
            tally: Tally::default(),
            recoveries: Mutex::default(),
            upgraded: Mutex::default(),
        }
    }

    /// Injects the fault of a row, and measures the time to recover from it.
    pub fn perform(&self, row: &'static Row, dice: &mut Dice) {
        if let Some(missing) = row.needs.filter(|path| !Path::new(path).exists()) {
            eprintln!("row {} ({}) is skipped: {missing} is missing", row.number, row.name);
            self.recoveries.lock().unwrap().entry(row.number).or_default().missing = Some(missing);
            return;
        }
        let from = now();
        let injecting = std::panic::AssertUnwindSafe(|| (row.inject)(self, dice));
        let outcome =
            std::panic::catch_unwind(injecting).unwrap_or_else(|_| Err("the row panicked".to_owned()));
        if let Err(why) = outcome {
            return self.book.complain(Wrong::Row, format!("row {} ({}): {why}", row.number, row.name));
        }
        let healed = now();
        if row.excuses {
            self.book.trouble(from, healed);
        }
        let (first, through) = self.recovery(row, healed);
        let mut recoveries = self.recoveries.lock().unwrap();
        let known = recoveries.entry(row.number).or_default();
        known.injected += 1;
        known.first.extend(first);
        known.through.extend(through);
    }

    fn recovery(&self, row: &Row, healed: u64) -> (Option<u64>, Option<u64>) {
        let since = |clock: &AtomicU64| {
            let over = wait_for(|| clock.load(Ordering::Relaxed) > healed);
            if over.is_err() {
                let what =
                    format!("row {} ({}): no event within {PATIENCE:?} after its end", row.number, row.name);
                self.book.complain(Wrong::Row, what);
                return None;
            }
            Some(now() - healed)
        };
        (since(&self.book.last_event), since(&self.book.last_received))
    }

    pub fn any_worker(&self, dice: &mut Dice) -> usize {
        self.fleet.worker(usize::try_from(dice.below(self.fleet.workers() as u64)).unwrap())
    }

    pub fn kill_worker(&self, index: usize) {
        let at = now();
        self.fleet.signal(index, "KILL");
        self.book.trouble(at, now());
        self.tally.worker_kills.fetch_add(1, Ordering::Relaxed);
    }

    pub fn kill_broker(&self, meanwhile: impl FnOnce()) {
        self.tally.broker_kills.fetch_add(1, Ordering::Relaxed);
        self.broker.kill();
        meanwhile();
        self.broker.start_again();
    }

    pub fn kill_redis(&self, meanwhile: impl FnOnce()) {
        self.tally.redis_kills.fetch_add(1, Ordering::Relaxed);
        self.redis.kill();
        meanwhile();
        self.redis.start_again();
    }

    /// Sends SIGTERM. The process must exit with 0, and the next one must become ready.
    pub fn replace_gracefully(&self, index: usize) -> Result<(), String> {
        let status = self.fleet.replace(index, "TERM")?;
        // An end by a signal is due to another fault.
        if status.code().is_some_and(|code| code != 0) {
            let what = format!("{} ended with {status} after SIGTERM", self.fleet.name(index));
            self.book.complain(Wrong::Row, what);
        }
        let ready = wait_for(|| self.fleet.is_ready(index));
        ready.map_err(|()| format!("{} does not become ready", self.fleet.name(index)))
    }

    /// Lets every process run the other program from its next start on.
    pub fn next_program(&self) {
        let mut upgraded = self.upgraded.lock().unwrap();
        *upgraded = !*upgraded;
        let new = Path::new(PROGRAM);
        let old = self.options.old_binary.as_deref().unwrap_or(new);
        for index in 0..self.fleet.len() {
            let program = if *upgraded { new } else { old };
            self.fleet.change(index, Some(program), self.fleet.env(index));
        }
    }

    /// Uses the broker over a connection of its own.
    pub fn with_broker(&self, work: impl AsyncFn(&Connection) -> lapin::Result<()>) -> Result<(), String> {
        self.runtime.block_on(async {
            let connection = consumer::connect(&self.broker.url(1)).await.map_err(|e| e.to_string())?;
            work(&connection).await.map_err(|e| e.to_string())?;
            // lapin may report that a channel is still closing, which does not matter.
            drop(connection.close(200, "done".into()).await);
            Ok(())
        })
    }

    pub fn redis_command(&self, command: &[&str]) -> Result<(), String> {
        let client = redis::Client::open(self.redis.url(0)).map_err(|e| e.to_string())?;
        let mut connection = client.get_connection().map_err(|e| e.to_string())?;
        let (name, arguments) = command.split_first().expect("a command has a name");
        redis::cmd(name).arg(arguments).query::<redis::Value>(&mut connection).map_err(|e| e.to_string())?;
        Ok(())
    }

    pub fn apply_topology(&self) {
        apply_topology(&self.config);
    }

    /// Returns the number of messages in each queue, unacked ones included.
    pub fn depths(&self) -> BTreeMap<String, u64> {
        let list = ["list_queues", "-p", VHOST, "--quiet", "--no-table-headers", "name", "messages"];
        let lines = self.broker.ctl(&list);
        let depth = |line: &str| {
            let (name, depth) = line.split_once('\t')?;
            Some((name.to_owned(), depth.trim().parse().ok()?))
        };
        lines.lines().filter_map(depth).collect()
    }

    /// Waits until the queues are drained. Returns the remaining messages if nothing moves any more.
    pub fn drained(&self) -> Result<(), String> {
        let (mut quiet, mut least, mut moved) = (0, u64::MAX, Instant::now());
        while quiet < 3 {
            let depths = self.depths();
            let busy: BTreeMap<_, _> =
                depths.iter().filter(|(name, depth)| is_on_its_way(name) && **depth > 0).collect();
            let left = busy.values().copied().sum();
            quiet = if left == 0 { quiet + 1 } else { 0 };
            if left < least {
                (least, moved) = (left, Instant::now());
            } else if moved.elapsed() > PATIENCE {
                return Err(format!("{busy:?}"));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }
}

/// Returns true if the messages of this queue are still to be processed or consumed.
fn is_on_its_way(queue: &str) -> bool {
    ["raw.", "retry.", "events."].iter().any(|prefix| queue.starts_with(prefix))
}

/// The environment of the processes of each role.
impl Options {
    fn env(&self, role: Role, n: usize) -> Vec<(String, String)> {
        let mut env = Vec::new();
        if let Some(mutant) = &self.mutant {
            env.push(("HOOKSWITCH_MUTANT".to_owned(), mutant.clone()));
        }
        // The last worker keeps dying by itself, at every point of a delivery's life.
        if role == Role::Worker && self.crash_every > 0 && n + 1 == self.workers {
            let points = hookswitch::faults::Point::ALL;
            let chances = points.map(|point| format!("{}:1/{}", point.as_str(), self.crash_every));
            env.push(("HOOKSWITCH_CRASH_AT".to_owned(), chances.join(",")));
        }
        env
    }
}
