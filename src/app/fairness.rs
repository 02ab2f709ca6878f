//! Which sources are active, so that one that floods does not hold up the others.
//!
//! What is under way at a time is what everybody else waits behind: in the broker, in its disk flushes, in Redis. A source
//! that is alone may have a lot under way for the sake of throughput; beside others it has less, in a worker
//! (`worker.concurrency_shared`) and in a receiver (`receiver.concurrency_shared`). What that costs and brings stands in
//! docs/performance.md.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::core::webhook::SourceName;

/// So long after something last happened to its webhooks a source is active: the next one shall not have to wait. One whose
/// webhooks wait for longer, for Redis or for a queue that is full, takes nothing from the others meanwhile.
const RECENT: Duration = Duration::from_secs(10);

/// What sources do, as far as one process sees it.
#[derive(Debug, Default)]
pub(super) struct Fairness {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Who was active last, and when.
    latest: Option<(SourceName, Instant)>,
    /// When any other was.
    others: Option<Instant>,
}

impl Fairness {
    /// Notes that something happens to webhooks of a source.
    pub(super) fn note(&self, source: &SourceName) {
        let (now, mut seen) = (Instant::now(), self.seen());
        match &mut seen.latest {
            Some((latest, at)) if latest == source => *at = now,
            _ => {
                let before = seen.latest.replace((source.clone(), now));
                seen.others = before.map(|(_, at)| at);
            }
        }
    }

    /// Whether any other source is active.
    pub(super) fn others_are_active(&self, source: &SourceName) -> bool {
        let seen = self.seen();
        let others = match &seen.latest {
            Some((latest, _)) if latest == source => seen.others,
            latest => latest.as_ref().map(|(_, at)| *at),
        };
        others.is_some_and(|at| at.elapsed() < RECENT)
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
        let (activity, [flood, quiet, _]) = (Fairness::default(), sources());
        let beside_others = || [&flood, &quiet].map(|source| activity.others_are_active(source));
        assert_eq!(beside_others(), [false, false]);
        activity.note(&flood);
        activity.note(&flood);
        assert_eq!(beside_others(), [false, true]);
        activity.note(&quiet);
        activity.note(&flood);
        assert_eq!(beside_others(), [true, true]);
        tokio::time::advance(RECENT / 2).await;
        activity.note(&flood);
        assert_eq!(beside_others(), [true, true]);
        tokio::time::advance(RECENT / 2).await;
        assert_eq!(beside_others(), [false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_others_the_last_one_counts() {
        let (activity, [one, two, three]) = (Fairness::default(), sources());
        let beside_others = || [&one, &two, &three].map(|source| activity.others_are_active(source));
        for source in [&one, &two, &three, &one] {
            activity.note(source);
            tokio::time::advance(RECENT / 4).await;
        }
        assert_eq!(beside_others(), [true, true, true]);
        tokio::time::advance(RECENT / 2).await;
        assert_eq!(beside_others(), [false, true, true]);
        tokio::time::advance(RECENT / 4).await;
        assert_eq!(beside_others(), [false, false, false]);
    }
}
