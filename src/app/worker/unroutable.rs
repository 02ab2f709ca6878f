//! Deliveries that wait because a message of theirs has no queue to go to.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use crate::edge::{seldom::Seldom, trouble::Trouble};

/// Interval of the log lines: each waiting delivery tries again and again.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The deliveries that wait.
pub(super) struct Unroutable {
    waiting: AtomicUsize,
    log: Seldom,
}

/// One that waits, until it is dropped.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Unroutable {
    pub(super) const fn new() -> Self {
        Self { waiting: AtomicUsize::new(0), log: Seldom::every(LOG_EVERY) }
    }

    /// Counts a delivery that begins to wait, and logs that once in a while.
    pub(super) fn wait(&self) -> Waiting<'_> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(left_out) = self.log.turn() {
            let cause = Trouble::Topology;
            tracing::error!(waiting, left_out, "a message cannot be routed, its webhook waits: {cause}");
        }
        Waiting(&self.waiting)
    }

    /// Returns the infrastructure error if any delivery waits.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        (self.waiting.load(Ordering::Relaxed) > 0).then_some(Trouble::Topology)
    }
}
