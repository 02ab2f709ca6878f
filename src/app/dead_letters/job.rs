//! A job: on record from its beginning to its end, and the only one to move letters at a time.

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{error::DeadLetterError, handle::DeadLetters};
use crate::{
    core::{
        ledger::State,
        letters::{Fate, JobId, JobKind, JobOutcome, Journal, JournalRecord, Letter},
    },
    edge::{
        amqp::{
            self,
            consume::{
                dead_queue::{Held, Pass},
                lock::Lock,
            },
            publish::{Publication, Publisher},
            routes,
        },
        redis::Store,
    },
    faults::{self, Mutant},
};

/// A job that an operator asks for.
#[derive(Clone, Debug)]
pub struct JobRequest {
    /// The job's kind.
    pub kind: JobKind,
    /// The operator's name.
    pub actor: String,
    /// The operator's reason, in the operator's words.
    pub note: Option<String>,
    /// The selected letters, in words.
    pub filter: String,
    /// The number of letters selected, if known.
    pub letters: Option<u64>,
}

/// The services that a job needs besides the broker connection of [`DeadLetters`].
#[derive(Clone, Copy)]
pub struct Services<'a> {
    /// Publishes with confirms.
    pub publisher: &'a Publisher,
    /// Knows which webhooks are done, and keeps the ledger.
    pub store: &'a Store,
    /// Stops the job at the next letter.
    pub stop: &'a CancellationToken,
}

/// A running job.
pub(super) struct Job<'a> {
    pub(super) id: JobId,
    publisher: &'a Publisher,
    /// Held while the job runs, if it moves letters. The broker releases it if the process is killed.
    lock: Option<Lock>,
}

impl DeadLetters<'_> {
    /// Begins a job that moves no letters and therefore needs no lock.
    pub(super) async fn begin_unlocked<'a>(
        &self,
        publisher: &'a Publisher,
        request: &JobRequest,
    ) -> Result<Job<'a>, DeadLetterError> {
        let job = Job { id: JobId::new(Uuid::now_v7()), publisher, lock: None };
        job.begin(request).await?;
        Ok(job)
    }

    /// Takes the lock and begins a job that moves letters. Returns the journal of all earlier jobs.
    pub(super) async fn begin_locked<'a>(
        &self,
        services: Services<'a>,
        request: &JobRequest,
    ) -> Result<(Job<'a>, Journal), DeadLetterError> {
        let lock = match Lock::take(self.connection).await {
            Ok(lock) => lock,
            Err(amqp::Error::Locked(_)) => {
                let job = self.journal().await?.unfinished().cloned();
                return Err(DeadLetterError::Busy(job.map(Box::new)));
            }
            Err(error) => return Err(error.into()),
        };
        let job = Job { id: JobId::new(Uuid::now_v7()), publisher: services.publisher, lock: Some(lock) };
        job.begin(request).await?;
        // The job's own beginning in the journal proves that no record before it is missing.
        match self.journal_before(job.id).await {
            Ok(journal) => Ok((job, journal)),
            Err(error) => job.end_with(Err(error)).await,
        }
    }
}

impl Job<'_> {
    async fn begin(&self, request: &JobRequest) -> Result<(), DeadLetterError> {
        let JobRequest { kind, actor, note, filter, letters } = request.clone();
        let (at, version) = (Timestamp::now(), env!("CARGO_PKG_VERSION").to_owned());
        self.write(&JournalRecord::Begun { job: self.id, at, kind, actor, note, filter, letters, version })
            .await
    }

    /// Records that letters are safe elsewhere or discarded. Only then may they be acked.
    pub(super) async fn record_gone(&self, fate: Fate, letters: Vec<u64>) -> Result<(), DeadLetterError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.write(&JournalRecord::Gone { job: self.id, fate, letters }).await
    }

    /// Records that letters recorded as missing are in their queue after all.
    pub(super) async fn record_found(&self, letters: Vec<u64>) -> Result<(), DeadLetterError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.write(&JournalRecord::Found { job: self.id, letters }).await
    }

    /// Records the end of the job and releases the lock.
    pub(super) async fn end(
        self,
        outcome: JobOutcome,
        handled: u64,
        cause: Option<String>,
    ) -> Result<(), DeadLetterError> {
        let ended = JournalRecord::Ended { job: self.id, at: Timestamp::now(), outcome, handled, cause };
        let written = self.write(&ended).await;
        if let Some(lock) = self.lock {
            lock.release().await;
        }
        written
    }

    /// Ends the job with its result: the outcome, the number of letters handled, and a value to return. An
    /// error is recorded and returned.
    pub(super) async fn end_with<T>(
        self,
        result: Result<(JobOutcome, u64, T), DeadLetterError>,
    ) -> Result<T, DeadLetterError> {
        match result {
            Ok((outcome, handled, value)) => {
                self.end(outcome, handled, None).await?;
                Ok(value)
            }
            Err(error) => {
                self.fail(&error).await;
                Err(error)
            }
        }
    }

    /// Ends a job whose counts are reported even after an error. If there is an error, records it in place of
    /// the outcome. Returns the error to report, which may be that the end could not be recorded.
    pub(super) async fn end_counted(
        self,
        error: Option<DeadLetterError>,
        outcome: JobOutcome,
        cause: Option<String>,
    ) -> Option<DeadLetterError> {
        match error {
            None => self.end(outcome, 0, cause).await.err(),
            Some(error) => {
                self.fail(&error).await;
                Some(error)
            }
        }
    }

    async fn fail(self, error: &DeadLetterError) {
        // Only the first error is reported.
        drop(self.end(JobOutcome::Failed, 0, Some(error.to_string())).await);
    }

    async fn write(&self, record: &JournalRecord) -> Result<(), DeadLetterError> {
        routes::publish_until_confirmed(self.publisher, routes::PATIENCE, || {
            routes::record(record, Timestamp::now())
        })
        .await
        .map_err(DeadLetterError::NoJournal)
    }
}

/// Records letters as gone, in the journal and in our copy of it, and then acks them.
pub(super) async fn settle_all(
    job: &Job<'_>,
    journal: &mut Journal,
    pass: &mut Pass<'_>,
    fate: Fate,
    letters: &[Held],
) -> Result<(), DeadLetterError> {
    let keys: Vec<u64> = letters.iter().map(|held| held.letter.id.key()).collect();
    job.record_gone(fate, keys.clone()).await?;
    journal.apply(JournalRecord::Gone { job: job.id, fate, letters: keys });
    if !faults::is(Mutant::RemoveBeforeReplay) {
        for held in letters {
            pass.ack(held).await?;
        }
    }
    Ok(())
}

/// Records the state of a letter's webhook in the ledger, if the webhook is counted there.
pub(super) async fn record_state(
    store: &Store,
    letter: &Letter,
    state: State,
) -> Result<(), DeadLetterError> {
    if let Some(entry) = letter.queued.entry {
        store.record(&letter.queued.webhook.source, [entry].into_iter(), state).await?;
    }
    Ok(())
}

/// Lists a dead letter, which is confirmed in its queue.
pub(super) async fn list(publisher: &Publisher, dead_letter: Publication) -> Result<(), DeadLetterError> {
    let entry = routes::log_entry(dead_letter);
    let listed = routes::publish_until_confirmed(publisher, routes::PATIENCE, || entry.clone()).await;
    listed.map_err(DeadLetterError::NotMoved)
}
