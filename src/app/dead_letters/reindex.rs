//! Making the log agree with the queues, after somebody has moved letters by other means.

use std::collections::HashSet;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::{
    DeadLetterError, DeadLetters, JobRequest, Progress, Services,
    job::{Running, note},
};
use crate::{
    core::{
        ledger::State,
        letters::{Fate, Filter, JobOutcome, Journal},
        webhook::SourceName,
    },
    edge::amqp::{
        consume::dead_queue::{Held, Pass},
        routes,
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
    /// Letters that are in the log and not in their queue. They stay listed, whole, unless they are to be forgotten.
    pub missing: u64,
    /// Letters that lie in the queue of another source than their own: somebody moved them. Nothing is done to them.
    pub misplaced: u64,
    /// Letters that a killed job had settled and not taken out of the queue, and second copies: now they are out.
    pub finished: u64,
    /// Whether somebody stopped it before its end.
    pub stopped: bool,
}

/// A reindex of one source under way.
struct Run<'a> {
    tools: Services<'a>,
    job: &'a Running<'a>,
    journal: &'a Journal,
    began: Timestamp,
    listed: Roll,
    /// Met, and not listed.
    strangers: HashSet<u64>,
    /// In their queue and not in the log.
    unlisted: Vec<Held>,
    /// Taken for missing before.
    found: Vec<u64>,
}

/// The keys of the letters that are listed, and which of them were met; in little memory.
struct Roll {
    /// In their order.
    keys: Vec<u64>,
    met: Vec<bool>,
}

impl Roll {
    fn of(keys: HashSet<u64>) -> Self {
        let mut keys: Vec<u64> = keys.into_iter().collect();
        keys.sort_unstable();
        Self { met: vec![false; keys.len()], keys }
    }

    /// Notes that a letter is there. Whether that is news; none if it is not listed.
    fn meet(&mut self, key: u64) -> Option<bool> {
        let place = self.keys.binary_search(&key).ok()?;
        Some(!std::mem::replace(&mut self.met[place], true))
    }

    fn missing(&self) -> Vec<u64> {
        self.keys.iter().zip(&self.met).filter(|(_, met)| !**met).map(|(key, _)| *key).collect()
    }
}

impl DeadLetters<'_> {
    /// Goes through the queues of the sources that `filter` means, and mends the log.
    ///
    /// # Errors
    /// [`DeadLetterError`]; what was done until then is done.
    pub async fn reindex(
        &self,
        tools: Services<'_>,
        order: &JobRequest,
        (filter, forget_missing): (&Filter, bool),
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Reindexed, DeadLetterError> {
        let (job, journal) = self.begin(tools, order).await?;
        let mut came = Reindexed::default();
        let mut outcome = Ok(());
        for source in self.sources(filter) {
            let work = (tools, &job, &journal, forget_missing);
            outcome = self.reindex_source(work, source, &mut came, progress).await;
            came.stopped = tools.stop.is_cancelled();
            if outcome.is_err() || came.stopped {
                break;
            }
        }
        job.end_with(outcome.map(|()| (JobOutcome::unless(came.stopped), came.listed, came))).await
    }

    /// Goes through all queues after a job was killed.
    pub(super) async fn mend(
        &self,
        tools: Services<'_>,
        job: &Running<'_>,
        journal: &Journal,
    ) -> Result<(), DeadLetterError> {
        let mut came = Reindexed::default();
        for source in self.config.sources.keys() {
            self.reindex_source((tools, job, journal, false), source, &mut came, &mut |_| {}).await?;
        }
        Ok(())
    }

    async fn reindex_source(
        &self,
        (tools, job, journal, forget_missing): (Services<'_>, &Running<'_>, &Journal, bool),
        source: &SourceName,
        came: &mut Reindexed,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), DeadLetterError> {
        // A letter is in its queue before it is in the log: the log is read first, so that none counts as missing that
        // dies meanwhile.
        let began = Timestamp::now();
        let only = Filter { sources: vec![source.clone()], ..Filter::default() };
        let keys = self.plan(&only, u64::MAX, |_| {}).await?.sources.remove(source).unwrap_or_default();
        let (listed, strangers, unlisted, found) = (Roll::of(keys), HashSet::new(), Vec::new(), Vec::new());
        let mut run = Run { tools, job, journal, began, listed, strangers, unlisted, found };
        let mut pass = self.pass(source).await?;
        let passed = run.pass(&mut pass, came, progress).await;
        pass.finish(passed, journal).await?;
        if !tools.stop.is_cancelled() {
            let missing = run.listed.missing();
            came.missing += missing.len() as u64;
            for keys in missing.chunks(RECORD).filter(|_| forget_missing) {
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
            if !pass.is_home_of(&held) {
                came.misplaced += 1;
                continue;
            }
            let key = held.letter.id.key();
            came.seen += 1;
            let listed = self.listed.meet(key);
            let is_news = listed.unwrap_or_else(|| self.strangers.insert(key));
            if self.journal.is_settled(held.letter.id) || !is_news {
                pass.ack(&held).await?;
                came.finished += 1;
            } else if self.journal.is_missing(held.letter.id) {
                self.found.push(key);
            } else if listed.is_none() && !is_on_its_way(&held, self.began) {
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
            let letter = routes::dead_letter(&held.letter);
            let listed = routes::publish_until_confirmed(self.tools.publisher, routes::PATIENCE, || {
                routes::log_entry(letter.clone())
            })
            .await;
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
    let died = held.letter.queued.history.last_failed_at;
    held.has_id && died.is_some_and(|died| now.duration_since(died) < ON_ITS_WAY_MAX)
}
