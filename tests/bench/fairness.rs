//! The latency of quiet sources while another source floods.
//!
//! The flood is a backlog that outlasts the measurement, like that of a source that sends ten times the
//! capacity. In the last phase more of it comes through the receiver, as fast as the receiver accepts it.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::Serialize;

use super::{
    chain::{Chain, Trip},
    chart::{Lines, Series},
    load,
    report::{Machine, Output, Tail, say},
    webhook,
    world::{Process, QUEUE_OUT, Side, World},
};

const FLOOD: &str = "flood";
/// Target: the factor by which the quiet sources may slow down.
const RATIO_MAX: f64 = 3.0;
/// Webhooks in flight while the capacity is measured.
const IN_FLIGHT: usize = 256;
/// Time between the start of the flood and the measurement.
const RISING: Duration = Duration::from_secs(3);
/// Seconds covered by a point of the chart.
const WINDOW: f64 = 2.0;
/// First number of the flood's webhooks over HTTP.
const FIRST: u64 = 1 << 50;

#[derive(clap::Args)]
pub struct Options {
    /// Number of quiet sources
    #[arg(long, default_value_t = 4)]
    quiet: usize,
    /// Webhooks per second of each quiet source
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// Duration of each phase in seconds
    #[arg(long, default_value_t = 16)]
    seconds: u64,
    /// Connections of the flood
    #[arg(long, default_value_t = 256)]
    connections: usize,
    #[command(flatten)]
    output: Output,
}

/// A phase, and the latency of the quiet sources in it.
#[derive(Serialize)]
struct Phase {
    name: &'static str,
    /// Latency of the quiet sources.
    due: usize,
    arrived: usize,
    accepted_ms: Tail,
    event_ms: Tail,
    /// p99 of this phase divided by that of the first.
    ratio: f64,
    /// Events per second of all sources.
    events_rate: f64,
    /// Messages of the flood left in its queue.
    backlog_left: u64,
    /// Start of a window in seconds, and p50 and p99 of the webhooks due in it.
    windows: Vec<[f64; 3]>,
}

#[derive(Serialize)]
struct Results {
    machine: Machine,
    capacity: f64,
    quiet: usize,
    rate: u32,
    seconds: u64,
    connections: usize,
    backlog: u64,
    ratio_max: f64,
    phases: Vec<Phase>,
}

/// The setup of the measurement.
struct Stage<'a> {
    world: &'a World,
    chain: &'a Chain,
    quiet: Vec<String>,
    rate: f64,
    connections: usize,
    lasting: Duration,
}

pub async fn run(options: &Options) {
    let quiet: Vec<String> = (1..=options.quiet).map(|n| format!("quiet-{n}")).collect();
    let source = |name: &str| format!("[sources.{name}]\nprovider = \"morph\"\nauth = \"none\"\n");
    let sources = quiet.iter().map(String::as_str).chain([FLOOD, webhook::SOURCE]);
    let mut world = World::start(&sources.map(source).collect::<String>()).await;
    let machine = Machine::of(&world).await;
    let receiver = world.start_ours("receiver");
    let worker = world.start_ours("worker");
    world.answers(&receiver).await;
    let chain = Chain::start(&receiver.address, &world.url(0), QUEUE_OUT).await;
    say("capacity");
    let capacity = chain.capacity(FLOOD, IN_FLIGHT, Duration::from_secs(6)).await;
    let rate = f64::from(options.rate) * options.quiet as f64;
    let (connections, lasting) = (options.connections, Duration::from_secs(options.seconds));
    let stage = Stage { world: &world, chain: &chain, quiet: quiet.clone(), rate, connections, lasting };
    say("measuring before the flood");
    let before = stage.phase("quiet", async {}).await;
    drop(worker);
    let backlog = backlog(capacity, lasting);
    say(&format!("filling a backlog of {backlog}"));
    world.fill(Side::Ours, FLOOD, backlog, webhook::TYPICAL).await;
    let stage = Stage { world: &world, chain: &chain, quiet, rate, connections, lasting };
    let flooded = stage.flooded(&receiver).await;
    let phases = compared([before].into_iter().chain(flooded).collect());
    let Options { quiet, rate, seconds, connections, .. } = *options;
    let results = Results {
        machine,
        capacity,
        quiet,
        rate,
        seconds,
        connections,
        backlog,
        ratio_max: RATIO_MAX,
        phases,
    };
    options.output.finish("fairness", &results, &table(&results), &svg(&results));
}

/// Returns a backlog larger than the capacity over the two phases of the flood and the time between.
fn backlog(capacity: f64, lasting: Duration) -> u64 {
    (capacity * (2.0 * (lasting + RISING).as_secs_f64()) * 1.5) as u64
}

impl Stage<'_> {
    async fn flooded(&self, receiver: &Process) -> [Phase; 2] {
        let _worker = self.world.start_ours("worker");
        say("draining the backlog");
        tokio::time::sleep(RISING).await;
        let backlog = self.phase("backlog", async {}).await;
        say("flooding over HTTP too");
        let flood = flood(receiver.address.clone(), self.connections, self.lasting);
        [backlog, self.phase("backlog and HTTP", flood).await]
    }

    /// Measures the quiet sources' posts while `meanwhile` runs.
    async fn phase(&self, name: &'static str, meanwhile: impl Future<Output = ()>) -> Phase {
        let (began, events) = (Instant::now(), self.chain.events());
        let quiet = self.chain.open_loop(&self.quiet, self.rate, self.lasting);
        let (trips, ()) = tokio::join!(quiet, meanwhile);
        let events_rate = (self.chain.events() - events) as f64 / began.elapsed().as_secs_f64();
        let event_ms = Tail::of(trips.iter().filter_map(Trip::arrived_after));
        Phase {
            name,
            due: trips.len(),
            arrived: event_ms.n,
            accepted_ms: Tail::of(trips.iter().filter_map(Trip::accepted_after)),
            event_ms,
            ratio: 1.0,
            events_rate,
            backlog_left: self.world.depth(&format!("raw.{FLOOD}")).await,
            windows: windows(&trips, began, self.lasting),
        }
    }
}

/// Posts as fast as the receiver answers, on a thread of its own, so that it does not delay the generator of
/// the quiet sources.
async fn flood(address: String, connections: usize, lasting: Duration) {
    let posting = move || {
        let next = AtomicU64::new(FIRST);
        let body = || Bytes::from(webhook::body(next.fetch_add(1, Ordering::Relaxed), webhook::TYPICAL));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(load::closed_loop(&address, FLOOD, connections, lasting, body));
    };
    tokio::task::spawn_blocking(posting).await.unwrap();
}

/// Returns the complete windows in which events arrived.
fn windows(trips: &[Trip], began: Instant, lasting: Duration) -> Vec<[f64; 3]> {
    let of = |trip: &Trip| ((trip.due - began).as_secs_f64() / WINDOW) as usize;
    let window = |n| {
        let tail = Tail::of(trips.iter().filter(|trip| of(trip) == n).filter_map(Trip::arrived_after));
        (tail.n > 0).then_some([n as f64 * WINDOW, tail.p50, tail.p99])
    };
    (0..(lasting.as_secs_f64() / WINDOW) as usize).filter_map(window).collect()
}

fn compared(mut phases: Vec<Phase>) -> Vec<Phase> {
    let first = phases[0].event_ms.p99;
    for phase in &mut phases {
        phase.ratio = phase.event_ms.p99 / first;
    }
    phases
}

fn table(results: &Results) -> String {
    let Results { machine, capacity, quiet, rate, seconds, backlog, phases, .. } = results;
    let mut text = format!(
        "{machine}\n\n{quiet} quiet sources of {rate} webhooks/s each, {seconds} s per phase;\n\
         one source with a backlog of {backlog}. Capacity of the chain: {capacity:.0}/s.\n\
         Milliseconds from due to event, of the quiet sources; messages that the flood has left.\n\n"
    );
    let head = ["phase", "n", "p50", "p99", "max", "ratio", "200: p99", "events/s", "messages"];
    let [phase, n, p50, p99, max, ratio, accepted, events, left] = head;
    writeln!(
        text,
        "{phase:<17} {n:>6} {p50:>8} {p99:>8} {max:>8} {ratio:>6} {accepted:>9} {events:>9} {left:>8}"
    )
    .unwrap();
    for Phase { name, due, arrived, accepted_ms, event_ms, ratio, events_rate, backlog_left, .. } in phases {
        let (Tail { p50, p99, max, .. }, accepted) = (event_ms, accepted_ms.p99);
        writeln!(
            text,
            "{name:<17} {arrived:>6} {p50:>8.2} {p99:>8.2} {max:>8.2} {ratio:>6.2} {accepted:>9.2} \
             {events_rate:>9.0} {backlog_left:>8}"
        )
        .unwrap();
        if arrived < due {
            writeln!(text, "{name:<17} {} webhooks have no event yet", due - arrived).unwrap();
        }
    }
    text.push_str("\nTarget\n");
    for Phase { name, ratio, backlog_left, .. } in &phases[1..] {
        let word = if *ratio <= RATIO_MAX { "met" } else { "NOT met" };
        let ended = if *backlog_left == 0 { ", though the flood had ended by then" } else { "" };
        writeln!(text, "  p99 with {name} ≤ {RATIO_MAX} × before: {word} ({ratio:.2}){ended}").unwrap();
    }
    text
}

fn svg(results: &Results) -> String {
    let starts: Vec<f64> = (0..results.phases.len()).map(|n| n as f64 * results.seconds as f64).collect();
    let points = |which: usize| {
        let of = |(phase, start): (&Phase, &f64)| {
            let middle = start + WINDOW / 2.0;
            phase.windows.iter().map(|window| (middle + window[0], window[which])).collect::<Vec<_>>()
        };
        results.phases.iter().zip(&starts).flat_map(of).collect()
    };
    let series = |name: &str, color, which| Series {
        name: name.to_owned(),
        color,
        dashed: false,
        points: points(which),
    };
    let end = |start: &f64| start + results.seconds as f64;
    let band = |(phase, start): (&Phase, &f64)| (*start + 0.5, end(start) - 0.5, phase.name.to_owned());
    let Machine { cores, cpu, rabbitmq, date, commit, .. } = &results.machine;
    Lines {
        title: "Latency of quiet sources while another source floods",
        lines: &[
            format!(
                "{} sources of {}/s each, from due to event; flood: a backlog that never ends, then HTTP too",
                results.quiet, results.rate
            ),
            format!("{date}, {commit}, {cores} cores of {cpu} for all of it, RabbitMQ {rabbitmq}"),
        ],
        marks: starts
            .iter()
            .chain([end(starts.last().unwrap())].iter())
            .map(|at| (*at, format!("{at} s")))
            .collect(),
        x_name: "time, without the gaps between the phases",
        series: vec![series("p99 in 2 s", "#d9822b", 2), series("p50 in 2 s", "#2f81c7", 1)],
        bands: results.phases.iter().zip(&starts).skip(1).map(band).collect(),
    }
    .svg()
}
