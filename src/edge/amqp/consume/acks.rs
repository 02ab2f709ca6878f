//! Settling deliveries: one ack can stand for many.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lapin::{Channel, options::BasicAckOptions};
use tokio_util::sync::CancellationToken;

use super::delivery::Delivery;
use crate::faults::{self, Mutant};

/// Settles the deliveries of one consumer; cheap to clone.
#[derive(Clone, Debug)]
pub struct Settler {
    pub(super) channel: Channel,
    /// Cancelled when the channel is gone.
    pub(super) gone: CancellationToken,
    tags: Arc<Mutex<Tags>>,
    /// Held until an ack is written. An ack that overtakes another may cover the same delivery, and the
    /// broker closes a channel that acks a delivery twice.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// The tags of the messages that were given out and are not acked. A message is one delivery, or several: it
/// is settled when all of them are.
///
/// An ack costs the worker and the broker more than most other steps for a message, and one ack can cover
/// many messages. So a settled message waits for older ones, unless it or they were left alone.
#[derive(Debug, Default)]
struct Tags {
    open: BTreeMap<u64, Open>,
    /// Settled messages that wait for an older one.
    settled: BTreeSet<u64>,
}

/// A message that is not settled.
#[derive(Debug, Default)]
struct Open {
    /// The number of its deliveries that are not settled.
    deliveries: usize,
    /// One of its deliveries was left alone.
    is_alone: bool,
    /// One of its deliveries goes back to the queue, and so the message does.
    goes_back: bool,
}

/// The acks to write.
#[derive(Debug, Default, PartialEq, Eq)]
struct Acks {
    /// One ack for every delivery up to this tag.
    through: Option<u64>,
    /// One ack for each of these.
    single: Vec<u64>,
}

impl Tags {
    fn give_out(&mut self, tag: u64, deliveries: usize) {
        self.open.insert(tag, Open { deliveries, ..Open::default() });
    }

    fn leave_alone(&mut self, tag: u64) {
        self.open.entry(tag).and_modify(|open| open.is_alone = true);
    }

    /// Never acks the message of this delivery.
    fn abandon(&mut self, tag: u64) -> Option<&mut Open> {
        let open = self.open.get_mut(&tag)?;
        (open.is_alone, open.goes_back) = (true, true);
        Some(open)
    }

    /// Gives deliveries back. Returns the messages that go back now: those of which no delivery is in work.
    fn give_back(&mut self, tags: impl Iterator<Item = u64>) -> Vec<u64> {
        let gives_back = |tag: &u64| {
            let open = self.abandon(*tag);
            open.is_some_and(|open| {
                open.deliveries -= 1;
                open.deliveries == 0
            })
        };
        tags.filter(gives_back).collect()
    }

    fn settle(&mut self, tags: impl Iterator<Item = u64>) -> Acks {
        // A delivery that was left alone may have no done mark: if it were redelivered it would be
        // dead-lettered or sent on a second time. So it is acked at once.
        let mut at_once = Vec::new();
        for tag in tags {
            let Entry::Occupied(mut open) = self.open.entry(tag) else { continue };
            open.get_mut().deliveries -= 1;
            let is_settled = open.get().deliveries == 0 || faults::is(Mutant::AckBundleEarly);
            if is_settled && !open.get().goes_back {
                if open.remove().is_alone {
                    at_once.push(tag);
                } else {
                    self.settled.insert(tag);
                }
            }
        }
        let oldest = self.open.keys().next().copied().unwrap_or(u64::MAX);
        let in_step = self.open.iter().find(|(_, open)| !open.is_alone).map_or(u64::MAX, |(tag, _)| *tag);
        let waiting = self.settled.split_off(&in_step);
        let between = self.settled.split_off(&oldest);
        let through = std::mem::replace(&mut self.settled, waiting).pop_last();
        let single = at_once.into_iter().chain(between).filter(|tag| Some(*tag) > through).collect();
        Acks { through, single }
    }
}

impl Settler {
    pub(super) fn new(channel: Channel) -> Self {
        Self { channel, gone: CancellationToken::new(), tags: Arc::default(), turn: Arc::default() }
    }

    /// Records a message as given out, as so many deliveries.
    pub(super) fn give_out(&self, tag: u64, deliveries: usize) {
        self.tags().give_out(tag, deliveries);
    }

    /// Gives back deliveries that are not in work. Returns the tags to nack: those of messages of which no
    /// delivery is in work. The others go back when the channel closes.
    pub(super) fn give_back<'a>(&self, deliveries: impl Iterator<Item = &'a Delivery>) -> Vec<u64> {
        self.tags().give_back(deliveries.map(|delivery| delivery.tag))
    }

    /// Takes deliveries out of the common order: their acks wait for no other delivery, and no other waits
    /// for them.
    pub fn leave_alone<'a>(&self, deliveries: impl Iterator<Item = &'a Delivery>) {
        let mut tags = self.tags();
        deliveries.for_each(|delivery| tags.leave_alone(delivery.tag));
    }

    /// Settles deliveries. Acks the messages that are settled with them, or leaves that to the ack of an
    /// older message that is not settled yet. Returns false if an ack could not be written; then the broker
    /// redelivers the messages.
    ///
    /// Uses `Channel::basic_ack` rather than the delivery's own acker, which costs one more task.
    pub async fn ack<'a>(&self, deliveries: impl Iterator<Item = &'a Delivery>) -> bool {
        let _turn = self.turn.lock().await;
        let Acks { through, single } = self.tags().settle(deliveries.map(|delivery| delivery.tag));
        let mut written = true;
        if let Some(tag) = through {
            written &= self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await.is_ok();
        }
        for tag in single {
            written &= self.channel.basic_ack(tag, BasicAckOptions { multiple: false }).await.is_ok();
        }
        written
    }

    /// Drops a delivery, which stays unsettled: the broker requeues its message when the channel closes. No
    /// ack covers it.
    pub fn abandon(&self, delivery: Delivery) {
        self.tags().abandon(delivery.tag);
    }

    fn tags(&self) -> MutexGuard<'_, Tags> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the channel is gone. Deliveries cannot be settled then, so there is no point in holding
    /// them.
    pub async fn gone(&self) {
        self.gone.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acks(through: impl Into<Option<u64>>, single: &[u64]) -> Acks {
        Acks { through: through.into(), single: single.to_vec() }
    }

    #[test]
    fn one_ack_covers_all_that_wait_for_the_oldest() {
        let mut tags = Tags::default();
        (1..=6).for_each(|tag| tags.give_out(tag, 1));
        assert_eq!(tags.settle([2, 4].into_iter()), acks(None, &[]));
        assert_eq!(tags.settle([1].into_iter()), acks(2, &[]));
        assert_eq!(tags.settle([6, 3].into_iter()), acks(4, &[]));
        assert_eq!(tags.settle([5, 5].into_iter()), acks(6, &[]));
        assert_eq!(tags.settle([5].into_iter()), acks(None, &[]));
    }

    #[test]
    fn no_delivery_waits_for_one_that_is_left_alone() {
        let mut tags = Tags::default();
        (1..=6).for_each(|tag| tags.give_out(tag, 1));
        tags.leave_alone(2);
        assert_eq!(tags.settle([1, 3, 5].into_iter()), acks(1, &[3]));
        assert_eq!(tags.settle([4].into_iter()), acks(None, &[4, 5]));
        tags.leave_alone(6);
        assert_eq!(tags.settle([6].into_iter()), acks(None, &[6]));
        assert_eq!(tags.settle([2].into_iter()), acks(None, &[2]));
    }

    #[test]
    fn no_ack_covers_a_delivery_that_is_abandoned() {
        let mut tags = Tags::default();
        (1..=6).for_each(|tag| tags.give_out(tag, 1));
        tags.abandon(3);
        assert_eq!(tags.settle([1, 2, 4, 5].into_iter()), acks(2, &[4, 5]));
        assert_eq!(tags.settle([3, 6].into_iter()), acks(None, &[6]));
    }

    #[test]
    fn a_bundle_is_acked_when_all_of_it_is_settled() {
        let mut tags = Tags::default();
        for (tag, deliveries) in [(1, 3), (2, 2), (3, 1)] {
            tags.give_out(tag, deliveries);
        }
        assert_eq!(tags.settle([1, 2, 1, 3].into_iter()), acks(None, &[]));
        tags.leave_alone(1);
        assert_eq!(tags.settle([2].into_iter()), acks(None, &[2, 3]));
        assert_eq!(tags.settle([1].into_iter()), acks(None, &[1]));
    }

    #[test]
    fn a_bundle_goes_back_when_none_of_it_is_in_work() {
        let mut tags = Tags::default();
        for (tag, deliveries) in [(1, 2), (2, 2), (3, 2), (4, 1)] {
            tags.give_out(tag, deliveries);
        }
        assert_eq!(tags.settle([1].into_iter()), acks(None, &[]));
        assert_eq!(tags.give_back([1, 2, 3, 3].into_iter()), [1, 3], "one delivery of 2 is in work");
        assert_eq!(tags.settle([2, 4].into_iter()), acks(None, &[4]), "2 goes back, and so do 1 and 3");
    }
}
