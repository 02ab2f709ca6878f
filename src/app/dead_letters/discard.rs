//! Discarding letters, each written to a file first unless the operator declines.

use futures_util::future::join_all;

use super::{
    batch::next_batch,
    error::DeadLetterError,
    export::Archive,
    handle::DeadLetters,
    job::{Job, JobRequest, Services, record_state, settle_all},
    plan::Plan,
    progress::Progress,
};
use crate::{
    core::{
        ledger::State,
        letters::{Archived, Fate, JobOutcome, Journal},
    },
    edge::amqp::consume::dead_queue::{Held, Pass},
};

/// The number of letters discarded at a time.
const BATCH: usize = 64;

/// The result of a discard.
#[derive(Debug, Default)]
pub struct Discarded {
    /// The number of letters discarded.
    pub discarded: u64,
    /// The number of letters that another job moved meanwhile.
    pub left_meanwhile: u64,
    /// The number of selected letters not discarded: not in their queue, or not reached.
    pub not_discarded: u64,
    /// True if the operator stopped it early.
    pub stopped: bool,
    /// The error that ended it, if any. The counts hold all the same.
    pub error: Option<DeadLetterError>,
}

/// A running discard.
struct DiscardJob<'a> {
    dead_letters: &'a DeadLetters<'a>,
    services: Services<'a>,
    job: &'a Job<'a>,
    journal: Journal,
    plan: Plan,
    archive: Option<&'a mut dyn Archive>,
    discarded: u64,
    progress: &'a mut dyn FnMut(Progress),
}

impl DeadLetters<'_> {
    /// Discards the letters of `plan`, after writing them to `archive` if there is one.
    ///
    /// # Errors
    /// [`DeadLetterError`]: the job could not begin, or its end could not be recorded.
    pub async fn discard(
        &self,
        services: Services<'_>,
        request: &JobRequest,
        mut plan: Plan,
        archive: Option<&mut dyn Archive>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Discarded, DeadLetterError> {
        let (job, journal) = self.begin(services, request).await?;
        let left_meanwhile = plan.remove_left(&journal);
        let archive = archive.map(|archive| archive as &mut dyn Archive);
        let mut running = DiscardJob {
            dead_letters: self,
            services,
            job: &job,
            journal,
            plan,
            archive,
            discarded: 0,
            progress,
        };
        let ended = running.run().await;
        let result = Discarded {
            discarded: running.discarded,
            left_meanwhile,
            not_discarded: running.plan.len(),
            stopped: services.stop.is_cancelled(),
            error: ended.err(),
        };
        job.end_counted(result.error.as_ref(), JobOutcome::unless(result.stopped), None).await?;
        Ok(result)
    }
}

impl DiscardJob<'_> {
    async fn run(&mut self) -> Result<(), DeadLetterError> {
        for source in self.plan.source_names() {
            let mut at_end = false;
            while !at_end && self.plan.remaining(&source) > 0 && !self.services.stop.is_cancelled() {
                let mut pass = self.dead_letters.pass(&source).await?;
                let passed = self.pass(&mut pass).await;
                at_end = pass.saw_all();
                pass.finish(passed, &self.journal).await?;
            }
        }
        Ok(())
    }

    async fn pass(&mut self, pass: &mut Pass<'_>) -> Result<(), DeadLetterError> {
        loop {
            let batch = next_batch(pass, &mut self.plan, &self.journal, BATCH, self.services.stop).await?;
            if batch.is_empty() {
                return Ok(());
            }
            self.discard(pass, &batch).await?;
            self.discarded += batch.len() as u64;
            (self.progress)(Progress::Letters(self.discarded));
        }
    }

    async fn discard(&mut self, pass: &mut Pass<'_>, batch: &[Held]) -> Result<(), DeadLetterError> {
        if let Some(archive) = self.archive.as_deref_mut() {
            let lines: Vec<_> = batch.iter().map(|held| Archived::from(&held.letter)).collect();
            archive.write(&lines).map_err(DeadLetterError::NoFile)?;
        }
        let recording =
            batch.iter().map(|held| record_state(self.services.store, &held.letter, State::Discarded));
        for recorded in join_all(recording).await {
            recorded?;
        }
        settle_all(self.job, &mut self.journal, pass, Fate::Discarded, batch).await
    }
}
