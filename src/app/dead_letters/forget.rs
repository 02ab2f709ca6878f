//! Taking letters off the list that are in no queue. The command line has saved them in a file before, unless
//! the operator declined.

use super::{
    error::DeadLetterError,
    handle::DeadLetters,
    job::{Job, JobRequest, Services},
    plan::Plan,
};
use crate::core::letters::{Fate, JobOutcome};

/// The largest number of keys in one record of the journal.
const RECORD_KEYS_MAX: usize = 1_000;

impl DeadLetters<'_> {
    /// Takes the letters of `plan`, which a reindex has found missing, off the list, and returns their
    /// number. A letter that is in its queue after all is listed again by the next reindex.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn forget(
        &self,
        services: Services<'_>,
        request: &JobRequest,
        mut plan: Plan,
    ) -> Result<u64, DeadLetterError> {
        let (job, journal) = self.begin_locked(services, request).await?;
        plan.remove_left(&journal);
        let forgotten = record_missing(&job, &plan).await;
        job.end_with(forgotten.map(|forgotten| (JobOutcome::Finished, 0, forgotten))).await
    }
}

async fn record_missing(job: &Job<'_>, plan: &Plan) -> Result<u64, DeadLetterError> {
    let keys: Vec<u64> = plan.keys().collect();
    for keys in keys.chunks(RECORD_KEYS_MAX) {
        job.record_gone(Fate::Missing, keys.to_vec()).await?;
    }
    Ok(keys.len() as u64)
}
