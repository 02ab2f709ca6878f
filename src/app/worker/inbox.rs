//! The deliveries of a lane that are not in work: those that wait, and those that had no room.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::{in_work::RawQueue, memory::LaneMemory};
use crate::edge::amqp::consume::delivery::Delivery;

/// Upper bound on a batch's body bytes: about 10 ms of normalizing.
const BATCH_BYTES: usize = 1 << 20;

/// What one raw queue has delivered and its lane has not begun.
pub(super) struct Inbox<'a> {
    /// About as many as the prefetch at most.
    waiting: VecDeque<Delivery>,
    /// The number of deliveries whose bodies had no room.
    parked: usize,
    /// Set while the rest of a message arrives of which a delivery had no room.
    parks: bool,
    pub(super) memory: &'a mut LaneMemory,
}

impl<'a> Inbox<'a> {
    pub(super) fn new(memory: &'a mut LaneMemory) -> Self {
        Self { waiting: VecDeque::new(), parked: 0, parks: false, memory }
    }

    /// Returns the number of deliveries in it.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.parked
    }

    /// Returns the size of the delivery that is next; none if there is none.
    pub(super) fn next_size(&self) -> Option<usize> {
        self.waiting.front().map(size)
    }

    /// Returns when the delivery that is next was received, if it is tried for the first time.
    pub(super) fn first_received(&self) -> Option<Timestamp> {
        self.waiting.front()?.queued.first_received()
    }

    /// Takes a delivery that has arrived; without its body if that has no room. What has no room goes back
    /// with all of its message. None of that is in work: a message arrives as a whole.
    pub(super) fn add(&mut self, delivery: Delivery, queue: &RawQueue) {
        if delivery.place == 0 {
            self.parks = false;
            queue.metrics.per_message(self.memory.message(delivery.of));
        }
        self.memory.arrived(size(&delivery));
        self.waiting.push_back(delivery);
        if self.memory.is_over() || self.parks {
            self.park(queue);
        }
    }

    /// Drops the message that has arrived last, as far as it has.
    fn park(&mut self, queue: &RawQueue) {
        while let Some(newest) = self.waiting.pop_back() {
            let is_first = newest.place == 0;
            self.memory.dropped(size(&newest), newest.of);
            queue.settler.abandon(newest);
            self.parked += 1;
            queue.metrics.parked();
            if is_first || self.parks {
                break;
            }
        }
        self.parks = true;
    }

    /// Takes out what is left of a message of which deliveries are in work or settled: it should not go back.
    pub(super) fn take_rest(&mut self) -> Vec<Delivery> {
        self.take(self.waiting.iter().take_while(|delivery| delivery.place > 0).count())
    }

    /// Takes out the next batch, at most `most` deliveries. Their normalizing must not hold up other queues.
    pub(super) fn next_batch(&mut self, most: usize) -> Vec<Delivery> {
        let mut bytes = 0;
        let fits = |delivery: &&Delivery| {
            let before = bytes;
            bytes += size(delivery);
            before == 0 || bytes <= BATCH_BYTES
        };
        self.take(self.waiting.iter().take(most).take_while(fits).count())
    }

    /// Takes out the next `count` deliveries, which are in work from now on.
    fn take(&mut self, count: usize) -> Vec<Delivery> {
        let taken: Vec<_> = self.waiting.drain(..count).collect();
        self.memory.begin(taken.iter().map(size).sum());
        taken
    }

    /// Takes out the waiting deliveries.
    pub(super) fn take_waiting(&mut self) -> impl Iterator<Item = Delivery> {
        self.waiting.drain(..)
    }
}

fn size(delivery: &Delivery) -> usize {
    LaneMemory::size(&delivery.queued.webhook.body)
}
