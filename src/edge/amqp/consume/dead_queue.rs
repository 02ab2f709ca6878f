//! A pass through a source's dead-letter queue: takes letters out, and requeues all others.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use jiff::Timestamp;
use lapin::{
    Channel, Consumer,
    options::{BasicAckOptions, BasicCancelOptions},
};

use super::{Mode, consume};
use crate::{
    core::{
        letters::{Journal, Letter, LetterId},
        providers::Provider,
        webhook::SourceName,
    },
    edge::amqp::{Connection, Error, depth, invalid::InvalidMessage, message, names},
};

/// Time without a letter after which the missing ones count as taken by another consumer.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Most letters that one channel holds. Bodies may be large and lapin keeps them all, and the broker searches
/// all of a channel's letters for an acked one. A connection has 2,047 channels, so a pass can cover about
/// two million letters.
const SHARE: u16 = 1_000;

/// Time that the broker may take to requeue the letters of a killed job.
const RETURN_MAX: Duration = Duration::from_secs(60);

/// Most passes after acks that were forgotten. What is left then waits for the next job.
const SWEEPS_MAX: usize = 5;

/// Pause between two looks at a queue's depth.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Age at which a pass should end. The broker closes a channel that holds a letter for 30 minutes.
const HELD_MAX: Duration = Duration::from_secs(600);

/// Why a pass through a dead-letter queue failed.
#[derive(Debug, thiserror::Error)]
pub enum DeadQueueError {
    /// The source has no dead-letter queue.
    #[error(
        "there is no queue `dead.{0}`: is the source configured, and was `hookswitch topology apply` run?"
    )]
    Missing(SourceName),
    /// No more letters came, though more were there.
    #[error(
        "no more letters came from `dead.{source_name}` after {seen} of {total}: the queue may be \
         recovering, or have another consumer; run the command again"
    )]
    Silent {
        /// The source.
        source_name: SourceName,
        /// Letters that came.
        seen: u32,
        /// Letters that were there.
        total: u32,
    },
    /// The connection was lost. What was done is in the journal; all other letters are where they were.
    #[error("lost the connection to the broker: {0}; run the command again to continue")]
    Lost(#[from] Error),
}

impl From<lapin::Error> for DeadQueueError {
    fn from(error: lapin::Error) -> Self {
        Self::Lost(error.into())
    }
}

/// Returns how many letters are ready in a source's queue.
///
/// # Errors
/// [`DeadQueueError::Missing`], [`DeadQueueError::Lost`]
pub async fn depth(connection: &Connection, source: &SourceName) -> Result<u32, DeadQueueError> {
    match depth::depth(connection, &names::dead_queue(source)).await {
        Err(Error::Missing(_)) => Err(DeadQueueError::Missing(source.clone())),
        depth => Ok(depth?),
    }
}

/// A pass through a source's queue, up to where it ended when the pass began.
///
/// The letters are consumed over one channel after the other, each until it holds its share. So each channel
/// holds a stretch of the queue, which the broker requeues in its order. Which stretch comes first is the
/// broker's choice: the log keeps the order that counts.
pub struct Pass<'a> {
    connection: &'a Connection,
    source: &'a SourceName,
    provider: Provider,
    /// Channels that hold their share. Their consumers are cancelled, so that acks on them make no room for
    /// more letters.
    full: Vec<Channel>,
    taking: Option<Taking>,
    began: Instant,
    total: u32,
    seen: u32,
    acked: u32,
}

/// The channel that consumes letters.
struct Taking {
    channel: Channel,
    consumer: Consumer,
    unacked: u16,
}

/// A letter that was delivered and is not acked.
pub struct Held {
    /// The letter.
    pub letter: Letter,
    /// True if the message carries its id; otherwise the id is derived from the content.
    pub has_id: bool,
    /// The letters in it, if it is a bundle that the broker moved as a whole. They have ids of their content.
    pub bundle: Vec<Letter>,
    channel: Channel,
    tag: u64,
}

/// Waits until the number of ready letters no longer grows, and returns it: the broker requeues the letters
/// of a killed job bit by bit.
async fn settled_depth(connection: &Connection, source: &SourceName) -> Result<u32, DeadQueueError> {
    let (mut last, began) = (depth(connection, source).await?, Instant::now());
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        let now = depth(connection, source).await?;
        if now <= last || began.elapsed() > RETURN_MAX {
            return Ok(now);
        }
        last = now;
    }
}

impl<'a> Pass<'a> {
    /// Starts at the head of the queue.
    ///
    /// # Errors
    /// [`DeadQueueError`]
    pub async fn open(
        connection: &'a Connection,
        source: &'a SourceName,
        provider: Provider,
    ) -> Result<Self, DeadQueueError> {
        let total = settled_depth(connection, source).await?;
        let (full, taking) = (Vec::new(), None);
        Ok(Self {
            connection,
            source,
            provider,
            full,
            taking,
            began: Instant::now(),
            total,
            seen: 0,
            acked: 0,
        })
    }

    /// Returns the next letter; none at the end. Letters that are not acked stay in the queue.
    ///
    /// # Errors
    /// [`DeadQueueError`]
    pub async fn next(&mut self) -> Result<Option<Held>, DeadQueueError> {
        if self.seen >= self.total {
            return Ok(None);
        }
        let mut taking = match self.taking.take() {
            Some(taking) if taking.unacked < SHARE => taking,
            Some(full) => {
                // No delivery is on its way to it: it holds as many as the prefetch allows.
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
            return Err(DeadQueueError::Silent { source_name, seen, total });
        };
        let delivery = delivery?;
        self.seen += 1;
        let bundle = message::decode_bundle(&delivery.properties, &delivery.data).and_then(Result::ok);
        let of_content = |queued| Letter { id: LetterId::of_content(&queued), queued };
        let bundle = bundle.into_iter().flatten().map(of_content).collect();
        let (id, decoded) = message::decode_letter(&delivery.properties, delivery.data);
        let queued = match decoded {
            Ok(queued) => queued,
            Err((cause, body)) => {
                let (properties, now) = (&delivery.properties, Timestamp::now());
                let mut salvaged = message::salvage(properties, body, self.source, self.provider, now);
                if matches!(cause, InvalidMessage::Unreadable(_)) {
                    message::died_of(&mut salvaged.history, &cause);
                }
                salvaged
            }
        };
        let letter = Letter { id: id.unwrap_or_else(|| LetterId::of_content(&queued)), queued };
        Ok(Some(Held { letter, has_id: id.is_some(), bundle, channel, tag: delivery.delivery_tag }))
    }

    /// Returns the source of the queue.
    pub fn source(&self) -> &SourceName {
        self.source
    }

    /// Returns whether the letter, or all of its bundle, is of this queue's source.
    pub fn is_home_of(&self, held: &Held) -> bool {
        let mut letters = held.bundle.iter().chain([&held.letter]);
        letters.all(|letter| letter.queued.webhook.source == *self.source)
    }

    /// Returns whether the pass has seen every letter that was there when it began.
    pub fn saw_all(&self) -> bool {
        self.seen >= self.total
    }

    /// Returns whether letters have been held for so long that the pass should end and another begin.
    pub fn is_old(&self) -> bool {
        self.began.elapsed() > HELD_MAX
    }

    /// Takes a letter out of the queue.
    ///
    /// # Errors
    /// [`DeadQueueError`]
    pub async fn ack(&mut self, held: &Held) -> Result<(), DeadQueueError> {
        held.channel.basic_ack(held.tag, BasicAckOptions { multiple: false }).await?;
        self.acked += 1;
        if let Some(taking) = self.taking.as_mut().filter(|taking| taking.channel.id() == held.channel.id()) {
            taking.unacked -= 1;
        }
        Ok(())
    }

    /// Ends the pass, successful or not: requeues what was not acked. After a successful pass, acks letters
    /// again that should not have come back: RabbitMQ 3.10 may forget acks when the channel closes right
    /// after them.
    ///
    /// # Errors
    /// The error in `passed`, otherwise [`DeadQueueError`].
    pub async fn finish<E: From<DeadQueueError>>(
        self,
        passed: Result<(), E>,
        journal: &Journal,
    ) -> Result<(), E> {
        let (connection, source, provider) = (self.connection, self.source, self.provider);
        let came_back = self.close().await;
        passed?;
        if came_back? {
            take_out_settled(connection, source, provider, journal).await?;
        }
        Ok(())
    }

    /// Requeues what was not acked. Returns whether more letters came back than should have.
    async fn close(self) -> Result<bool, DeadQueueError> {
        for channel in self.full.into_iter().chain(self.taking.map(|taking| taking.channel)) {
            channel.close(200, "done".into()).await?;
        }
        // The broker requeues letters after it has closed the channel, and the next pass must find them all.
        // The wait is bounded, since another consumer may have taken some.
        let left = self.total.saturating_sub(self.acked);
        let closed = Instant::now();
        loop {
            let depth = settled_depth(self.connection, self.source).await?;
            if depth >= left || closed.elapsed() > SILENCE_MAX {
                return Ok(self.acked > 0 && depth > left);
            }
        }
    }

    async fn consume(&self) -> lapin::Result<Taking> {
        let mode = Mode::Acked { prefetch: SHARE };
        let (channel, consumer) = consume(self.connection, &names::dead_queue(self.source), mode).await?;
        Ok(Taking { channel, consumer, unacked: 0 })
    }
}

/// Acks letters again that came back although the journal says that they were settled.
async fn take_out_settled(
    connection: &Connection,
    source: &SourceName,
    provider: Provider,
    journal: &Journal,
) -> Result<(), DeadQueueError> {
    for _ in 0..SWEEPS_MAX {
        let mut pass = Pass::open(connection, source, provider).await?;
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
