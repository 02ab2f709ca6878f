//! Metrics of the queues that a worker looks at.

use std::{collections::BTreeMap, sync::atomic::AtomicU64, time::Duration};

use prometheus_client::metrics::{family::Family, gauge::Gauge};

use super::registry::{Registry, SourceLabels, labels};
use crate::core::{delivery::retry::Tier, webhook::SourceName};

labels! {
    TierLabels { tier: String }
    QueueLabels { queue: String }
}

/// How many messages queues hold. A queue that was not found is left out.
#[derive(Clone, Debug, Default)]
pub struct QueueDepths<'a> {
    /// Dead letters by source.
    pub dead: Vec<(&'a SourceName, u32)>,
    /// Messages in raw queues, by source or [`UNKNOWN_SOURCE`](super::UNKNOWN_SOURCE).
    pub raw: BTreeMap<&'a str, u32>,
    /// Webhooks in delay queues.
    pub delayed: Vec<(Tier, u32)>,
    /// Messages in the queues of subscriptions and in others that should be empty.
    pub others: Vec<(&'a str, u32)>,
}

/// The metrics of queues.
#[derive(Debug)]
pub struct QueueMetrics {
    dead: Family<SourceLabels, Gauge>,
    raw: Family<SourceLabels, Gauge>,
    per_message: Family<SourceLabels, Gauge<f64, AtomicU64>>,
    delayed: Family<TierLabels, Gauge>,
    overdue: Family<TierLabels, Gauge>,
    others: Family<QueueLabels, Gauge>,
}

impl QueueMetrics {
    /// Creates the metrics.
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            dead: registry.gauges(
                "hookswitch_dead_letters",
                "Dead letters that wait in the queue of each source, read by every worker",
            ),
            raw: registry.gauges(
                "hookswitch_backlog_webhooks",
                "Webhooks ready in the raw queues of each source, not taken by a worker, read by every \
                 worker: messages times hookswitch_webhooks_per_message of that worker",
            ),
            per_message: registry.gauges(
                "hookswitch_webhooks_per_message",
                "Webhooks in a message from the raw queues of each source, on average, of late",
            ),
            delayed: registry.gauges(
                "hookswitch_delayed_webhooks",
                "Webhooks in each delay queue, of all sources, read by every worker",
            ),
            overdue: registry.gauges(
                "hookswitch_retry_overdue_seconds",
                "How long the oldest canary sent through a delay queue is overdue: 0 while the broker lets \
                 messages out of it in time; exported by one worker at a time",
            ),
            others: registry.gauges(
                "hookswitch_queue_messages",
                "Messages ready in each subscription's queue, in events.unrouted and in hookswitch.ledger, \
                 read by every worker",
            ),
        }
    }

    /// Returns the gauge of how many webhooks a source's messages hold.
    pub(super) fn per_message(&self, source: &str) -> Gauge<f64, AtomicU64> {
        self.per_message.get_or_create(&SourceLabels { source: source.to_owned() }).clone()
    }

    /// Shows how many messages the queues hold; no series where that is not known.
    pub fn show(&self, depths: &QueueDepths<'_>) {
        self.dead.clear();
        for (source, depth) in &depths.dead {
            self.dead.get_or_create(&SourceLabels { source: source.to_string() }).set((*depth).into());
        }
        self.raw.clear();
        for (source, messages) in &depths.raw {
            // It is 0 until a message has come.
            let webhooks = f64::from(*messages) * self.per_message(source).get().max(1.0);
            self.raw.get_or_create(&SourceLabels { source: (*source).to_owned() }).set(webhooks as i64);
        }
        self.delayed.clear();
        for (tier, depth) in &depths.delayed {
            self.delayed.get_or_create(&TierLabels { tier: tier.name() }).set((*depth).into());
        }
        self.others.clear();
        for (queue, depth) in &depths.others {
            self.others.get_or_create(&QueueLabels { queue: (*queue).to_owned() }).set((*depth).into());
        }
    }

    /// Shows how long each delay queue is overdue; no series where that is not known, or another worker shows
    /// it.
    pub fn show_overdue(&self, tiers: impl IntoIterator<Item = (Tier, Duration)>) {
        self.overdue.clear();
        for (tier, overdue) in tiers {
            let overdue = i64::try_from(overdue.as_secs()).unwrap_or(i64::MAX);
            self.overdue.get_or_create(&TierLabels { tier: tier.name() }).set(overdue);
        }
    }
}
