//! Dead letters: looking at them, sending them back, throwing them away. The printing is the command's.
//!
//! A letter is looked at by consuming without acking: when the channel closes the broker puts every letter back in
//! its place. Replay publishes with a confirm before it acks, so that killed at any moment it loses nothing.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::SelectAll};
use jiff::Timestamp;
use lapin::{
    Channel, Connection, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};

use super::settle;
use crate::{
    core::{
        disposition::Reason,
        ledger::State,
        providers::Provider,
        webhook::{DeliveryId, SourceName},
    },
    edge::{
        amqp::{
            message::{self, Inbound},
            names,
            publisher::{PublishError, Publisher},
            topology,
        },
        store::{Store, StoreError},
    },
    faults::{self, Mutant},
};

/// How long the queue may be silent before the letters that it promised count as taken by somebody else.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How many letters the broker sends to one consumer before it waits for acks. "No limit" would be the same number:
/// a quorum queue knows none.
const SHARE: u16 = 2_000;

/// Which letters are meant; all of what is set must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// This one.
    pub id: Option<DeliveryId>,
    /// Those that died for this reason.
    pub reason: Option<Reason>,
}

impl Filter {
    fn matches(&self, letter: &Inbound) -> bool {
        self.id.is_none_or(|id| letter.webhook.delivery_id == id)
            && self.reason.is_none_or(|reason| letter.history.reason == Some(reason))
    }
}

/// What is done with a letter that the filter lets through.
pub enum Action<'a> {
    /// Nothing: it stays.
    Look,
    /// It goes back to its raw queue.
    Replay(&'a Publisher),
    /// It goes away.
    Discard(&'a Store),
}

/// Why the letters could not be worked on.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The source has no dead-letter queue.
    #[error(
        "there is no queue `dead.{0}`: is the source configured, and was `hookswitch topology apply` run?"
    )]
    NoQueue(SourceName),
    /// The broker went away. What was acked before is done; the rest is where it was.
    #[error("the broker went away: {0}; run the command again")]
    Lost(#[from] lapin::Error),
    /// A replayed letter was not confirmed; it stays in the dead-letter queue.
    #[error("a letter was not taken back, and stays where it is: {0}")]
    NotReplayed(#[from] PublishError),
    /// A letter that is discarded must stand in the ledger.
    #[error("a letter was not discarded, and stays where it is: {0}")]
    NotNoted(#[from] StoreError),
}

/// How far a run came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Letters seen.
    pub seen: u32,
    /// Letters that the filter let through.
    pub matched: u32,
    /// Letters moved or removed.
    pub done: u32,
}

/// How many letters a source has.
///
/// # Errors
/// [`DeadLetterError`]
pub async fn count(connection: &Connection, source: &SourceName) -> Result<u32, DeadLetterError> {
    let channel = connection.create_channel().await?;
    match topology::depth(&channel, &names::dead_queue(source)).await {
        Ok(letters) => {
            channel.close(200, "done".into()).await?;
            Ok(letters)
        }
        Err(error) if matches!(error.kind(), lapin::ErrorKind::ProtocolError(_)) => {
            Err(DeadLetterError::NoQueue(source.clone()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Goes once through a source's letters, as many as there are now, and does `action` to at most `limit` of those that
/// match, telling `each` of them first; `each` may stop the run.
///
/// # Errors
/// [`DeadLetterError`]; letters not yet done are where they were.
pub async fn run(
    connection: &Connection,
    source: &SourceName,
    provider: Provider,
    filter: &Filter,
    limit: u32,
    action: &Action<'_>,
    mut each: impl FnMut(&Inbound) -> ControlFlow<()>,
) -> Result<Tally, DeadLetterError> {
    let total = count(connection, source).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(SHARE, BasicQosOptions { global: false }).await?;
    let mut letters = SelectAll::new();
    let (mut tally, mut consumers) = (Tally::default(), 0);
    while tally.seen < total && tally.matched < limit {
        // Letters that stay are unacked until the end. When those are all that the consumers may hold, one more takes
        // over.
        if tally.seen - tally.done == consumers * u32::from(SHARE) {
            letters.push(consume(&channel, source, consumers).await?);
            consumers += 1;
        }
        let Ok(Some(letter)) = tokio::time::timeout(SILENCE_MAX, letters.next()).await else { break };
        let letter = letter?;
        tally.seen += 1;
        let tag = letter.delivery_tag;
        let inbound = match message::decode(&letter.properties, letter.data) {
            Ok(inbound) => inbound,
            Err((_, body)) => message::salvage(&letter.properties, body, source, provider, Timestamp::now()),
        };
        if !filter.matches(&inbound) {
            continue;
        }
        tally.matched += 1;
        if each(&inbound).is_break() {
            break;
        }
        match action {
            Action::Look => continue,
            Action::Replay(publisher) => {
                if faults::is(Mutant::RemoveBeforeReplay) {
                    channel.basic_ack(tag, BasicAckOptions { multiple: false }).await?;
                }
                replay(publisher, &inbound).await?;
            }
            Action::Discard(store) => discard(store, &inbound).await?,
        }
        channel.basic_ack(tag, BasicAckOptions { multiple: false }).await?;
        tally.done += 1;
    }
    // Puts back what was not acked, and makes sure that the acks have arrived.
    channel.close(200, "done".into()).await?;
    wait_until_back(connection, source, total.saturating_sub(tally.done)).await?;
    Ok(tally)
}

/// The broker puts letters back after it has closed the channel: whoever looks next must find them all. Not for ever,
/// since somebody else may have taken some.
async fn wait_until_back(
    connection: &Connection,
    source: &SourceName,
    letters: u32,
) -> Result<(), DeadLetterError> {
    let began = Instant::now();
    while count(connection, source).await? < letters && began.elapsed() < SILENCE_MAX {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The broker puts letters back consumer by consumer in the order of their tags: so it stays the order of the queue.
async fn consume(channel: &Channel, source: &SourceName, number: u32) -> lapin::Result<Consumer> {
    let options = BasicConsumeOptions { no_local: false, no_ack: false, exclusive: false, nowait: false };
    let (queue, tag) = (names::dead_queue(source), format!("look-{number:05}"));
    channel.basic_consume(queue.as_str().into(), tag.as_str().into(), options, FieldTable::default()).await
}

/// Notes in the ledger that a letter is thrown away.
async fn discard(store: &Store, letter: &Inbound) -> Result<(), StoreError> {
    match letter.entry {
        Some(entry) => store.record(&letter.webhook.source, entry, State::Discarded).await,
        None => Ok(()),
    }
}

/// Publishes the letter to its raw queue and waits for the confirm.
async fn replay(publisher: &Publisher, letter: &Inbound) -> Result<(), PublishError> {
    let mut publication = settle::replay(letter);
    publication.not_after = Instant::now() + SILENCE_MAX;
    publisher.publish(publication, SILENCE_MAX * 2).await
}
