//! Going through a dead-letter queue: taking the letters that are meant, and leaving all others in their order.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream::SelectAll};
use jiff::Timestamp;
use lapin::{
    Channel, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};

use super::{DeadLetterError, Desk};
use crate::{
    core::{
        letters::{Letter, LetterId},
        providers::Provider,
        webhook::SourceName,
    },
    edge::amqp::{message, names},
};

/// How long the queue may be silent before the letters that it promised count as taken by somebody else.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How many letters the broker sends to one consumer before it waits for acks. "No limit" would be the same number:
/// a quorum queue knows none.
const SHARE: u16 = 2_000;

/// How long letters are held at most. The broker closes a channel that holds one for 30 minutes.
const HELD_MAX: Duration = Duration::from_secs(600);

/// A way once through a source's queue, as far as it reached when the way began.
pub(super) struct Pass<'a> {
    desk: &'a Desk<'a>,
    source: &'a SourceName,
    provider: Provider,
    channel: Channel,
    letters: SelectAll<Consumer>,
    consumers: u32,
    began: Instant,
    total: u32,
    seen: u32,
    acked: u32,
}

/// A letter that is held.
pub(super) struct Held {
    /// The letter.
    pub(super) letter: Letter,
    /// Whether it says its id itself.
    pub(super) has_id: bool,
    tag: u64,
}

impl<'a> Pass<'a> {
    /// Begins at the head of the queue.
    pub(super) async fn open(desk: &'a Desk<'a>, source: &'a SourceName) -> Result<Self, DeadLetterError> {
        let Some(settings) = desk.config.sources.get(source) else {
            return Err(DeadLetterError::NoQueue(source.clone()));
        };
        let total = desk.depth(source).await?;
        let channel = desk.connection.create_channel().await?;
        channel.basic_qos(SHARE, BasicQosOptions { global: false }).await?;
        Ok(Self {
            desk,
            source,
            provider: settings.provider,
            channel,
            letters: SelectAll::new(),
            consumers: 0,
            began: Instant::now(),
            total,
            seen: 0,
            acked: 0,
        })
    }

    /// The next letter; none at the end. What is not acked stays.
    pub(super) async fn next(&mut self) -> Result<Option<Held>, DeadLetterError> {
        if self.seen >= self.total {
            return Ok(None);
        }
        // Letters that stay are unacked until the end. When those are all that the consumers may hold, one more takes
        // over.
        if self.seen - self.acked >= self.consumers * u32::from(SHARE) {
            self.letters.push(self.consume().await?);
            self.consumers += 1;
        }
        let Ok(Some(delivery)) = tokio::time::timeout(SILENCE_MAX, self.letters.next()).await else {
            return Ok(None);
        };
        let delivery = delivery?;
        self.seen += 1;
        let id = message::letter_id(&delivery.properties);
        let inbound = match message::decode(&delivery.properties, delivery.data) {
            Ok(inbound) => inbound,
            Err((_, body)) => {
                message::salvage(&delivery.properties, body, self.source, self.provider, Timestamp::now())
            }
        };
        let letter = Letter { id: id.unwrap_or_else(|| LetterId::of_content(&inbound)), inbound };
        Ok(Some(Held { letter, has_id: id.is_some(), tag: delivery.delivery_tag }))
    }

    /// Whether it has seen every letter that was there when it began.
    pub(super) fn saw_all(&self) -> bool {
        self.seen >= self.total
    }

    /// Whether letters have been held for so long that they should be given back, and a new pass begun.
    pub(super) fn is_old(&self) -> bool {
        self.began.elapsed() > HELD_MAX
    }

    /// Takes a letter out of the queue.
    pub(super) async fn ack(&mut self, held: &Held) -> Result<(), DeadLetterError> {
        self.channel.basic_ack(held.tag, BasicAckOptions { multiple: false }).await?;
        self.acked += 1;
        Ok(())
    }

    /// Gives back what was not acked, each letter to its place, and makes sure that the acks have arrived.
    pub(super) async fn close(self) -> Result<(), DeadLetterError> {
        self.channel.close(200, "done".into()).await?;
        // The broker puts letters back after it has closed the channel: whoever looks next must find them all. Not for
        // ever, since somebody else may have taken some.
        let left = self.total.saturating_sub(self.acked);
        let closed = Instant::now();
        while self.desk.depth(self.source).await? < left && closed.elapsed() < SILENCE_MAX {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The broker puts letters back consumer by consumer in the order of their tags: so it stays the order of the queue.
    async fn consume(&self) -> lapin::Result<Consumer> {
        let options = BasicConsumeOptions { no_local: false, no_ack: false, exclusive: false, nowait: false };
        let (queue, tag) = (names::dead_queue(self.source), format!("look-{:05}", self.consumers));
        let (queue, tag) = (queue.as_str().into(), tag.as_str().into());
        self.channel.basic_consume(queue, tag, options, FieldTable::default()).await
    }
}
