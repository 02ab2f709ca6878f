//! Correcting the log so that it agrees with the queues, after letters were moved by other means.

use std::collections::{BTreeSet, HashSet};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::{
    error::DeadLetterError,
    handle::DeadLetters,
    job::{Job, JobRequest, Services, list, record_state},
    plan::Plan,
    progress::Progress,
};
use crate::{
    core::{
        ledger::State,
        letters::{Filter, JobOutcome, Journal, Letter},
        webhook::SourceName,
    },
    edge::amqp::{
        consume::dead_queue::{Held, Pass},
        routes,
    },
};

/// The number of letters listed, and of keys recorded as found, at a time.
const BATCH: usize = 64;

/// The time a worker may take between writing a letter to its queue and to the log.
const LOG_DELAY_MAX: SignedDuration = SignedDuration::from_mins(1);

/// The result of a reindex.
#[derive(Clone, Debug, Default)]
pub struct Reindexed {
    /// The number of letters in the queues.
    pub seen: u64,
    /// The number of letters that were in their queue but not listed. They are listed now.
    pub listed: u64,
    /// The letters that are listed but in none of the queues that were read. They stay listed.
    pub missing: Plan,
    /// The number of letters in the queue of another source. They are left there.
    pub misplaced: u64,
    /// The number of letters that were in the queue of another source and are in their own now.
    pub moved: u64,
    /// The number of letters removed from their queue: settled by a killed job that did not ack them, or
    /// second copies.
    pub finished: u64,
    /// True if the operator stopped it early.
    pub stopped: bool,
    /// Keys of the letters that are in the queue of another source.
    away: HashSet<u64>,
}

/// A running reindex of one source.
struct ReindexJob<'a> {
    services: Services<'a>,
    job: &'a Job<'a>,
    journal: &'a Journal,
    began: Timestamp,
    listed: SeenSet,
    /// Keys of letters seen in the queue that are not listed.
    seen_unlisted: HashSet<u64>,
    /// Letters in their queue that are yet to be written to the log.
    unlisted: Vec<Held>,
    /// Keys of letters that were recorded as missing, yet to be recorded as found.
    found: Vec<u64>,
}

/// The keys of the listed letters, each with a mark once it was seen in the queue. Takes nine bytes a letter.
struct SeenSet {
    /// Sorted.
    keys: Vec<u64>,
    seen: Vec<bool>,
}

impl SeenSet {
    fn new(keys: HashSet<u64>) -> Self {
        let mut keys: Vec<u64> = keys.into_iter().collect();
        keys.sort_unstable();
        Self { seen: vec![false; keys.len()], keys }
    }

    /// Marks a letter as seen. Returns true if it was not seen before; none if it is not listed.
    fn mark(&mut self, key: u64) -> Option<bool> {
        let place = self.keys.binary_search(&key).ok()?;
        Some(!std::mem::replace(&mut self.seen[place], true))
    }

    /// Returns the keys not seen.
    fn missing(&self) -> Vec<u64> {
        self.keys.iter().zip(&self.seen).filter(|(_, seen)| !**seen).map(|(key, _)| *key).collect()
    }
}

impl DeadLetters<'_> {
    /// Goes through the queues of the sources that `filter` selects, and corrects the log. With `move_home`,
    /// first moves the letters of other sources to their own queues.
    ///
    /// # Errors
    /// [`DeadLetterError`]. Corrections made until then stay.
    pub async fn reindex(
        &self,
        services: Services<'_>,
        request: &JobRequest,
        (filter, move_home): (&Filter, bool),
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Reindexed, DeadLetterError> {
        // No recovery first: a reindex does itself what a killed job left to do.
        let (job, journal) = self.begin_locked(services, request).await?;
        let mut result = Reindexed::default();
        let outcome = self.reindex_all((services, &job, &journal), filter, move_home, &mut result, progress);
        let outcome = outcome.await;
        result.stopped = services.stop.is_cancelled();
        // A letter in another queue is not missing.
        result.missing.remove(&std::mem::take(&mut result.away));
        let handled = result.listed + result.moved;
        job.end_with(outcome.map(|()| (JobOutcome::unless(result.stopped), handled, result))).await
    }

    async fn reindex_all(
        &self,
        (services, job, journal): (Services<'_>, &Job<'_>, &Journal),
        filter: &Filter,
        move_home: bool,
        result: &mut Reindexed,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), DeadLetterError> {
        let mut sources: BTreeSet<&SourceName> = self.sources(filter).collect();
        if move_home {
            let mut homes = BTreeSet::new();
            for source in &sources {
                homes.extend(self.move_home((services, journal), source, result).await?);
            }
            let homes = self.config.sources.keys().filter(|source| homes.contains(*source));
            sources.extend(homes);
        }
        for source in sources {
            if services.stop.is_cancelled() {
                break;
            }
            self.reindex_source((services, job, journal), source, result, progress).await?;
        }
        Ok(())
    }

    /// Goes through one source's queue, and corrects the log.
    pub(super) async fn reindex_source(
        &self,
        (services, job, journal): (Services<'_>, &Job<'_>, &Journal),
        source: &SourceName,
        result: &mut Reindexed,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), DeadLetterError> {
        // A letter reaches its queue before the log. The log is read first, so that a letter that dies
        // meanwhile does not count as missing.
        let began = Timestamp::now();
        let only = Filter { sources: vec![source.clone()], ..Filter::default() };
        let listed = SeenSet::new(self.plan(&only, u64::MAX, |_| {}).await?.into_keys(source));
        let (seen_unlisted, unlisted, found) = (HashSet::new(), Vec::new(), Vec::new());
        let mut running =
            ReindexJob { services, job, journal, began, listed, seen_unlisted, unlisted, found };
        let mut pass = self.pass(source).await?;
        let passed = running.pass(&mut pass, result, progress).await;
        pass.finish(passed, journal).await?;
        if !services.stop.is_cancelled() {
            result.missing.extend(source, running.listed.missing());
        }
        Ok(())
    }
}

impl ReindexJob<'_> {
    async fn pass(
        &mut self,
        pass: &mut Pass<'_>,
        result: &mut Reindexed,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), DeadLetterError> {
        while let Some(held) = pass.next().await? {
            let key = held.letter.id.key();
            if self.services.stop.is_cancelled() {
                break;
            }
            if !held.bundle.is_empty() && pass.is_home_of(&held) {
                self.take_apart(&held, pass, result).await?;
                progress(Progress::Letters(result.seen));
                continue;
            }
            if !pass.is_home_of(&held) {
                result.misplaced += 1;
                result.away.insert(key);
                continue;
            }
            result.seen += 1;
            let listed = self.listed.mark(key);
            let is_first = listed.unwrap_or_else(|| self.seen_unlisted.insert(key));
            if self.journal.is_settled(held.letter.id) || !is_first {
                pass.ack(&held).await?;
                result.finished += 1;
            } else if self.journal.is_missing(held.letter.id) {
                self.found.push(key);
            } else if listed.is_none() && !may_be_logged_soon(&held, self.began) {
                self.unlisted.push(held);
            }
            if self.unlisted.len() + self.found.len() >= BATCH {
                self.write_out(result).await?;
            }
            if result.seen.is_multiple_of(100) {
                progress(Progress::Letters(result.seen));
            }
        }
        self.write_out(result).await
    }

    /// Replaces a bundle that the broker moved as a whole by its letters: each in the queue and listed, then
    /// the bundle is removed.
    async fn take_apart(
        &mut self,
        held: &Held,
        pass: &mut Pass<'_>,
        result: &mut Reindexed,
    ) -> Result<(), DeadLetterError> {
        // A reindex that was killed may have come as far as this letter.
        let is_new = |letter: &&Letter| {
            let key = letter.id.key();
            let is_listed = self.listed.mark(key).is_some() || !self.seen_unlisted.insert(key);
            !is_listed && !self.journal.is_settled(letter.id)
        };
        let new: Vec<&Letter> = held.bundle.iter().filter(is_new).collect();
        let Services { store, publisher, .. } = self.services;
        let moving = new.iter().map(async |letter| {
            record_state(store, letter, State::Dead).await?;
            let dead = routes::dead_letter(letter);
            let put = routes::publish_until_confirmed(publisher, routes::PATIENCE, || dead.clone()).await;
            put.map_err(DeadLetterError::NotMoved)?;
            list(publisher, dead).await
        });
        for moved in join_all(moving).await {
            moved?;
        }
        pass.ack(held).await?;
        result.seen += held.bundle.len() as u64;
        result.listed += new.len() as u64;
        Ok(())
    }

    /// Writes unlisted letters to the log, and records found ones. Letters that the broker made are not in
    /// the ledger yet.
    async fn write_out(&mut self, result: &mut Reindexed) -> Result<(), DeadLetterError> {
        let listing = self.unlisted.iter().map(async |held| {
            if !held.has_id {
                record_state(self.services.store, &held.letter, State::Dead).await?;
            }
            list(self.services.publisher, routes::dead_letter(&held.letter)).await
        });
        for listed in join_all(listing).await {
            listed?;
        }
        self.job.record_found(self.found.clone()).await?;
        result.listed += (self.unlisted.len() + self.found.len()) as u64;
        self.unlisted.clear();
        self.found.clear();
        Ok(())
    }
}

/// Returns true if a worker may be about to write the letter to the log itself.
fn may_be_logged_soon(held: &Held, now: Timestamp) -> bool {
    let died = held.letter.queued.history.last_failed_at;
    held.has_id && died.is_some_and(|died| now.duration_since(died) < LOG_DELAY_MAX)
}
