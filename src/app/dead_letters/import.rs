//! Putting letters of a file into their dead-letter queues. Done twice it changes nothing.

use futures_util::future::join_all;

use super::{DeadLetterError, DeadLetters, JobRequest, Plan, Progress, Services};
use crate::{
    core::letters::{Filter, JobOutcome, Journal, Letter},
    edge::amqp::routes,
};

/// Letters that are on their way at the same time.
const BATCH: usize = 64;

/// What an import came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Letters put back.
    pub put_back: u64,
    /// Letters that were there already, which is: listed.
    pub there: u64,
    /// Whether somebody stopped it before its end.
    pub stopped: bool,
}

impl DeadLetters<'_> {
    /// Puts letters into their queues and into the log, unless they are there.
    ///
    /// # Errors
    /// [`DeadLetterError`]; what was done until then is done.
    pub async fn import(
        &self,
        tools: Services<'_>,
        order: &JobRequest,
        letters: impl Iterator<Item = Letter>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Imported, DeadLetterError> {
        let (job, journal) = self.begin(tools, order).await?;
        let came = self.put_all_back(tools, &journal, letters, progress).await;
        job.end_with(came.map(|came| (JobOutcome::unless(came.stopped), came.put_back, came))).await
    }

    async fn put_all_back(
        &self,
        tools: Services<'_>,
        journal: &Journal,
        letters: impl Iterator<Item = Letter>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Imported, DeadLetterError> {
        let mut there = self.truthful_list().await?;
        let (mut came, mut batch) = (Imported::default(), Vec::with_capacity(BATCH));
        let mut letters = letters.peekable();
        while let Some(mut letter) = letters.next() {
            // What was taken away comes back as another letter, else the journal would hide it.
            while journal.has_left(letter.id.key()) {
                letter.id = letter.id.reimported();
            }
            if there.add(&letter) {
                batch.push(letter)
            } else {
                came.there += 1
            }
            if batch.len() == BATCH || letters.peek().is_none() {
                self.put_back(tools, &batch).await?;
                came.put_back += batch.len() as u64;
                batch.clear();
                progress(Progress::Letters(came.put_back + came.there));
                came.stopped = tools.stop.is_cancelled() && letters.peek().is_some();
                if came.stopped {
                    break;
                }
            }
        }
        Ok(came)
    }

    /// What is listed, where all of it is in the queues: else a letter might be taken for one that is there. One that is
    /// there and not listed comes twice, under one id; a reindex takes the second copy out.
    async fn truthful_list(&self) -> Result<Plan, DeadLetterError> {
        let list = self.plan(&Filter::default(), u64::MAX, |_| {}).await?;
        for (source_name, queued) in self.depths(&Filter::default()).await? {
            let listed = list.left(&source_name);
            if listed > queued {
                return Err(DeadLetterError::Differs { source_name, queued, listed });
            }
        }
        Ok(list)
    }

    async fn put_back(&self, tools: Services<'_>, batch: &[Letter]) -> Result<(), DeadLetterError> {
        let putting = batch.iter().map(async |letter| {
            let shelved = routes::dead_letter(letter);
            tools.publisher.publish(shelved.clone(), routes::PATIENCE).await?;
            routes::publish_until_confirmed(tools.publisher, routes::PATIENCE, || {
                routes::log_entry(shelved.clone())
            })
            .await
        });
        for put in join_all(putting).await {
            put.map_err(DeadLetterError::NotMoved)?;
        }
        Ok(())
    }
}
