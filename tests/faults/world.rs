//! The world of a run: services, processes, sender, consumers, and what the rows do to them.

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
    services::{Broker, Redis},
    traffic::{Dice, EVENT_BYTES_MAX},
};

/// The queue of the consumer.
pub const EVENTS: &str = "events.all";
/// The virtual host of the run.
pub const VHOST: &str = "t1";
/// How long a worker's claim holds; `dedup.lease` of the run.
pub const LEASE: Duration = Duration::from_secs(5);
/// RabbitMQ 3.10 writes the directory of its quorum queues late: a queue whose broker is killed sooner is
/// gone.
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
    /// Milliseconds that the consumer rests before each event.
    pub tap: Arc<AtomicU64>,
    pub tally: Tally,
    pub recoveries: Mutex<BTreeMap<&'static str, Recovery>>,
    /// Whether the next rolling upgrade is one back to the old program.
    upgraded: Mutex<bool>,
}

/// What is known of a row.
#[derive(Default)]
pub struct Recovery {
    pub injected: usize,
    /// Milliseconds from the end of each fault to the next event.
    pub first: Vec<u64>,
    /// And to the event of a webhook that was received after its end.
    pub through: Vec<u64>,
    /// What the row needs and is not installed.
    pub missing: Option<&'static str>,
}

/// The links of one receiver and one worker to the services, which can be cut. The other processes have none.
pub struct Links {
    pub broker: Proxy,
    pub redis: Proxy,
}

impl Links {
    /// Who is behind them, of the processes of either role.
    const FIRST: usize = 0;

    async fn open(broker: &Broker, redis: &Redis) -> Self {
        let (broker, redis) = (port(&broker.url(1)), port(&redis.url(0)));
        Self { broker: Proxy::amqp(broker).await, redis: Proxy::plain(redis).await }
    }

    fn env(&self, broker: &Broker, redis: &Redis) -> Vec<(String, String)> {
        let through = |url: String, proxy: &Proxy| {
            let (from, to) = (format!(":{}/", port(&url)), format!(":{}/", proxy.port()));
            url.replace(&from, &to)
        };
        vec![
            ("HOOKSWITCH_AMQP_URL".to_owned(), through(broker.url(1), &self.broker)),
            ("HOOKSWITCH_REDIS_URL".to_owned(), through(redis.url(0), &self.redis)),
        ]
    }
}

fn port(url: &str) -> u16 {
    url::Url::parse(url).unwrap().port().unwrap()
}

/// The services, as the harness and most processes reach them.
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

/// Makes the topology, and waits until a kill of the broker cannot undo it.
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
            let through = if n == Links::FIRST { links.env(&broker, &redis) } else { Vec::new() };
            [options.env(role, n), through].concat()
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

    /// Makes the fault of a row, and measures how long it takes to get over it.
    pub fn perform(&self, row: &'static Row, dice: &mut Dice) {
        if let Some(missing) = row.needs.filter(|path| !Path::new(path).exists()) {
            eprintln!("row {} ({}) is not run: {missing} is missing", row.number, row.name);
            self.recoveries.lock().unwrap().entry(row.number).or_default().missing = Some(missing);
            return;
        }
        let from = now();
        let injecting = std::panic::AssertUnwindSafe(|| (row.inject)(self, dice));
        let outcome = std::panic::catch_unwind(injecting).unwrap_or_else(|_| Err("it broke off".to_owned()));
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
                    format!("row {} ({}): no event within {PATIENCE:?} of its end", row.number, row.name);
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

    /// SIGTERM, which must end with exit code 0; the next process must get ready.
    pub fn replace_gracefully(&self, index: usize) -> Result<(), String> {
        let status = self.fleet.replace(index, "TERM")?;
        // A signal was another fault's.
        if status.code().is_some_and(|code| code != 0) {
            let what = format!("{} ended with {status} after SIGTERM", self.fleet.name(index));
            self.book.complain(Wrong::Row, what);
        }
        let ready = wait_for(|| self.fleet.is_ready(index));
        ready.map_err(|()| format!("{} does not get ready", self.fleet.name(index)))
    }

    /// From its next start on, every process is of the other program.
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

    /// Does something to the broker over a connection of its own.
    pub fn with_broker(&self, work: impl AsyncFn(&Connection) -> lapin::Result<()>) -> Result<(), String> {
        self.runtime.block_on(async {
            let connection = consumer::connect(&self.broker.url(1)).await.map_err(|e| e.to_string())?;
            work(&connection).await.map_err(|e| e.to_string())?;
            // lapin says that a channel of it is still closing; that is no matter.
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

    /// How many messages each queue holds, those given out and not acked among them.
    pub fn depths(&self) -> BTreeMap<String, u64> {
        let list = ["list_queues", "-p", VHOST, "--quiet", "--no-table-headers", "name", "messages"];
        let lines = self.broker.ctl(&list);
        let depth = |line: &str| {
            let (name, depth) = line.split_once('\t')?;
            Some((name.to_owned(), depth.trim().parse().ok()?))
        };
        lines.lines().filter_map(depth).collect()
    }

    /// Waits until nothing is in work; what is left if nothing moves any more.
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

/// Whether what is in this queue is still to be worked on, or to be consumed.
fn is_on_its_way(queue: &str) -> bool {
    ["raw.", "retry.", "events."].iter().any(|prefix| queue.starts_with(prefix))
}

/// What each role's processes are started with.
impl Options {
    fn env(&self, role: Role, n: usize) -> Vec<(String, String)> {
        let mut env = Vec::new();
        if let Some(mutant) = &self.mutant {
            env.push(("HOOKSWITCH_MUTANT".to_owned(), mutant.clone()));
        }
        // The last worker dies by itself all the time, at every point of a delivery's life.
        if role == Role::Worker && self.crash_every > 0 && n + 1 == self.workers {
            let points = hookswitch::faults::Point::ALL;
            let chances = points.map(|point| format!("{}:1/{}", point.as_str(), self.crash_every));
            env.push(("HOOKSWITCH_CRASH_AT".to_owned(), chances.join(",")));
        }
        env
    }
}
