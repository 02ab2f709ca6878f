//! Reading the journal of jobs.

use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};

use super::{error::DeadLetterError, handle::DeadLetters};
use crate::{
    core::letters::{JobId, Journal, JournalRecord},
    edge::amqp::{
        consume::{
            lock::Lock,
            stream::{Reading, Start, Stored},
        },
        names,
    },
};

/// Longer than the log keeps letters.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(24 * 100);

impl DeadLetters<'_> {
    /// Reads the whole journal.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn journal(&self) -> Result<Journal, DeadLetterError> {
        self.journal_with(|_| {}).await
    }

    /// Reads the whole journal, and shows each record to `look` before it is applied.
    pub(super) async fn journal_with(
        &self,
        mut look: impl FnMut(&JournalRecord),
    ) -> Result<Journal, DeadLetterError> {
        let mut reading = Reading::begin(self.connection, names::DEAD_JOBS, Start::First).await?;
        let mut journal = empty();
        while let Some(stored) = reading.next().await? {
            if let Some(record) = record(&stored) {
                look(&record);
                journal.apply(record);
            }
        }
        reading.close().await;
        Ok(journal)
    }

    /// Reads the journal up to the beginning of `job`. A node may lag behind what the broker has confirmed,
    /// and a missing record must not be taken for a letter that has not left.
    pub(super) async fn journal_before(&self, job: JobId) -> Result<Journal, DeadLetterError> {
        let mut journal = empty();
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

    /// Returns true if the last job was killed. The next job, of whatever kind, first finishes what it left.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn was_killed(&self) -> Result<bool, DeadLetterError> {
        Ok(self.journal().await?.unfinished().is_some() && !self.is_busy().await?)
    }

    /// Returns true if a job is moving letters now.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn is_busy(&self) -> Result<bool, DeadLetterError> {
        Ok(Lock::is_held(self.connection).await?)
    }
}

fn empty() -> Journal {
    let now = Timestamp::now();
    Journal::since(now.saturating_sub(FORGOTTEN).unwrap_or(now))
}

fn record(stored: &Stored) -> Option<JournalRecord> {
    let record = serde_json::from_slice(&stored.body).ok();
    if record.is_none() {
        tracing::warn!(
            offset = stored.offset,
            "skipped an unknown record in the journal of jobs: a newer hookswitch may have written it"
        );
    }
    record
}
