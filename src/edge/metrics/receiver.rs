//! Metrics of the receiver.

use std::sync::Arc;

use jiff::Timestamp;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};

use super::{
    registry::{Registry, SourceLabels, labels},
    share::GaugeShare,
};
use crate::core::webhook::SourceName;

/// The label `source` of requests to a source that is not configured: a sender must not be able to create
/// labels.
pub const UNKNOWN_SOURCE: &str = "(unknown)";

/// The statuses that a request to a configured source may be answered with.
const STATUSES: [u16; 9] = [200, 400, 401, 405, 408, 413, 415, 501, 503];

/// The statuses that all other requests may be answered with.
const STATUSES_OF_OTHERS: [u16; 5] = [400, 404, 408, 431, 503];

/// Bounds of the buckets of `hookswitch_accept_seconds`, in seconds: from well under a fast confirm to the
/// longest time that a provider waits.
const ACCEPT_SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];

/// The words for the reasons why requests and connections are refused.
pub const REFUSALS: [&str; 19] = [
    "unknown_source",
    "method",
    "unauthenticated",
    "repeated_header",
    "body_too_large",
    "transfer_coding",
    "content_coding",
    "undecodable",
    "empty_body",
    "slow_body",
    "incomplete_body",
    "no_memory",
    "not_stored",
    "head_too_large",
    "malformed_request",
    "slow_head",
    "slow_reader",
    "tls_handshake",
    "slow_tls_handshake",
];

labels! {
    AnswerLabels { source: String, status: u16 }
    RefusalLabels { source: String, refusal: &'static str }
}

/// The metrics of a receiver.
#[derive(Debug)]
pub struct ReceiverMetrics {
    received: Family<AnswerLabels, Counter>,
    refused: Family<RefusalLabels, Counter>,
    accept_seconds: Family<SourceLabels, Histogram>,
    messages: Family<SourceLabels, Counter>,
    last_received: Family<SourceLabels, Gauge>,
    in_flight: Gauge,
    headers_left_out: Family<SourceLabels, Counter>,
}

impl ReceiverMetrics {
    /// Creates the metrics.
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        Arc::new(Self {
            received: registry.counters("hookswitch_received_total", "Webhook requests that were answered"),
            refused: registry.counters(
                "hookswitch_refused_total",
                "Requests that were not accepted and connections that were ended, by the reason",
            ),
            accept_seconds: registry.histograms(
                "hookswitch_accept_seconds",
                "Time from a webhook request's headers to its answer 200, including the broker's confirm",
                || Histogram::new(ACCEPT_SECONDS),
            ),
            messages: registry.counters(
                "hookswitch_raw_messages_total",
                "Messages with webhooks that the broker has confirmed; the busier a raw queue, the more \
                 webhooks share one",
            ),
            last_received: registry.gauges(
                "hookswitch_last_received_timestamp_seconds",
                "Unix time of the last answer 200; 0 if there was none since the receiver was started",
            ),
            in_flight: registry
                .gauge("hookswitch_receiver_in_flight", "Webhook requests that are not answered yet"),
            headers_left_out: registry.counters(
                "hookswitch_headers_left_out_total",
                "Headers that were not captured because they exceeded receiver.header_bytes_max",
            ),
        })
    }

    /// Creates the series of sources and of requests to none.
    pub fn begin<'a>(&self, sources: impl Iterator<Item = &'a SourceName>) {
        self.series_of(UNKNOWN_SOURCE, &STATUSES_OF_OTHERS);
        for source in sources {
            self.series_of(source.as_str(), &STATUSES);
            let labels = SourceLabels { source: source.to_string() };
            drop(self.accept_seconds.get_or_create(&labels));
            drop(self.messages.get_or_create(&labels));
            drop(self.last_received.get_or_create(&labels));
            drop(self.headers_left_out.get_or_create(&labels));
        }
    }

    fn series_of(&self, source: &str, statuses: &[u16]) {
        for status in statuses {
            let labels = AnswerLabels { source: source.to_owned(), status: *status };
            drop(self.received.get_or_create(&labels));
        }
        for refusal in REFUSALS {
            drop(self.refused.get_or_create(&RefusalLabels { source: source.to_owned(), refusal }));
        }
    }

    /// Counts a request that was answered with `status` after `seconds`. `source` is a configured one, or
    /// [`UNKNOWN_SOURCE`].
    pub fn answered(&self, source: &str, status: u16, seconds: f64) {
        self.received.get_or_create(&AnswerLabels { source: source.to_owned(), status }).inc();
        if status == 200 {
            let labels = SourceLabels { source: source.to_owned() };
            self.accept_seconds.get_or_create(&labels).observe(seconds);
            self.last_received.get_or_create(&labels).set(Timestamp::now().as_second());
        }
    }

    /// Counts a message with webhooks of a source that the broker has confirmed.
    pub fn stored(&self, source: &SourceName) {
        self.messages.get_or_create(&SourceLabels { source: source.to_string() }).inc();
    }

    /// Counts a request that was refused. `refusal` is one of [`REFUSALS`].
    pub fn refused(&self, source: &str, refusal: &'static str) {
        self.refused.get_or_create(&RefusalLabels { source: source.to_owned(), refusal }).inc();
    }

    /// Counts a client that was refused outside of a request, and its answer if it got one.
    pub fn rejected(&self, refusal: &'static str, status: Option<u16>) {
        self.refused(UNKNOWN_SOURCE, refusal);
        if let Some(status) = status {
            self.received.get_or_create(&AnswerLabels { source: UNKNOWN_SOURCE.to_owned(), status }).inc();
        }
    }

    /// Counts `count` headers of one webhook that were not captured.
    pub fn headers_left_out(&self, source: &str, count: u64) {
        if count > 0 {
            self.headers_left_out.get_or_create(&SourceLabels { source: source.to_owned() }).inc_by(count);
        }
    }

    /// Counts a request as in flight until the guard is dropped, also when its client goes away.
    pub fn enter(&self) -> GaugeShare {
        GaugeShare::one(&self.in_flight)
    }
}
