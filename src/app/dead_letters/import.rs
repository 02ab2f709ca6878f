//! Putting letters from a file back into their dead-letter queues. Repeating an import changes nothing.

use futures_util::future::join_all;

use super::{
    error::DeadLetterError,
    handle::DeadLetters,
    job::{JobRequest, Services, list},
    plan::Plan,
    progress::Progress,
};
use crate::{
    core::{
        letters::{Filter, JobOutcome, Journal, Letter},
        webhook::SourceName,
    },
    edge::amqp::routes,
};

/// The number of letters published at the same time.
const BATCH: usize = 64;

/// The result of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The number of letters put back.
    pub put_back: u64,
    /// The number of letters that were listed already.
    pub already_there: u64,
    /// True if the operator stopped it early.
    pub stopped: bool,
}

impl DeadLetters<'_> {
    /// Puts letters, which are of these sources, into their queues and into the log, unless they are listed
    /// already.
    ///
    /// # Errors
    /// [`DeadLetterError`]. Letters put back until then stay.
    pub async fn import(
        &self,
        services: Services<'_>,
        request: &JobRequest,
        (sources, letters): (Vec<SourceName>, impl Iterator<Item = Letter>),
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Imported, DeadLetterError> {
        let (job, journal) = self.begin(services, request).await?;
        let filter = Filter { sources, ..Filter::default() };
        let result = self.put_all_back((services, &journal), &filter, letters, progress).await;
        job.end_with(result.map(|result| (JobOutcome::unless(result.stopped), result.put_back, result))).await
    }

    async fn put_all_back(
        &self,
        (services, journal): (Services<'_>, &Journal),
        filter: &Filter,
        letters: impl Iterator<Item = Letter>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Imported, DeadLetterError> {
        let mut listed = self.verified_list(filter).await?;
        let (mut imported, mut batch) = (Imported::default(), Vec::with_capacity(BATCH));
        let mut letters = letters.peekable();
        while let Some(mut letter) = letters.next() {
            // A letter that had left gets a new id, since the journal hides the old one.
            while journal.has_left(letter.id.key()) {
                letter.id = letter.id.reimported();
            }
            if listed.insert(&letter) {
                batch.push(letter)
            } else {
                imported.already_there += 1
            }
            if batch.len() == BATCH || letters.peek().is_none() {
                self.publish_all(services, &batch).await?;
                imported.put_back += batch.len() as u64;
                batch.clear();
                progress(Progress::Letters(imported.put_back + imported.already_there));
                imported.stopped = services.stop.is_cancelled() && letters.peek().is_some();
                if imported.stopped {
                    break;
                }
            }
        }
        Ok(imported)
    }

    /// Returns what is listed, provided that the queues hold at least as much. Otherwise a letter that is
    /// listed but gone would not be put back. A letter that is present but not listed is put back as a second
    /// copy under the same id, which a reindex removes.
    async fn verified_list(&self, filter: &Filter) -> Result<Plan, DeadLetterError> {
        let list = self.plan(filter, u64::MAX, |_| {}).await?;
        for (source_name, queued) in self.depths(filter).await? {
            let listed = list.remaining(&source_name);
            if listed > queued {
                return Err(DeadLetterError::Differs { source_name, queued, listed });
            }
        }
        Ok(list)
    }

    async fn publish_all(&self, services: Services<'_>, batch: &[Letter]) -> Result<(), DeadLetterError> {
        let putting = batch.iter().map(async |letter| {
            let letter = routes::dead_letter(letter);
            let put = services.publisher.publish(letter.clone(), routes::PATIENCE).await;
            put.map_err(DeadLetterError::NotMoved)?;
            list(services.publisher, letter).await
        });
        for put in join_all(putting).await {
            put?;
        }
        Ok(())
    }
}
