//! Fairness among sources: a source that floods does not hold up the others.
//!
//! A webhook waits behind all others that are on their way: in the broker, in the broker's disk flushes, in
//! Redis. A source that is alone may have many on their way, for the sake of throughput. While others are
//! active it has fewer, in a worker (`worker.concurrency_shared`) and in a receiver
//! (`receiver.concurrency_shared`). docs/performance.md has what that costs and brings.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::core::webhook::SourceName;

/// A source counts as active for this long after something last happened to one of its webhooks, so that its
/// next one need not wait. A source whose webhooks wait for longer, for Redis or a full queue, takes nothing
/// from the others meanwhile.
const ACTIVE_FOR: Duration = Duration::from_secs(10);

/// The recent activity of sources, as far as one process sees it.
#[derive(Debug, Default)]
pub(super) struct Fairness {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The source that was active last, and when.
    latest: Option<(SourceName, Instant)>,
    /// The last time that any other source was active.
    others: Option<Instant>,
}

impl Fairness {
    /// Notes that something happens to a webhook of `source`.
    pub(super) fn note(&self, source: &SourceName) {
        let (now, mut seen) = (Instant::now(), self.seen());
        match &mut seen.latest {
            Some((latest, at)) if latest == source => *at = now,
            _ => {
                let previous = seen.latest.replace((source.clone(), now));
                seen.others = previous.map(|(_, at)| at);
            }
        }
    }

    /// Returns whether any source but `source` is active.
    pub(super) fn others_are_active(&self, source: &SourceName) -> bool {
        let seen = self.seen();
        let others = match &seen.latest {
            Some((latest, _)) if latest == source => seen.others,
            latest => latest.as_ref().map(|(_, at)| *at),
        };
        others.is_some_and(|at| at.elapsed() < ACTIVE_FOR)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> [SourceName; 3] {
        ["one", "two", "three"].map(|name| name.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn others_count_for_a_while() {
        let (fairness, [flood, quiet, _]) = (Fairness::default(), sources());
        let others_are_active = || [&flood, &quiet].map(|source| fairness.others_are_active(source));
        assert_eq!(others_are_active(), [false, false]);
        fairness.note(&flood);
        fairness.note(&flood);
        assert_eq!(others_are_active(), [false, true]);
        fairness.note(&quiet);
        fairness.note(&flood);
        assert_eq!(others_are_active(), [true, true]);
        tokio::time::advance(ACTIVE_FOR / 2).await;
        fairness.note(&flood);
        assert_eq!(others_are_active(), [true, true]);
        tokio::time::advance(ACTIVE_FOR / 2).await;
        assert_eq!(others_are_active(), [false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_others_the_last_one_counts() {
        let (fairness, [one, two, three]) = (Fairness::default(), sources());
        let others_are_active = || [&one, &two, &three].map(|source| fairness.others_are_active(source));
        for source in [&one, &two, &three, &one] {
            fairness.note(source);
            tokio::time::advance(ACTIVE_FOR / 4).await;
        }
        assert_eq!(others_are_active(), [true, true, true]);
        tokio::time::advance(ACTIVE_FOR / 2).await;
        assert_eq!(others_are_active(), [false, true, true]);
        tokio::time::advance(ACTIVE_FOR / 4).await;
        assert_eq!(others_are_active(), [false, false, false]);
    }
}
