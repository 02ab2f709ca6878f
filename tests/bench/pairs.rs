//! Runs of hookswitch and of a yardstick in turn: A B, B A, A B …

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;

use super::{
    chart::{self, Bar, Target},
    compare::{self, Comparison, Figure},
    idle::{self, Idle},
    node,
    report::{Machine, Output, say},
    world::{Cost, ONE_SOURCE, Side, World},
};

/// Target: memory of a hookswitch process under load.
const MEMORY_MAX_MIB: f64 = 32.0;
/// Duration of the measurement of idle processes.
const IDLE: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub struct Options {
    /// Number of pairs of runs
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Webhooks that a worker processes in a run
    #[arg(long, default_value_t = 60_000)]
    count: u64,
    /// Duration of a receiver's load in a run, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections to a receiver
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Measure only the worker, or only the receiver
    #[arg(long)]
    only: Option<Role>,
    /// Yardstick to compare with
    #[arg(long, value_enum, default_value_t = Side::Yardstick)]
    beside: Side,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Role {
    Worker,
    Receiver,
}

/// The measurements of one run.
#[derive(Serialize)]
struct Run {
    pair: usize,
    role: Role,
    side: Side,
    #[serde(flatten)]
    cost: Cost,
}

/// A figure of a run, and the target of hookswitch's ratio to a side.
type Judged = (Figure<Cost>, fn(Side, Role) -> Option<Target>);

const FIGURES: [Judged; 5] = [
    (Figure { name: "throughput, 1/s", of: |cost| cost.rate, digits: 0 }, throughput_target),
    (Figure { name: "own CPU, µs", of: |cost| cost.cpu[0], digits: 1 }, cpu_target),
    (Figure { name: "broker CPU, µs", of: |cost| cost.cpu[1], digits: 1 }, |_, _| None),
    (Figure { name: "Redis CPU, µs", of: |cost| cost.cpu[2], digits: 1 }, |_, _| None),
    (Figure { name: "peak RSS, MiB", of: |cost| cost.peak_mib, digits: 1 }, |_, _| None),
];

fn throughput_target(beside: Side, role: Role) -> Option<Target> {
    match (beside, role) {
        (Side::Node, _) => Some(Target::AtLeast(1.5)),
        (Side::Lean, Role::Worker) => Some(Target::AtLeast(1.2)),
        (Side::Lean, Role::Receiver) => Some(Target::AtLeast(1.5)),
        (Side::Yardstick | Side::Ours, _) => Some(Target::AtLeast(0.9)),
        (Side::Untraced, _) => None,
    }
}

fn cpu_target(beside: Side, role: Role) -> Option<Target> {
    match (beside, role) {
        (Side::Node, _) => Some(Target::AtMost(0.5)),
        (Side::Lean, Role::Worker) => Some(Target::AtMost(1.0)),
        (Side::Lean, Role::Receiver) => Some(Target::AtMost(0.9)),
        (Side::Yardstick | Side::Ours, Role::Worker) => Some(Target::AtMost(1.25)),
        (Side::Yardstick | Side::Ours, Role::Receiver) => None,
        (Side::Untraced, _) => Some(Target::AtMost(1.01)),
    }
}

/// One figure of all runs of one role.
#[derive(Serialize)]
struct Row {
    role: Role,
    #[serde(flatten)]
    comparison: Comparison,
}

#[derive(Serialize)]
struct Results {
    machine: Machine,
    #[serde(skip)]
    side: Side,
    /// The yardstick.
    beside: String,
    pairs: usize,
    summary: Vec<Row>,
    idle: Vec<Idle>,
    runs: Vec<Run>,
}

pub async fn run(options: &Options) {
    // Asked first, so that a missing program is reported at once and not after minutes.
    let (side, beside) = (options.beside, description(options.beside));
    let mut world = World::start(ONE_SOURCE).await;
    let collector = if side == Side::Untraced { Some(Collector::start(&mut world).await) } else { None };
    let machine = Machine::of(&world).await;
    let runs = measure(options, &mut world).await;
    collector.iter().for_each(Collector::assert_used);
    let idle = idle::measure(&world, IDLE).await;
    let summary = roles(options).into_iter().flat_map(|role| summary(role, side, &runs)).collect();
    let results = Results { machine, side, beside, pairs: options.pairs, summary, idle, runs };
    options.output.finish(file(side), &results, &table(&results), &svg(&results));
}

fn file(beside: Side) -> &'static str {
    match beside {
        Side::Ours | Side::Yardstick => "pairs",
        Side::Lean => "pairs-lean",
        Side::Node => "pairs-node",
        Side::Untraced => "pairs-untraced",
    }
}

/// Returns what a side is called in tables.
pub fn name(side: Side) -> &'static str {
    match side {
        Side::Ours => "ours",
        Side::Yardstick => "yardstick",
        Side::Lean => "lean yardstick",
        Side::Node => "Node",
        Side::Untraced => "untraced",
    }
}

/// Says what a side is.
pub fn description(side: Side) -> String {
    match side {
        Side::Ours => "hookswitch".to_owned(),
        Side::Yardstick => "the least code that does the same work".to_owned(),
        Side::Lean => "the least code, with the least work for the broker".to_owned(),
        Side::Untraced => "hookswitch without traces".to_owned(),
        Side::Node => format!("the least code that does the same work in {}", node::versions()),
    }
}

/// A collector of traces that takes everything.
pub struct Collector {
    requests: Arc<AtomicU64>,
}

impl Collector {
    /// Starts one, to which our processes then send their traces.
    pub async fn start(world: &mut World) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        world.collector = Some(format!("http://{}", listener.local_addr().unwrap()));
        let requests = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&requests);
        let take = async move || {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        tokio::spawn(axum::serve(listener, axum::Router::new().fallback(take)).into_future());
        Self { requests }
    }

    /// Panics if no traces have come, since then it is not their cost that was measured.
    pub fn assert_used(&self) {
        assert!(self.requests.load(Ordering::Relaxed) > 0, "no traces have reached the collector");
    }
}

fn roles(options: &Options) -> Vec<Role> {
    options.only.map_or_else(|| vec![Role::Worker, Role::Receiver], |only| vec![only])
}

async fn measure(options: &Options, world: &mut World) -> Vec<Run> {
    let mut runs = Vec::new();
    let total = options.pairs * 2 * roles(options).len();
    for pair in 1..=options.pairs {
        for side in compare::in_turn(pair, &[options.beside, Side::Ours]) {
            for role in roles(options) {
                let cost = match role {
                    Role::Worker => world.drain(side, options.count).await,
                    Role::Receiver => {
                        let lasting = Duration::from_secs(options.seconds);
                        world.accept(side, options.connections, lasting).await
                    }
                };
                runs.push(Run { pair, role, side, cost });
                say(&format!("run {} of {total}: {}", runs.len(), line(&runs[runs.len() - 1])));
            }
        }
    }
    runs
}

fn line(run: &Run) -> String {
    let (role, side, cost) = (format!("{:?}", run.role), format!("{:?}", run.side), run.cost);
    let [own, broker, redis] = cost.cpu;
    format!(
        "{role:<8} {side:<9} {:>7.0}/s, CPU µs: own {own:.1}, broker {broker:.1}, Redis {redis:.1}; \
         peak {:.1} MiB",
        cost.rate, cost.peak_mib
    )
}

fn summary(role: Role, beside: Side, runs: &[Run]) -> Vec<Row> {
    let of = |side| {
        let runs = runs.iter().filter(move |run| run.role == role && run.side == side);
        runs.map(|run| &run.cost)
    };
    let pairs: Vec<_> = of(beside).zip(of(Side::Ours)).collect();
    // A receiver uses Redis for the ledger only, and a yardstick's receiver not at all.
    let meant = |(figure, _): &&Judged| role == Role::Worker || !figure.name.starts_with("Redis");
    let row =
        |(figure, target): &Judged| Row { role, comparison: figure.compare(&pairs, target(beside, role)) };
    FIGURES.iter().filter(meant).map(row).collect()
}

fn table(results: &Results) -> String {
    let beside = name(results.side);
    let mut text = format!("{}\n{} pairs, median (min–max)\n\n", results.machine, results.pairs);
    text += &compare::head(beside);
    for Row { role, comparison } in &results.summary {
        text += &comparison.row(&format!("{role:?}"));
    }
    text += "\nTargets\n";
    for Row { role, comparison } in &results.summary {
        text += &comparison.verdict(&format!("{role:?}").to_lowercase(), beside);
    }
    text + &memory(results) + &idle::table(&results.idle)
}

fn memory(results: &Results) -> String {
    let ours = results.runs.iter().filter(|run| run.side == Side::Ours).map(|run| run.cost.peak_mib);
    let peak = ours.fold(0.0, f64::max);
    let word = if peak < MEMORY_MAX_MIB { "met" } else { "NOT met" };
    format!("  memory under load < {MEMORY_MAX_MIB} MiB: {word} (at most {peak:.1})\n")
}

fn svg(results: &Results) -> String {
    let bar = |row: &Row| row.comparison.bar(&format!("{:?}", row.role));
    let bars: Vec<Bar> = results.summary.iter().map(bar).collect();
    let Machine { cores, cpu, rabbitmq, redis, date, commit, .. } = &results.machine;
    let lines = [
        format!("hookswitch ÷ {}, on the same broker, in turn", results.beside),
        format!(
            "{} pairs, {date}, {commit}, {cores} cores of {cpu}, RabbitMQ {rabbitmq}, Redis {redis}",
            results.pairs
        ),
    ];
    let one = name(results.side);
    chart::ratios(&format!("Cost of a webhook: hookswitch by {one}"), &lines, one, &bars)
}
