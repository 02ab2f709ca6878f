//! Moving letters from the queue of another source to their own.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::{
    error::DeadLetterError,
    handle::DeadLetters,
    job::{Services, record_state},
    reindex::Reindexed,
};
use crate::{
    core::{ledger::State, letters::Journal, webhook::SourceName},
    edge::amqp::{
        consume::dead_queue::{Held, Pass},
        routes,
    },
};

/// The number of letters moved at a time.
const BATCH: usize = 64;

impl DeadLetters<'_> {
    /// Goes through one source's queue and moves the letters of other sources to their own queues, if these
    /// are configured. Returns the sources that got some.
    ///
    /// A letter is acked after its own queue has it. If the job is killed in between there are two copies
    /// with one id, and the reindex that follows removes one.
    pub(super) async fn move_home(
        &self,
        (services, journal): (Services<'_>, &Journal),
        source: &SourceName,
        result: &mut Reindexed,
    ) -> Result<BTreeSet<SourceName>, DeadLetterError> {
        let (mut homes, mut batch) = (BTreeSet::new(), Vec::new());
        let mut pass = self.pass(source).await?;
        let passed = async {
            while let Some(held) = pass.next().await? {
                let home = &held.letter.queued.webhook.source;
                if held.bundle.is_empty() && !pass.is_home_of(&held) && self.config.sources.contains_key(home)
                {
                    homes.insert(home.clone());
                    batch.push(held);
                }
                if services.stop.is_cancelled() {
                    break;
                }
                if batch.len() == BATCH {
                    move_batch(services, journal, &mut pass, &mut batch, result).await?;
                }
            }
            move_batch(services, journal, &mut pass, &mut batch, result).await
        }
        .await;
        pass.finish(passed, journal).await?;
        Ok(homes)
    }
}

async fn move_batch(
    services: Services<'_>,
    journal: &Journal,
    pass: &mut Pass<'_>,
    batch: &mut Vec<Held>,
    result: &mut Reindexed,
) -> Result<(), DeadLetterError> {
    // A letter that an earlier job has settled and could not ack has no home any more.
    let homeless = || batch.iter().filter(|held| !journal.is_settled(held.letter.id));
    // At home it has an id, so nothing shows any more that the broker made it.
    for held in homeless().filter(|held| !held.has_id) {
        record_state(services.store, &held.letter, State::Dead).await?;
    }
    let publishing = homeless().map(|held| {
        let letter = routes::dead_letter(&held.letter);
        services.publisher.publish(letter, routes::PATIENCE)
    });
    for confirm in join_all(publishing).await {
        confirm.map_err(DeadLetterError::NotMoved)?;
    }
    for held in batch.drain(..) {
        pass.ack(&held).await?;
        if journal.is_settled(held.letter.id) { result.finished += 1 } else { result.moved += 1 }
    }
    Ok(())
}
