//! How the raw queues of a pool share its room, so that a source that floods does not hold up the others.
//!
//! What is in work at a time is what everybody else waits behind: in the broker, in its disk flushes, in Redis. A source
//! that is alone may have all of `worker.concurrency` in work for the sake of throughput; while another has had
//! deliveries too, each has its share.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::core::webhook::SourceName;

/// So long after its last delivery a source still counts: the next one shall find the room free.
const RECENT: Duration = Duration::from_secs(10);

/// A queue has at most this part of the room beside other sources, however little those need: what that costs and
/// brings stands in docs/performance.md.
const PART: usize = 4;

/// And a queue never has less, so that two batches that are worth their messages can overlap.
const PLACES_MIN: usize = 2 * super::BATCH_MIN;

/// The room of one pool.
#[derive(Debug)]
pub(super) struct Shares {
    concurrency: usize,
    queues: Mutex<Vec<Queue>>,
}

#[derive(Debug)]
struct Queue {
    source: SourceName,
    /// Whether it has deliveries now.
    busy: bool,
    /// When it had some last.
    last: Option<Instant>,
}

/// One raw queue's share.
#[derive(Debug)]
pub(super) struct Share {
    room: Arc<Shares>,
    n: usize,
}

impl Shares {
    /// For queues that may each have so many deliveries in work when their source is alone.
    pub(super) fn new(concurrency: usize) -> Arc<Self> {
        Arc::new(Self { concurrency, queues: Mutex::default() })
    }

    /// A share for one more queue.
    pub(super) fn join(self: &Arc<Self>, source: SourceName) -> Share {
        let mut queues = self.queues();
        queues.push(Queue { source, busy: false, last: None });
        Share { room: self.clone(), n: queues.len() - 1 }
    }

    fn queues(&self) -> MutexGuard<'_, Vec<Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Notes how many deliveries the queue has, waiting or in work.
    pub(super) fn note(&self, deliveries: usize) {
        if let Some(queue) = self.room.queues().get_mut(self.n) {
            if queue.busy || deliveries > 0 {
                queue.last = Some(Instant::now());
            }
            queue.busy = deliveries > 0;
        }
    }

    /// How many deliveries the queue may have in work now.
    ///
    /// Only queues that have deliveries now divide the room: many that have one now and then take no more of it than
    /// one does.
    pub(super) fn places(&self) -> usize {
        let (all, now) = (self.room.concurrency, Instant::now());
        let queues = self.room.queues();
        let mine = queues.get(self.n).map(|queue| &queue.source);
        let counts = |queue: &Queue| queue.busy || queue.last.is_some_and(|last| now - last < RECENT);
        if !queues.iter().any(|queue| Some(&queue.source) != mine && counts(queue)) {
            return all;
        }
        let sharing = queues.iter().filter(|queue| queue.busy).count().max(PART);
        (all / sharing).max(PLACES_MIN).min(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(room: &Arc<Shares>, source: &str) -> Share {
        room.join(source.parse().unwrap())
    }

    /// The shares of two queues of these sources, which have more deliveries than they can work on.
    fn flooded(concurrency: usize, sources: [&str; 2]) -> [Share; 2] {
        let room = Shares::new(concurrency);
        let shares = sources.map(|source| share(&room, source));
        shares.iter().for_each(|share| share.note(500));
        shares
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_alone_has_all_and_others_count_for_a_while() {
        let room = Shares::new(256);
        let (flood, quiet) = (share(&room, "flood"), share(&room, "quiet"));
        flood.note(500);
        assert_eq!(flood.places(), 256);
        quiet.note(1);
        assert_eq!((flood.places(), quiet.places()), (64, 64));
        quiet.note(0);
        tokio::time::advance(RECENT / 2).await;
        assert_eq!(flood.places(), 64);
        tokio::time::advance(RECENT / 2).await;
        assert_eq!((flood.places(), quiet.places()), (256, 64));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_has_deliveries_for_long_counts_all_the_time() {
        let both = flooded(256, ["one", "two"]);
        tokio::time::advance(2 * RECENT).await;
        assert_eq!(both[0].places(), 64);
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_busy_divide_the_room_but_none_has_less_than_two_batches() {
        let room = Shares::new(256);
        let all: Vec<Share> = (0..100).map(|n| share(&room, &format!("source-{n}"))).collect();
        all[..7].iter().for_each(|share| share.note(500));
        assert_eq!(all[0].places(), 256 / 7);
        all.iter().for_each(|share| share.note(500));
        assert_eq!(all[99].places(), PLACES_MIN);
        all[1..].iter().for_each(|share| share.note(0));
        assert_eq!(all[0].places(), 64, "the others have a delivery now and then");
    }

    #[tokio::test(start_paused = true)]
    async fn the_shards_of_one_source_are_no_others() {
        let shards = flooded(256, ["one", "one"]);
        assert_eq!(shards[0].places(), 256);
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_concurrency_is_never_exceeded() {
        let both = flooded(4, ["one", "two"]);
        assert_eq!(both[0].places(), 4);
    }
}
