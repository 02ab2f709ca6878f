//! Reading a stream from some place to its present end. It changes nothing in the broker.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use lapin::{
    BasicProperties, Channel, Connection, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable},
};

use super::{message, topology};

/// How many messages the broker sends ahead. A stream's consumer acks only to get more.
const AHEAD: u16 = 256;

/// How long a stream that is known to hold more may be silent before reading it counts as failed.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// What the broker has at hand it sends before it answers the next question on the channel. That it may still be on its
/// way within the broker is what this pause is for. Whoever writes at this moment may or may not be seen.
const TAIL_PAUSE: Duration = Duration::from_millis(30);

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
    /// The broker went away.
    #[error("the broker went away: {0}; run the command again")]
    Lost(#[from] lapin::Error),
    /// The broker stopped sending in the middle.
    #[error("the broker did not send the rest of `{0}`; run the command again")]
    Silent(&'static str),
}

/// A reading of one stream, up to where it ended when the reading began.
#[derive(Debug)]
pub struct Reading {
    stream: &'static str,
    channel: Channel,
    consumer: Consumer,
    /// Read already, and the next to be told.
    ahead: Option<(u64, Stored)>,
    /// The offset of the last message; none once it has been read, and none where there is none to read.
    end: Option<u64>,
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
        let (channel, mut consumer) = consume(connection, stream, start).await?;
        let (ahead, is_beyond) = match (start, end) {
            // The broker takes a moment after all that is there for "whatever comes next".
            (Start::Time(_), Some(_)) => {
                let first = first_at_hand(stream, &channel, &mut consumer).await?;
                let nothing = first.is_none();
                (first, nothing)
            }
            (Start::Offset(from), Some(end)) => (None, from > end),
            (Start::First | Start::Last, _) | (_, None) => (None, false),
        };
        let end = end.filter(|_| !is_beyond);
        Ok(Self { stream, channel, consumer, ahead, end, unacked: 0 })
    }

    /// The next message; none at the end.
    ///
    /// # Errors
    /// [`StreamError`]
    pub async fn next(&mut self) -> Result<Option<Stored>, StreamError> {
        let Some(end) = self.end else { return Ok(None) };
        let stored = match self.ahead.take() {
            Some(first) => Some(first),
            None => match tokio::time::timeout(SILENCE_MAX, read(&mut self.consumer)).await {
                Ok(stored) => stored?,
                Err(_) => return Err(StreamError::Silent(self.stream)),
            },
        };
        let (tag, stored) = stored.ok_or(StreamError::Silent(self.stream))?;
        self.unacked += 1;
        if self.unacked >= AHEAD / 4 {
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
    let channel = connection.create_channel().await?;
    if let Err(error) = topology::depth(&channel, stream).await {
        return Err(if topology::is_refusal(&error) { StreamError::Missing(stream) } else { error.into() });
    }
    channel.close(200, "seen".into()).await?;
    let (channel, mut consumer) = consume(connection, stream, Start::Last).await?;
    let (mut end, mut paused) = (None, false);
    loop {
        // Any question does.
        channel.basic_qos(AHEAD, BasicQosOptions { global: false }).await?;
        let mut last = None;
        while let Some(stored) = read(&mut consumer).now_or_never() {
            let (tag, stored) = stored?.ok_or(StreamError::Silent(stream))?;
            (end, last) = (Some(stored.offset), Some(tag));
        }
        match last {
            Some(tag) => channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?,
            None if paused => break,
            None => tokio::time::sleep(TAIL_PAUSE).await,
        }
        paused = last.is_none();
    }
    channel.close(200, "seen".into()).await?;
    Ok(end)
}

/// The first message that the broker has at hand for a new consumer; none if it has none.
async fn first_at_hand(
    stream: &'static str,
    channel: &Channel,
    consumer: &mut Consumer,
) -> Result<Option<(u64, Stored)>, StreamError> {
    for pause in [Duration::ZERO, TAIL_PAUSE] {
        tokio::time::sleep(pause).await;
        // Any question does.
        channel.basic_qos(AHEAD, BasicQosOptions { global: false }).await?;
        if let Some(stored) = read(consumer).now_or_never() {
            return Ok(Some(stored?.ok_or(StreamError::Silent(stream))?));
        }
    }
    Ok(None)
}

async fn consume(
    connection: &Connection,
    stream: &str,
    start: Start,
) -> Result<(Channel, Consumer), StreamError> {
    let offset = match start {
        Start::First => AMQPValue::LongString("first".into()),
        Start::Last => AMQPValue::LongString("last".into()),
        Start::Offset(offset) => AMQPValue::LongLongInt(i64::try_from(offset).unwrap_or(i64::MAX)),
        Start::Time(at) => AMQPValue::Timestamp(u64::try_from(at.as_second()).unwrap_or(0)),
    };
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), offset);
    let channel = connection.create_channel().await?;
    channel.basic_qos(AHEAD, BasicQosOptions { global: false }).await?;
    let options = BasicConsumeOptions { no_local: false, no_ack: false, exclusive: false, nowait: false };
    let consumer = channel.basic_consume(stream.into(), "".into(), options, arguments).await?;
    Ok((channel, consumer))
}

/// The next message with its delivery tag; none when the broker cancels.
async fn read(consumer: &mut Consumer) -> Result<Option<(u64, Stored)>, lapin::Error> {
    let Some(delivery) = consumer.next().await.transpose()? else { return Ok(None) };
    let offset = message::stream_offset(&delivery.properties).unwrap_or_default();
    let stored = Stored { offset, properties: delivery.properties, body: delivery.data };
    Ok(Some((delivery.delivery_tag, stored)))
}
