//! Sending letters back to their raw queue: a few first, then more, as long as they succeed.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::time::{sleep, sleep_until};

use super::{
    batch::next_batch,
    error::DeadLetterError,
    handle::DeadLetters,
    job::{Job, JobRequest, Services, record_state, settle_all},
    plan::Plan,
    prior::{Prior, look_up, normalize},
    progress::Progress,
};
use crate::{
    app::shards::Shards,
    core::{
        events::key::{BodyHash, StoreKey},
        ledger::State,
        letters::{Fate, JobOutcome, Journal, Ramp, WaveCounts, WaveVerdict},
        webhook::{DeliveryId, SourceName},
    },
    edge::amqp::{
        consume::dead_queue::{Held, Pass},
        routes, topology,
    },
    faults::{self, Mutant},
};

/// The number of letters published at the same time, which share one record of the journal.
const BATCH: usize = 64;

/// The interval at which the outcomes of a wave are read.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// The number of keys in flight to remember, which take some megabytes.
const IN_FLIGHT_MAX: usize = 100_000;

/// The limits at which a replay stops by itself.
#[derive(Clone, Copy, Debug)]
pub struct Canary {
    /// The share (0 to 1) of a wave that may fail again.
    pub max_failing: f64,
    /// The time to wait for the outcome of a wave.
    pub patience: Duration,
}

/// The options of a replay.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    /// If set, sends growing waves, each of which must succeed. If not, sends all letters without waiting.
    pub canary: Option<Canary>,
    /// The largest number of letters a second.
    pub rate: Option<f64>,
    /// If true, also sends letters whose key is done by another body. Their key is deleted from Redis first,
    /// so that they are not taken for duplicates.
    pub again: bool,
}

/// The result of a replay.
#[derive(Debug, Default)]
pub struct Replayed {
    /// The number of letters sent back.
    pub sent: u64,
    /// The number of letters removed without publishing, since their webhook had been done meanwhile.
    pub already_done: u64,
    /// The number of letters left in their queue, since their key is done by another body.
    pub held_back: u64,
    /// The number of letters that another job moved meanwhile.
    pub left_meanwhile: u64,
    /// The number of selected letters that were not in their queue.
    pub not_found: u64,
    /// The number of letters not reached.
    pub not_reached: u64,
    /// The outcomes of the letters sent, as far as they were awaited.
    pub outcomes: WaveCounts,
    /// The reason why it stopped early.
    pub stopped: Option<Stopped>,
    /// The error that ended it, if any. The counts hold all the same.
    pub error: Option<DeadLetterError>,
}

/// The reason why a replay stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The operator stopped it.
    Interrupted,
    /// Too many letters of this wave failed again.
    TooManyFailed(WaveCounts),
    /// Some letters of this wave have no outcome in time.
    NoOutcome(WaveCounts),
    /// Some letters of this wave have no outcome, since their source is paused.
    SourcePaused(WaveCounts),
}

/// A running replay.
struct ReplayJob<'a> {
    dead_letters: &'a DeadLetters<'a>,
    services: Services<'a>,
    job: &'a Job<'a>,
    options: Replay,
    shards: Shards,
    journal: Journal,
    plan: Plan,
    result: Replayed,
    /// The time at which the next letters may be sent.
    due: Instant,
    /// The number of waves begun.
    waves: u32,
    /// Keys sent and perhaps not marked done yet, with the hashes of their bodies.
    in_flight: HashMap<StoreKey, BodyHash>,
    progress: &'a mut dyn FnMut(Progress),
}

/// A wave of letters.
#[derive(Default)]
struct Wave {
    /// The name under which workers record its outcomes; none if they are not awaited.
    name: Option<String>,
    /// Outcomes are recorded by webhook: two letters of one webhook have one outcome.
    sent: HashSet<DeliveryId>,
}

impl DeadLetters<'_> {
    /// Sends the letters of `plan` back to their raw queues.
    ///
    /// # Errors
    /// [`DeadLetterError`]: the job could not begin, or its end could not be recorded.
    pub async fn replay(
        &self,
        services: Services<'_>,
        request: &JobRequest,
        mut plan: Plan,
        options: Replay,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Replayed, DeadLetterError> {
        let (job, journal) = self.begin(services, request).await?;
        let left_meanwhile = plan.remove_left(&journal);
        let mut running = ReplayJob {
            dead_letters: self,
            services,
            job: &job,
            options,
            shards: Shards::new(&self.config.sources),
            journal,
            plan,
            result: Replayed { left_meanwhile, ..Replayed::default() },
            due: Instant::now(),
            waves: 0,
            in_flight: HashMap::new(),
            progress,
        };
        let ended = running.run().await;
        let mut result = running.result;
        result.not_reached = running.plan.len().saturating_sub(result.not_found);
        let outcome = match result.stopped {
            None => JobOutcome::Finished,
            Some(Stopped::Interrupted) => JobOutcome::Interrupted,
            Some(Stopped::TooManyFailed(_) | Stopped::NoOutcome(_) | Stopped::SourcePaused(_)) => {
                JobOutcome::Stopped
            }
        };
        let cause = result.stopped.map(|stopped| stopped.to_string());
        result.error = job.end_counted(ended.err(), outcome, cause).await;
        Ok(result)
    }
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted"),
            Self::TooManyFailed(wave) => write!(f, "{} of {} failed again", wave.failed, letters(wave.sent)),
            Self::NoOutcome(wave) => {
                write!(f, "{}: no worker is running, or raw queues are long", without_outcome(wave))
            }
            Self::SourcePaused(wave) => write!(f, "{}: the source is paused", without_outcome(wave)),
        }
    }
}

fn without_outcome(wave: &WaveCounts) -> String {
    format!("no outcome yet of {} of {}", wave.open(), letters(wave.sent))
}

fn letters(n: u64) -> String {
    format!("{n} letter{}", if n == 1 { "" } else { "s" })
}

impl ReplayJob<'_> {
    async fn run(&mut self) -> Result<(), DeadLetterError> {
        for source in self.plan.source_names() {
            self.replay_source(&source).await?;
            if self.result.stopped.is_some() {
                break;
            }
            self.result.not_found += self.plan.remaining(&source);
        }
        Ok(())
    }

    /// Goes through a source's queue until it has met all selected letters. Each source has its own ramp:
    /// what is fixed for one source may still fail for another.
    async fn replay_source(&mut self, source: &SourceName) -> Result<(), DeadLetterError> {
        let mut ramp = self.options.canary.map(|canary| Ramp::new(canary.max_failing));
        let mut at_end = false;
        while !at_end && self.plan.remaining(source) > 0 && self.result.stopped.is_none() {
            let mut pass = self.dead_letters.pass(source).await?;
            let passed = self.pass(&mut pass, source, &mut ramp).await;
            at_end = pass.saw_all();
            pass.finish(passed, &self.journal).await?;
        }
        Ok(())
    }

    async fn pass(
        &mut self,
        pass: &mut Pass<'_>,
        source: &SourceName,
        ramp: &mut Option<Ramp>,
    ) -> Result<(), DeadLetterError> {
        let mut wave = self.next_wave(ramp);
        let mut at_end = false;
        while !at_end && self.result.stopped.is_none() {
            let room = ramp.map_or(BATCH, |ramp| ramp.size().saturating_sub(wave.sent.len()));
            let size = self.batch_size().min(room).max(1);
            let batch = next_batch(pass, &mut self.plan, &self.journal, size, self.services.stop).await?;
            at_end = batch.is_empty() || self.plan.remaining(source) == 0 || pass.saw_all() || pass.is_old();
            let sent = self.send(pass, batch, wave.name.as_deref()).await?;
            let letters = sent.len();
            wave.sent.extend(sent);
            (self.progress)(Progress::Letters(
                self.result.sent + self.result.already_done + self.result.held_back,
            ));
            if self.services.stop.is_cancelled() {
                self.result.stopped = Some(Stopped::Interrupted);
            }
            if let (Some(ramp), Some(canary)) = (ramp.as_mut(), self.options.canary)
                && !wave.sent.is_empty()
                && (at_end || wave.sent.len() >= ramp.size())
            {
                self.judge(source, &wave, ramp, canary).await?;
                wave = self.next_wave(&Some(*ramp));
            }
            self.keep_pace(letters).await;
        }
        Ok(())
    }

    /// Returns the number of letters to send at once: with a rate, a tenth of a second's worth.
    fn batch_size(&self) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a handful of letters")]
        self.options.rate.map_or(BATCH, |rate| (rate / 10.0).ceil() as usize).clamp(1, BATCH)
    }

    /// Begins a wave. It has a name if its outcomes are awaited.
    fn next_wave(&mut self, ramp: &Option<Ramp>) -> Wave {
        self.waves += 1;
        Wave { name: ramp.map(|_| format!("{}/{}", self.job.id, self.waves)), sent: HashSet::new() }
    }

    /// Publishes letters, records them in the journal, and only then acks them. Returns those that were sent.
    async fn send(
        &mut self,
        pass: &mut Pass<'_>,
        batch: Vec<Held>,
        wave: Option<&str>,
    ) -> Result<Vec<DeliveryId>, DeadLetterError> {
        let (done, sending) = self.split_by_done(batch).await?;
        for held in &done {
            record_state(self.services.store, &held.letter, State::Duplicate).await?;
        }
        if faults::is(Mutant::RemoveBeforeReplay) {
            for held in &sending {
                pass.ack(held).await?;
            }
        }
        let publishing = sending.iter().map(|held| {
            let shard = self.shards.shard_of(&held.letter.queued.webhook);
            let mut publication = routes::replay(&held.letter.queued, shard, wave.map(str::to_owned));
            publication.not_after = Instant::now() + routes::PATIENCE;
            self.services.publisher.publish(publication, routes::PATIENCE * 2)
        });
        let confirms = join_all(publishing).await;
        let failed = confirms.iter().find_map(|confirm| confirm.err());
        let sent: Vec<Held> = sending
            .into_iter()
            .zip(confirms)
            .filter(|(_, confirm)| confirm.is_ok())
            .map(|(held, _)| held)
            .collect();
        self.result.sent += sent.len() as u64;
        settle_all(self.job, &mut self.journal, pass, Fate::Replayed, &sent).await?;
        settle_all(self.job, &mut self.journal, pass, Fate::AlreadyDone, &done).await?;
        self.result.already_done += done.len() as u64;
        match failed {
            Some(error) => Err(DeadLetterError::NotMoved(error)),
            None => Ok(sent.iter().map(|held| held.letter.queued.webhook.delivery_id).collect()),
        }
    }

    /// Splits a batch into letters whose webhook is done and letters to send. A letter whose key is done, or
    /// in flight, by another body is held back, since it would be taken for a duplicate; with `again`, the
    /// done key is deleted from Redis and the letter is sent.
    async fn split_by_done(&mut self, batch: Vec<Held>) -> Result<(Vec<Held>, Vec<Held>), DeadLetterError> {
        let tried: Vec<_> = batch
            .iter()
            .map(|held| (&held.letter, normalize(self.dead_letters.config, &held.letter)))
            .collect();
        let found = look_up(self.services.store, &tried).await?;
        let mut priors = Vec::with_capacity(batch.len());
        if self.in_flight.len() > IN_FLIGHT_MAX {
            self.in_flight.clear();
        }
        for ((letter, normalized), prior) in tried.iter().zip(found) {
            let webhook = &letter.queued.webhook;
            let Ok(normalized) = normalized else {
                priors.push(Prior::Open);
                continue;
            };
            let body = BodyHash::of(&webhook.body);
            let ahead = *self.in_flight.entry(normalized.key.store_key(&webhook.source)).or_insert(body);
            priors.push(match prior {
                _ if ahead != body => Prior::DoneByAnother,
                Prior::DoneByAnother if self.options.again => {
                    self.services.store.forget(&webhook.source, &normalized.key).await?;
                    Prior::Open
                }
                Prior::Open | Prior::Done | Prior::DoneByAnother => prior,
            });
        }
        drop(tried);
        let (mut done, mut sending) = (Vec::new(), Vec::new());
        for (held, prior) in batch.into_iter().zip(priors) {
            match prior {
                Prior::Open => sending.push(held),
                Prior::Done => done.push(held),
                Prior::DoneByAnother => self.result.held_back += 1,
            }
        }
        Ok((done, sending))
    }

    /// Waits for the outcomes of a wave, and stops the replay if too many are bad or missing.
    async fn judge(
        &mut self,
        source: &SourceName,
        wave: &Wave,
        ramp: &mut Ramp,
        canary: Canary,
    ) -> Result<(), DeadLetterError> {
        let Some(name) = &wave.name else { return Ok(()) };
        let began = Instant::now();
        let counts = loop {
            let counts = self.services.store.fates(name, wave.sent.len() as u64).await?;
            (self.progress)(Progress::Waiting { sent: counts.sent, open: counts.open() });
            if counts.open() == 0 || began.elapsed() > canary.patience || self.services.stop.is_cancelled() {
                break counts;
            }
            sleep(POLL_EVERY).await;
        };
        self.result.outcomes += counts;
        drop(self.services.store.forget_wave(name).await);
        self.in_flight.clear();
        if self.result.stopped.is_none() {
            self.result.stopped = match ramp.judge(&counts) {
                WaveVerdict::Continue => None,
                WaveVerdict::TooManyFailed => Some(Stopped::TooManyFailed(counts)),
                WaveVerdict::NoOutcome if self.services.stop.is_cancelled() => Some(Stopped::Interrupted),
                WaveVerdict::NoOutcome if self.is_paused(source).await => Some(Stopped::SourcePaused(counts)),
                WaveVerdict::NoOutcome => Some(Stopped::NoOutcome(counts)),
            };
        }
        Ok(())
    }

    /// Returns whether a source is known to be paused.
    async fn is_paused(&self, source: &SourceName) -> bool {
        let declared = topology::declared(self.dead_letters.connection).await;
        declared.is_ok_and(|declared| declared.paused.contains_key(source))
    }

    /// Waits until the next letters may be sent. Lost time is not made up for.
    async fn keep_pace(&mut self, letters: usize) {
        let Some(rate) = self.options.rate else { return };
        #[expect(clippy::cast_precision_loss, reason = "a handful of letters")]
        let worth = Duration::from_secs_f64(letters as f64 / rate);
        self.due = self.due.max(Instant::now()) + worth;
        tokio::select! {
            () = sleep_until(self.due.into()) => {}
            () = self.services.stop.cancelled() => {}
        }
    }
}
