//! Metrics of the spans that are sent to a collector.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;

use super::registry::Registry;

/// The metrics of the spans of a process.
#[derive(Debug, Default)]
pub struct SpanMetrics {
    /// Spans that the collector has accepted.
    pub exported: Counter,
    /// Spans that were lost.
    pub dropped: Counter,
}

impl SpanMetrics {
    /// Creates the metrics.
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        Arc::new(Self {
            exported: registry
                .counter("hookswitch_spans_exported_total", "Spans that the collector has accepted"),
            dropped: registry.counter(
                "hookswitch_spans_dropped_total",
                "Spans that were lost because the collector is down, slow or refuses them",
            ),
        })
    }
}
