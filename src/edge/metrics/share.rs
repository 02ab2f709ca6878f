//! A part of a gauge that several owners add up to.

use prometheus_client::metrics::gauge::Gauge;

/// One owner's share of a gauge. It is taken back when this is dropped.
#[derive(Debug)]
pub struct GaugeShare {
    gauge: Gauge,
    count: i64,
}

impl GaugeShare {
    /// Creates a share; none of the gauge at first.
    pub(super) fn of(gauge: &Gauge) -> Self {
        Self { gauge: gauge.clone(), count: 0 }
    }

    /// Creates a share of one, for as long as it lives.
    pub(super) fn one(gauge: &Gauge) -> Self {
        let mut share = Self::of(gauge);
        share.set(1);
        share
    }

    /// Sets the share.
    pub fn set(&mut self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        if count != self.count {
            self.gauge.inc_by(count - self.count);
            self.count = count;
        }
    }
}

impl Drop for GaugeShare {
    fn drop(&mut self) {
        self.set(0);
    }
}
