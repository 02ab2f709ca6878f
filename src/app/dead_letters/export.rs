//! Writing letters to a file, whole.

use tokio_util::sync::CancellationToken;

use super::{DeadLetterError, DeadLetters, JobRequest, Progress};
use crate::{
    core::letters::{Archived, Filter, JobOutcome},
    edge::amqp::publish::Publisher,
};

/// Letters that are written at a time.
const BATCH: usize = 64;

/// A file that letters are written to, one a line.
pub trait Archive {
    /// Writes letters, and returns when they are safe on disk.
    ///
    /// # Errors
    /// The file cannot be written.
    fn keep(&mut self, lines: &[Archived]) -> std::io::Result<()>;
}

impl DeadLetters<'_> {
    /// Writes the letters that `filter` means, at most `limit`, to `archive`; they stay where they are. How many.
    ///
    /// # Errors
    /// [`DeadLetterError`]; nothing is written before it is on record.
    pub async fn export(
        &self,
        (publisher, stop): (&Publisher, &CancellationToken),
        order: &JobRequest,
        (filter, limit): (&Filter, u64),
        archive: &mut dyn Archive,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<u64, DeadLetterError> {
        let job = self.begin_reading(publisher, order).await?;
        let written = self.write(filter, limit, archive, stop, progress).await;
        let outcome = JobOutcome::unless(stop.is_cancelled());
        job.end_with(written.map(|written| (outcome, written, written))).await
    }

    async fn write(
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
                archive.keep(&lines).map_err(DeadLetterError::NoFile)?;
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
