//! Throwing letters away, each written to a file first unless that is not wanted.

use futures_util::future::join_all;

use super::{
    DeadLetterError, DeadLetters, JobRequest, Plan, Progress, Services,
    batch::next_batch,
    export::Archive,
    job::{Running, note, settle_all},
};
use crate::{
    core::{
        ledger::State,
        letters::{Archived, Fate, JobOutcome, Journal},
    },
    edge::amqp::consume::dead_queue::{Held, Pass},
};

/// Letters that are thrown away at a time.
const BATCH: usize = 64;

/// What a discard came to.
#[derive(Debug, Default)]
pub struct Discarded {
    /// Letters thrown away.
    pub discarded: u64,
    /// Letters that have left meanwhile through another job.
    pub left_meanwhile: u64,
    /// Letters that were meant and not thrown away: not in their queue, or not reached.
    pub not_discarded: u64,
    /// Whether somebody stopped it.
    pub stopped: bool,
    /// What went wrong, if anything did; what is counted here is done all the same.
    pub error: Option<DeadLetterError>,
}

/// A discard under way.
struct Run<'a> {
    desk: &'a DeadLetters<'a>,
    tools: Services<'a>,
    job: &'a Running<'a>,
    journal: Journal,
    plan: Plan,
    archive: Option<&'a mut dyn Archive>,
    discarded: u64,
    progress: &'a mut dyn FnMut(Progress),
}

impl DeadLetters<'_> {
    /// Throws the letters of `plan` away, after they are in `archive`, if there is one.
    ///
    /// # Errors
    /// [`DeadLetterError`]: it could not begin, or its end could not be written down.
    pub async fn discard(
        &self,
        tools: Services<'_>,
        order: &JobRequest,
        mut plan: Plan,
        archive: Option<&mut dyn Archive>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Discarded, DeadLetterError> {
        let (job, journal) = self.begin(tools, order).await?;
        let left_meanwhile = plan.without(&journal);
        let archive = archive.map(|archive| archive as &mut dyn Archive);
        let mut run = Run { desk: self, tools, job: &job, journal, plan, archive, discarded: 0, progress };
        let ran = run.all().await;
        let came = Discarded {
            discarded: run.discarded,
            left_meanwhile,
            not_discarded: run.plan.len(),
            stopped: tools.stop.is_cancelled(),
            error: ran.err(),
        };
        job.end_counted(came.error.as_ref(), JobOutcome::unless(came.stopped), None).await?;
        Ok(came)
    }
}

impl Run<'_> {
    async fn all(&mut self) -> Result<(), DeadLetterError> {
        for source in self.plan.names() {
            let mut at_end = false;
            while !at_end && self.plan.left(&source) > 0 && !self.tools.stop.is_cancelled() {
                let mut pass = self.desk.pass(&source).await?;
                let passed = self.pass(&mut pass).await;
                at_end = pass.saw_all();
                pass.finish(passed, &self.journal).await?;
            }
        }
        Ok(())
    }

    async fn pass(&mut self, pass: &mut Pass<'_>) -> Result<(), DeadLetterError> {
        loop {
            let batch = next_batch(pass, &mut self.plan, &self.journal, BATCH, self.tools.stop).await?;
            if batch.is_empty() {
                return Ok(());
            }
            self.throw_away(pass, &batch).await?;
            self.discarded += batch.len() as u64;
            (self.progress)(Progress::Letters(self.discarded));
        }
    }

    async fn throw_away(&mut self, pass: &mut Pass<'_>, batch: &[Held]) -> Result<(), DeadLetterError> {
        if let Some(archive) = self.archive.as_deref_mut() {
            let lines: Vec<_> = batch.iter().map(|held| Archived::from(&held.letter)).collect();
            archive.keep(&lines).map_err(DeadLetterError::NoFile)?;
        }
        let noting = batch.iter().map(|held| note(&self.tools, &held.letter, State::Discarded));
        for noted in join_all(noting).await {
            noted?;
        }
        settle_all(self.job, &mut self.journal, pass, Fate::Discarded, batch).await
    }
}
