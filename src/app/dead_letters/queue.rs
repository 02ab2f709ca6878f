//! Going through a dead-letter queue: taking the letters that are meant, and leaving all others.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use jiff::Timestamp;
use lapin::{
    Channel, Consumer,
    options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio_util::sync::CancellationToken;

use super::{DeadLetterError, DeadLetters, Plan};
use crate::{
    core::{
        letters::{Journal, Letter, LetterId},
        providers::Provider,
        webhook::SourceName,
    },
    edge::amqp::{message, names},
};

/// How long the queue may be silent before the letters that it promised count as taken by somebody else.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How many letters one channel holds. Bodies may be large, and lapin keeps what was sent ahead; and the broker looks for
/// an acked letter among all that a channel holds. A connection has 2,047 channels, so about two million letters can be
/// passed by.
const SHARE: u16 = 1_000;

/// How long the broker may take to give back the letters of a job that was killed.
const RETURN_MAX: Duration = Duration::from_secs(60);

/// How often a queue is gone through for acks that were forgotten; what is left then waits for the next job.
const SWEEPS_MAX: usize = 5;

/// Two looks at a queue's depth that agree are so far apart.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long letters are held at most. The broker closes a channel that holds one for 30 minutes.
const HELD_MAX: Duration = Duration::from_secs(600);

/// How many bytes of bodies are in hand at a time, but for the last letter's.
const BATCH_BYTES: usize = 4 << 20;

/// A way once through a source's queue, as far as it reached when the way began.
///
/// One channel after the other takes letters, each until it holds its share; so each holds a stretch of the queue, which
/// the broker puts back in its order. Which stretch comes first is the broker's choice: the log keeps the order that counts.
pub(super) struct Pass<'a> {
    desk: &'a DeadLetters<'a>,
    source: &'a SourceName,
    provider: Provider,
    /// Those that are full, and whose consumers are cancelled: what is acked on them makes no room for others.
    full: Vec<Channel>,
    taking: Option<Taking>,
    began: Instant,
    total: u32,
    seen: u32,
    acked: u32,
}

/// The channel that takes letters.
struct Taking {
    channel: Channel,
    consumer: Consumer,
    unacked: u16,
}

/// A letter that is held.
pub(super) struct Held {
    /// The letter.
    pub(super) letter: Letter,
    /// Whether it says its id itself.
    pub(super) has_id: bool,
    channel: Channel,
    tag: u64,
}

impl DeadLetters<'_> {
    /// How many letters are ready in a source's queue, once the number does not grow any more: what a killed job held
    /// comes back bit by bit.
    async fn settled_depth(&self, source: &SourceName) -> Result<u32, DeadLetterError> {
        let (mut depth, began) = (self.depth(source).await?, Instant::now());
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let now = self.depth(source).await?;
            if now <= depth || began.elapsed() > RETURN_MAX {
                return Ok(now);
            }
            depth = now;
        }
    }

    /// Takes out what is settled on record and came back all the same: RabbitMQ 3.10 may forget acks whose
    /// channel closes right after them.
    async fn take_out_settled(&self, source: &SourceName, journal: &Journal) -> Result<(), DeadLetterError> {
        for _ in 0..SWEEPS_MAX {
            let mut pass = Pass::open(self, source).await?;
            while let Some(held) = pass.next().await? {
                if journal.is_settled(held.letter.id) {
                    pass.ack(&held).await?;
                }
            }
            if !pass.close().await? {
                break;
            }
        }
        Ok(())
    }
}

impl<'a> Pass<'a> {
    /// Begins at the head of the queue.
    pub(super) async fn open(
        desk: &'a DeadLetters<'a>,
        source: &'a SourceName,
    ) -> Result<Self, DeadLetterError> {
        let Some(settings) = desk.config.sources.get(source) else {
            return Err(DeadLetterError::NoQueue(source.clone()));
        };
        let total = desk.settled_depth(source).await?;
        let (full, taking) = (Vec::new(), None);
        let provider = settings.provider;
        Ok(Self { desk, source, provider, full, taking, began: Instant::now(), total, seen: 0, acked: 0 })
    }

    /// The next letter; none at the end. What is not acked stays.
    pub(super) async fn next(&mut self) -> Result<Option<Held>, DeadLetterError> {
        if self.seen >= self.total {
            return Ok(None);
        }
        let mut taking = match self.taking.take() {
            Some(taking) if taking.unacked < SHARE => taking,
            Some(full) => {
                // Nothing is on its way to it: it has what it may hold.
                let options = BasicCancelOptions { nowait: false };
                full.channel.basic_cancel(full.consumer.tag(), options).await?;
                self.full.push(full.channel);
                self.consume().await?
            }
            None => self.consume().await?,
        };
        let delivery = tokio::time::timeout(SILENCE_MAX, taking.consumer.next()).await;
        taking.unacked += 1;
        let channel = taking.channel.clone();
        self.taking = Some(taking);
        let Ok(Some(delivery)) = delivery else {
            let (source_name, seen, total) = (self.source.clone(), self.seen, self.total);
            return Err(DeadLetterError::Silent { source_name, seen, total });
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
        let letter = Letter { id: id.unwrap_or_else(|| LetterId::of_content(&inbound)), queued: inbound };
        Ok(Some(Held { letter, has_id: id.is_some(), channel, tag: delivery.delivery_tag }))
    }

    /// The next letters that `plan` means, at most `size`; fewer at the end, when the pass is old, or when `stop` is
    /// asked for. What an earlier job has settled and could not ack any more is acked on the way.
    pub(super) async fn batch(
        &mut self,
        plan: &mut Plan,
        journal: &Journal,
        size: usize,
        stop: &CancellationToken,
    ) -> Result<Vec<Held>, DeadLetterError> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < size
            && bytes < BATCH_BYTES
            && plan.left(self.source) > 0
            && !self.is_old()
            && !stop.is_cancelled()
        {
            let Some(held) = self.next().await? else { break };
            if journal.is_settled(held.letter.id) {
                self.ack(&held).await?;
            } else if plan.take(&held.letter) {
                bytes += held.letter.queued.webhook.body.len();
                batch.push(held);
            }
        }
        Ok(batch)
    }

    /// Whether the letter is of this queue's source.
    pub(super) fn is_home_of(&self, held: &Held) -> bool {
        held.letter.queued.webhook.source == *self.source
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
        held.channel.basic_ack(held.tag, BasicAckOptions { multiple: false }).await?;
        self.acked += 1;
        if let Some(taking) = self.taking.as_mut().filter(|taking| taking.channel.id() == held.channel.id()) {
            taking.unacked -= 1;
        }
        Ok(())
    }

    /// Ends the pass, whatever came of it: gives back what was not acked, and takes out again what should not have come
    /// back.
    pub(super) async fn finish(
        self,
        passed: Result<(), DeadLetterError>,
        journal: &Journal,
    ) -> Result<(), DeadLetterError> {
        let (desk, source) = (self.desk, self.source);
        let came_back = self.close().await;
        passed?;
        if came_back? { desk.take_out_settled(source, journal).await } else { Ok(()) }
    }

    /// Gives back what was not acked. Whether more came back than should have.
    async fn close(self) -> Result<bool, DeadLetterError> {
        for channel in self.full.into_iter().chain(self.taking.map(|taking| taking.channel)) {
            channel.close(200, "done".into()).await?;
        }
        // The broker puts letters back after it has closed the channel: whoever looks next must find them all. Not for
        // ever, since somebody else may have taken some.
        let left = self.total.saturating_sub(self.acked);
        let closed = Instant::now();
        loop {
            let depth = self.desk.settled_depth(self.source).await?;
            if depth >= left || closed.elapsed() > SILENCE_MAX {
                return Ok(self.acked > 0 && depth > left);
            }
        }
    }

    async fn consume(&self) -> lapin::Result<Taking> {
        let channel = self.desk.connection.create_channel().await?;
        channel.basic_qos(SHARE, BasicQosOptions { global: false }).await?;
        let options = BasicConsumeOptions { no_local: false, no_ack: false, exclusive: false, nowait: false };
        let queue = names::dead_queue(self.source);
        let consumer =
            channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default()).await?;
        Ok(Taking { channel, consumer, unacked: 0 })
    }
}
