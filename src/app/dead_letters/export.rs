//! Writing letters to a file, with their personal data.

use tokio_util::sync::CancellationToken;

use super::{error::DeadLetterError, handle::DeadLetters, job::JobRequest, progress::Progress};
use crate::{
    core::letters::{Archived, Filter, JobOutcome},
    edge::amqp::publish::Publisher,
};

/// The number of letters written at a time.
const BATCH: usize = 64;

/// A destination for exported letters.
pub trait Archive {
    /// Writes letters and returns when they are safe on disk.
    ///
    /// # Errors
    /// The letters could not be written.
    fn write(&mut self, lines: &[Archived]) -> std::io::Result<()>;
}

impl DeadLetters<'_> {
    /// Writes the letters that match `filter`, at most `limit`, to `archive`, and returns their number. The
    /// letters stay in their queues.
    ///
    /// # Errors
    /// [`DeadLetterError`]. Nothing is written before the job is on record.
    pub async fn export(
        &self,
        (publisher, stop): (&Publisher, &CancellationToken),
        request: &JobRequest,
        (filter, limit): (&Filter, u64),
        archive: &mut dyn Archive,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<u64, DeadLetterError> {
        let job = self.begin_unlocked(publisher, request).await?;
        let written = self.export_to(filter, limit, archive, stop, progress).await;
        let outcome = JobOutcome::unless(stop.is_cancelled());
        job.end_with(written.map(|written| (outcome, written, written))).await
    }

    async fn export_to(
        &self,
        filter: &Filter,
        limit: u64,
        archive: &mut dyn Archive,
        stop: &CancellationToken,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<u64, DeadLetterError> {
        let mut browsing = self.browse(filter.clone(), None).await?;
        let (mut written, mut lines) = (0, Vec::with_capacity(BATCH));
        loop {
            let wanted = written + (lines.len() as u64) < limit && !stop.is_cancelled();
            let letter = if wanted { browsing.next().await? } else { None };
            let at_end = letter.is_none();
            lines.extend(letter.map(|(_, letter)| Archived::from(&letter)));
            if at_end || lines.len() == BATCH {
                archive.write(&lines).map_err(DeadLetterError::NoFile)?;
                written += lines.len() as u64;
                lines.clear();
                progress(Progress::Letters(written));
            }
            if at_end {
                browsing.close().await;
                return Ok(written);
            }
        }
    }
}
