//! A turn of a chain: what was measured, and its figures.

use serde::{Deserialize, Serialize};

use super::{
    chart::Stack,
    compare::Figure,
    report::{Spread, Tail},
};

/// CPU microseconds per webhook.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Cpu {
    pub receiver: f64,
    pub worker: f64,
    /// All nodes of RabbitMQ.
    pub broker: f64,
    pub redis: f64,
    /// The load generator and the consumer, which are one process. Not part of the total.
    pub generator: f64,
}

impl Cpu {
    pub fn total(&self) -> f64 {
        self.receiver + self.worker + self.broker + self.redis
    }
}

/// The measurements of one turn.
#[derive(Serialize, Deserialize)]
pub struct Turn {
    pub round: usize,
    /// Its place in the round.
    pub place: usize,
    pub chain: String,
    /// Webhooks per second, from the first post to the last event.
    pub rate: f64,
    pub cpu_us: Cpu,
    /// Webhooks that a message to the raw queue held on average, of a hookswitch that counts messages.
    pub webhooks_per_message: Option<f64>,
    /// Peak memory of the receiver or of the worker, whichever is larger, in MiB.
    pub peak_mib: f64,
    /// Latency at the low rate, since a webhook was due to be posted.
    pub accepted_ms: Tail,
    pub event_ms: Tail,
}

const fn figure(name: &'static str, digits: usize, of: fn(&Turn) -> f64) -> Figure<Turn> {
    Figure { name, of, digits }
}

pub const THROUGHPUT: Figure<Turn> = figure("throughput, 1/s", 0, |turn| turn.rate);
pub const TOTAL: Figure<Turn> = figure("total CPU, µs", 1, |turn| turn.cpu_us.total());
pub const RECEIVER: Figure<Turn> = figure("receiver CPU, µs", 1, |turn| turn.cpu_us.receiver);
pub const WORKER: Figure<Turn> = figure("worker CPU, µs", 1, |turn| turn.cpu_us.worker);
pub const BROKER: Figure<Turn> = figure("broker CPU, µs", 1, |turn| turn.cpu_us.broker);
pub const REDIS: Figure<Turn> = figure("Redis CPU, µs", 1, |turn| turn.cpu_us.redis);
pub const P50: Figure<Turn> = figure("event p50, ms", 2, |turn| turn.event_ms.p50);
pub const P99: Figure<Turn> = figure("event p99, ms", 2, |turn| turn.event_ms.p99);
pub const ACCEPTED_P50: Figure<Turn> = figure("200 p50, ms", 2, |turn| turn.accepted_ms.p50);
pub const ACCEPTED_P99: Figure<Turn> = figure("200 p99, ms", 2, |turn| turn.accepted_ms.p99);
pub const PEAK: Figure<Turn> = figure("peak RSS, MiB", 1, |turn| turn.peak_mib);

/// The parts of [`stack`].
pub const PARTS: [(&str, &str); 4] =
    [("receiver", "#2f81c7"), ("worker", "#8dbbe3"), ("RabbitMQ", "#d9822b"), ("Redis", "#e8b27a")];

/// Returns the bar of what a webhook costs, by process.
pub fn stack(label: String, turns: &[&Turn]) -> Stack {
    let of = |figure: Figure<Turn>| Spread::of(turns.iter().map(|turn| (figure.of)(turn))).median;
    Stack {
        label,
        parts: [RECEIVER, WORKER, BROKER, REDIS].map(of).into(),
        note: format!("{:.0} µs, {:.0}/s", of(TOTAL), of(THROUGHPUT)),
    }
}
