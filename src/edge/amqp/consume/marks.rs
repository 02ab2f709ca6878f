//! The consumer of the ledger's marks.

use futures_util::StreamExt;
use lapin::{Channel, Consumer, options::BasicAckOptions};

use super::{Mode, consume};
use crate::{
    core::ledger::Mark,
    edge::amqp::{Connection, Error, names},
};

/// Most messages of marks that are unacked at a time.
const MARKS_PREFETCH: u16 = 16;

/// The consumer of the ledger's marks.
#[derive(Debug)]
pub struct MarkConsumer {
    channel: Channel,
    consumer: Consumer,
}

/// A message of marks, to be acked once they are noted.
#[derive(Debug)]
pub struct Marks {
    /// The marks; empty if the message could not be read.
    pub marks: Vec<Mark>,
    tag: u64,
}

impl MarkConsumer {
    /// Starts consuming.
    ///
    /// # Errors
    /// [`Error`]: the queue is missing, or the channel or connection failed.
    pub async fn open(connection: &Connection) -> Result<Self, Error> {
        let mode = Mode::Acked { prefetch: MARKS_PREFETCH };
        let (channel, consumer) = consume(connection, names::LEDGER_QUEUE, mode).await?;
        Ok(Self { channel, consumer })
    }

    /// Waits for the next marks; returns none when the channel is gone.
    pub async fn next(&mut self) -> Option<Marks> {
        let delivery = self.consumer.next().await?.ok()?;
        let marks = serde_json::from_slice(&delivery.data).unwrap_or_else(|error| {
            tracing::warn!(%error, "dropped a message in the ledger's queue that holds no marks");
            Vec::new()
        });
        Some(Marks { marks, tag: delivery.delivery_tag })
    }

    /// Acks the marks. If the ack is not written they are redelivered, which does no harm.
    pub async fn ack(&self, marks: &Marks) {
        drop(self.channel.basic_ack(marks.tag, BasicAckOptions { multiple: false }).await);
    }
}
