//! Throwing letters away, each written to a file first unless that is not wanted.

use super::{
    DeadLetterError, Desk, Order, Plan, Progress, Tools,
    export::Archive,
    job::Running,
    queue::{Held, Pass},
    replay::settle_all,
};
use crate::core::{
    ledger::State,
    letters::{Archived, Fate, Journal, Letter, Outcome},
    webhook::SourceName,
};

/// Letters that are thrown away at a time.
const BATCH: usize = 64;

impl Desk<'_> {
    /// Throws the letters of `plan` away, after they are in `archive`, if there is one. How many, and whether it was
    /// stopped before its end.
    ///
    /// # Errors
    /// [`DeadLetterError`]; what was done until then is done and on record.
    pub async fn discard(
        &self,
        tools: Tools<'_>,
        order: &Order,
        mut plan: Plan,
        mut archive: Option<&mut dyn Archive>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(u64, bool), DeadLetterError> {
        let (job, journal) = self.begin(tools.publisher, order).await?;
        let mut discarded = 0;
        let mut came = Ok(());
        for source in plan.sources().keys().cloned().collect::<Vec<_>>() {
            came = async {
                let mut pass = Pass::open(self, &source).await?;
                loop {
                    let batch = batch(&mut pass, &mut plan, &journal, &source, &tools).await?;
                    if batch.is_empty() {
                        break;
                    }
                    throw_away(&job, &mut pass, &tools, &batch, archive.as_deref_mut()).await?;
                    discarded += batch.len() as u64;
                    progress(Progress::Letters(discarded));
                }
                pass.close().await
            }
            .await;
            if came.is_err() || tools.stop.is_cancelled() {
                break;
            }
        }
        let stopped = tools.stop.is_cancelled();
        let outcome = if stopped { Outcome::Interrupted } else { Outcome::Finished };
        job.end_with(came.map(|()| (outcome, 0, None, (discarded, stopped)))).await
    }
}

async fn batch(
    pass: &mut Pass<'_>,
    plan: &mut Plan,
    journal: &Journal,
    source: &SourceName,
    tools: &Tools<'_>,
) -> Result<Vec<Held>, DeadLetterError> {
    let mut batch = Vec::with_capacity(BATCH);
    while batch.len() < BATCH && plan.left(source) > 0 && !tools.stop.is_cancelled() {
        let Some(held) = pass.next().await? else { break };
        if journal.is_settled(held.letter.id) {
            pass.ack(&held).await?;
        } else if plan.take(held.letter.id, source) {
            batch.push(held);
        }
    }
    Ok(batch)
}

async fn throw_away(
    job: &Running<'_>,
    pass: &mut Pass<'_>,
    tools: &Tools<'_>,
    batch: &[Held],
    archive: Option<&mut (dyn Archive + '_)>,
) -> Result<(), DeadLetterError> {
    if let Some(archive) = archive {
        let lines: Vec<_> = batch.iter().map(|held| Archived::from(&held.letter)).collect();
        archive.keep(&lines).map_err(DeadLetterError::NoFile)?;
    }
    for held in batch {
        note(tools, &held.letter, State::Discarded).await?;
    }
    settle_all(job, pass, Fate::Discarded, batch).await
}

/// Notes in the ledger what became of a letter's webhook, where it is counted.
pub(super) async fn note(tools: &Tools<'_>, letter: &Letter, state: State) -> Result<(), DeadLetterError> {
    if let Some(entry) = letter.inbound.entry {
        tools.store.record(&letter.inbound.webhook.source, entry, state).await?;
    }
    Ok(())
}
