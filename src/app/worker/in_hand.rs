//! What a lane has in hand, for the metrics: how many deliveries, and since when the oldest waits.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    batch::Batch,
    in_work::{RawQueue, first_received},
    inbox::Inbox,
};
use crate::edge::{
    amqp::consume::delivery::Delivery,
    metrics::{GaugeShare, OldestInHand, WorkerMetrics},
};

/// The deliveries that a lane has in work, and what it shows of those in hand.
pub(super) struct InHand {
    /// The number of deliveries in work.
    pub(super) in_work: usize,
    /// When the oldest webhook of each batch in work was received, and those that left their batch. Only
    /// those that are tried for the first time count. Several may be of the same time.
    received: BTreeMap<Timestamp, usize>,
    in_flight: GaugeShare,
    oldest: OldestInHand,
}

impl InHand {
    /// Creates one with nothing in hand.
    pub(super) fn new(queue: &RawQueue, metrics: &WorkerMetrics) -> Self {
        let (in_flight, oldest) = (metrics.in_flight(&queue.source), metrics.waits.lane(&queue.source));
        Self { in_work: 0, received: BTreeMap::new(), in_flight, oldest }
    }

    /// Adds a batch that is taken into work.
    pub(super) fn begin(&mut self, batch: &[Delivery], queue: &RawQueue) {
        self.in_work += batch.len();
        if let Some(received) = first_received(batch) {
            queue.metrics.waited(received, Timestamp::now());
            self.add(received);
        }
    }

    /// Removes the settled part of a batch.
    pub(super) fn end_batch(&mut self, batch: &Batch) {
        self.in_work -= batch.settled;
        self.remove(batch.received);
        batch.stragglers.iter().filter_map(|work| work.queued().first_received()).for_each(|at| self.add(at));
    }

    /// Removes a delivery that was processed alone.
    pub(super) fn end_one(&mut self, received: Option<Timestamp>) {
        self.in_work -= 1;
        self.remove(received);
    }

    /// Returns the number of deliveries that the lane holds.
    pub(super) fn len(&self, inbox: &Inbox<'_>) -> usize {
        inbox.len() + self.in_work
    }

    /// Shows what is in hand.
    pub(super) fn show(&mut self, inbox: &Inbox<'_>) {
        self.in_flight.set(self.len(inbox));
        let in_work = self.received.first_key_value().map(|(received, _)| *received);
        self.oldest.set(inbox.first_received().into_iter().chain(in_work).min());
    }

    fn add(&mut self, received: Timestamp) {
        *self.received.entry(received).or_default() += 1;
    }

    fn remove(&mut self, received: Option<Timestamp>) {
        let Some(received) = received else { return };
        if let Some(count) = self.received.get_mut(&received) {
            *count -= 1;
            if *count == 0 {
                self.received.remove(&received);
            }
        }
    }
}
