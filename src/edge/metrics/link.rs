//! Metrics of the connections to RabbitMQ and Redis.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;

use super::registry::{Registry, labels};

labels! {
    LinkLabels { link: &'static str }
}

/// The metrics of one connection to an outside service.
#[derive(Debug)]
pub struct LinkMetrics {
    /// Times that the connection was lost or could not be opened.
    pub reconnects: Counter,
}

impl LinkMetrics {
    /// Creates the metrics of several connections, each named by its label `link`.
    pub fn register<const N: usize>(registry: &mut Registry, links: [&'static str; N]) -> [Arc<Self>; N] {
        let reconnects = registry
            .counters("hookswitch_reconnects_total", "Connections that were lost or could not be opened");
        links
            .map(|link| Arc::new(Self { reconnects: reconnects.get_or_create(&LinkLabels { link }).clone() }))
    }

    /// Creates the metrics of a connection that is deliberately not exported, such as that of a command,
    /// which has no `/metrics`.
    pub fn unexported() -> Arc<Self> {
        Arc::new(Self { reconnects: Counter::default() })
    }
}
