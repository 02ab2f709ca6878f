//! Following the normalized events without taking any from their consumers.
//!
//! A temporary queue is bound to the exchange to which workers publish, not to the one to which consumers
//! bind: otherwise an event without a subscription would count as delivered while a tail runs.

use futures_util::StreamExt;
use lapin::{
    Consumer, ExchangeKind,
    options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use super::{Mode, consume};
use crate::edge::amqp::{Connection, Error, names};

/// Most events kept for a slow reader. Older ones are dropped, so that a tail never holds up a worker.
const BACKLOG_MAX: i64 = 10_000;

/// The events as they are published.
pub struct Tail {
    consumer: Consumer,
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
        let (_, consumer) = consume(connection, queue.as_str(), Mode::Exclusive).await?;
        Ok(Self { consumer })
    }

    /// Waits for the next event and returns its JSON text; none when the connection is gone.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.consumer.next().await?.ok().map(|delivery| delivery.data)
    }
}
