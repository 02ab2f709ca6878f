//! Metrics of the configuration and its changes while the process runs.

use jiff::Timestamp;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};

use super::registry::{Registry, labels};

labels! {
    ResultLabels { result: &'static str }
}

/// What became of a configuration that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// It has no problems, and is in force once the broker has what it needs.
    Applied,
    /// It has problems, and the one before is still in force.
    Refused,
}

impl Reload {
    /// All results.
    pub const ALL: [Self; 2] = [Self::Applied, Self::Refused];

    /// Returns the word used for the label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}

/// The metrics of the configuration.
#[derive(Debug)]
pub struct ConfigMetrics {
    reloads: Family<ResultLabels, Counter>,
    failed: Gauge,
    loaded: Gauge,
    restart_needed: Gauge,
    waits_for_topology: Gauge,
}

impl ConfigMetrics {
    /// Creates the metrics. The configuration with which a process starts counts as loaded.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reloads: registry.counters(
                "hookswitch_config_reloads_total",
                "Configurations that were read while the process ran, by what became of them",
            ),
            failed: registry.gauge(
                "hookswitch_config_reload_failed",
                "1 while the configuration was refused that was read last, and the one before is in force",
            ),
            loaded: registry.gauge(
                "hookswitch_config_loaded_timestamp_seconds",
                "Unix time at which the newest configuration was read that was not refused",
            ),
            restart_needed: registry.gauge(
                "hookswitch_config_restart_needed",
                "Keys of the configuration that have changed and take a restart",
            ),
            waits_for_topology: registry.gauge(
                "hookswitch_config_waits_for_topology",
                "1 while the worker keeps the one before, since the broker lacks what the new one needs",
            ),
        };
        for result in Reload::ALL {
            drop(metrics.reloads.get_or_create(&ResultLabels { result: result.as_str() }));
        }
        metrics.loaded.set(Timestamp::now().as_second());
        metrics
    }

    /// Counts a configuration that was read.
    pub fn reloaded(&self, result: Reload) {
        self.reloads.get_or_create(&ResultLabels { result: result.as_str() }).inc();
        self.failed.set((result == Reload::Refused).into());
        if result == Reload::Applied {
            self.loaded.set(Timestamp::now().as_second());
        }
    }

    /// Shows how many keys wait for a restart.
    pub fn restart_needed(&self, keys: usize) {
        self.restart_needed.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// Shows whether the worker waits for the topology.
    pub fn waits_for_topology(&self, waits: bool) {
        self.waits_for_topology.set(waits.into());
    }
}
