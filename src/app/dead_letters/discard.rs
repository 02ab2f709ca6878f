//! Discarding letters. The command line has saved them in a file before, unless the operator declined.

use futures_util::future::join_all;

use super::{
    batch::next_batch,
    error::DeadLetterError,
    handle::DeadLetters,
    job::{Job, JobRequest, Services, record_state, settle_all},
    plan::Plan,
    progress::Progress,
};
use crate::{
    core::{
        ledger::State,
        letters::{Fate, JobOutcome, Journal},
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
    /// The number of selected letters that were not in their queue.
    pub not_found: u64,
    /// The number of letters not reached.
    pub not_reached: u64,
    /// The number of letters of which an error leaves unknown whether they are discarded. The next job
    /// finishes them.
    pub unknown: u64,
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
    discarded: u64,
    /// The number of selected letters that were not in their queue.
    not_found: u64,
    /// The number of letters whose end is being recorded.
    in_hand: u64,
    progress: &'a mut dyn FnMut(Progress),
}

impl DeadLetters<'_> {
    /// Discards the letters of `plan`. What [`DeadLetters::save`] has not saved before cannot be restored.
    ///
    /// # Errors
    /// [`DeadLetterError`]: the job could not begin, and nothing was moved.
    pub async fn discard(
        &self,
        services: Services<'_>,
        request: &JobRequest,
        mut plan: Plan,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Discarded, DeadLetterError> {
        let (job, journal) = self.begin(services, request).await?;
        let left_meanwhile = plan.remove_left(&journal);
        let planned = plan.len();
        let mut running = DiscardJob {
            dead_letters: self,
            services,
            job: &job,
            journal,
            plan,
            discarded: 0,
            not_found: 0,
            in_hand: 0,
            progress,
        };
        let ended = running.run().await;
        let (discarded, not_found, unknown) = (running.discarded, running.not_found, running.in_hand);
        let stopped = services.stop.is_cancelled();
        let error = job.end_counted(ended.err(), JobOutcome::unless(stopped), None).await;
        Ok(Discarded {
            discarded,
            left_meanwhile,
            not_found,
            not_reached: planned.saturating_sub(discarded + not_found + unknown),
            unknown,
            stopped,
            error,
        })
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
            if self.services.stop.is_cancelled() {
                break;
            }
            self.not_found += self.plan.remaining(&source);
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
            (self.progress)(Progress::Letters(self.discarded));
        }
    }

    async fn discard(&mut self, pass: &mut Pass<'_>, batch: &[Held]) -> Result<(), DeadLetterError> {
        let recording =
            batch.iter().map(|held| record_state(self.services.store, &held.letter, State::Discarded));
        for recorded in join_all(recording).await {
            recorded?;
        }
        self.in_hand = batch.len() as u64;
        settle_all(self.job, &mut self.journal, pass, Fate::Discarded, batch).await?;
        self.discarded += std::mem::take(&mut self.in_hand);
        Ok(())
    }
}
