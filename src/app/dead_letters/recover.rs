//! Finishing what a killed job left behind, before the next job begins.

use super::{
    error::DeadLetterError,
    handle::DeadLetters,
    job::{Job, JobRequest, Services},
    reindex::Reindexed,
};
use crate::core::letters::Journal;

impl DeadLetters<'_> {
    /// Begins a job that moves letters. If the last job was killed, first goes through all queues to finish
    /// it.
    pub(super) async fn begin<'a>(
        &self,
        services: Services<'a>,
        request: &JobRequest,
    ) -> Result<(Job<'a>, Journal), DeadLetterError> {
        let (job, journal) = self.begin_locked(services, request).await?;
        if journal.unfinished().is_none() {
            return Ok((job, journal));
        }
        match self.recover(services, &job, &journal).await {
            Ok(()) => Ok((job, journal)),
            Err(error) => job.end_with(Err(error)).await,
        }
    }

    async fn recover(
        &self,
        services: Services<'_>,
        job: &Job<'_>,
        journal: &Journal,
    ) -> Result<(), DeadLetterError> {
        let mut result = Reindexed::default();
        for source in self.config.sources.keys() {
            self.reindex_source((services, job, journal), source, &mut result, &mut |_| {}).await?;
        }
        Ok(())
    }
}
