//! A pass through a source's dead-letter queue: taking letters out, and giving all others back.

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
    edge::amqp::{Connection, Error, depth, message, names},
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

/// Why a dead-letter queue could not be worked on.
#[derive(Debug, thiserror::Error)]
pub enum DeadQueueError {
    /// The source has no dead-letter queue.
    #[error(
        "there is no queue `dead.{0}`: is the source configured, and was `hookswitch topology apply` run?"
    )]
    Missing(SourceName),
    /// The queue gave no more letters, though more were there.
    #[error(
        "dead.{source_name} fell silent after {seen} of {total} letters: the broker may be mending itself, or somebody else \
         takes letters; run the command again"
    )]
    Silent {
        /// Whose.
        source_name: SourceName,
        /// Letters that came.
        seen: u32,
        /// Letters that were there.
        total: u32,
    },
    /// The broker went away. What was done is done and in the journal; the rest is where it was.
    #[error("the broker went away: {0}; run the command again, and it goes on where it was")]
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
/// [`DeadQueueError`]
pub async fn depth(connection: &Connection, source: &SourceName) -> Result<u32, DeadQueueError> {
    match depth::depth(connection, &names::dead_queue(source)).await {
        Err(Error::Missing(_)) => Err(DeadQueueError::Missing(source.clone())),
        depth => Ok(depth?),
    }
}

/// A way once through a source's queue, as far as it reached when the way began.
///
/// One channel after the other takes letters, each until it holds its share; so each holds a stretch of the queue, which
/// the broker puts back in its order. Which stretch comes first is the broker's choice: the log keeps the order that counts.
pub struct Pass<'a> {
    connection: &'a Connection,
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
pub struct Held {
    /// The letter.
    pub letter: Letter,
    /// Whether it says its id itself.
    pub has_id: bool,
    channel: Channel,
    tag: u64,
}

/// Returns how many letters are ready in a source's queue, once the number does not grow any more: what a killed job held
/// comes back bit by bit.
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
    /// Begins at the head of the queue.
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

    /// The next letter; none at the end. What is not acked stays.
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
            return Err(DeadQueueError::Silent { source_name, seen, total });
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

    /// Returns the source whose queue it is.
    pub fn source(&self) -> &SourceName {
        self.source
    }

    /// Whether the letter is of this queue's source.
    pub fn is_home_of(&self, held: &Held) -> bool {
        held.letter.queued.webhook.source == *self.source
    }

    /// Whether it has seen every letter that was there when it began.
    pub fn saw_all(&self) -> bool {
        self.seen >= self.total
    }

    /// Whether letters have been held for so long that they should be given back, and a new pass begun.
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

    /// Ends the pass, whatever came of it: gives back what was not acked. After a good pass it takes out again what should
    /// not have come back: RabbitMQ 3.10 may forget acks whose channel closes right after them.
    ///
    /// # Errors
    /// What `passed` holds, else [`DeadQueueError`].
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

    /// Gives back what was not acked. Whether more came back than should have.
    async fn close(self) -> Result<bool, DeadQueueError> {
        for channel in self.full.into_iter().chain(self.taking.map(|taking| taking.channel)) {
            channel.close(200, "done".into()).await?;
        }
        // The broker puts letters back after it has closed the channel: whoever looks next must find them all. Not for
        // ever, since somebody else may have taken some.
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

/// Takes out what is settled on record and came back all the same.
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
