//! Making the log agree with the queues, after somebody has moved letters by other means.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    DeadLetterError, Desk, Order, Progress, Tools,
    discard::note,
    job::Running,
    queue::{Held, Pass},
};
use crate::{
    app::settle,
    core::{
        ledger::State,
        letters::{Fate, Filter, Journal, Outcome},
        webhook::SourceName,
    },
};

/// How many keys stand in one record of the journal.
const RECORD: usize = 1_000;

/// How long a worker may take from a letter's queue to the log.
const ON_ITS_WAY_MAX: SignedDuration = SignedDuration::from_mins(1);

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reindexed {
    /// Letters in the queues.
    pub seen: u64,
    /// Letters that were in their queue and not in the log: now they are.
    pub listed: u64,
    /// Letters that were in the log and not in their queue: now they are not shown any more.
    pub missing: u64,
    /// Letters that a killed job had settled and not taken out of the queue, and second copies: now they are out.
    pub finished: u64,
    /// Whether somebody stopped it before its end.
    pub stopped: bool,
}

impl Desk<'_> {
    /// Goes through the queues of the sources that `filter` means, and mends the log.
    ///
    /// # Errors
    /// [`DeadLetterError`]; what was done until then is done.
    pub async fn reindex(
        &self,
        tools: Tools<'_>,
        order: &Order,
        filter: &Filter,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Reindexed, DeadLetterError> {
        // The lock first: what is in the queues and in the log must not move while both are read.
        let (job, journal) = self.begin(tools.publisher, order).await?;
        let mut came = Reindexed::default();
        let mut outcome = Ok(());
        for source in self.sources(filter).cloned().collect::<Vec<_>>() {
            outcome = self.reindex_source(tools, &job, &journal, &source, &mut came, progress).await;
            if outcome.is_err() || tools.stop.is_cancelled() {
                break;
            }
        }
        came.stopped = tools.stop.is_cancelled();
        let how = if came.stopped { Outcome::Interrupted } else { Outcome::Finished };
        job.end_with(outcome.map(|()| (how, came.listed, None, came))).await
    }

    async fn reindex_source(
        &self,
        tools: Tools<'_>,
        job: &Running<'_>,
        journal: &Journal,
        source: &SourceName,
        came: &mut Reindexed,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), DeadLetterError> {
        // A letter is in its queue before it is in the log: the log is read first, so that none counts as missing that
        // dies meanwhile.
        let began = Timestamp::now();
        let only = Filter { sources: vec![source.clone()], ..Filter::default() };
        let plan = self.plan(&only, u64::MAX, |_| {}).await?;
        let mut unseen: HashSet<u64> = plan.keys;
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        let mut pass = Pass::open(self, source).await?;
        while let Some(held) = pass.next().await? {
            let key = held.letter.id.key();
            if journal.is_settled(held.letter.id) || !seen.insert(key) {
                pass.ack(&held).await?;
                came.finished += 1;
            } else if journal.is_missing(held.letter.id) {
                found.push(key);
            } else if !unseen.remove(&key) && !is_on_its_way(&held, began) {
                list(tools, &held).await?;
                came.listed += 1;
            }
            came.seen += 1;
            if came.seen.is_multiple_of(100) {
                progress(Progress::Letters(came.seen));
            }
            if tools.stop.is_cancelled() {
                return pass.close().await;
            }
        }
        let saw_all = pass.saw_all();
        pass.close().await?;
        came.listed += found.len() as u64;
        for keys in found.chunks(RECORD) {
            job.found(keys.to_vec()).await?;
        }
        // Where the queue fell silent somebody else may hold the rest.
        if saw_all {
            let missing: Vec<u64> = unseen.into_iter().collect();
            came.missing += missing.len() as u64;
            for keys in missing.chunks(RECORD) {
                job.gone(Fate::Missing, keys.to_vec()).await?;
            }
        }
        Ok(())
    }
}

/// Whether a worker may be about to write the letter to the log itself.
fn is_on_its_way(held: &Held, now: Timestamp) -> bool {
    let died = held.letter.inbound.history.last_failed_at;
    held.has_id && died.is_some_and(|died| now.duration_since(died) < ON_ITS_WAY_MAX)
}

/// Writes a letter to the log. One that the broker made is in nobody's books yet.
async fn list(tools: Tools<'_>, held: &Held) -> Result<(), DeadLetterError> {
    if !held.has_id {
        note(&tools, &held.letter, State::Dead).await?;
    }
    let letter = settle::shelve(&held.letter);
    let listed = settle::publish_surely(tools.publisher, || settle::log(letter.clone())).await;
    listed.map_err(DeadLetterError::NotMoved)
}
