//! The cost of an event by the number of workers, sources, shards, body bytes, queued webhooks, keys and dead
//! letters.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use hookswitch::edge::amqp::names;
use serde::Serialize;

use super::{
    idle::{self, Idle},
    report::{Machine, Output, Spread, field, say},
    webhook,
    world::{Cost, ONE_SOURCE, Process, QUEUE_OUT, Side, World},
};

/// Largest ratio between the largest and the smallest value of a flat curve. Identical runs differ by as
/// much.
const FLAT: f64 = 1.25;
/// Exponents of the last step that count as linear.
const LINEAR: std::ops::RangeInclusive<f64> = 0.8..=1.2;
/// Total bytes of the webhooks of a point with large bodies.
const POINT_BYTES: u64 = 128 << 20;
/// Keys created by one command.
const KEYS_AT_ONCE: u64 = 20_000;

#[derive(clap::Args)]
pub struct Options {
    /// Webhooks per point
    #[arg(long, default_value_t = 20_000)]
    count: u64,
    /// Measurements per point; the median counts
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Measure a backlog of 1,000,000 and 10,000,000 keys too, which needs several GiB of memory
    #[arg(long)]
    full: bool,
    /// Measure only these curves, and keep the earlier results of the others
    #[arg(long, value_delimiter = ',')]
    only: Vec<What>,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Workers,
    Sources,
    Shards,
    Body,
    Backlog,
    Keys,
    Dead,
    Start,
}

const ALL: [What; 8] = [
    What::Workers,
    What::Sources,
    What::Shards,
    What::Body,
    What::Backlog,
    What::Keys,
    What::Dead,
    What::Start,
];

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Workers => "workers",
            Self::Sources => "sources",
            Self::Shards => "shards of a source",
            Self::Body => "bytes of a body",
            Self::Backlog => "backlog",
            Self::Keys => "keys in Redis",
            Self::Dead => "dead letters",
            Self::Start => "start",
        }
    }

    fn values(self, full: bool) -> Vec<u64> {
        match (self, full) {
            (Self::Workers | Self::Shards, _) => vec![1, 2, 4],
            (Self::Sources, _) => vec![1, 10, 100],
            (Self::Body, _) => vec![300, 1_200, 16_384, 65_536, 262_144],
            (Self::Backlog, false) => vec![1_000, 100_000, 300_000],
            (Self::Backlog, true) => vec![1_000, 100_000, 1_000_000],
            (Self::Keys, false) => vec![0, 1_000_000],
            (Self::Keys, true) => vec![0, 1_000_000, 10_000_000],
            (Self::Dead, _) => vec![0, 100_000],
            (Self::Start, _) => Vec::new(),
        }
    }
}

/// One point of a curve: a number of something, and the cost of an event.
#[derive(Serialize)]
struct Point {
    x: u64,
    events: u64,
    rate: Spread,
    /// CPU microseconds per event: all workers, the broker, Redis.
    own_us: Spread,
    broker_us: Spread,
    redis_us: Spread,
    peak_mib: Spread,
}

impl Point {
    fn new(x: u64, events: u64, costs: &[Cost]) -> Self {
        let of = |pick: fn(&Cost) -> f64| Spread::of(costs.iter().map(pick));
        Self {
            x,
            events,
            rate: of(|cost| cost.rate),
            own_us: of(|cost| cost.cpu[0]),
            broker_us: of(|cost| cost.cpu[1]),
            redis_us: of(|cost| cost.cpu[2]),
            peak_mib: of(|cost| cost.peak_mib),
        }
    }

    fn cpu_us(&self) -> f64 {
        self.own_us.median + self.broker_us.median + self.redis_us.median
    }
}

#[derive(Serialize)]
struct Curve {
    of: &'static str,
    /// Growth of the total CPU time of an event.
    cpu_shape: &'static str,
    /// Growth of the time between two events.
    time_shape: &'static str,
    /// Bytes of a key, in the curve of keys.
    bytes_per_key: Option<f64>,
    points: Vec<Point>,
    machine: Machine,
}

/// Time from a worker's start to its first event, with a webhook queued.
#[derive(Serialize)]
struct Start {
    cold_start_ms: Spread,
    idle: Vec<Idle>,
    machine: Machine,
}

pub async fn run(options: &Options) {
    let wanted = |what: &What| options.only.is_empty() || options.only.contains(what);
    let stored = options.output.read("growth.json").and_then(|text| serde_json::from_str(&text).ok());
    let mut results: serde_json::Map<String, serde_json::Value> = stored.unwrap_or_default();
    let mut text = String::new();
    for what in ALL.into_iter().filter(wanted) {
        let (result, table) = if what == What::Start {
            let start = start().await;
            (serde_json::to_value(&start).unwrap(), start_table(&start))
        } else {
            let curve = curve(what, options).await;
            (serde_json::to_value(&curve).unwrap(), table(&curve))
        };
        say(&format!("{}\n{table}", what.name()));
        text += &table;
        results.insert(what.name().to_owned(), result);
        // Written after each curve, so that an aborted run keeps the finished ones.
        options.output.write("growth.json", &(serde_json::to_string_pretty(&results).unwrap() + "\n"));
    }
    options.output.write("growth.md", &markdown(&results));
    options.output.print(&results, &text);
}

async fn curve(what: What, options: &Options) -> Curve {
    let (mut points, mut keys, mut machine) = (Vec::new(), None, None);
    for x in what.values(options.full) {
        let mut bench = Bench::new(what, x, options.count).await;
        keys = keys.or(bench.bytes_per_key);
        if machine.is_none() {
            machine = Some(Machine::of(&bench.world).await);
        }
        let mut costs = Vec::new();
        for _ in 0..options.rounds.max(1) {
            costs.push(bench.measure().await);
            let cost = costs[costs.len() - 1];
            say(&format!("{} {x}: {:.0}/s, CPU µs {:.0?}", what.name(), cost.rate, cost.cpu));
        }
        points.push(Point::new(x, bench.measured(), &costs));
    }
    let shape_of =
        |y: fn(&Point) -> f64| shape(&points.iter().map(|p| (p.x as f64, y(p))).collect::<Vec<_>>());
    Curve {
        of: what.name(),
        cpu_shape: shape_of(Point::cpu_us),
        time_shape: shape_of(|point| 1.0 / point.rate.median),
        bytes_per_key: keys,
        points,
        machine: machine.unwrap(),
    }
}

/// Measures one point, on services of its own, so that no other point affects it.
struct Bench {
    world: World,
    workers: usize,
    sources: Vec<String>,
    bytes: usize,
    /// Returns the number of queued webhooks, and of those processed.
    queued: u64,
    count: u64,
    bytes_per_key: Option<f64>,
}

impl Bench {
    async fn new(what: What, x: u64, count: u64) -> Self {
        let sources: Vec<String> = if what == What::Sources {
            (1..=x).map(|n| format!("bench-{n}")).collect()
        } else {
            vec![webhook::SOURCE.to_owned()]
        };
        let shards = if what == What::Shards { x as u8 } else { 1 };
        let config = |name: &String| {
            format!("[sources.{name}]\nprovider = \"morph\"\nauth = \"none\"\nshards = {shards}\n")
        };
        let mut world = World::start(&sources.iter().map(config).collect::<String>()).await;
        world.shards = shards;
        let (workers, bytes) = (1, webhook::TYPICAL);
        let mut bench = Self { world, workers, sources, bytes, queued: count, count, bytes_per_key: None };
        match what {
            What::Workers => bench.workers = x as usize,
            What::Body => {
                bench.bytes = x as usize;
                bench.count = count.min(POINT_BYTES / x);
                bench.queued = bench.count;
            }
            What::Backlog => {
                bench.queued = x;
                bench.count = count.min(x);
            }
            What::Keys => bench.bytes_per_key = keys(&bench.world, x).await,
            What::Dead => dead_letters(&bench.world, x).await,
            What::Sources | What::Shards | What::Start => {}
        }
        bench
    }

    /// Returns the number of events that count: the first tenth is left out.
    fn measured(&self) -> u64 {
        self.count - self.count / 10
    }

    async fn measure(&mut self) -> Cost {
        for source in &self.sources {
            let share = self.queued / self.sources.len() as u64;
            self.world.fill(Side::Ours, source, share, self.bytes).await;
        }
        let workers: Vec<Process> = (0..self.workers).map(|_| self.world.start_ours("worker")).collect();
        let cost = self.world.drained(&workers, QUEUE_OUT, self.count / 10, self.count).await;
        drop(workers);
        for source in &self.sources {
            self.world.purge_raw(source).await;
        }
        self.world.purge(QUEUE_OUT).await;
        cost
    }
}

/// Creates as many keys as done webhooks leave behind. Returns the bytes of each.
async fn keys(world: &World, count: u64) -> Option<f64> {
    const FILL: &str = r"for n = ARGV[1], ARGV[1] + ARGV[2] - 1 do
  redis.call('SET', string.format('d:%016d', n), 4611686018427387904 + n, 'PX', 604800000)
end";
    let mut redis = world.redis().await;
    let before = used(world).await;
    for from in (0..count).step_by(KEYS_AT_ONCE as usize) {
        let mut fill = redis::cmd("EVAL");
        fill.arg(FILL).arg(0).arg(from).arg(KEYS_AT_ONCE.min(count - from));
        fill.query_async::<()>(&mut redis).await.unwrap();
    }
    (count > 0).then_some((used(world).await - before) / count as f64)
}

/// Returns the bytes that Redis uses.
async fn used(world: &World) -> f64 {
    field(&world.redis_info("memory").await, "used_memory").unwrap().parse().unwrap()
}

/// Puts dead letters into the source's dead-letter queue.
async fn dead_letters(world: &World, count: u64) {
    let body = webhook::body(0, webhook::TYPICAL);
    for _ in (0..count).step_by(500) {
        let sending = (0..500).map(|_| {
            let properties = lapin::BasicProperties::default().with_delivery_mode(2);
            world.publish(names::DEAD_EXCHANGE, webhook::SOURCE, &body, properties)
        });
        futures_util::future::join_all(sending).await;
    }
}

async fn start() -> Start {
    let mut world = World::start(ONE_SOURCE).await;
    let machine = Machine::of(&world).await;
    let mut took = Vec::new();
    for _ in 0..7 {
        world.fill(Side::Ours, webhook::SOURCE, 1, webhook::TYPICAL).await;
        let began = Instant::now();
        let worker = world.start_ours("worker");
        while world.depth(QUEUE_OUT).await == 0 {
            assert!(began.elapsed() < Duration::from_secs(60), "no event within 60 s");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        took.push(began.elapsed().as_secs_f64() * 1e3);
        drop(worker);
        world.purge(QUEUE_OUT).await;
    }
    let idle = idle::measure(&world, Duration::from_secs(10)).await;
    Start { cold_start_ms: Spread::of(took), idle, machine }
}

/// Names the shape of a curve: flat if its largest value is hardly more than its smallest, else by the
/// exponent of its last step, where constant costs weigh least.
fn shape(points: &[(f64, f64)]) -> &'static str {
    let values = || points.iter().map(|point| point.1);
    if values().fold(0.0, f64::max) <= FLAT * values().fold(f64::MAX, f64::min) {
        return "flat";
    }
    let [.., (x1, y1), (x2, y2)] = points else { return "one point" };
    if y2 <= &points[0].1 {
        return "falls";
    }
    if points.len() < 3 {
        return "grows (two points are too few for a shape)";
    }
    let exponent = (y2 / y1).ln() / (x2 / x1).ln();
    if exponent < *LINEAR.start() {
        "sublinear"
    } else if LINEAR.contains(&exponent) {
        "linear"
    } else {
        "superlinear"
    }
}

fn table(curve: &Curve) -> String {
    let head = [curve.of, "events/s", "own µs", "broker µs", "Redis µs", "peak MiB", "of events"];
    let [x, rate, own, broker, redis, peak, events] = head;
    let mut text =
        format!("\n{x:>16} {rate:>10} {own:>10} {broker:>10} {redis:>10} {peak:>10} {events:>10}\n");
    for point in &curve.points {
        let Point { x, events, rate, own_us, broker_us, redis_us, peak_mib } = point;
        let (rate, own, broker) = (rate.median, own_us.median, broker_us.median);
        let (redis, peak) = (redis_us.median, peak_mib.median);
        writeln!(
            text,
            "{x:>16} {rate:>10.0} {own:>10.1} {broker:>10.1} {redis:>10.1} {peak:>10.1} {events:>10}"
        )
        .unwrap();
    }
    writeln!(text, "CPU of an event: {}; time of an event: {}", curve.cpu_shape, curve.time_shape).unwrap();
    if let Some(bytes) = curve.bytes_per_key {
        writeln!(text, "A key takes {bytes:.0} bytes of Redis memory.").unwrap();
    }
    text
}

fn start_table(start: &Start) -> String {
    let Spread { n, .. } = start.cold_start_ms;
    format!(
        "\nFrom a worker's start to its first event: {:.0} ms, {n} times\n{}",
        start.cold_start_ms,
        idle::table(&start.idle)
    )
}

/// Returns the curves as a table for `docs/performance.md`. It reads them from JSON, since some may be an
/// earlier run's.
fn markdown(results: &serde_json::Map<String, serde_json::Value>) -> String {
    let mut text = String::from(
        "| against | of them | events/s | CPU µs an event: workers | broker | Redis | CPU is | time is |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for what in ALL {
        let Some(curve) = results.get(what.name()).filter(|curve| curve["points"].is_array()) else {
            continue;
        };
        for (n, point) in curve["points"].as_array().unwrap().iter().enumerate() {
            let number = |name: &str| point[name]["median"].as_f64().unwrap_or_default();
            let shape = |name: &str| if n == 0 { curve[name].as_str().unwrap_or_default() } else { "" };
            let name = if n == 0 { what.name() } else { "" };
            let (rate, own, broker) = (number("rate"), number("own_us"), number("broker_us"));
            let (redis, cpu, time) = (number("redis_us"), shape("cpu_shape"), shape("time_shape"));
            let x = &point["x"];
            writeln!(
                text,
                "| {name} | {x} | {rate:.0} | {own:.0} | {broker:.0} | {redis:.0} | {cpu} | {time} |"
            )
            .unwrap();
        }
    }
    text
}
