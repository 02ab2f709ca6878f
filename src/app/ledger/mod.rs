//! The ledger's two ends: the receiver numbers webhooks and tells how far it has come, the workers keep the sum.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    config::Config,
    core::{
        ledger::{Book, Entry, Mark, RUN_MAX, Run, Sum},
        shard::Shard,
        webhook::SourceName,
    },
    edge::{
        amqp::{
            self, Connection,
            depth::Depths,
            message, names,
            publish::{Publication, PublishError, Publisher},
        },
        redis::{Store, StoreError},
    },
};

/// How often a receiver tells how far it has come.
pub const TELL_EVERY: Duration = Duration::from_secs(1);

/// How long a mark may take to be confirmed.
const TELL_MAX: Duration = Duration::from_secs(5);

/// One receiver's books, a source each.
#[derive(Debug)]
pub struct Books(BTreeMap<SourceName, Mutex<Book>>);

impl Books {
    /// Empty ones.
    pub fn new<'a>(sources: impl Iterator<Item = &'a SourceName>) -> Self {
        Self(sources.map(|source| (source.clone(), Mutex::default())).collect())
    }

    /// Gives a webhook its entry; none if its source has no book.
    pub fn enter(&self, source: &SourceName) -> Option<Open<'_>> {
        let book = self.0.get(source)?;
        Some(Open { book, entry: lock(book).enter(now(), rand::random), accepted: false })
    }

    /// Tells every second how far each source has come, until it is dropped.
    pub async fn keep_telling(&self, publisher: &Publisher) {
        loop {
            tokio::time::sleep(TELL_EVERY).await;
            if let Err(error) = self.tell(publisher).await {
                tracing::debug!(%error, "the ledger's marks wait");
            }
        }
    }

    /// Ends all runs, and tells so. What cannot be told now leaves the ledger a little short of what this receiver
    /// accepted last, until the workers have settled it.
    pub async fn close(&self, publisher: &Publisher) {
        self.0.values().for_each(|book| lock(book).end());
        if let Err(error) = self.tell(publisher).await {
            tracing::warn!(%error, "the ledger's last marks could not be published");
        }
    }

    async fn tell(&self, publisher: &Publisher) -> Result<(), PublishError> {
        let marks_of = |(source, book): (&SourceName, &Mutex<Book>)| {
            let mut book = lock(book);
            book.end_old(now());
            book.marks(source)
        };
        let marks: Vec<Mark> = self.0.iter().flat_map(marks_of).collect();
        if marks.is_empty() {
            return Ok(());
        }
        publish(publisher, &marks).await?;
        for mark in &marks {
            let book = mark.source.parse().ok().and_then(|source: SourceName| self.0.get(&source));
            if let Some(book) = book {
                lock(book).told(mark);
            }
        }
        Ok(())
    }
}

/// A webhook that is not answered yet. Dropped, it counts as refused: whoever asked may have gone.
#[derive(Debug)]
pub struct Open<'a> {
    book: &'a Mutex<Book>,
    entry: Entry,
    accepted: bool,
}

impl Open<'_> {
    /// What travels with the webhook.
    pub fn entry(&self) -> Entry {
        self.entry
    }

    /// It is answered with 200.
    pub fn accept(mut self) {
        self.accepted = true;
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        lock(self.book).answered(self.entry, self.accepted);
    }
}

fn lock(book: &Mutex<Book>) -> std::sync::MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// A mark of no webhook, sent to see whether a worker notes marks.
#[derive(Debug)]
pub struct Probe(SourceName, Run);

impl Probe {
    /// Sends it.
    ///
    /// # Errors
    /// The broker did not confirm it.
    pub async fn send(publisher: &Publisher, source: SourceName) -> Result<Self, PublishError> {
        let run = Run { began: now(), nonce: rand::random() };
        let mark = Mark { source: source.to_string(), run, through: 0, refused: Vec::new(), closed: true };
        publish(publisher, &[mark]).await?;
        Ok(Self(source, run))
    }

    /// Whether a worker has noted it, and so, most likely, every mark before it.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn is_noted(&self, store: &Store) -> Result<bool, StoreError> {
        store.has_run(&self.0, self.1).await
    }
}

async fn publish(publisher: &Publisher, marks: &[Mark]) -> Result<(), PublishError> {
    let publication = Publication {
        exchange: String::new(),
        routing_key: names::LEDGER_QUEUE.to_owned(),
        properties: message::marks_properties(Timestamp::now()),
        body: message::marks_body(marks),
        not_after: Instant::now() + TELL_MAX,
    };
    publisher.publish(publication, TELL_MAX).await
}

/// The sum of the ledger, next to what the queues hold.
#[derive(Clone, Debug, Serialize)]
pub struct Balance {
    /// Webhooks that came before this, and up to a quarter of an hour after it, are not in the sum.
    pub since: Timestamp,
    /// Each source's sum.
    pub sources: BTreeMap<String, Sum>,
    /// Over all sources.
    pub total: Sum,
    /// Messages ready in raw queues.
    pub queued: i64,
    /// Messages in delay queues.
    pub waiting: i64,
    /// Messages of marks that no worker has noted yet: without them more is accepted than the sum says.
    pub marks: i64,
}

impl Balance {
    /// What is in the system and in no queue: it is with a worker, or lost. Below zero while a message is there
    /// twice, or not counted.
    pub fn unaccounted(&self) -> i64 {
        self.total.in_system - self.queued - self.waiting
    }

    /// Until when some webhooks, or all, may be left out, if that is still to come at `now`.
    pub fn blind_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.since.checked_add(RUN_MAX).ok()?;
        (until > now).then_some(until)
    }
}

/// Why there is no balance.
#[derive(Debug, thiserror::Error)]
pub enum BalanceError {
    /// Redis is away.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker is away, or a queue is missing.
    #[error("the queues cannot be counted: {0}")]
    Broker(#[from] amqp::Error),
    /// Redis does not let us see which it is.
    #[error("no ledger is kept: give hookswitch's Redis user the permission for INFO")]
    NotKept,
}

/// Draws the balance over the raw queues that [`amqp::topology::raw_shards`] has found.
///
/// # Errors
/// [`BalanceError`]
pub async fn balance(
    store: &Store,
    connection: &Connection,
    config: &Config,
    shards: &[(SourceName, Shard)],
) -> Result<Balance, BalanceError> {
    let ledger = store.ledger(config.sources.keys(), now()).await?.ok_or(BalanceError::NotKept)?;
    let mut depths = Depths::new(connection);
    let (mut queued, mut waiting) = (0, 0);
    for (source, shard) in shards {
        let configured = config.sources.get(source).is_some_and(|s| s.sharding.has(*shard));
        match depths.of(&names::raw_queue(source, *shard)).await {
            Ok(depth) => queued += i64::from(depth),
            // It was left from when there were more, and has been deleted since.
            Err(amqp::Error::Missing(_)) if !configured => {}
            Err(error) => return Err(error.into()),
        }
    }
    for tier in config.retry.schedule().all_tiers() {
        waiting += i64::from(depths.of(&names::retry_queue(tier)).await?);
    }
    let marks = depths.of(names::LEDGER_QUEUE).await?.into();
    depths.close().await?;
    let mut total = Sum::default();
    ledger.sources.values().for_each(|sum| total += *sum);
    Ok(Balance { since: ledger.since, sources: ledger.sources, total, queued, waiting, marks })
}
