//! Metrics of how long webhooks have waited, and of the sources whose webhooks an operator has wait.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::metrics::{family::Family, gauge::Gauge, histogram::Histogram};

use super::registry::{Registry, SourceLabels};
use crate::core::webhook::SourceName;

/// Bounds of the buckets of `hookswitch_wait_seconds`, in seconds: from an idle system to a day's outage.
const WAIT_SECONDS: [f64; 14] =
    [0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0];

/// Nothing is in hand.
const NONE: i64 = i64::MAX;

/// The metrics of waiting webhooks.
#[derive(Debug)]
pub struct WaitMetrics {
    wait_seconds: Family<SourceLabels, Histogram>,
    oldest: Family<SourceLabels, Gauge<f64, AtomicU64>>,
    paused: Family<SourceLabels, Gauge>,
    lanes: Mutex<Vec<(String, Weak<AtomicI64>)>>,
}

/// The time at which the oldest webhook that a lane has in hand was received. Until it is dropped it counts
/// for its source.
#[derive(Debug)]
pub struct OldestInHand(Arc<AtomicI64>);

impl OldestInHand {
    /// Sets the time; none if the lane has no webhook in hand that is tried for the first time.
    pub fn set(&self, received: Option<Timestamp>) {
        self.0.store(received.map_or(NONE, Timestamp::as_millisecond), Ordering::Relaxed);
    }
}

impl WaitMetrics {
    /// Creates the metrics.
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            wait_seconds: registry.histograms(
                "hookswitch_wait_seconds",
                "Time from receiving a webhook to taking it into work for the first time, of the oldest in \
                 each batch",
                || Histogram::new(WAIT_SECONDS),
            ),
            oldest: registry.gauges(
                "hookswitch_oldest_in_hand_seconds",
                "Age of the oldest webhook that the worker has and has not settled, without retried ones; 0 \
                 without any. Those in a queue are younger, unless no worker takes from it",
            ),
            paused: registry.gauges(
                "hookswitch_source_paused",
                "1 while an operator has paused the source, and its webhooks wait in their queue",
            ),
            lanes: Mutex::default(),
        }
    }

    /// Creates the series of a source.
    pub(super) fn begin(&self, source: &SourceName) {
        drop(self.wait_seconds(source));
    }

    pub(super) fn wait_seconds(&self, source: &SourceName) -> Histogram {
        self.wait_seconds.get_or_create(&SourceLabels { source: source.to_string() }).clone()
    }

    /// Returns where a lane of `source` says what it has in hand.
    pub fn lane(&self, source: &SourceName) -> OldestInHand {
        let oldest = Arc::new(AtomicI64::new(NONE));
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|(_, lane)| lane.strong_count() > 0);
        lanes.push((source.to_string(), Arc::downgrade(&oldest)));
        OldestInHand(oldest)
    }

    /// Shows these sources and no others, and whether each is paused.
    pub fn show_paused<'a>(&self, sources: impl IntoIterator<Item = (&'a SourceName, bool)>) {
        self.paused.clear();
        for (source, is_paused) in sources {
            let labels = SourceLabels { source: source.to_string() };
            self.paused.get_or_create(&labels).set(is_paused.into());
        }
    }

    /// Computes the ages of now.
    pub fn refresh(&self, now: Timestamp) {
        self.oldest.clear();
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        for (source, lane) in &*lanes {
            let received = lane.upgrade().map_or(NONE, |oldest| oldest.load(Ordering::Relaxed));
            let age = now.as_millisecond().saturating_sub(received).max(0);
            let age = Duration::from_millis(age.unsigned_abs()).as_secs_f64();
            let gauge = self.oldest.get_or_create(&SourceLabels { source: source.clone() });
            gauge.set(gauge.get().max(age));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_all_lanes_of_a_source_counts() {
        let mut registry = Registry::new();
        let (metrics, source) = (WaitMetrics::register(&mut registry), "salpre".parse().unwrap());
        let at = |second| Timestamp::from_second(second).unwrap();
        let shown = |metrics: &WaitMetrics, now: i64| {
            metrics.refresh(at(now));
            metrics.oldest.get_or_create(&SourceLabels { source: "salpre".to_owned() }).get()
        };
        let [one, two] = [metrics.lane(&source), metrics.lane(&source)];
        for (seconds, age) in [([None, None], 0.0), ([Some(90), Some(70)], 30.0), ([Some(90), None], 10.0)] {
            one.set(seconds[0].map(at));
            two.set(seconds[1].map(at));
            assert!((shown(&metrics, 100) - age).abs() < f64::EPSILON, "{seconds:?}");
        }
        drop(one);
        assert!(shown(&metrics, 100).abs() < f64::EPSILON, "a lane that is gone has nothing in hand");
    }
}
