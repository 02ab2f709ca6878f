//! Writing letters to a file, with their personal data.

use tokio_util::sync::CancellationToken;

use super::{error::DeadLetterError, handle::DeadLetters, job::JobRequest, plan::Plan, progress::Progress};
use crate::{
    core::letters::{Archived, Filter, JobOutcome, Letter},
    edge::amqp::publish::Publisher,
};

/// The number of letters written at a time.
const BATCH: usize = 64;

/// A destination for letters.
pub trait Archive {
    /// Writes letters.
    ///
    /// # Errors
    /// The letters could not be written.
    fn write(&mut self, lines: &[Archived]) -> std::io::Result<()>;

    /// Returns when all that was written is safe, under its final name. Nothing remains of an archive that
    /// is dropped without.
    ///
    /// # Errors
    /// The letters are not safe.
    fn finish(&mut self) -> std::io::Result<()>;
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
        let written = self.write_all((filter, limit), |_| true, (archive, stop), progress).await;
        let written = written.and_then(|written| {
            if !stop.is_cancelled() {
                archive.finish().map_err(DeadLetterError::NoFile)?;
            }
            Ok(written)
        });
        let outcome = JobOutcome::unless(stop.is_cancelled());
        job.end_with(written.map(|written| (outcome, written, written))).await
    }

    /// Writes the letters of `plan` to `archive` before a job takes them away, and returns those that are
    /// safe: none if `stop` was cancelled.
    ///
    /// # Errors
    /// [`DeadLetterError`]: none are safe.
    pub async fn save(
        &self,
        plan: &Plan,
        archive: &mut dyn Archive,
        stop: &CancellationToken,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Plan, DeadLetterError> {
        let mut saved = Plan::default();
        let wanted = |letter: &Letter| plan.contains(letter) && saved.insert(letter);
        self.write_all((plan.filter(), plan.len()), wanted, (archive, stop), progress).await?;
        if stop.is_cancelled() {
            return Ok(Plan::default());
        }
        archive.finish().map_err(DeadLetterError::NoFile)?;
        Ok(saved)
    }

    /// Writes the letters that match `filter` and are `wanted`, at most `limit`, and returns their number.
    async fn write_all(
        &self,
        (filter, limit): (&Filter, u64),
        mut wanted: impl FnMut(&Letter) -> bool,
        (archive, stop): (&mut dyn Archive, &CancellationToken),
        progress: &mut dyn FnMut(Progress),
    ) -> Result<u64, DeadLetterError> {
        let mut browsing = self.browse(filter.clone(), None).await?;
        let (mut written, mut lines) = (0, Vec::with_capacity(BATCH));
        loop {
            let more = written + (lines.len() as u64) < limit && !stop.is_cancelled();
            let letter = if more { browsing.next().await? } else { None };
            let at_end = letter.is_none();
            let letter = letter.map(|(_, letter)| letter).filter(|letter| wanted(letter));
            lines.extend(letter.map(|letter| Archived::from(&letter)));
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
