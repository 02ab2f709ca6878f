//! A job: who does what, on record from its beginning to its end, and alone.

use jiff::Timestamp;
use uuid::Uuid;

use super::{DeadLetterError, DeadLetters, Services};
use crate::{
    core::{
        ledger::State,
        letters::{Fate, JobId, JobKind, JobOutcome, Journal, JournalRecord, Letter},
    },
    edge::amqp::{
        self,
        consume::{
            dead_queue::{Held, Pass},
            lock::Lock,
        },
        publish::Publisher,
        routes,
    },
    faults::{self, Mutant},
};

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct JobRequest {
    /// What to do.
    pub kind: JobKind,
    /// Who asks.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// Which letters are meant, in words.
    pub filter: String,
    /// How many they are, where that is known.
    pub letters: Option<u64>,
}

/// A job that runs.
pub(super) struct Running<'a> {
    /// Its id.
    pub(super) id: JobId,
    publisher: &'a Publisher,
    /// Held while the job runs; the broker lets go of it if we are killed.
    lock: Option<Lock>,
}

/// Somebody is being shown personal data.
pub struct Reveal<'a>(Running<'a>);

impl Reveal<'_> {
    /// Puts on record how many letters were shown.
    ///
    /// # Errors
    /// [`DeadLetterError`]: that they were to be shown is on record.
    pub async fn end(self, shown: u64) -> Result<(), DeadLetterError> {
        self.0.end(JobOutcome::Finished, shown, None).await
    }
}

impl DeadLetters<'_> {
    /// Puts on record that somebody is about to be shown personal data.
    ///
    /// # Errors
    /// [`DeadLetterError`]: then nothing may be shown.
    pub async fn reveal<'a>(
        &self,
        publisher: &'a Publisher,
        order: &JobRequest,
    ) -> Result<Reveal<'a>, DeadLetterError> {
        Ok(Reveal(self.begin_reading(publisher, order).await?))
    }

    /// Begins a job that moves no letters: it disturbs no other.
    pub(super) async fn begin_reading<'a>(
        &self,
        publisher: &'a Publisher,
        order: &JobRequest,
    ) -> Result<Running<'a>, DeadLetterError> {
        let job = Running { id: JobId::new(Uuid::now_v7()), publisher, lock: None };
        job.begin(order).await?;
        Ok(job)
    }

    /// Begins a job that moves letters: one at a time. The journal is that of all jobs before. If the last of them was
    /// killed, what it could not finish is finished first.
    pub(super) async fn begin<'a>(
        &self,
        tools: Services<'a>,
        order: &JobRequest,
    ) -> Result<(Running<'a>, Journal), DeadLetterError> {
        let lock = match Lock::take(self.connection).await {
            Ok(lock) => lock,
            Err(amqp::Error::Locked(_)) => {
                let job = self.journal().await?.unfinished().cloned();
                return Err(DeadLetterError::Busy(job.map(Box::new)));
            }
            Err(error) => return Err(error.into()),
        };
        let job = Running { id: JobId::new(Uuid::now_v7()), publisher: tools.publisher, lock: Some(lock) };
        job.begin(order).await?;
        let ready = async {
            // Its own beginning in the journal proves that nothing before it is missing.
            let journal = self.journal_before(job.id).await?;
            if order.kind != JobKind::Reindex && journal.unfinished().is_some() {
                self.mend(tools, &job, &journal).await?;
            }
            Ok(journal)
        };
        match ready.await {
            Ok(journal) => Ok((job, journal)),
            Err(error) => job.end_with(Err(error)).await,
        }
    }

    /// Whether the last job was killed: the next one finishes what it left, whatever it is itself.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn was_killed(&self) -> Result<bool, DeadLetterError> {
        Ok(self.journal().await?.unfinished().is_some() && !self.is_busy().await?)
    }

    /// Whether somebody works on letters now.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn is_busy(&self) -> Result<bool, DeadLetterError> {
        Ok(Lock::is_held(self.connection).await?)
    }
}

impl Running<'_> {
    async fn begin(&self, order: &JobRequest) -> Result<(), DeadLetterError> {
        let JobRequest { kind, actor, reason, filter, letters } = order.clone();
        let (at, version) = (Timestamp::now(), env!("CARGO_PKG_VERSION").to_owned());
        self.write(&JournalRecord::Begun { job: self.id, at, kind, actor, reason, filter, letters, version })
            .await
    }

    /// Writes down that letters are safe elsewhere, or thrown away: only then may they be acked.
    pub(super) async fn gone(&self, fate: Fate, letters: Vec<u64>) -> Result<(), DeadLetterError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.write(&JournalRecord::Gone { job: self.id, fate, letters }).await
    }

    /// Writes down that letters that were missing are there.
    pub(super) async fn found(&self, letters: Vec<u64>) -> Result<(), DeadLetterError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.write(&JournalRecord::Found { job: self.id, letters }).await
    }

    /// Ends the job and lets the next one begin.
    pub(super) async fn end(
        self,
        outcome: JobOutcome,
        handled: u64,
        note: Option<String>,
    ) -> Result<(), DeadLetterError> {
        let ended = JournalRecord::Ended { job: self.id, at: Timestamp::now(), outcome, handled, note };
        let written = self.write(&ended).await;
        if let Some(lock) = self.lock {
            lock.release().await;
        }
        written
    }

    /// Ends the job as what came of it: an outcome, letters handled, and a value; an error is put on record and passed on.
    pub(super) async fn end_with<T>(
        self,
        came: Result<(JobOutcome, u64, T), DeadLetterError>,
    ) -> Result<T, DeadLetterError> {
        match came {
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

    /// Ends a job that has something to tell even if it failed: `error` is put on record instead of the outcome.
    pub(super) async fn end_counted(
        self,
        error: Option<&DeadLetterError>,
        outcome: JobOutcome,
        note: Option<String>,
    ) -> Result<(), DeadLetterError> {
        match error {
            None => self.end(outcome, 0, note).await,
            Some(error) => {
                self.fail(error).await;
                Ok(())
            }
        }
    }

    async fn fail(self, error: &DeadLetterError) {
        // The error that matters is the first one.
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

/// Writes letters in the journal, and in our reading of it, and takes them out of the queue.
pub(super) async fn settle_all(
    job: &Running<'_>,
    journal: &mut Journal,
    pass: &mut Pass<'_>,
    fate: Fate,
    letters: &[Held],
) -> Result<(), DeadLetterError> {
    let keys: Vec<u64> = letters.iter().map(|held| held.letter.id.key()).collect();
    job.gone(fate, keys.clone()).await?;
    journal.apply(JournalRecord::Gone { job: job.id, fate, letters: keys });
    if !faults::is(Mutant::RemoveBeforeReplay) {
        for held in letters {
            pass.ack(held).await?;
        }
    }
    Ok(())
}

/// Notes in the ledger what became of a letter's webhook, where it is counted.
pub(super) async fn note(tools: &Services<'_>, letter: &Letter, state: State) -> Result<(), DeadLetterError> {
    if let Some(entry) = letter.queued.entry {
        tools.store.record(&letter.queued.webhook.source, [entry].into_iter(), state).await?;
    }
    Ok(())
}
