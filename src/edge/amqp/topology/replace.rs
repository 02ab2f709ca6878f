//! Replacing a queue whose arguments have to change: its messages wait in another queue meanwhile.
//!
//! A webhook must be in one queue at every moment. So the queue is unbound first, and receivers answer 503;
//! its consumers let go of it, so that no message is with any of them; then its messages move, each
//! confirmed before it is acked; and only then the queue is deleted. Killed at any moment, it is finished by
//! running it again.
//!
//! Publishers of events do not wait as receivers do: an event that goes to another queue counts as delivered.
//! So the other queue is bound to the events as long as this one is not. For a moment both are. Redacted
//! copies without a queue do wait.

use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use lapin::{
    BasicProperties, Channel, Confirmation, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicPublishOptions, ConfirmSelectOptions},
    types::FieldTable,
};

use super::{
    declare::{bind_queue, declare_queue, delete_queue},
    difference::{Difference, TopologyError},
    prune::ON_THEIR_WAY_MAX,
    record::{add, declared, unbind},
    spec::{Queue, Topology},
};
use crate::{
    core::applied::TopologyRecord,
    edge::amqp::{
        Connection, Error,
        consume::{Mode, consume, lock::Lock},
        depth::{depth, look},
        names,
    },
};

/// Most messages that are on their way to the other queue at a time: bodies may be large.
const AHEAD: u16 = 32;

/// Pause between two looks at the consumers.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Time without a message after which a queue is looked at.
const QUIET: Duration = Duration::from_millis(500);

/// Why a queue was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// The configuration does not need the queue.
    #[error("the configuration needs no queue `{0}`: `hookswitch topology check` lists those that differ")]
    Unknown(String),
    /// It is a stream.
    #[error("`{0}` is a stream: its messages cannot be moved. Delete it and run `hookswitch topology apply`")]
    Stream(String),
    /// It is still consumed.
    #[error(
        "queue {0} still has {1} consumers, and is as it was: workers let go of a raw queue within a minute \
         if they can settle what they hold; stop all other consumers, then run the command again"
    )]
    InUse(String, u32),
    /// A job moves dead letters.
    #[error("a job moves dead letters now: run the command again after it")]
    Busy,
    /// The broker did not do what was asked.
    #[error("{0}; run the command again: no message is lost")]
    Topology(#[from] TopologyError),
}

impl From<Error> for ReplaceError {
    fn from(error: Error) -> Self {
        TopologyError::from(error).into()
    }
}

impl From<lapin::Error> for ReplaceError {
    fn from(error: lapin::Error) -> Self {
        Error::from(error).into()
    }
}

impl Topology {
    /// Replaces a queue by one with the arguments that it needs, and keeps its messages. Waits at most
    /// `patience` for its consumers to let go. Returns how many messages were moved.
    ///
    /// # Errors
    /// [`ReplaceError`]
    pub async fn replace(
        &self,
        connection: &Connection,
        name: &str,
        patience: Duration,
    ) -> Result<u64, ReplaceError> {
        let queue = self.queues.iter().find(|queue| queue.name == name);
        let queue = queue.ok_or_else(|| ReplaceError::Unknown(name.to_owned()))?;
        let was_stream = declared(connection).await?.is_stream(name).unwrap_or_else(|| queue.is_stream());
        if was_stream || names::OWN_STREAMS.contains(&name) {
            return Err(ReplaceError::Stream(name.to_owned()));
        }
        let lock = match name.starts_with(names::DEAD_PREFIX) {
            true => Some(take_lock(connection).await?),
            false => None,
        };
        let begun = TopologyRecord::Replacing { at: Timestamp::now(), queue: name.to_owned() };
        add(connection, &begun).await?;
        let outcome = self.exchange(connection, queue, patience).await;
        // After any other failure some messages may be in the other queue: the record says so.
        if matches!(outcome, Ok(_) | Err(ReplaceError::InUse(..))) {
            let (at, queue_name, stream) =
                (Timestamp::now(), name.to_owned(), outcome.is_ok() && queue.is_stream());
            add(connection, &TopologyRecord::Replaced { at, queue: queue_name, stream }).await?;
        }
        if let Some(lock) = lock {
            lock.release().await;
        }
        outcome
    }

    async fn exchange(
        &self,
        connection: &Connection,
        queue: &Queue,
        patience: Duration,
    ) -> Result<u64, ReplaceError> {
        let channel = connection.channel().await?;
        let hold = queue.held();
        declare_queue(&channel, &hold, false).await?;
        if queue.is_redacted() {
            // Before anything is bound to its copies, so that no plain event follows one: see `apply`.
            let declared = declared(connection).await?;
            for name in [&queue.name, &hold.name] {
                unbind(&channel, name, declared.outdated(&queue.name, &queue.bindings)).await?;
            }
        }
        let mut moved = 0;
        // A new stream that a killed run has made already holds the messages that came back.
        let is_made = queue.is_stream() && is_as_needed(connection, queue).await?;
        if !is_made && exists(connection, &queue.name).await? {
            bind_queue(&channel, &hold.name, &events_of(queue)).await?;
            let declared = declared(connection).await?;
            unbind(&channel, &queue.name, declared.outdated(&queue.name, &[])).await?;
            unbind(&channel, &queue.name, queue.bindings.iter()).await?;
            let consumers = let_go(connection, &queue.name, patience).await?;
            if consumers > 0 {
                // A run that was killed may have moved messages before.
                bring_back(connection, &channel, &hold.name, queue).await?;
                return Err(ReplaceError::InUse(queue.name.clone(), consumers));
            }
            moved = move_all(connection, &queue.name, &hold.name).await?;
            delete_queue(&channel, &queue.name).await?;
        }
        declare_queue(&channel, queue, false).await?;
        let back = bring_back(connection, &channel, &hold.name, queue).await?;
        channel.close(200, "done".into()).await?;
        Ok(moved.max(back))
    }
}

/// Binds a queue, moves what the queue `hold` has kept for it back to it, and deletes that queue. Returns how
/// many messages were moved.
async fn bring_back(
    connection: &Connection,
    channel: &Channel,
    hold: &str,
    queue: &Queue,
) -> Result<u64, ReplaceError> {
    bind_queue(channel, &queue.name, &queue.bindings).await?;
    let events = events_of(queue);
    if !events.is_empty() {
        unbind(channel, hold, events.iter()).await?;
        tokio::time::sleep(ON_THEIR_WAY_MAX).await;
    }
    let moved = move_all(connection, hold, &queue.name).await?;
    delete_queue(channel, hold).await?;
    Ok(moved)
}

/// Returns the bindings by which a queue gets events.
fn events_of(queue: &Queue) -> Vec<(String, String)> {
    let of_events = [names::EVENTS_EXCHANGE, names::REDACTED_EXCHANGE];
    queue.bindings.iter().filter(|(exchange, _)| of_events.contains(&exchange.as_str())).cloned().collect()
}

async fn take_lock(connection: &Connection) -> Result<Lock, ReplaceError> {
    let taken = Lock::take(connection).await;
    if matches!(taken, Err(Error::Locked(_))) { Err(ReplaceError::Busy) } else { Ok(taken?) }
}

/// Returns whether a queue has the arguments that it needs. One that is missing is created.
async fn is_as_needed(connection: &Connection, queue: &Queue) -> Result<bool, TopologyError> {
    let channel = connection.channel().await.map_err(Error::from)?;
    match declare_queue(&channel, queue, false).await {
        Ok(()) => Ok(true),
        Err(error) => Difference::of(format!("queue {}", queue.name), "queue", error).map(|_| false),
    }
}

async fn exists(connection: &Connection, queue: &str) -> Result<bool, Error> {
    match look(connection, queue).await {
        Ok(_) => Ok(true),
        Err(Error::Missing(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits until a queue has no consumers, and has had none for a while. Returns how many it has.
async fn let_go(connection: &Connection, queue: &str, patience: Duration) -> Result<u32, Error> {
    let (began, mut free) = (Instant::now(), 0);
    loop {
        let consumers = look(connection, queue).await?.consumers;
        free = if consumers == 0 { free + 1 } else { 0 };
        if free == 3 || (consumers > 0 && began.elapsed() > patience) {
            return Ok(consumers);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Moves all messages of a queue to another, and returns how many there were.
async fn move_all(connection: &Connection, from: &str, to: &str) -> Result<u64, ReplaceError> {
    let (channel, mut consumer) = consume(connection, from, Mode::Moving { prefetch: AHEAD }).await?;
    channel.confirm_select(ConfirmSelectOptions { nowait: false }).await?;
    let mut moved = 0;
    loop {
        let batch = next_batch(&mut consumer).await?;
        if batch.is_empty() {
            if depth(connection, from).await? == 0 {
                break;
            }
            continue;
        }
        let last = batch.last().map(|delivery| delivery.delivery_tag);
        moved += batch.len() as u64;
        publish(&channel, to, batch).await?;
        channel.basic_ack(last.unwrap_or_default(), BasicAckOptions { multiple: true }).await?;
    }
    channel.close(200, "done".into()).await?;
    Ok(moved)
}

/// Returns the messages that have come; none if there are none for a while.
async fn next_batch(consumer: &mut Consumer) -> Result<Vec<Delivery>, Error> {
    let Ok(first) = tokio::time::timeout(QUIET, consumer.next()).await else { return Ok(Vec::new()) };
    let gone = || Error::Lost("the consumer was cancelled".to_owned());
    let mut batch = vec![first.ok_or_else(gone)??];
    while batch.len() < AHEAD.into()
        && let Some(next) = consumer.next().now_or_never()
    {
        batch.push(next.ok_or_else(gone)??);
    }
    Ok(batch)
}

/// Publishes messages to a queue, and returns once all are confirmed.
async fn publish(channel: &Channel, to: &str, batch: Vec<Delivery>) -> Result<(), Error> {
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let mut confirms = Vec::new();
    for Delivery { properties, data, .. } in batch {
        let (exchange, properties) = (names::DEFAULT_EXCHANGE.into(), as_new(properties));
        confirms.push(channel.basic_publish(exchange, to.into(), options, &data, properties).await?);
    }
    let mut stored = true;
    for confirm in confirms {
        stored &= matches!(confirm.await?, Confirmation::Ack(None));
    }
    if stored { Ok(()) } else { Err(Error::Refused(format!("queue {to} refused a message"))) }
}

/// Removes the broker's count of deliveries, which begins anew in another queue.
fn as_new(properties: BasicProperties) -> BasicProperties {
    let Some(headers) = properties.headers().clone() else { return properties };
    let mut kept = FieldTable::default();
    for (name, value) in headers.inner() {
        if name.as_str() != "x-delivery-count" {
            kept.insert(name.clone(), value.clone());
        }
    }
    properties.with_headers(kept)
}
