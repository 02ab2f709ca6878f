//! Taking messages from a queue, and settling them.

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
use crate::core::{inbound::Inbound, ledger::Mark, providers::Provider, shard::Shard, webhook::SourceName};

/// Messages of marks that a worker takes ahead.
const MARKS_PREFETCH: u16 = 16;

/// A message out of a raw queue, to be settled once.
#[derive(Debug)]
pub struct Delivery {
    /// The webhook; made up as well as can be where the message is not one of ours.
    pub inbound: Inbound,
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
pub struct Intake {
    channel: Channel,
    consumer: Consumer,
    source: SourceName,
    shard: Shard,
    provider: Provider,
    gone: CancellationToken,
}

/// Settles deliveries of one [`Intake`].
#[derive(Clone, Debug)]
pub struct Settler {
    channel: Channel,
    gone: CancellationToken,
}

impl Intake {
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
        Ok(Self { channel, consumer, source, shard, provider, gone: CancellationToken::new() })
    }

    /// What settles the deliveries.
    pub fn settler(&self) -> Settler {
        Settler { channel: self.channel.clone(), gone: self.gone.clone() }
    }

    /// The next delivery; none when the channel is gone, whatever the cause.
    pub async fn next(&mut self) -> Option<Delivery> {
        match self.consumer.next().await {
            Some(Ok(delivery)) => Some(self.read(delivery)),
            Some(Err(error)) => {
                tracing::warn!(source = %self.source, %error, "the consumer failed");
                self.gone.cancel();
                None
            }
            None => {
                self.gone.cancel();
                None
            }
        }
    }

    fn read(&self, delivery: lapin::message::Delivery) -> Delivery {
        let tag = delivery.delivery_tag;
        let redeliveries = message::redeliveries(&delivery.properties);
        let (inbound, invalid) = match message::decode(&delivery.properties, delivery.data) {
            Ok(inbound) => (inbound, None),
            Err((error, body)) => {
                let now = Timestamp::now();
                let inbound = message::salvage(&delivery.properties, body, &self.source, self.provider, now);
                (inbound, Some(error))
            }
        };
        Delivery { inbound: Inbound { shard: self.shard, ..inbound }, invalid, redeliveries, tag }
    }

    /// Stops consuming and gives back what had been delivered and is not in work: `waiting`, and what
    /// [`Intake::next`] has not taken.
    pub async fn stop(&mut self, waiting: impl IntoIterator<Item = Delivery>) {
        let options = BasicCancelOptions { nowait: false };
        if self.channel.basic_cancel(self.consumer.tag(), options).await.is_err() {
            self.gone.cancel();
            return;
        }
        let mut tags: Vec<u64> = waiting.into_iter().map(|delivery| delivery.tag).collect();
        while let Some(Some(Ok(delivery))) = self.consumer.next().now_or_never() {
            tags.push(delivery.delivery_tag);
        }
        for tag in tags {
            let options = BasicNackOptions { multiple: false, requeue: true };
            // If this fails the channel is gone, and the broker takes the message back anyway.
            drop(self.channel.basic_nack(tag, options).await);
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

/// The consumer of the ledger's marks.
#[derive(Debug)]
pub struct MarkIntake {
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

impl MarkIntake {
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
    /// Acks. Whether it was written: if not, the broker gives the message out again.
    ///
    /// `Channel::basic_ack` rather than the delivery's own acker, which goes through one more task.
    pub async fn ack(&self, delivery: &Delivery) -> bool {
        self.channel.basic_ack(delivery.tag, BasicAckOptions { multiple: false }).await.is_ok()
    }

    /// Ends when the channel is gone: then a delivery cannot be settled any more, and holding it is of no use.
    pub async fn gone(&self) {
        self.gone.cancelled().await;
    }
}
