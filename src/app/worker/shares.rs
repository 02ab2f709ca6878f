//! How the raw queues of a pool share its room, so that a source that floods does not hold up the others.
//!
//! What is in work at a time is what everybody else waits behind: in the broker, in its disk flushes, in Redis. A source
//! that is alone may have all of `worker.concurrency` in work for the sake of throughput; while another has had
//! deliveries too, each has its share.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::core::webhook::SourceName;

/// So long after its last delivery a source still counts: the next one shall find the room free.
const RECENT: Duration = Duration::from_secs(10);

/// What a queue may have beside others, at most: a fourth cost a flood a tenth of its throughput where it was measured,
/// and the others waited a third as long (docs/performance.md).
const PART: usize = 4;

/// And at least: batches of fewer cost everybody more than they save.
const PLACES_MIN: usize = 16;

/// The room of one pool.
#[derive(Debug)]
pub(super) struct Shares {
    concurrency: usize,
    queues: Mutex<Vec<Queue>>,
}

#[derive(Debug)]
struct Queue {
    source: SourceName,
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
        queues.push(Queue { source, last: None });
        Share { room: self.clone(), n: queues.len() - 1 }
    }

    fn queues(&self) -> std::sync::MutexGuard<'_, Vec<Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Notes that the queue has deliveries.
    pub(super) fn note(&self) {
        if let Some(queue) = self.room.queues().get_mut(self.n) {
            queue.last = Some(Instant::now());
        }
    }

    /// How many deliveries the queue may have in work now.
    pub(super) fn places(&self) -> usize {
        let (all, now) = (self.room.concurrency, Instant::now());
        let queues = self.room.queues();
        let mine = queues.get(self.n).map(|queue| &queue.source);
        let recent = |queue: &&Queue| queue.last.is_some_and(|last| now.duration_since(last) < RECENT);
        let others = queues.iter().filter(recent).any(|queue| Some(&queue.source) != mine);
        if !others {
            return all;
        }
        let sharing = queues.iter().filter(recent).count().max(PART);
        (all / sharing).max(PLACES_MIN).min(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(room: &Arc<Shares>, source: &str) -> Share {
        room.join(source.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_alone_has_all_and_others_count_for_a_while() {
        let room = Shares::new(256);
        let (flood, quiet) = (share(&room, "flood"), share(&room, "quiet"));
        flood.note();
        assert_eq!(flood.places(), 256);
        quiet.note();
        assert_eq!((flood.places(), quiet.places()), (64, 64));
        tokio::time::advance(RECENT).await;
        flood.note();
        assert_eq!((flood.places(), quiet.places()), (256, 64));
    }

    #[tokio::test(start_paused = true)]
    async fn many_share_the_whole_but_none_has_less_than_a_batch_is_worth() {
        let room = Shares::new(256);
        let all: Vec<Share> = (0..100).map(|n| share(&room, &format!("source-{n}"))).collect();
        all[..8].iter().for_each(Share::note);
        assert_eq!(all[0].places(), 32);
        all.iter().for_each(Share::note);
        assert_eq!(all[99].places(), PLACES_MIN);
    }

    #[tokio::test(start_paused = true)]
    async fn the_shards_of_one_source_are_no_others() {
        let room = Shares::new(256);
        let shards = [share(&room, "one"), share(&room, "one")];
        shards.iter().for_each(Share::note);
        assert_eq!(shards[0].places(), 256);
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_concurrency_is_never_exceeded() {
        let room = Shares::new(4);
        let both = [share(&room, "one"), share(&room, "two")];
        both.iter().for_each(Share::note);
        assert_eq!(both[0].places(), 4);
    }
}
