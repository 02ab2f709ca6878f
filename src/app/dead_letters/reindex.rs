//! Making the log agree with the queues, after somebody has moved letters by other means.

use std::collections::HashSet;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::{
    DeadLetterError, Desk, Order, Progress, Tools,
    job::{Running, note},
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

/// How many letters are listed at a time, and keys written in the journal.
const BATCH: usize = 64;

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

/// A reindex of one source under way.
struct Run<'a> {
    tools: Tools<'a>,
    job: &'a Running<'a>,
    journal: &'a Journal,
    began: Timestamp,
    /// Listed, and not met yet.
    unmet: HashSet<u64>,
    met: HashSet<u64>,
    /// In their queue and not in the log.
    unlisted: Vec<Held>,
    /// Taken for missing before.
    found: Vec<u64>,
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
        let (job, journal) = self.begin(tools, order).await?;
        let mut came = Reindexed::default();
        let mut outcome = Ok(());
        for source in self.sources(filter) {
            outcome = self.reindex_source((tools, &job, &journal), source, &mut came, progress).await;
            came.stopped = tools.stop.is_cancelled();
            if outcome.is_err() || came.stopped {
                break;
            }
        }
        let how = if came.stopped { Outcome::Interrupted } else { Outcome::Finished };
        job.end_with(outcome.map(|()| (how, came.listed, None, came))).await
    }

    /// Goes through all queues after a job was killed.
    pub(super) async fn mend(
        &self,
        tools: Tools<'_>,
        job: &Running<'_>,
        journal: &Journal,
    ) -> Result<(), DeadLetterError> {
        let mut came = Reindexed::default();
        for source in self.config.sources.keys() {
            self.reindex_source((tools, job, journal), source, &mut came, &mut |_| {}).await?;
        }
        Ok(())
    }

    async fn reindex_source(
        &self,
        (tools, job, journal): (Tools<'_>, &Running<'_>, &Journal),
        source: &SourceName,
        came: &mut Reindexed,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), DeadLetterError> {
        // A letter is in its queue before it is in the log: the log is read first, so that none counts as missing that
        // dies meanwhile.
        let began = Timestamp::now();
        let only = Filter { sources: vec![source.clone()], ..Filter::default() };
        let unmet = self.plan(&only, u64::MAX, |_| {}).await?.sources.remove(source).unwrap_or_default();
        let (met, unlisted, found) = (HashSet::new(), Vec::new(), Vec::new());
        let mut run = Run { tools, job, journal, began, unmet, met, unlisted, found };
        let mut pass = Pass::open(self, source).await?;
        let passed = run.pass(&mut pass, came, progress).await;
        let came_back = pass.close().await;
        passed?;
        if came_back? {
            self.take_out_settled(source, journal).await?;
        }
        if !tools.stop.is_cancelled() {
            let missing: Vec<u64> = run.unmet.into_iter().collect();
            came.missing += missing.len() as u64;
            for keys in missing.chunks(RECORD) {
                job.gone(Fate::Missing, keys.to_vec()).await?;
            }
        }
        Ok(())
    }
}

impl Run<'_> {
    async fn pass(
        &mut self,
        pass: &mut Pass<'_>,
        came: &mut Reindexed,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), DeadLetterError> {
        while let Some(held) = pass.next().await? {
            let key = held.letter.id.key();
            came.seen += 1;
            if self.journal.is_settled(held.letter.id) || !self.met.insert(key) {
                pass.ack(&held).await?;
                came.finished += 1;
            } else if self.journal.is_missing(held.letter.id) {
                self.found.push(key);
            } else if !self.unmet.remove(&key) && !is_on_its_way(&held, self.began) {
                self.unlisted.push(held);
            }
            if self.unlisted.len() + self.found.len() >= BATCH {
                self.list(came).await?;
            }
            if came.seen.is_multiple_of(100) {
                progress(Progress::Letters(came.seen));
            }
            if self.tools.stop.is_cancelled() {
                break;
            }
        }
        self.list(came).await
    }

    /// Writes letters to the log. Those that the broker made are in nobody's books yet.
    async fn list(&mut self, came: &mut Reindexed) -> Result<(), DeadLetterError> {
        let listing = self.unlisted.iter().map(async |held| {
            if !held.has_id {
                note(&self.tools, &held.letter, State::Dead).await?;
            }
            let letter = settle::shelve(&held.letter);
            let listed = settle::publish_surely(self.tools.publisher, || settle::log(letter.clone())).await;
            listed.map_err(DeadLetterError::NotMoved)
        });
        for listed in join_all(listing).await {
            listed?;
        }
        self.job.found(self.found.clone()).await?;
        came.listed += (self.unlisted.len() + self.found.len()) as u64;
        self.unlisted.clear();
        self.found.clear();
        Ok(())
    }
}

/// Whether a worker may be about to write the letter to the log itself.
fn is_on_its_way(held: &Held, now: Timestamp) -> bool {
    let died = held.letter.inbound.history.last_failed_at;
    held.has_id && died.is_some_and(|died| now.duration_since(died) < ON_ITS_WAY_MAX)
}
