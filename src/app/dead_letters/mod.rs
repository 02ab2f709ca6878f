//! Dead letters: browsing them, and the jobs that move them. The printing is the command's.
//!
//! Browsing reads the log and the journal (see [`crate::core::letters`]) and never touches a queue. A job reads the log
//! first to know which letters it means, then takes them out of their queues, each safe elsewhere and written in the
//! journal before it is acked; all others it gives back. Killed at any moment it loses nothing, and run
//! again it finishes.

mod batch;
mod census;
mod discard;
mod export;
mod import;
mod job;
mod reindex;
mod replay;
mod standing;
mod trial;

use std::{
    collections::{BTreeMap, HashSet},
    ops::ControlFlow,
};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use self::standing::{Prior, attempt, standings};
pub use self::{
    census::{Census, Difference},
    discard::Discarded,
    export::Archive,
    import::Imported,
    job::{JobRequest, Reveal},
    reindex::Reindexed,
    replay::{Canary, Replay, Replayed, Stopped},
    trial::Trial,
};
use crate::{
    config::Config,
    core::{
        letters::{Filter, JobId, JobSummary, Journal, JournalRecord, Letter},
        providers::Provider,
        webhook::SourceName,
    },
    edge::{
        amqp::{
            self, Connection,
            consume::{
                dead_queue::{self, DeadQueueError},
                stream::{Reading, Start, Stored, StreamError},
            },
            message, names,
            publish::{PublishError, Publisher},
        },
        redis::{Store, StoreError},
    },
};

/// Why dead letters could not be worked on.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// A dead-letter queue could not be worked on.
    #[error(transparent)]
    Queue(#[from] DeadQueueError),
    /// The log or the journal could not be read.
    #[error(transparent)]
    Log(#[from] StreamError),
    /// The broker went away. What was done is done and in the journal; the rest is where it was.
    #[error("the broker went away: {0}; run the command again, and it goes on where it was")]
    Lost(#[from] amqp::Error),
    /// A letter was not taken by the queue that it should go to; it stays where it is.
    #[error(
        "a letter could not be moved, and stays where it is: {0}; when that is mended, run the command again"
    )]
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
    /// What is listed is not what is in the queues, and the job needs it to be.
    #[error(
        "dead.{source_name} holds {queued} letters and {listed} are listed: run `hookswitch dead-letters reindex` first"
    )]
    Differs {
        /// Whose.
        source_name: SourceName,
        /// Letters in the queue.
        queued: u64,
        /// Letters in the list.
        listed: u64,
    },
    /// Somebody else works on dead letters.
    #[error("somebody else is working on dead letters{}: wait for it to end, or look at `hookswitch dead-letters jobs`", who(.0.as_deref()))]
    Busy(Option<Box<JobSummary>>),
}

fn who(job: Option<&JobSummary>) -> String {
    let since = |job: &JobSummary| job.begun_at.strftime("%Y-%m-%d %H:%M:%S").to_string();
    job.map(|job| format!(" ({} by {}, since {})", job.kind.as_str(), job.actor, since(job)))
        .unwrap_or_default()
}

/// The desk at which dead letters are worked on: a connection to the broker, and which sources there are.
pub struct DeadLetters<'a> {
    connection: &'a Connection,
    config: &'a Config,
}

/// What a job needs besides the desk.
#[derive(Clone, Copy)]
pub struct Services<'a> {
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
    sources: BTreeMap<SourceName, HashSet<u64>>,
    unconfigured: BTreeMap<SourceName, u64>,
}

impl Plan {
    /// How many.
    pub fn len(&self) -> u64 {
        self.sources.values().map(|keys| keys.len() as u64).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// How many of each source.
    pub fn sources(&self) -> impl Iterator<Item = (&SourceName, u64)> {
        self.sources.iter().map(|(source, keys)| (source, keys.len() as u64))
    }

    /// Letters that would be meant, of sources that are not configured: nobody knows their queue.
    pub fn unconfigured(&self) -> &BTreeMap<SourceName, u64> {
        &self.unconfigured
    }

    /// One more, if it is not in it yet.
    fn add(&mut self, letter: &Letter) -> bool {
        self.sources.entry(letter.queued.webhook.source.clone()).or_default().insert(letter.id.key())
    }

    fn names(&self) -> Vec<SourceName> {
        self.sources.keys().cloned().collect()
    }

    fn left(&self, source: &SourceName) -> u64 {
        self.sources.get(source).map_or(0, |keys| keys.len() as u64)
    }

    /// Crosses a letter off. Whether it was in it.
    fn take(&mut self, letter: &Letter) -> bool {
        let keys = self.sources.get_mut(&letter.queued.webhook.source);
        keys.is_some_and(|keys| keys.remove(&letter.id.key()))
    }

    /// Crosses off what has left meanwhile; how many.
    fn without(&mut self, journal: &Journal) -> u64 {
        let before = self.len();
        for keys in self.sources.values_mut() {
            keys.retain(|key| !journal.has_left(*key));
        }
        before - self.len()
    }
}

/// A reading of the letters that are there now, the oldest first.
pub struct Browsing {
    reading: Reading,
    journal: Journal,
    filter: Filter,
    /// A letter may stand in the log twice: its writer did not hear the first confirm.
    seen: HashSet<u64>,
}

impl<'a> DeadLetters<'a> {
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
        let mut journal = empty_journal();
        while let Some(stored) = reading.next().await? {
            record(&stored).into_iter().for_each(|record| journal.apply(record));
        }
        reading.close().await;
        Ok(journal)
    }

    /// Reads the journal up to where `job` began: what the broker has confirmed may not be everywhere yet, and what is
    /// missing of it must not be taken for "has not left".
    async fn journal_before(&self, job: JobId) -> Result<Journal, DeadLetterError> {
        let mut journal = empty_journal();
        let each = |stored: Stored| match record(&stored) {
            Some(JournalRecord::Begun { job: begun, .. }) if begun == job => ControlFlow::Break(()),
            record => {
                record.into_iter().for_each(|record| journal.apply(record));
                ControlFlow::Continue(())
            }
        };
        Reading::until(self.connection, names::DEAD_JOBS, each).await?;
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
        let mut reading = Reading::begin(self.connection, names::DEAD_LOG, start).await?;
        for _ in 0..EMPTY_TRIES {
            if !reading.is_empty()
                || after.is_some()
                || self.depths(&filter).await?.values().all(|depth| *depth == 0)
            {
                break;
            }
            // A node that is behind may not have heard of the log's first letters.
            reading = Reading::begin(self.connection, names::DEAD_LOG, start).await?;
        }
        let journal = self.journal().await?;
        Ok(Browsing { reading, journal, filter, seen: HashSet::new() })
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
        let mut letters = 0;
        while letters < limit {
            let Some((_, letter)) = browsing.next_entry().await? else { break };
            each(&letter);
            let source = &letter.queued.webhook.source;
            if self.config.sources.contains_key(source) {
                letters += u64::from(plan.add(&letter));
            } else {
                *plan.unconfigured.entry(source.clone()).or_default() += 1;
            }
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
            depths.insert(source.clone(), u64::from(dead_queue::depth(self.connection, source).await?));
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
}

/// How often an empty log is looked at again while a queue is not.
const EMPTY_TRIES: usize = 10;

/// Longer than the log remembers letters.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(24 * 100);

fn empty_journal() -> Journal {
    let now = Timestamp::now();
    Journal::since(now.saturating_sub(FORGOTTEN).unwrap_or(now))
}

fn record(stored: &Stored) -> Option<JournalRecord> {
    let record = serde_json::from_slice(&stored.body).ok();
    if record.is_none() {
        tracing::warn!(offset = stored.offset, "a record of a newer hookswitch stands in the journal");
    }
    record
}

/// How far the clocks of workers and brokers may be apart.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(10);

impl Browsing {
    /// The next letter and its place in the log; none at the end.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn next(&mut self) -> Result<Option<(u64, Letter)>, DeadLetterError> {
        while let Some((offset, letter)) = self.next_entry().await? {
            if self.seen.insert(letter.id.key()) {
                return Ok(Some((offset, letter)));
            }
        }
        Ok(None)
    }

    /// The next entry; a letter may have two.
    async fn next_entry(&mut self) -> Result<Option<(u64, Letter)>, DeadLetterError> {
        while let Some(stored) = self.reading.next().await? {
            let offset = stored.offset;
            let Some(letter) = read(stored) else { continue };
            if !self.journal.has_left(letter.id.key()) && self.filter.matches(&letter) {
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
        (Some(id), Ok(queued)) => Some(Letter { id, queued }),
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
