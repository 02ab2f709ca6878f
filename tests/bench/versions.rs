//! Versions of RabbitMQ, compared by runs of `chain` beside the lean yardstick (`make bench-versions`).
//!
//! Two hours differ by more than two versions. So each version has several short runs, in turn with others.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    chart,
    compare::{Comparison, Figure},
    pairs,
    report::{Machine, Output, Spread},
    turn::{BROKER, P50, P99, PARTS, RECEIVER, REDIS, THROUGHPUT, TOTAL, Turn, WORKER, stack},
    world::Side,
};

/// The broker's CPU by that of receiver and worker. They do the same on all versions, so this does not depend
/// on how fast the machine was in those seconds.
const BY_PROGRAMS: Figure<Turn> = Figure {
    name: "broker by receiver and worker",
    of: |turn| turn.cpu_us.broker / (turn.cpu_us.receiver + turn.cpu_us.worker),
    digits: 2,
};

/// Figures of the table, as they come in it.
const FIGURES: [Figure<Turn>; 9] =
    [TOTAL, BROKER, RECEIVER, WORKER, REDIS, BY_PROGRAMS, THROUGHPUT, P50, P99];

#[derive(clap::Args)]
pub struct Options {
    /// Results of `chain --beside lean`, any number for each version
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// The results of a run of `chain`.
#[derive(Deserialize)]
struct Run {
    machine: Machine,
    low_rate: f64,
    turns: Vec<Turn>,
}

/// All runs of a version.
#[derive(Serialize)]
struct Version {
    rabbitmq: String,
    redis: String,
    /// The figures of hookswitch beside those of the lean yardstick.
    figures: Vec<Comparison>,
    /// Webhooks in a message of hookswitch's to the raw queue.
    webhooks_per_message: Spread,
    turns: Vec<Turn>,
}

impl Version {
    fn of(runs: Vec<Run>) -> Self {
        let Machine { rabbitmq, redis, .. } = &runs[0].machine;
        let (rabbitmq, redis) = (rabbitmq.clone(), redis.clone());
        let turns: Vec<Turn> = runs.into_iter().flat_map(|run| run.turns).collect();
        let [ours, lean] = [Side::Ours, Side::Lean].map(|side| turns_of(&turns, side));
        let pairs: Vec<_> = lean.into_iter().zip(ours.iter().copied()).collect();
        let figures = FIGURES.iter().map(|figure| figure.compare(&pairs, None)).collect();
        let webhooks_per_message = Spread::of(ours.iter().filter_map(|turn| turn.webhooks_per_message));
        Self { rabbitmq, redis, figures, webhooks_per_message, turns }
    }
}

fn turns_of(turns: &[Turn], side: Side) -> Vec<&Turn> {
    turns.iter().filter(|turn| turn.chain == pairs::name(side)).collect()
}

#[derive(Serialize)]
struct Results {
    /// The machine as the first run saw it.
    machine: Machine,
    /// Webhooks per second while latency was measured.
    low_rate: f64,
    versions: Vec<Version>,
}

pub fn run(options: &Options) {
    let read = |path: &PathBuf| -> Run { serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap() };
    let Run { machine, low_rate, .. } = read(&options.runs[0]);
    let mut runs: BTreeMap<(bool, String), Vec<Run>> = BTreeMap::new();
    for run in options.runs.iter().map(read) {
        assert_eq!(run.low_rate, low_rate, "latencies at two rates cannot be compared: pass `--rate`");
        let rabbitmq = run.machine.rabbitmq.clone();
        // Single nodes come before clusters.
        runs.entry((rabbitmq.contains("nodes"), rabbitmq)).or_default().push(run);
    }
    let versions = runs.into_values().map(Version::of).collect();
    let results = Results { machine, low_rate, versions };
    options.output.finish("versions", &results, &table(&results), &svg(&results));
}

/// Returns the medians as a table for `docs/performance.md`.
fn table(results: &Results) -> String {
    let mut text = "| RabbitMQ | Redis |".to_owned();
    text.extend(FIGURES.iter().map(|figure| format!(" {} |", figure.name)));
    text += " webhooks per message | total CPU by lean's (min–max) |\n|";
    text += &" --- |".repeat(FIGURES.len() + 4);
    for Version { rabbitmq, redis, figures, webhooks_per_message, .. } in &results.versions {
        write!(text, "\n| {rabbitmq} | {redis} |").unwrap();
        for Comparison { ours, digits, .. } in figures {
            write!(text, " {:.digits$} |", ours.median).unwrap();
        }
        write!(text, " {:.1} | {:.2} |", webhooks_per_message.median, figures[0].ratio).unwrap();
    }
    text + "\n"
}

/// Draws what a webhook costs on each version, ours and in the lean yardstick.
fn svg(results: &Results) -> String {
    let bars = results.versions.iter().flat_map(|version| {
        [(Side::Ours, "ours"), (Side::Lean, "lean")].map(|(side, name)| {
            stack(format!("{}, {name}", version.rabbitmq), &turns_of(&version.turns, side))
        })
    });
    let Machine { cores, cpu, date, commit, .. } = &results.machine;
    let turns = results.versions.iter().map(|version| version.turns.len() / 2).min().unwrap_or_default();
    let lines = [
        "CPU per webhook from the POST to the event at a consumer, and webhooks per second".to_owned(),
        format!("medians of {turns} turns, {date}, {commit}, {cores} cores of {cpu} for all of it"),
    ];
    chart::stacks("What a webhook costs on versions of RabbitMQ", &lines, &PARTS, &bars.collect::<Vec<_>>())
}
