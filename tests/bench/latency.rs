//! The latency of webhooks at fixed rates.
//!
//! Latency counts from the time at which a webhook is due, and the generator never waits for an earlier
//! answer. So a stall shows in every webhook due during it, not only in the first.

use std::{fmt::Write as _, time::Duration};

use serde::Serialize;

use super::{
    chain::{Chain, Trip},
    chart::{Lines, Series},
    report::{Machine, Output, Tail, say},
    webhook,
    world::{ONE_SOURCE, QUEUE_OUT, World},
};

#[derive(clap::Args)]
pub struct Options {
    /// Duration of each rate in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Rates in percent of the capacity
    #[arg(long, value_delimiter = ',', default_values_t = [25, 50, 75, 90])]
    percent: Vec<u32>,
    /// Webhooks in flight while the capacity is measured
    #[arg(long, default_value_t = 256)]
    in_flight: usize,
    #[command(flatten)]
    output: Output,
}

/// The results of one rate.
#[derive(Serialize)]
struct Step {
    percent: u32,
    rate: f64,
    due: usize,
    /// Webhooks not answered 200.
    refused: usize,
    /// Webhooks accepted, but without an event within 20 s after the last one was due.
    late: usize,
    /// Webhooks that a message to the raw queue held on average.
    webhooks_per_message: f64,
    /// Delay of the generator, which is part of all latencies below.
    generator_ms: Tail,
    accepted_ms: Tail,
    event_ms: Tail,
}

impl Step {
    fn new(percent: u32, rate: f64, trips: &[Trip], messages: f64) -> Self {
        let accepted = Tail::of(trips.iter().filter_map(Trip::accepted_after));
        let event = Tail::of(trips.iter().filter_map(Trip::arrived_after));
        Self {
            percent,
            rate,
            due: trips.len(),
            refused: trips.len() - accepted.n,
            late: accepted.n.saturating_sub(event.n),
            webhooks_per_message: accepted.n as f64 / messages,
            generator_ms: Tail::of(trips.iter().map(|trip| trip.posted - trip.due)),
            accepted_ms: accepted,
            event_ms: event,
        }
    }
}

#[derive(Serialize)]
struct Results {
    machine: Machine,
    capacity: f64,
    in_flight: usize,
    seconds: u64,
    steps: Vec<Step>,
}

pub async fn run(options: &Options) {
    let world = World::start(ONE_SOURCE).await;
    let machine = Machine::of(&world).await;
    let receiver = world.start_ours("receiver");
    let _worker = world.start_ours("worker");
    world.answers(&receiver).await;
    let chain = Chain::start(&receiver.address, &world.url(0), QUEUE_OUT).await;
    let lasting = Duration::from_secs(options.seconds);
    say("capacity");
    let capacity = chain.capacity(webhook::SOURCE, options.in_flight, lasting).await;
    let mut steps = Vec::new();
    for percent in &options.percent {
        let rate = capacity * f64::from(*percent) / 100.0;
        say(&format!("{percent} % of {capacity:.0}/s"));
        let before = receiver.raw_messages().await.unwrap();
        let trips = chain.open_loop(&[webhook::SOURCE.to_owned()], rate, lasting).await;
        let messages = receiver.raw_messages().await.unwrap() - before;
        steps.push(Step::new(*percent, rate, &trips, messages));
    }
    let (in_flight, seconds) = (options.in_flight, options.seconds);
    let results = Results { machine, capacity, in_flight, seconds, steps };
    options.output.finish("latency", &results, &table(&results), &svg(&results));
}

fn table(results: &Results) -> String {
    let Results { machine, capacity, in_flight, seconds, steps } = results;
    let mut text = format!(
        "{machine}\n\nCapacity of one receiver, one worker and a consumer: {capacity:.0} webhooks/s, with\n\
         {in_flight} in flight. Then {seconds} s at each rate; milliseconds since a webhook was due.\n\n"
    );
    let head = ["until", "n", "p50", "p99", "p99.9", "max", "webhooks per message"];
    writeln!(
        text,
        "{:<16} {:<10} {:>7} {:>8} {:>8} {:>8} {:>8} {:>22}",
        "rate", head[0], head[1], head[2], head[3], head[4], head[5], head[6]
    )
    .unwrap();
    for step in steps {
        let rate = format!("{} % = {:.0}/s", step.percent, step.rate);
        let rows = [("posted", step.generator_ms), ("200", step.accepted_ms), ("the event", step.event_ms)];
        let bundled = step.webhooks_per_message;
        for (name, Tail { n, p50, p99, p999, max }) in rows {
            let times = format!("{p50:>8.2} {p99:>8.2} {p999:>8.2} {max:>8.2}");
            writeln!(text, "{rate:<16} {name:<10} {n:>7} {times} {bundled:>22.1}").unwrap();
        }
        if step.refused + step.late > 0 {
            writeln!(text, "{rate:<16} {} not answered 200, {} without an event", step.refused, step.late)
                .unwrap();
        }
    }
    text
}

fn svg(results: &Results) -> String {
    type Pick = fn(&Step) -> f64;
    let picks: [(&str, &'static str, bool, Pick); 7] = [
        ("event: max", "#b35900", true, |step| step.event_ms.max),
        ("event: p99.9", "#d9822b", true, |step| step.event_ms.p999),
        ("event: p99", "#d9822b", false, |step| step.event_ms.p99),
        ("event: p50", "#e8b27a", false, |step| step.event_ms.p50),
        ("200: p99.9", "#2f81c7", true, |step| step.accepted_ms.p999),
        ("200: p99", "#2f81c7", false, |step| step.accepted_ms.p99),
        ("200: p50", "#8dbbe3", false, |step| step.accepted_ms.p50),
    ];
    let series = picks.map(|(name, color, dashed, pick)| Series {
        name: name.to_owned(),
        color,
        dashed,
        points: results.steps.iter().map(|step| (f64::from(step.percent), pick(step))).collect(),
    });
    let mark = |step: &Step| (f64::from(step.percent), format!("{} % ({:.0}/s)", step.percent, step.rate));
    let Machine { cores, cpu, rabbitmq, date, commit, .. } = &results.machine;
    Lines {
        title: "Latency of a webhook by load",
        lines: &[
            "From the time it is due to its 200, and to its event at a consumer".to_owned(),
            format!(
                "capacity {:.0}/s; {date}, {commit}, {cores} cores of {cpu} in total, RabbitMQ {rabbitmq}",
                results.capacity
            ),
        ],
        marks: results.steps.iter().map(mark).collect(),
        x_name: "rate, as a share of the capacity of the whole chain",
        series: series.into(),
        bands: Vec::new(),
    }
    .svg()
}
