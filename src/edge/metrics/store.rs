//! Metrics of Redis itself, as it tells a worker.

use std::sync::{Mutex, PoisonError};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

use super::registry::Registry;

/// What Redis tells of its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreMemory {
    /// Bytes that it uses.
    pub used: u64,
    /// Bytes that it may use; 0 without a limit.
    pub max: u64,
    /// Its `maxmemory-policy` evicts keys.
    pub may_evict: bool,
    /// Keys that it has evicted since it was started.
    pub evicted: u64,
}

/// The metrics of Redis.
#[derive(Debug)]
pub struct StoreMetrics {
    used: Gauge,
    max: Gauge,
    may_evict: Gauge,
    evicted: Counter,
    /// Keys that Redis had evicted at the last look; none before the first.
    evicted_before: Mutex<Option<u64>>,
}

impl StoreMetrics {
    /// Creates the metrics.
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            used: registry.gauge(
                "hookswitch_redis_used_bytes",
                "Memory that Redis uses, as every worker reads it; of a Redis Cluster, its fullest master",
            ),
            max: registry.gauge("hookswitch_redis_max_bytes", "Redis' maxmemory; 0 without a limit"),
            may_evict: registry.gauge(
                "hookswitch_redis_may_evict",
                "1 if Redis' maxmemory-policy lets it evict keys, which lets duplicates through",
            ),
            evicted: registry.counter(
                "hookswitch_redis_evicted_keys_total",
                "Keys that Redis has evicted since the worker first looked, as every worker reads it",
            ),
            evicted_before: Mutex::default(),
        }
    }

    /// Shows what Redis tells.
    pub fn show(&self, memory: &StoreMemory) {
        let gauge = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.used.set(gauge(memory.used));
        self.max.set(gauge(memory.max));
        self.may_evict.set(memory.may_evict.into());
        // A Redis that was restarted counts from 0.
        let mut before = self.evicted_before.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = before.replace(memory.evicted) {
            self.evicted.inc_by(memory.evicted.checked_sub(before).unwrap_or(memory.evicted));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evicted_keys_are_counted_over_a_restart_of_redis() {
        let metrics = StoreMetrics::register(&mut Registry::new());
        for (evicted, counted) in [(3, 0), (3, 0), (5, 2), (2, 4)] {
            metrics.show(&StoreMemory { evicted, ..StoreMemory::default() });
            assert_eq!(metrics.evicted.get(), counted);
        }
    }
}
