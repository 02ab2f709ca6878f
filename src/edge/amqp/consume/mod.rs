//! Taking messages from a queue, and settling them.

pub mod stream;
pub mod tail;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use lapin::{
    Channel, Connection, Consumer,
    options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio_util::sync::CancellationToken;

use super::{
    message::{self, InvalidMessage},
    names,
};
use crate::core::{
    delivery::queued::QueuedWebhook, ledger::Mark, providers::Provider, shard::Shard, webhook::SourceName,
};

/// Messages of marks that a worker takes ahead.
const MARKS_PREFETCH: u16 = 16;

/// A message out of a raw queue, to be settled once.
#[derive(Debug)]
pub struct Delivery {
    /// The webhook; made up as well as can be where the message is not one of ours.
    pub inbound: QueuedWebhook,
    /// Set if the message lacks what the receiver puts on every message.
    pub invalid: Option<InvalidMessage>,
    /// How often the broker has given it out before.
    pub redeliveries: u32,
    tag: u64,
}

/// A consumer on its own channel.
///
/// lapin buffers deliveries without bound, so the prefetch is set before consuming starts.
#[derive(Debug)]
pub struct RawConsumer {
    consumer: Consumer,
    source: SourceName,
    shard: Shard,
    provider: Provider,
    settler: Settler,
}

/// Settles deliveries of one [`RawConsumer`].
#[derive(Clone, Debug)]
pub struct Settler {
    channel: Channel,
    gone: CancellationToken,
    tags: Arc<Mutex<Tags>>,
    /// Held until an ack is written: one that overtakes another may stand for the same delivery, and the broker ends a
    /// channel that acks one twice.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// The tags of deliveries that were given out and are not acked.
///
/// An ack costs us and the broker more than most of what is done for a message, and one can stand for many: so a
/// delivery that is settled waits for older ones, unless it or they went on alone.
#[derive(Debug, Default)]
struct Tags {
    /// Not settled; whether it goes on alone.
    open: BTreeMap<u64, bool>,
    /// Settled, and waiting for an older one.
    settled: BTreeSet<u64>,
}

/// How to ack.
#[derive(Debug, Default, PartialEq, Eq)]
struct Acks {
    /// Everything up to this tag at once.
    through: Option<u64>,
    /// These one by one.
    single: Vec<u64>,
}

impl Tags {
    fn give_out(&mut self, tag: u64) {
        self.open.insert(tag, false);
    }

    fn leave_alone(&mut self, tag: u64) {
        self.open.entry(tag).and_modify(|alone| *alone = true);
    }

    fn settle(&mut self, tags: impl Iterator<Item = u64>) -> Acks {
        // What became of a delivery that was left alone is no done mark: given out again it would die, or be sent on, twice.
        let mut at_once = Vec::new();
        for tag in tags {
            match self.open.remove(&tag) {
                Some(true) => at_once.push(tag),
                Some(false) => drop(self.settled.insert(tag)),
                None => {}
            }
        }
        let oldest = self.open.keys().next().copied().unwrap_or(u64::MAX);
        let in_step = self.open.iter().find(|(_, alone)| !**alone).map_or(u64::MAX, |(tag, _)| *tag);
        let waiting = self.settled.split_off(&in_step);
        let between = self.settled.split_off(&oldest);
        let through = std::mem::replace(&mut self.settled, waiting).pop_last();
        let single = at_once.into_iter().chain(between).filter(|tag| Some(*tag) > through).collect();
        Acks { through, single }
    }
}

impl RawConsumer {
    /// Starts consuming a source's shard.
    ///
    /// # Errors
    /// The channel or the connection failed.
    pub async fn open(
        connection: &Connection,
        source: SourceName,
        shard: Shard,
        provider: Provider,
        prefetch: u16,
    ) -> lapin::Result<Self> {
        let (channel, consumer) = consume(connection, &names::raw_queue(&source, shard), prefetch).await?;
        let settler =
            Settler { channel, gone: CancellationToken::new(), tags: Arc::default(), turn: Arc::default() };
        Ok(Self { consumer, source, shard, provider, settler })
    }

    /// What settles the deliveries.
    pub fn settler(&self) -> Settler {
        self.settler.clone()
    }

    /// The next deliveries, all that are there; none when the channel is gone, whatever the cause.
    pub async fn next(&mut self) -> Option<Vec<Delivery>> {
        // lapin tells of the end once, and it may have stood behind the last deliveries.
        if self.settler.gone.is_cancelled() {
            return None;
        }
        let first = self.consumer.next().await;
        let mut deliveries = vec![self.read(first)?];
        while let Some(next) = self.consumer.next().now_or_never() {
            match self.read(next) {
                Some(delivery) => deliveries.push(delivery),
                // The next call says so.
                None => break,
            }
        }
        Some(deliveries)
    }

    fn read(&self, next: Option<lapin::Result<lapin::message::Delivery>>) -> Option<Delivery> {
        let delivery = match next {
            Some(Ok(delivery)) => delivery,
            Some(Err(error)) => {
                tracing::warn!(source = %self.source, %error, "the consumer failed");
                self.settler.gone.cancel();
                return None;
            }
            None => {
                self.settler.gone.cancel();
                return None;
            }
        };
        let tag = delivery.delivery_tag;
        self.settler.tags().give_out(tag);
        let redeliveries = message::redeliveries(&delivery.properties);
        let (inbound, invalid) = match message::decode(&delivery.properties, delivery.data) {
            Ok(inbound) => (inbound, None),
            Err((error, body)) => {
                let now = Timestamp::now();
                let inbound = message::salvage(&delivery.properties, body, &self.source, self.provider, now);
                (inbound, Some(error))
            }
        };
        Some(Delivery { inbound: QueuedWebhook { shard: self.shard, ..inbound }, invalid, redeliveries, tag })
    }

    /// Stops consuming and gives back what had been delivered and is not in work: `waiting`, and what
    /// [`RawConsumer::next`] has not taken.
    pub async fn stop(&mut self, waiting: impl IntoIterator<Item = Delivery>) {
        let options = BasicCancelOptions { nowait: false };
        let channel = &self.settler.channel;
        if channel.basic_cancel(self.consumer.tag(), options).await.is_err() {
            self.settler.gone.cancel();
            return;
        }
        let mut tags: Vec<u64> = waiting.into_iter().map(|delivery| delivery.tag).collect();
        while let Some(Some(Ok(delivery))) = self.consumer.next().now_or_never() {
            tags.push(delivery.delivery_tag);
        }
        for tag in tags {
            let options = BasicNackOptions { multiple: false, requeue: true };
            // If this fails the channel is gone, and the broker takes the message back anyway.
            drop(channel.basic_nack(tag, options).await);
        }
    }
}

impl Drop for RawConsumer {
    fn drop(&mut self) {
        self.settler.gone.cancel();
    }
}

/// The consumer of the ledger's marks.
#[derive(Debug)]
pub struct MarkConsumer {
    channel: Channel,
    consumer: Consumer,
}

/// Some marks, to be acked once they are noted.
#[derive(Debug)]
pub struct Marks {
    /// The marks; none if the message is not one of ours.
    pub marks: Vec<Mark>,
    tag: u64,
}

impl MarkConsumer {
    /// Starts consuming.
    ///
    /// # Errors
    /// The channel or the connection failed.
    pub async fn open(connection: &Connection) -> lapin::Result<Self> {
        let (channel, consumer) = consume(connection, names::LEDGER_QUEUE, MARKS_PREFETCH).await?;
        Ok(Self { channel, consumer })
    }

    /// The next marks; none when the channel is gone.
    pub async fn next(&mut self) -> Option<Marks> {
        let delivery = self.consumer.next().await?.ok()?;
        let marks = serde_json::from_slice(&delivery.data).unwrap_or_else(|error| {
            tracing::warn!(%error, "a message in the ledger's queue is not one of ours, and is dropped");
            Vec::new()
        });
        Some(Marks { marks, tag: delivery.delivery_tag })
    }

    /// Acks. If it is not written, the marks come again.
    pub async fn ack(&self, marks: &Marks) {
        drop(self.channel.basic_ack(marks.tag, BasicAckOptions { multiple: false }).await);
    }
}

async fn consume(connection: &Connection, queue: &str, prefetch: u16) -> lapin::Result<(Channel, Consumer)> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(prefetch, BasicQosOptions { global: false }).await?;
    let options = BasicConsumeOptions { no_local: false, no_ack: false, exclusive: false, nowait: false };
    let consumer = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
    Ok((channel, consumer))
}

impl Settler {
    /// These deliveries go on alone: they wait for nobody, and nobody waits for them.
    pub fn leave_alone<'a>(&self, deliveries: impl Iterator<Item = &'a Delivery>) {
        let mut tags = self.tags();
        deliveries.for_each(|delivery| tags.leave_alone(delivery.tag));
    }

    /// Acks, or leaves that to the ack of an older delivery that is about to be settled. Whether what was to be written
    /// was: if not, the broker gives the messages out again.
    ///
    /// `Channel::basic_ack` rather than the delivery's own acker, which goes through one more task.
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

    fn tags(&self) -> MutexGuard<'_, Tags> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when the channel is gone: then a delivery cannot be settled any more, and holding it is of no use.
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
    fn one_ack_stands_for_all_that_wait_for_the_oldest() {
        let mut tags = Tags::default();
        (1..=6).for_each(|tag| tags.give_out(tag));
        assert_eq!(tags.settle([2, 4].into_iter()), acks(None, &[]));
        assert_eq!(tags.settle([1].into_iter()), acks(2, &[]));
        assert_eq!(tags.settle([6, 3].into_iter()), acks(4, &[]));
        assert_eq!(tags.settle([5, 5].into_iter()), acks(6, &[]));
        assert_eq!(tags.settle([5].into_iter()), acks(None, &[]));
    }

    #[test]
    fn nobody_waits_for_a_delivery_that_is_left_alone() {
        let mut tags = Tags::default();
        (1..=6).for_each(|tag| tags.give_out(tag));
        tags.leave_alone(2);
        assert_eq!(tags.settle([1, 3, 5].into_iter()), acks(1, &[3]));
        assert_eq!(tags.settle([4].into_iter()), acks(None, &[4, 5]));
        tags.leave_alone(6);
        assert_eq!(tags.settle([6].into_iter()), acks(None, &[6]));
        assert_eq!(tags.settle([2].into_iter()), acks(None, &[2]));
    }
}
