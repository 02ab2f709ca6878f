//! Dead letters: browsing them, and the jobs that move them. The printing is the command's.
//!
//! Browsing reads the log and the journal (see [`crate::core::letters`]) and never touches a queue. A job reads the log
//! first to know which letters it means, then takes them out of their queues, each safe elsewhere and written in the
//! journal before it is acked; all others it gives back, in their order. Killed at any moment it loses nothing, and run
//! again it finishes.

mod discard;
mod export;
mod import;
mod job;
mod queue;
mod reindex;
mod replay;
mod standing;

use std::collections::{BTreeMap, HashSet};

use lapin::Connection;
use tokio_util::sync::CancellationToken;

pub use self::{
    export::Archive,
    import::Imported,
    job::Order,
    reindex::Reindexed,
    replay::{Canary, Replay, Replayed, Stopped},
    standing::{Standing, attempt, standings},
};
use crate::{
    config::Config,
    core::{
        letters::{Filter, Job, Journal, Letter, LetterId, Record},
        providers::Provider,
        webhook::SourceName,
    },
    edge::{
        amqp::{
            message, names,
            publisher::{PublishError, Publisher},
            stream::{Reading, Start, Stored, StreamError},
            topology,
        },
        store::{Store, StoreError},
    },
};

/// Why dead letters could not be worked on.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The source has no dead-letter queue.
    #[error(
        "there is no queue `dead.{0}`: is the source configured, and was `hookswitch topology apply` run?"
    )]
    NoQueue(SourceName),
    /// The log or the journal could not be read.
    #[error(transparent)]
    Log(#[from] StreamError),
    /// The broker went away. What was done is done and in the journal; the rest is where it was.
    #[error("the broker went away: {0}; run the command again, and it goes on where it was")]
    Lost(#[from] lapin::Error),
    /// A letter was not taken by the queue that it should go to; it stays where it is.
    #[error("a letter could not be moved, and stays where it is: {0}")]
    NotMoved(PublishError),
    /// The journal could not be written; the letters meant stay where they are.
    #[error("the journal of jobs cannot be written: {0}")]
    NoJournal(PublishError),
    /// Redis could not be asked or told; the letters meant stay where they are.
    #[error("letters stay where they are: {0}")]
    NoStore(#[from] StoreError),
    /// The file could not be written; the letters meant stay where they are.
    #[error("letters stay where they are, since the file cannot be written: {0}")]
    NoFile(std::io::Error),
    /// Somebody else works on dead letters.
    #[error("somebody else is working on dead letters{}: wait for it to end, or look at `hookswitch dead-letters jobs`", .0.as_ref().map(|job| format!(" ({} by {}, since {})", job.kind.as_str(), job.actor, job.begun_at.strftime("%H:%M:%S"))).unwrap_or_default())]
    Busy(Option<Box<Job>>),
}

/// The desk at which dead letters are worked on: a connection to the broker, and which sources there are.
pub struct Desk<'a> {
    connection: &'a Connection,
    config: &'a Config,
}

/// What a job needs besides the desk.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// Publishes with confirms.
    pub publisher: &'a Publisher,
    /// Knows what is done, and keeps the ledger.
    pub store: &'a Store,
    /// Ends the job at the next letter.
    pub stop: &'a CancellationToken,
}

/// How far a job has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many letters are settled, or put back or looked at, in all.
    Letters(u64),
    /// A wave was sent, and its outcome is waited for.
    Waiting {
        /// Letters of the wave.
        sent: u64,
        /// Of which nothing was heard yet.
        open: u64,
    },
}

/// The letters that a job means.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    keys: HashSet<u64>,
    sources: BTreeMap<SourceName, u64>,
}

impl Plan {
    /// One more. Whether it was not in it yet.
    pub fn add(&mut self, letter: &Letter) -> bool {
        let new = self.keys.insert(letter.id.key());
        if new {
            *self.sources.entry(letter.inbound.webhook.source.clone()).or_default() += 1;
        }
        new
    }

    /// How many.
    pub fn len(&self) -> u64 {
        self.keys.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many of each source.
    pub fn sources(&self) -> &BTreeMap<SourceName, u64> {
        &self.sources
    }

    fn left(&self, source: &SourceName) -> u64 {
        self.sources.get(source).copied().unwrap_or_default()
    }

    /// Crosses a letter off. Whether it was in it.
    fn take(&mut self, id: LetterId, source: &SourceName) -> bool {
        let taken = self.keys.remove(&id.key());
        if let Some(left) = self.sources.get_mut(source).filter(|_| taken) {
            *left = left.saturating_sub(1);
        }
        taken
    }
}

/// A reading of the letters that are there now, the oldest first.
pub struct Browsing {
    reading: Reading,
    journal: Journal,
    filter: Filter,
}

impl<'a> Desk<'a> {
    /// A desk.
    pub fn new(connection: &'a Connection, config: &'a Config) -> Self {
        Self { connection, config }
    }

    /// Reads the journal.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn journal(&self) -> Result<Journal, DeadLetterError> {
        let mut reading = Reading::begin(self.connection, names::DEAD_JOBS, Start::First).await?;
        let mut journal = Journal::default();
        while let Some(stored) = reading.next().await? {
            match serde_json::from_slice::<Record>(&stored.body) {
                Ok(record) => journal.note(record),
                Err(error) => {
                    tracing::warn!(%error, "a record in the journal of jobs was written by a newer hookswitch");
                }
            }
        }
        reading.close().await;
        Ok(journal)
    }

    /// Begins to browse the letters that `filter` means: from the oldest, or after the place that
    /// [`Browsing::next`] told.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn browse(&self, filter: Filter, after: Option<u64>) -> Result<Browsing, DeadLetterError> {
        let start = match (after, filter.since) {
            (Some(offset), _) => Start::Offset(offset + 1),
            // A letter is in the log after it died; the clocks of worker and broker may differ.
            (None, Some(since)) => Start::Time(since.saturating_sub(CLOCKS_APART).unwrap_or(since)),
            (None, None) => Start::First,
        };
        // Where the log ends is fixed before the journal is read: a letter that goes meanwhile is not shown.
        let (reading, journal) = futures_util::future::try_join(
            async { Ok(Reading::begin(self.connection, names::DEAD_LOG, start).await?) },
            self.journal(),
        )
        .await?;
        Ok(Browsing { reading, journal, filter })
    }

    /// The letters that `filter` means, at most `limit`, as a plan for a job; `each` sees them all.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn plan(
        &self,
        filter: &Filter,
        limit: u64,
        mut each: impl FnMut(&Letter),
    ) -> Result<Plan, DeadLetterError> {
        let mut browsing = self.browse(filter.clone(), None).await?;
        let mut plan = Plan::default();
        while plan.len() < limit {
            let Some((_, letter)) = browsing.next().await? else { break };
            plan.add(&letter);
            each(&letter);
        }
        browsing.close().await;
        Ok(plan)
    }

    /// How many letters are ready in the queue of each source that `filter` means; letters with a running job are not.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn depths(&self, filter: &Filter) -> Result<BTreeMap<SourceName, u64>, DeadLetterError> {
        let mut depths = BTreeMap::new();
        for source in self.sources(filter) {
            depths.insert(source.clone(), u64::from(self.depth(source).await?));
        }
        Ok(depths)
    }

    /// The configured sources that `filter` means.
    fn sources(&self, filter: &Filter) -> impl Iterator<Item = &'a SourceName> {
        let meant = |source: &SourceName, provider: Provider| {
            (filter.sources.is_empty() || filter.sources.contains(source))
                && (filter.providers.is_empty() || filter.providers.contains(&provider))
        };
        let sources = self.config.sources.iter();
        sources.filter(move |(source, set)| meant(source, set.provider)).map(|(source, _)| source)
    }

    async fn depth(&self, source: &SourceName) -> Result<u32, DeadLetterError> {
        let channel = self.connection.create_channel().await?;
        match topology::depth(&channel, &names::dead_queue(source)).await {
            Ok(letters) => {
                channel.close(200, "seen".into()).await?;
                Ok(letters)
            }
            Err(error) if topology::is_refusal(&error) => Err(DeadLetterError::NoQueue(source.clone())),
            Err(error) => Err(error.into()),
        }
    }
}

/// How far the clocks of workers and brokers may be apart.
const CLOCKS_APART: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

impl Browsing {
    /// The next letter and its place in the log; none at the end.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn next(&mut self) -> Result<Option<(u64, Letter)>, DeadLetterError> {
        while let Some(stored) = self.reading.next().await? {
            let offset = stored.offset;
            let Some(letter) = read(stored) else { continue };
            if !self.journal.has_left(letter.id) && self.filter.matches(&letter) {
                return Ok(Some((offset, letter)));
            }
        }
        Ok(None)
    }

    /// Ends it.
    pub async fn close(self) {
        self.reading.close().await;
    }
}

/// Only letters are written to the log, each with its id.
fn read(stored: Stored) -> Option<Letter> {
    let id = message::letter_id(&stored.properties);
    match (id, message::decode(&stored.properties, stored.body)) {
        (Some(id), Ok(inbound)) => Some(Letter { id, inbound }),
        (_, Err((error, _))) => {
            tracing::warn!(%error, offset = stored.offset, "something in the log is no dead letter");
            None
        }
        (None, Ok(_)) => {
            tracing::warn!(offset = stored.offset, "a letter in the log has no id");
            None
        }
    }
}
