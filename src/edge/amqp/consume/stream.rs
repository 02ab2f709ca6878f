//! Reading a stream up to its present end. This changes nothing in the broker.

use std::{ops::ControlFlow, time::Duration};

use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use lapin::{
    BasicProperties, Channel, Consumer,
    options::{BasicAckOptions, BasicQosOptions},
    types::AMQPValue,
};

use super::Mode;
use crate::edge::amqp::{Connection, Error, message};

/// Most messages that are unacked at a time: bodies may be large. A consumer of a stream acks only to get
/// more.
const AHEAD: u16 = 128;

/// Time without a message after which reading fails, while the stream is known to hold more.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Pause for messages that are still on their way within the broker: before it answers the next request on a
/// channel it sends only what it has at hand. A message written at this moment may or may not be read.
const TAIL_PAUSE: Duration = Duration::from_millis(30);

/// Most requests for more of the last chunk: it holds thousands of messages at most, and may be growing.
const ROUNDS_MAX: usize = 100;

/// Time that the first message may take after a start by time. A time after the last chunk leads to the end
/// of the stream, where no message comes.
const SEEK_MAX: Duration = Duration::from_millis(500);

/// The place at which reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest message that is kept.
    First,
    /// At this offset.
    Offset(u64),
    /// At the messages written at this time or a little before.
    Time(Timestamp),
    /// At the last chunk.
    Last,
}

/// A message of a stream.
#[derive(Debug)]
pub struct Stored {
    /// Its offset: offsets grow, and may have gaps.
    pub offset: u64,
    /// Its properties.
    pub properties: BasicProperties,
    /// Its body.
    pub body: Vec<u8>,
}

/// Why a stream could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// It does not exist.
    #[error("there is no stream `{0}`: run `hookswitch topology apply`")]
    Missing(&'static str),
    /// This node cannot serve it: it may have no replica of the stream.
    #[error(
        "this node cannot serve the stream `{0}` ({1}): a node that joined later has no replica; put another \
         node into amqp.urls"
    )]
    Refused(&'static str, Error),
    /// It is a queue: its messages are for its consumers, and stay in it.
    #[error("`{0}` is no stream; its messages stay in it")]
    NoStream(&'static str),
    /// The user may not read it.
    #[error("the stream `{0}` cannot be read: {1}")]
    Denied(&'static str, Error),
    /// The connection was lost.
    #[error("lost the connection to the broker: {0}; run the command again")]
    Lost(#[from] Error),
    /// The broker stopped sending before the end.
    #[error("timed out reading the stream `{0}`; run the command again")]
    Silent(&'static str),
}

impl From<lapin::Error> for StreamError {
    fn from(error: lapin::Error) -> Self {
        Self::Lost(error.into())
    }
}

/// A pass through one stream, up to where it ended when the pass began.
#[derive(Debug)]
pub struct Reading {
    stream: &'static str,
    channel: Channel,
    consumer: Consumer,
    /// The offset of the last message; none once it was read, and for an empty stream.
    end: Option<u64>,
    /// The message that was read when looking for the beginning, with its delivery tag.
    first: Option<(u64, Stored)>,
    unacked: u16,
}

impl Reading {
    /// Starts reading.
    ///
    /// # Errors
    /// [`StreamError`]
    pub async fn begin(
        connection: &Connection,
        stream: &'static str,
        start: Start,
    ) -> Result<Self, StreamError> {
        let end = end_of(connection, stream).await?;
        let end = end.filter(|end| !matches!(start, Start::Offset(from) if from > *end));
        let (mut channel, mut consumer) = consume(connection, stream, start).await?;
        let mut first = None;
        if matches!(start, Start::Time(_)) && end.is_some() {
            match tokio::time::timeout(SEEK_MAX, read(&mut consumer, stream)).await {
                Ok(stored) => first = stored?,
                Err(_) => {
                    // The broker may only be slow. Reading everything is always right.
                    channel.close(200, "seen".into()).await?;
                    (channel, consumer) = consume(connection, stream, Start::First).await?;
                }
            }
        }
        Ok(Self { stream, channel, consumer, end, first, unacked: 0 })
    }

    /// Reads from the beginning until `each` breaks.
    ///
    /// # Errors
    /// [`StreamError`]
    pub async fn until(
        connection: &Connection,
        stream: &'static str,
        mut each: impl FnMut(Stored) -> ControlFlow<()>,
    ) -> Result<(), StreamError> {
        let (channel, consumer) = consume(connection, stream, Start::First).await?;
        let mut reading = Self { stream, channel, consumer, end: Some(u64::MAX), first: None, unacked: 0 };
        while let Some(stored) = reading.next().await? {
            if each(stored).is_break() {
                break;
            }
        }
        reading.close().await;
        Ok(())
    }

    /// Returns whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.end.is_none()
    }

    /// Returns the next message; none at the end.
    ///
    /// # Errors
    /// [`StreamError`]
    pub async fn next(&mut self) -> Result<Option<Stored>, StreamError> {
        let Some(end) = self.end else { return Ok(None) };
        let stored = match self.first.take() {
            Some(first) => Some(first),
            None => {
                let next = tokio::time::timeout(SILENCE_MAX, read(&mut self.consumer, self.stream)).await;
                next.map_err(|_| StreamError::Silent(self.stream))??
            }
        };
        let (tag, stored) = stored.ok_or(StreamError::Silent(self.stream))?;
        self.unacked += 1;
        if self.unacked >= AHEAD / 2 {
            self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
            self.unacked = 0;
        }
        if stored.offset >= end {
            self.end = None;
        }
        // Retention may have deleted the messages up to the end.
        Ok(Some(stored).filter(|stored| stored.offset <= end))
    }

    /// Stops reading.
    pub async fn close(self) {
        // If this fails the connection is gone, and the consumer with it.
        drop(self.channel.close(200, "read".into()).await);
    }
}

/// Returns the offset of the last message in the stream now; none if it is empty.
async fn end_of(connection: &Connection, stream: &'static str) -> Result<Option<u64>, StreamError> {
    let (channel, mut consumer) = consume(connection, stream, Start::Last).await?;
    let mut end = drain(&channel, &mut consumer, stream).await?;
    tokio::time::sleep(TAIL_PAUSE).await;
    // Once more is enough: with a busy writer this would never end.
    end = drain(&channel, &mut consumer, stream).await?.or(end);
    channel.close(200, "seen".into()).await?;
    Ok(end)
}

/// Takes the messages that the broker has at hand, and returns the last offset.
async fn drain(
    channel: &Channel,
    consumer: &mut Consumer,
    stream: &'static str,
) -> Result<Option<u64>, StreamError> {
    let mut end = None;
    for _ in 0..ROUNDS_MAX {
        // Any request makes the broker send first what it has at hand.
        channel.basic_qos(AHEAD, BasicQosOptions { global: false }).await?;
        let (mut last, mut taken) = (None, 0);
        while let Some(stored) = read(consumer, stream).now_or_never() {
            let Some((tag, stored)) = stored? else { break };
            (end, last, taken) = (Some(stored.offset), Some(tag), taken + 1);
        }
        if let Some(tag) = last {
            channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
        }
        if taken < AHEAD {
            break;
        }
    }
    Ok(end)
}

async fn consume(
    connection: &Connection,
    stream: &'static str,
    start: Start,
) -> Result<(Channel, Consumer), StreamError> {
    let offset = match start {
        Start::First => AMQPValue::LongString("first".into()),
        Start::Last => AMQPValue::LongString("last".into()),
        Start::Offset(offset) => AMQPValue::LongLongInt(i64::try_from(offset).unwrap_or(i64::MAX)),
        Start::Time(at) => AMQPValue::Timestamp(u64::try_from(at.as_second()).unwrap_or(0)),
    };
    let mode = Mode::Stream { prefetch: AHEAD, offset };
    match super::consume(connection, stream, mode).await.map_err(Error::from) {
        Ok(consuming) => Ok(consuming),
        Err(Error::Missing(_)) => Err(StreamError::Missing(stream)),
        Err(Error::Lost(cause)) => Err(StreamError::Lost(Error::Lost(cause))),
        Err(denied @ Error::Denied(_)) => Err(StreamError::Denied(stream, denied)),
        Err(refused) => Err(StreamError::Refused(stream, refused)),
    }
}

/// Waits for the next message and returns it with its delivery tag; none when the broker cancels the
/// consumer.
async fn read(consumer: &mut Consumer, stream: &'static str) -> Result<Option<(u64, Stored)>, StreamError> {
    let Some(delivery) = consumer.next().await.transpose()? else { return Ok(None) };
    let offset = message::stream_offset(&delivery.properties).ok_or(StreamError::NoStream(stream))?;
    let stored = Stored { offset, properties: delivery.properties, body: delivery.data };
    Ok(Some((delivery.delivery_tag, stored)))
}
