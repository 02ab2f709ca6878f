//! Reading a stream from some place to its present end. It changes nothing in the broker.

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

/// How many messages the broker sends ahead. A stream's consumer acks only to get more. Bodies may be large.
const AHEAD: u16 = 128;

/// How long a stream that is known to hold more may be silent before reading it counts as failed.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// What the broker has at hand it sends before it answers the next question on the channel. That it may still be on its
/// way within the broker is what this pause is for. Whoever writes at this moment may or may not be seen.
const TAIL_PAUSE: Duration = Duration::from_millis(30);

/// How often the broker is asked for more of the last chunk: it holds thousands at most, and somebody may be writing.
const ROUNDS_MAX: usize = 100;

/// How long the first message may take after a moment is looked up. A moment after the last chunk leads to the end of the
/// stream, where nothing comes.
const SEEK_MAX: Duration = Duration::from_millis(500);

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest that is kept.
    First,
    /// With this offset.
    Offset(u64),
    /// With what was written at this moment or a little before.
    Time(Timestamp),
    /// With the last chunk.
    Last,
}

/// A message of a stream.
#[derive(Debug)]
pub struct Stored {
    /// Its place: ever growing, not without gaps.
    pub offset: u64,
    /// Its properties.
    pub properties: BasicProperties,
    /// Its body.
    pub body: Vec<u8>,
}

/// Why a stream could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// It is not there.
    #[error("there is no stream `{0}`: run `hookswitch topology apply`")]
    Missing(&'static str),
    /// This node cannot give it out: it may have no copy of the stream.
    #[error(
        "the broker does not give `{0}` out ({1}); a node that joined later has no copy of it: name another one in amqp.urls"
    )]
    Refused(&'static str, Error),
    /// The broker went away.
    #[error("the broker went away: {0}; run the command again")]
    Lost(#[from] Error),
    /// The broker stopped sending in the middle.
    #[error("the broker did not send the rest of `{0}`; run the command again")]
    Silent(&'static str),
}

impl From<lapin::Error> for StreamError {
    fn from(error: lapin::Error) -> Self {
        Self::Lost(error.into())
    }
}

/// A reading of one stream, up to where it ended when the reading began.
#[derive(Debug)]
pub struct Reading {
    stream: &'static str,
    channel: Channel,
    consumer: Consumer,
    /// The offset of the last message; none once it has been read, and none of an empty stream.
    end: Option<u64>,
    /// What was read when looking for the beginning.
    first: Option<(u64, Stored)>,
    unacked: u16,
}

impl Reading {
    /// Begins.
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
            match tokio::time::timeout(SEEK_MAX, read(&mut consumer)).await {
                Ok(stored) => first = stored?,
                Err(_) => {
                    // It may only be slow: read all, which is always right.
                    channel.close(200, "seen".into()).await?;
                    (channel, consumer) = consume(connection, stream, Start::First).await?;
                }
            }
        }
        Ok(Self { stream, channel, consumer, end, first, unacked: 0 })
    }

    /// Reads from the beginning until `each` has seen what it waits for.
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

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.end.is_none()
    }

    /// The next message; none at the end.
    ///
    /// # Errors
    /// [`StreamError`]
    pub async fn next(&mut self) -> Result<Option<Stored>, StreamError> {
        let Some(end) = self.end else { return Ok(None) };
        let stored = match self.first.take() {
            Some(first) => Some(first),
            None => match tokio::time::timeout(SILENCE_MAX, read(&mut self.consumer)).await {
                Ok(stored) => stored?,
                Err(_) => return Err(StreamError::Silent(self.stream)),
            },
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
        // Retention may have taken away what stood between.
        Ok(Some(stored).filter(|stored| stored.offset <= end))
    }

    /// Ends it.
    pub async fn close(self) {
        // If this fails the connection is gone, and with it the reading.
        drop(self.channel.close(200, "read".into()).await);
    }
}

/// The offset of the last message that is there now; none if there is none.
async fn end_of(connection: &Connection, stream: &'static str) -> Result<Option<u64>, StreamError> {
    let (channel, mut consumer) = consume(connection, stream, Start::Last).await?;
    let mut end = drain(&channel, &mut consumer).await?;
    tokio::time::sleep(TAIL_PAUSE).await;
    // Once more is enough: whoever goes on writing would keep us here for ever.
    end = drain(&channel, &mut consumer).await?.or(end);
    channel.close(200, "seen".into()).await?;
    Ok(end)
}

/// Takes what the broker has at hand, up to what it sends ahead and a last chunk holds; the last offset.
async fn drain(channel: &Channel, consumer: &mut Consumer) -> Result<Option<u64>, StreamError> {
    let mut end = None;
    for _ in 0..ROUNDS_MAX {
        // Any question does.
        channel.basic_qos(AHEAD, BasicQosOptions { global: false }).await?;
        let (mut last, mut taken) = (None, 0);
        while let Some(stored) = read(consumer).now_or_never() {
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
        Err(refused) => Err(StreamError::Refused(stream, refused)),
    }
}

/// The next message with its delivery tag; none when the broker cancels.
async fn read(consumer: &mut Consumer) -> Result<Option<(u64, Stored)>, Error> {
    let Some(delivery) = consumer.next().await.transpose()? else { return Ok(None) };
    let offset = message::stream_offset(&delivery.properties).unwrap_or_default();
    let stored = Stored { offset, properties: delivery.properties, body: delivery.data };
    Ok(Some((delivery.delivery_tag, stored)))
}
