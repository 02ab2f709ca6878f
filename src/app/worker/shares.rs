//! How much of each raw queue is in work at a time, so that a source that floods does not hold up the others.
//!
//! What is in work at a time is what everybody else waits behind: in the broker, in its disk flushes, in Redis. A source
//! that is alone may have all of `worker.concurrency` in work for the sake of throughput; while another has
//! deliveries too, no queue has more than `worker.concurrency_shared`: what that costs and brings stands in
//! docs/performance.md.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{config, core::webhook::SourceName};

/// So long after something last happened to its deliveries a source still counts: the next one shall not have to wait. One whose
/// deliveries wait for longer, for Redis or for a queue that is full, takes nothing from the others meanwhile.
const RECENT: Duration = Duration::from_secs(10);

/// The limits of one pool.
#[derive(Debug)]
pub(super) struct Shares {
    alone: usize,
    shared: usize,
    seen: Mutex<Seen>,
}

/// Who had deliveries last.
#[derive(Debug, Default)]
struct Seen {
    latest: Option<(SourceName, Instant)>,
    /// When any other source had some.
    others: Option<Instant>,
}

/// One raw queue's share.
#[derive(Debug)]
pub(super) struct Share {
    limits: Arc<Shares>,
    source: SourceName,
}

impl Shares {
    /// As configured.
    pub(super) fn new(worker: &config::Worker) -> Arc<Self> {
        let (alone, shared) = (worker.concurrency, worker.concurrency_shared.min(worker.concurrency));
        Arc::new(Self { alone, shared, seen: Mutex::default() })
    }

    /// The share of one of a source's queues.
    pub(super) fn of(self: &Arc<Self>, source: SourceName) -> Share {
        Share { limits: self.clone(), source }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Notes that deliveries of the queue came or got on.
    pub(super) fn note(&self) {
        let (now, mut seen) = (Instant::now(), self.limits.seen());
        match &mut seen.latest {
            Some((source, at)) if *source == self.source => *at = now,
            _ => {
                let before = seen.latest.replace((self.source.clone(), now));
                seen.others = before.map(|(_, at)| at);
            }
        }
    }

    /// How many deliveries the queue may have in work now.
    pub(super) fn places(&self) -> usize {
        let seen = self.limits.seen();
        let others = match &seen.latest {
            Some((source, _)) if *source == self.source => seen.others,
            latest => latest.as_ref().map(|(_, at)| *at),
        };
        if others.is_some_and(|at| at.elapsed() < RECENT) { self.limits.shared } else { self.limits.alone }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use super::*;
    use crate::config::Config;

    fn shares<const N: usize>(sources: [&str; N]) -> [Share; N] {
        let limits = Arc::new(Shares { alone: 256, shared: 32, seen: Mutex::default() });
        sources.map(|source| limits.of(source.parse().unwrap()))
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_alone_has_all_and_others_count_for_a_while() {
        let [flood, quiet] = shares(["flood", "quiet"]);
        flood.note();
        assert_eq!((flood.places(), quiet.places()), (256, 32));
        quiet.note();
        flood.note();
        assert_eq!((flood.places(), quiet.places()), (32, 32));
        tokio::time::advance(RECENT / 2).await;
        flood.note();
        assert_eq!(flood.places(), 32);
        tokio::time::advance(RECENT / 2).await;
        assert_eq!((flood.places(), quiet.places()), (256, 32));
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_others_the_last_one_counts() {
        let [one, two, three] = shares(["one", "two", "three"]);
        for share in [&one, &two, &three, &one] {
            share.note();
            tokio::time::advance(RECENT / 4).await;
        }
        assert_eq!([&one, &two, &three].map(Share::places), [32, 32, 32]);
        tokio::time::advance(RECENT / 2).await;
        assert_eq!([&one, &two, &three].map(Share::places), [256, 32, 32]);
        tokio::time::advance(RECENT / 4).await;
        assert_eq!([&one, &two, &three].map(Share::places), [256, 256, 256]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_shards_of_one_source_are_no_others() {
        let shards = shares(["one", "one"]);
        shards.iter().for_each(Share::note);
        assert_eq!(shards[0].places(), 256);
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_concurrency_is_never_exceeded() {
        let worker = |concurrency| {
            let text = format!("[worker]\nconcurrency = {concurrency}");
            Config::parse(&text, Path::new("test.toml"), &BTreeMap::new()).unwrap().worker
        };
        for (concurrency, shared) in [(4, 4), (100, 32)] {
            let limits = Shares::new(&worker(concurrency));
            let both = ["one", "two"].map(|source| limits.of(source.parse().unwrap()));
            assert_eq!(both[0].places(), concurrency);
            both.iter().for_each(Share::note);
            assert_eq!(both[0].places(), shared);
        }
    }
}
