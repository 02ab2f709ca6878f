//! Showing personal data, which goes on record before and after.

use super::{
    error::DeadLetterError,
    handle::DeadLetters,
    job::{Job, JobRequest},
};
use crate::{core::letters::JobOutcome, edge::amqp::publish::Publisher};

/// A job that shows personal data. It is on record from its beginning.
pub struct Reveal<'a>(Job<'a>);

impl DeadLetters<'_> {
    /// Records that personal data is about to be shown.
    ///
    /// # Errors
    /// [`DeadLetterError`]: nothing may be shown.
    pub async fn reveal<'a>(
        &self,
        publisher: &'a Publisher,
        request: &JobRequest,
    ) -> Result<Reveal<'a>, DeadLetterError> {
        Ok(Reveal(self.begin_unlocked(publisher, request).await?))
    }
}

impl Reveal<'_> {
    /// Records the number of letters shown.
    ///
    /// # Errors
    /// [`DeadLetterError`]: only the beginning is on record.
    pub async fn end(self, shown: u64) -> Result<(), DeadLetterError> {
        self.0.end(JobOutcome::Finished, shown, None).await
    }
}
