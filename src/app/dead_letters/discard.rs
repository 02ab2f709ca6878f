//! Throwing letters away, each written to a file first unless that is not wanted.

use futures_util::future::join_all;

use super::{
    DeadLetterError, Desk, Order, Plan, Progress, Tools,
    export::Archive,
    job::{Running, note, settle_all},
    queue::{Held, Pass},
};
use crate::core::{
    ledger::State,
    letters::{Archived, Fate, Journal, Outcome},
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

impl Desk<'_> {
    /// Throws the letters of `plan` away, after they are in `archive`, if there is one.
    ///
    /// # Errors
    /// [`DeadLetterError`]: it could not begin, or its end could not be written down.
    pub async fn discard(
        &self,
        tools: Tools<'_>,
        order: &Order,
        mut plan: Plan,
        mut archive: Option<&mut dyn Archive>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Discarded, DeadLetterError> {
        let (job, mut journal) = self.begin(tools, order).await?;
        let mut came = Discarded { left_meanwhile: plan.without(&journal), ..Discarded::default() };
        for source in plan.names() {
            let mut at_end = false;
            while !at_end && came.error.is_none() && plan.left(&source) > 0 && !tools.stop.is_cancelled() {
                let passed = async {
                    let mut pass = Pass::open(self, &source).await?;
                    let passed: Result<(), DeadLetterError> = async {
                        loop {
                            let batch = pass.batch(&mut plan, &journal, BATCH, tools.stop).await?;
                            if batch.is_empty() {
                                return Ok(());
                            }
                            throw_away(
                                (&job, &mut journal),
                                &mut pass,
                                &tools,
                                &batch,
                                archive.as_deref_mut(),
                            )
                            .await?;
                            came.discarded += batch.len() as u64;
                            progress(Progress::Letters(came.discarded));
                        }
                    }
                    .await;
                    at_end = pass.saw_all();
                    let came_back = pass.close().await;
                    passed?;
                    if came_back? {
                        self.take_out_settled(&source, &journal).await?;
                    }
                    Ok(())
                };
                came.error = passed.await.err();
            }
        }
        came.not_discarded = plan.len();
        came.stopped = tools.stop.is_cancelled();
        let outcome = match (&came.error, came.stopped) {
            (Some(_), _) => Outcome::Failed,
            (None, true) => Outcome::Interrupted,
            (None, false) => Outcome::Finished,
        };
        let ended = job.end(outcome, 0, came.error.as_ref().map(ToString::to_string)).await;
        if came.error.is_none() {
            ended?;
        }
        Ok(came)
    }
}

async fn throw_away(
    (job, journal): (&Running<'_>, &mut Journal),
    pass: &mut Pass<'_>,
    tools: &Tools<'_>,
    batch: &[Held],
    archive: Option<&mut (dyn Archive + '_)>,
) -> Result<(), DeadLetterError> {
    if let Some(archive) = archive {
        let lines: Vec<_> = batch.iter().map(|held| Archived::from(&held.letter)).collect();
        archive.keep(&lines).map_err(DeadLetterError::NoFile)?;
    }
    let noting = batch.iter().map(|held| note(tools, &held.letter, State::Discarded));
    for noted in join_all(noting).await {
        noted?;
    }
    settle_all(job, journal, pass, Fate::Discarded, batch).await
}
