//! `make faults`: injects faults into real processes, and accounts for every webhook that was answered 200.
//!
//! It runs a private RabbitMQ and Redis, receivers and workers as processes of the program, a sender that
//! behaves like a provider, an independent consumer, and a list of faults. At the end everything is healed
//! and drained, and the accepted webhooks are compared with the output: nothing may be missing or altered,
//! and nothing may be duplicated where the program could have known.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a harness fails by panicking"
)]

mod book;
mod consumer;
mod fleet;
#[path = "../support/frames.rs"]
mod frames;
#[path = "../support/hostile.rs"]
mod hostile;
mod memory;
#[path = "../support/proxy.rs"]
#[expect(dead_code, reason = "other tests ask it for more")]
mod proxy;
mod report;
mod rows;
mod sender;
#[path = "../it/support/services.rs"]
#[allow(dead_code, reason = "other tests ask it for more")]
mod services;
mod traffic;
mod world;

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use tokio_util::sync::CancellationToken;

use book::{Book, Wrong};
use rows::{BROKER_KILL, OTHERS, REDIS_KILL, Row, WORKER_KILL};
use sender::Mix;
use traffic::{Dice, Traffic};
use world::{EVENTS, Services, World};

const PROGRAM: &str = env!("CARGO_BIN_EXE_hookswitch");

/// Injects faults under load and accounts for every webhook that was answered 200.
///
/// Exits with 0 only if nothing is lost, altered, invented, misrouted or knowingly duplicated.
#[derive(Clone, Parser)]
#[command(name = "faults")]
pub struct Options {
    /// short: every row once, in order; long: kills of a worker every few seconds and of the broker and Redis
    /// in turn, with all other rows in between at random
    #[arg(long, default_value = "short")]
    profile: Profile,
    /// Seed of everything random; each run prints its seed
    #[arg(long)]
    seed: Option<u64>,
    /// Webhooks per second; those delayed by an outage are sent afterwards
    #[arg(long, default_value_t = 200)]
    rate: u64,
    /// Minimum number of webhooks of a run
    #[arg(long, default_value_t = 20_000)]
    webhooks: u64,
    /// Duration of a long run in hours
    #[arg(long, default_value_t = 0.0)]
    hours: f64,
    /// Duration of a long run in minutes; with --until, the run fails when this time is over
    #[arg(long, default_value_t = 0.0)]
    minutes: f64,
    /// End a long run once all of these are reached: webhooks=N,worker_kills=N,broker_kills=N,redis_kills=N
    #[arg(long, value_delimiter = ',', value_parser = target)]
    until: Vec<(String, u64)>,
    /// Run only these rows, by number (see --list)
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Number of passes over the rows in a short run
    #[arg(long, default_value_t = 1)]
    times: u32,
    /// Print the rows and exit
    #[arg(long)]
    list: bool,
    #[arg(long, default_value_t = 2)]
    receivers: usize,
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// Let one worker die at each point of a delivery's life, once in N times; 0: never
    #[arg(long, default_value_t = 3_000)]
    crash_every: u32,
    /// Seconds between two kills in a long run: worker, broker, Redis
    #[arg(long, value_delimiter = ',', default_values_t = [8.0, 55.0, 55.0])]
    cadence: Vec<f64>,
    /// Poison webhooks per thousand
    #[arg(long, default_value_t = 10)]
    poison: u64,
    /// Deliberate repeats per thousand webhooks
    #[arg(long, default_value_t = 50)]
    repeats: u64,
    /// Send one body of 1 to 10 MiB in every N webhooks
    #[arg(long, default_value_t = 20_000)]
    big_every: u64,
    /// Program to run before the rolling upgrade; default: the program under test
    #[arg(long)]
    old_binary: Option<PathBuf>,
    /// Known mistake to build in, to check that it is noticed (see src/faults.rs)
    #[arg(long)]
    mutant: Option<String>,
    /// File for the report as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Folder for ledger, logs and configuration; default: a temporary folder, kept if the run fails
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Profile {
    Short,
    Long,
}

fn target(text: &str) -> Result<(String, u64), String> {
    let known = ["webhooks", "worker_kills", "broker_kills", "redis_kills"];
    let (name, count) = text.split_once('=').ok_or("expected name=number")?;
    if !known.contains(&name) {
        return Err(format!("expected one of {}", known.join(", ")));
    }
    Ok((name.to_owned(), count.parse().map_err(|_| "expected a number")?))
}

impl Options {
    fn mix(&self) -> Mix {
        let late = if self.profile == Profile::Long { 600 } else { 20 };
        Mix {
            poison: AtomicU64::new(self.poison),
            repeats: AtomicU64::new(self.repeats),
            big_every: AtomicU64::new(self.big_every),
            late_max: Duration::from_secs(late),
        }
    }

    fn wants(&self, row: &Row) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|number| number == row.number)
    }
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    if options.list {
        for row in rows::all() {
            println!("{:<4} {}", row.number, row.name);
        }
        return ExitCode::SUCCESS;
    }
    let seed = *options.seed.get_or_insert_with(|| rand::random::<u32>().into());
    eprintln!("seed {seed}");
    let began = Instant::now();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (folder, dir) = match &options.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).unwrap();
            (None, dir.clone())
        }
        None => {
            let folder = tempfile::tempdir().unwrap();
            let dir = folder.path().to_owned();
            (Some(folder), dir)
        }
    };
    let book = Arc::new(Book::new(Traffic::new(seed), &dir));
    let services = Services::start();
    let config = services.configure(&dir);
    services.add_users();
    world::apply_topology(&config);
    let world = World::start(options, runtime.handle().clone(), dir, services, config, book);
    let report = run(&world, seed, began);
    report::print(&report);
    if let Some(path) = &world.options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report).unwrap()).unwrap();
    }
    let good = world.book.wrong().is_empty();
    if !good {
        if let Some(folder) = folder {
            drop(folder.keep());
        }
        eprintln!("FAILED; ledger, logs and the record of deliveries are in {}", world.dir.display());
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs load and faults, heals everything, and accounts for the webhooks.
fn run(world: &World, seed: u64, began: Instant) -> serde_json::Value {
    let stop = CancellationToken::new();
    for (queue, unrouted) in [(EVENTS, false), ("events.unrouted", true)] {
        let (book, url) = (world.book.clone(), world.broker.url(1));
        let tap = if unrouted { Arc::default() } else { world.tap.clone() };
        world.runtime.spawn(consumer::consume(book, url, queue, unrouted, tap, stop.clone()));
    }
    if let Err(why) = world.fleet.ready() {
        world.book.complain(Wrong::Row, why);
    }
    let sending = CancellationToken::new();
    let mut dice = Dice::new(seed);
    world.runtime.spawn(world.sender.clone().run(Dice::new(dice.next()), sending.clone()));
    let over = CancellationToken::new();
    std::thread::scope(|scope| {
        let _over = over.clone().drop_guard();
        scope.spawn(|| progress(world, &over, began));
        match world.options.profile {
            Profile::Short => short(world, &mut dice),
            Profile::Long => long(world, &mut dice, began),
        }
        eprintln!("healing and draining");
        sending.cancel();
        world.runtime.block_on(world.sender.finish(fleet::PATIENCE));
        if let Err(why) = world.fleet.ready() {
            world.book.complain(Wrong::Row, why);
        }
        if let Err(left) = world.drained() {
            world.book.complain(Wrong::Row, format!("the queues do not drain: {left}"));
        }
    });
    ledger(world);
    for source in ["morph", "allo", "wavix", "salpre", "varda"] {
        let url = world.broker.url(1);
        let read = world.runtime.block_on(consumer::dead_letters(&world.book, &url, source));
        if let Err(error) = read {
            world.book.complain(Wrong::Row, format!("dead.{source} cannot be read: {error}"));
        }
    }
    stop.cancel();
    world.fleet.stop(&world.book);
    report::account(&world.book, &world.dir);
    world.book.account_for_unreadable();
    let duplicates = report::duplicates(&world.book, &world.dir);
    report::json(world, began.elapsed().as_secs(), &duplicates)
}

/// Runs every row once, then load until the minimum number of webhooks is reached.
fn short(world: &World, dice: &mut Dice) {
    std::thread::sleep(Duration::from_secs(3));
    for _ in 0..world.options.times {
        for row in rows::all().filter(|row| world.options.wants(row)) {
            eprintln!("row {}: {}", row.number, row.name);
            world.perform(row, dice);
            std::thread::sleep(Duration::from_millis(500));
        }
    }
    while (world.book.sent() as u64) < world.options.webhooks {
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Runs the kills at their intervals and all other rows in between, until the targets or the time are
/// reached.
fn long(world: &World, dice: &mut Dice, began: Instant) {
    let over = CancellationToken::new();
    let [worker, broker, redis] =
        [0, 1, 2].map(|n| Duration::from_secs_f64(world.options.cadence.get(n).copied().unwrap_or(60.0)));
    let mut of_workers = Dice::new(dice.next());
    std::thread::scope(|scope| {
        let _over = over.clone().drop_guard();
        scope.spawn(|| {
            while !over.is_cancelled() {
                // Between half and one and a half times the interval.
                let share = 0.5 + of_workers.below(1_000) as f64 / 1_000.0;
                std::thread::sleep(worker.mul_f64(share));
                if world.options.wants(&WORKER_KILL) {
                    world.perform(&WORKER_KILL, &mut of_workers);
                }
            }
        });
        // RabbitMQ 3.10 may attach a consumer to the queue that is being deleted and never notify it. That
        // can hold up this harness's consumer, not the program.
        let by_chance = |row: &&Row| world.options.wants(row) && row.number != "18d";
        let others: Vec<_> = OTHERS.iter().filter(by_chance).collect();
        let (mut broker_due, mut redis_due) = (broker / 4, redis / 2);
        let mut other_due = Duration::ZERO;
        let started = Instant::now();
        while !is_over(world, began) {
            let at = started.elapsed();
            if at >= broker_due && world.options.wants(&BROKER_KILL) {
                world.perform(&BROKER_KILL, dice);
                broker_due += broker;
            } else if at >= redis_due && world.options.wants(&REDIS_KILL) {
                world.perform(&REDIS_KILL, dice);
                redis_due += redis;
            } else if at >= other_due && !others.is_empty() {
                let row = others[usize::try_from(dice.below(others.len() as u64)).unwrap()];
                world.perform(row, dice);
                // Rest for as long as the fault took, so that the load gets through.
                let took = started.elapsed() - at;
                other_due = started.elapsed() + took.clamp(Duration::from_secs(5), Duration::from_secs(15));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    });
}

fn is_over(world: &World, began: Instant) -> bool {
    let options = &world.options;
    let limit = Duration::from_secs_f64(options.hours * 3_600.0 + options.minutes * 60.0);
    let late = !limit.is_zero() && began.elapsed() > limit;
    let tally = &world.tally;
    let reached = |name: &str| match name {
        "worker_kills" => tally.worker_kills.load(Ordering::Relaxed),
        "broker_kills" => tally.broker_kills.load(Ordering::Relaxed),
        "redis_kills" => tally.redis_kills.load(Ordering::Relaxed),
        _ => world.book.sent() as u64,
    };
    let missing: Vec<_> = options.until.iter().filter(|(name, count)| reached(name) < *count).collect();
    if late && !missing.is_empty() {
        world.book.complain(Wrong::Row, format!("not reached in time: {missing:?}"));
    }
    let enough = reached("webhooks") >= options.webhooks;
    late || (missing.is_empty() && (!options.until.is_empty() || limit.is_zero()) && enough)
}

/// Prints a line every ten seconds.
fn progress(world: &World, over: &CancellationToken, began: Instant) {
    let mut due = Duration::from_secs(10);
    while !over.is_cancelled() {
        std::thread::sleep(Duration::from_millis(200));
        if began.elapsed() < due {
            continue;
        }
        due += Duration::from_secs(10);
        let (book, tally) = (&world.book, &world.tally);
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        eprintln!(
            "{:>5} s: sent {} accepted {} events {} extra copies {} | \
             kills: worker {} (and {} crash points), receiver {}, broker {}, Redis {}",
            began.elapsed().as_secs(),
            book.sent(),
            count(&book.accepted),
            count(&book.events),
            count(&book.extra_copies),
            count(&tally.worker_kills),
            world.fleet.ends().0,
            count(&tally.receiver_kills),
            count(&tally.broker_kills),
            count(&tally.redis_kills),
        );
    }
}

/// Checks the program's own ledger: it must account for everything, without knowing what was sent.
fn ledger(world: &World) {
    let arguments = ["ledger", "--json", "--check", "60", "--config"];
    let output = Command::new(PROGRAM).args(arguments).arg(&world.config).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("hookswitch ledger: {text}");
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        world.book.complain(Wrong::Row, format!("hookswitch ledger: {}: {text} {error}", output.status));
    }
}
