//! Runs of hookswitch and of a yardstick in turn: A B A B …

use std::{fmt::Write as _, time::Duration};

use serde::Serialize;

use super::{
    chart::{self, Bar, Target},
    idle::{self, Idle},
    node,
    report::{Machine, Output, Spread, say},
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

/// A figure of a run, with the target ratio of hookswitch to the yardstick.
struct Figure {
    name: &'static str,
    of: fn(&Cost) -> f64,
    digits: usize,
    target: fn(Side, Role) -> Option<Target>,
}

const FIGURES: [Figure; 5] = [
    Figure {
        name: "throughput, 1/s",
        of: |cost| cost.rate,
        digits: 0,
        target: |beside, _| match beside {
            Side::Node => Some(Target::AtLeast(1.5)),
            Side::Untraced => None,
            Side::Ours | Side::Yardstick | Side::Lean => Some(Target::AtLeast(0.9)),
        },
    },
    Figure {
        name: "own CPU, µs",
        of: |cost| cost.cpu[0],
        digits: 1,
        target: |beside, role| match (beside, role) {
            (Side::Node, _) => Some(Target::AtMost(0.5)),
            (Side::Untraced, _) => Some(Target::AtMost(1.01)),
            (_, Role::Worker) => Some(Target::AtMost(1.25)),
            (_, Role::Receiver) => None,
        },
    },
    Figure { name: "broker CPU, µs", of: |cost| cost.cpu[1], digits: 1, target: |_, _| None },
    Figure { name: "Redis CPU, µs", of: |cost| cost.cpu[2], digits: 1, target: |_, _| None },
    Figure { name: "peak RSS, MiB", of: |cost| cost.peak_mib, digits: 1, target: |_, _| None },
];

/// One figure of all runs of one role.
#[derive(Serialize)]
struct Row {
    role: Role,
    figure: &'static str,
    theirs: Spread,
    ours: Spread,
    /// Ratio of each pair: hookswitch by yardstick.
    ratio: Spread,
    target: Option<Target>,
    #[serde(skip)]
    digits: usize,
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
    if side == Side::Untraced {
        world.collector = Some(collector().await);
    }
    let machine = Machine::of(&world).await;
    let runs = measure(options, &mut world).await;
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

fn name(side: Side) -> &'static str {
    match side {
        Side::Ours => "ours",
        Side::Yardstick => "yardstick",
        Side::Lean => "lean yardstick",
        Side::Node => "Node",
        Side::Untraced => "untraced",
    }
}

fn description(side: Side) -> String {
    match side {
        Side::Ours => "hookswitch".to_owned(),
        Side::Yardstick => "the least code that does the same work".to_owned(),
        Side::Lean => "the least code, with the least work for the broker".to_owned(),
        Side::Untraced => "hookswitch without traces".to_owned(),
        Side::Node => format!("the least code that does the same work in {}", node::versions()),
    }
}

/// Starts a collector of traces that takes everything, and returns its address.
async fn collector() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, axum::Router::new().fallback(async || "")).into_future());
    format!("http://{address}")
}

fn roles(options: &Options) -> Vec<Role> {
    options.only.map_or_else(|| vec![Role::Worker, Role::Receiver], |only| vec![only])
}

async fn measure(options: &Options, world: &mut World) -> Vec<Run> {
    let mut runs = Vec::new();
    let total = options.pairs * 2 * roles(options).len();
    for pair in 1..=options.pairs {
        for side in [options.beside, Side::Ours] {
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
        runs.map(|run| run.cost).collect::<Vec<_>>()
    };
    let (theirs, ours) = (of(beside), of(Side::Ours));
    let row = |figure: &Figure| Row {
        role,
        figure: figure.name,
        theirs: Spread::of(theirs.iter().map(figure.of)),
        ours: Spread::of(ours.iter().map(figure.of)),
        ratio: Spread::of(theirs.iter().zip(&ours).map(|(theirs, own)| ratio(figure, theirs, own))),
        target: (figure.target)(beside, role),
        digits: figure.digits,
    };
    // A receiver uses Redis for the ledger only, and a yardstick's receiver not at all.
    let meant = |figure: &&Figure| role == Role::Worker || !figure.name.starts_with("Redis");
    FIGURES.iter().filter(meant).map(row).collect()
}

fn ratio(figure: &Figure, theirs: &Cost, own: &Cost) -> f64 {
    (figure.of)(own) / (figure.of)(theirs)
}

fn table(results: &Results) -> String {
    let mut text = format!("{}\n{} pairs, median (min–max)\n\n", results.machine, results.pairs);
    let head = ["", "figure", name(results.side), "ours", "ratio"];
    writeln!(text, "{:<9} {:<16} {:>22} {:>22} {:>18}", head[0], head[1], head[2], head[3], head[4]).unwrap();
    for Row { role, figure, theirs, ours, ratio, digits, .. } in &results.summary {
        let (role, n) = (format!("{role:?}"), *digits);
        writeln!(text, "{role:<9} {figure:<16} {theirs:>22.n$} {ours:>22.n$} {ratio:>18.2}").unwrap();
    }
    text += "\nTargets\n";
    for row in &results.summary {
        if let Some(target) = row.target {
            text += &verdict(row, target, name(results.side));
        }
    }
    text + &memory(results) + &idle::table(&results.idle)
}

/// Says whether the median meets the target, and whether all pairs agree with it.
fn verdict(row: &Row, target: Target, beside: &str) -> String {
    let Spread { median, min, max, .. } = row.ratio;
    let met = target.is_met(median);
    let agree = [min, max].iter().all(|ratio| target.is_met(*ratio) == met);
    let (word, doubt) =
        (if met { "met" } else { "NOT met" }, if agree { "" } else { ", but not in every pair" });
    let figure = row.figure.split(',').next().unwrap_or_default();
    let role = format!("{:?}", row.role).to_lowercase();
    let (sign, bound) = (target.sign(), target.bound());
    format!("  {role} {figure} {sign} {bound} × {beside}: {word} ({median:.2}){doubt}\n")
}

fn memory(results: &Results) -> String {
    let ours = results.runs.iter().filter(|run| run.side == Side::Ours).map(|run| run.cost.peak_mib);
    let peak = ours.fold(0.0, f64::max);
    let word = if peak < MEMORY_MAX_MIB { "met" } else { "NOT met" };
    format!("  memory under load < {MEMORY_MAX_MIB} MiB: {word} (at most {peak:.1})\n")
}

fn svg(results: &Results) -> String {
    let bar = |row: &Row| {
        let name = row.figure.split(',').next().unwrap_or_default();
        Bar { label: format!("{:?}: {name}", row.role), ratio: row.ratio, target: row.target }
    };
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
