//! The consumer of the ledger's marks.

use futures_util::StreamExt;
use lapin::{Channel, Consumer, options::BasicAckOptions};

use super::{Mode, consume};
use crate::{
    core::ledger::Mark,
    edge::amqp::{Connection, Error, names},
};

/// Messages of marks that a worker takes ahead.
const MARKS_PREFETCH: u16 = 16;

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
    pub async fn open(connection: &Connection) -> Result<Self, Error> {
        let mode = Mode::Acked { prefetch: MARKS_PREFETCH };
        let (channel, consumer) = consume(connection, names::LEDGER_QUEUE, mode).await?;
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
