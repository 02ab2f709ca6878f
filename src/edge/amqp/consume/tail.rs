//! Following the normalized events without taking any from their consumers.
//!
//! A temporary queue is bound to the exchange to which workers publish, not to the one to which consumers
//! bind: otherwise an event without a subscription would count as delivered while a tail runs. Past events
//! come from a subscription that is a stream, which reading leaves as it is.

use std::borrow::Cow;

use futures_util::StreamExt;
use jiff::Timestamp;
use lapin::{
    Channel, Consumer, ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};

use super::{Mode, consume};
use crate::{
    core::events::{cloudevent, topic},
    edge::amqp::{Connection, Error, message, names},
};

/// Most events kept for a slow reader. Older ones are dropped, so that a tail never holds up a worker.
const BACKLOG_MAX: i64 = 10_000;

/// Most events that the broker sends ahead of the reader: they are held in memory.
const AHEAD: u16 = 128;

/// The events as they are published, or as a stream has kept them.
pub struct Tail {
    channel: Channel,
    consumer: Consumer,
    /// The patterns that select a stream's events; none for a queue whose bindings select them.
    patterns: Option<Vec<String>>,
}

impl Tail {
    /// Starts following the events whose routing key matches one of `patterns` (`#` for all).
    ///
    /// # Errors
    /// [`Error`]: the broker refused, most likely because the topology is missing.
    pub async fn open(connection: &Connection, patterns: &[String]) -> Result<Self, Error> {
        let channel = connection.channel().await?;
        let mut limits = FieldTable::default();
        limits.insert("x-max-length".into(), AMQPValue::LongLongInt(BACKLOG_MAX));
        limits.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
        let own = QueueDeclareOptions {
            passive: false,
            durable: false,
            exclusive: true,
            auto_delete: true,
            nowait: false,
        };
        let queue = channel.queue_declare("".into(), own, limits).await?.name().clone();
        // A topic exchange in between does the matching; the broker deletes it with its queue.
        let filter = format!("hookswitch.tail.{}", queue.as_str());
        let transient = ExchangeDeclareOptions {
            passive: false,
            durable: false,
            auto_delete: true,
            internal: false,
            nowait: false,
        };
        channel
            .exchange_declare(filter.as_str().into(), ExchangeKind::Topic, transient, FieldTable::default())
            .await?;
        for pattern in patterns {
            let options = QueueBindOptions { nowait: false };
            let (from, key) = (filter.as_str().into(), pattern.as_str().into());
            channel.queue_bind(queue.clone(), from, key, options, FieldTable::default()).await?;
        }
        let options = ExchangeBindOptions { nowait: false };
        let (to, from) = (filter.as_str().into(), names::PUBLISHED_EXCHANGE.into());
        channel.exchange_bind(to, from, "".into(), options, FieldTable::default()).await?;
        let mode = Mode::Moving { prefetch: AHEAD };
        let (channel, consumer) = consume(connection, queue.as_str(), mode).await?;
        Ok(Self { channel, consumer, patterns: None })
    }

    /// Starts reading a stream at the events that were written at `from` or a little before, and goes on with
    /// those that come. Selects by `patterns`, as [`Tail::open`] does.
    ///
    /// # Errors
    /// [`Error`]: there is no such queue, it is no stream, or the user may not read it.
    pub async fn open_stream(
        connection: &Connection,
        stream: &str,
        from: Timestamp,
        patterns: &[String],
    ) -> Result<Self, Error> {
        let offset = AMQPValue::Timestamp(u64::try_from(from.as_second()).unwrap_or(0));
        let (channel, consumer) =
            consume(connection, stream, Mode::Stream { prefetch: AHEAD, offset }).await?;
        Ok(Self { channel, consumer, patterns: Some(patterns.to_vec()) })
    }

    /// Waits for the next event and returns its JSON text; none when the connection is gone.
    ///
    /// # Errors
    /// [`Error::Refused`]: the queue is no stream, and its messages stay in it. Others: the connection is
    /// gone.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        while let Some(Ok(delivery)) = self.consumer.next().await {
            if self.patterns.is_some() && message::stream_offset(&delivery.properties).is_none() {
                // An ack would take the message from its consumers.
                return Err(Error::Refused("this queue is no stream".to_owned()));
            }
            // At once: the broker ends a consumer whose ack it has waited for too long.
            let options = BasicAckOptions { multiple: false };
            self.channel.basic_ack(delivery.delivery_tag, options).await?;
            let key = key_of(&delivery);
            let selects =
                |patterns: &Vec<String>| patterns.iter().any(|pattern| topic::is_match(pattern, &key));
            let is_selected = self.patterns.as_ref().is_none_or(selects);
            if is_selected {
                return Ok(Some(delivery.data));
            }
        }
        Ok(None)
    }
}

/// Returns the routing key under which an event was published. `topology replace` moves events by the name of
/// their queue, not by their key.
fn key_of(delivery: &Delivery) -> Cow<'_, str> {
    let moved = match delivery.exchange.as_str() {
        names::DEFAULT_EXCHANGE => cloudevent::routing_key_of(&delivery.data),
        _ => None,
    };
    moved.map_or_else(|| delivery.routing_key.as_str().into(), Cow::Owned)
}
