//! What the receiver counts.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// The label of requests to a source that is not configured: a sender must not be able to make up labels.
pub const UNKNOWN_SOURCE: &str = "(unknown)";

/// From well under a fast confirm to the longest time that a provider waits.
const ACCEPT_SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Received {
    source: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfSource {
    source: String,
}

/// What the receiver counts. Cloning shares the counters.
#[derive(Clone, Debug)]
pub struct ReceiverMetrics {
    received: Family<Received, Counter>,
    accept_seconds: Family<OfSource, Histogram>,
    in_flight: Gauge,
    headers_left_out: Family<OfSource, Counter>,
}

impl Default for ReceiverMetrics {
    fn default() -> Self {
        Self {
            received: Family::default(),
            accept_seconds: Family::new_with_constructor(|| Histogram::new(ACCEPT_SECONDS)),
            in_flight: Gauge::default(),
            headers_left_out: Family::default(),
        }
    }
}

impl ReceiverMetrics {
    /// Puts everything under the names that `/metrics` shows.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "hookswitch_received",
            "Requests to /in/<source> by source and status of the answer",
            self.received.clone(),
        );
        registry.register(
            "hookswitch_accept_seconds",
            "Time from a request's headers to its 200, which the broker's confirm is part of",
            self.accept_seconds.clone(),
        );
        registry.register(
            "hookswitch_receiver_in_flight",
            "Requests to /in/<source> in work",
            self.in_flight.clone(),
        );
        registry.register(
            "hookswitch_headers_left_out",
            "Headers that were to be captured and did not fit into receiver.header_bytes_max",
            self.headers_left_out.clone(),
        );
    }

    /// A request was answered with `status` after `seconds`. `source` is a configured one, or [`UNKNOWN_SOURCE`].
    pub fn answered(&self, source: &str, status: u16, seconds: f64) {
        self.received.get_or_create(&Received { source: source.to_owned(), status }).inc();
        if status == 200 {
            self.accept_seconds.get_or_create(&OfSource { source: source.to_owned() }).observe(seconds);
        }
    }

    /// So many headers of one webhook were left out.
    pub fn headers_left_out(&self, source: &str, count: u64) {
        if count > 0 {
            self.headers_left_out.get_or_create(&OfSource { source: source.to_owned() }).inc_by(count);
        }
    }

    /// Counts a request as in flight until the guard is dropped, also when its client goes away.
    pub fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }
}

/// One request in flight.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
