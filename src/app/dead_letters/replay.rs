//! Sending letters back to their raw queue: a few first, then more, for as long as they do well.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::time::{sleep, sleep_until};

use super::{
    DeadLetterError, DeadLetters, JobRequest, Plan, Progress, Services,
    batch::next_batch,
    job::{Running, note, settle_all},
    standing::{Prior, attempt, standings},
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
        routes,
    },
    faults::{self, Mutant},
};

/// Letters that are on their way at the same time, and share one record of the journal.
const BATCH: usize = 64;

/// How often the fates of a wave are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How many keys that are on their way are remembered: some megabytes.
const ON_THEIR_WAY_MAX: usize = 100_000;

/// How a replay watches over itself.
#[derive(Clone, Copy, Debug)]
pub struct Canary {
    /// It stops when more than this share (0 to 1) of a wave fails again.
    pub max_failing: f64,
    /// How long it waits for the outcome of a wave.
    pub patience: Duration,
}

/// How letters are sent back.
#[derive(Clone, Copy, Debug)]
pub struct Replay {
    /// In growing waves, each of which must do well; else all at once.
    pub canary: Option<Canary>,
    /// At most so many a second.
    pub rate: Option<f64>,
    /// Also letters whose key is done by another body: the key is forgotten first, so that the letter is not taken for a
    /// duplicate.
    pub again: bool,
}

/// What a replay came to.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Letters sent back.
    pub sent: u64,
    /// Letters whose webhook had been done meanwhile: out of the queue, nothing published.
    pub already_done: u64,
    /// Letters left where they are, since their key is done by another body.
    pub held_back: u64,
    /// Letters that have left meanwhile through another job.
    pub left_meanwhile: u64,
    /// Letters that were meant and were not in their queue.
    pub not_found: u64,
    /// Letters not reached.
    pub not_reached: u64,
    /// What became of those sent, as far as it was waited for.
    pub fates: WaveCounts,
    /// Why it stopped before the end.
    pub stopped: Option<Stopped>,
    /// What went wrong, if anything did; what is counted here is done all the same.
    pub error: Option<DeadLetterError>,
}

/// Why a replay stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Somebody asked.
    Asked,
    /// Too many of a wave failed again.
    TooManyFailed(WaveCounts),
    /// Of some of a wave nothing was heard.
    Unheard(WaveCounts),
}

/// A replay under way.
struct Run<'a> {
    desk: &'a DeadLetters<'a>,
    tools: Services<'a>,
    job: &'a Running<'a>,
    replay: Replay,
    spread: Shards,
    journal: Journal,
    plan: Plan,
    came: Replayed,
    /// When the next letters may go.
    due: Instant,
    waves: u32,
    /// What is on its way and may not be marked done yet: keys, and the hashes of their bodies.
    on_their_way: HashMap<StoreKey, BodyHash>,
    progress: &'a mut dyn FnMut(Progress),
}

/// A wave of letters.
#[derive(Default)]
struct Wave {
    /// Under which its fates are noted; none where nobody waits for them.
    name: Option<String>,
    /// WaveCounts are noted by webhook: of two letters of one there is one fate.
    sent: HashSet<DeliveryId>,
}

impl DeadLetters<'_> {
    /// Sends the letters of `plan` back.
    ///
    /// # Errors
    /// [`DeadLetterError`]: it could not begin, or its end could not be written down.
    pub async fn replay(
        &self,
        tools: Services<'_>,
        order: &JobRequest,
        mut plan: Plan,
        replay: Replay,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Replayed, DeadLetterError> {
        let (job, journal) = self.begin(tools, order).await?;
        let left_meanwhile = plan.without(&journal);
        let mut run = Run {
            desk: self,
            tools,
            job: &job,
            replay,
            spread: Shards::new(&self.config.sources),
            journal,
            plan,
            came: Replayed { left_meanwhile, ..Replayed::default() },
            due: Instant::now(),
            waves: 0,
            on_their_way: HashMap::new(),
            progress,
        };
        let ran = run.all().await;
        let mut came = run.came;
        came.not_reached = run.plan.len().saturating_sub(came.not_found);
        came.error = ran.err();
        let outcome = match came.stopped {
            None => JobOutcome::Finished,
            Some(Stopped::Asked) => JobOutcome::Interrupted,
            Some(Stopped::TooManyFailed(_) | Stopped::Unheard(_)) => JobOutcome::Stopped,
        };
        let note = came.stopped.map(|stopped| stopped.to_string());
        job.end_counted(came.error.as_ref(), outcome, note).await?;
        Ok(came)
    }
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Asked => f.write_str("stopped by hand"),
            Self::TooManyFailed(wave) => write!(f, "{} of {} letters failed again", wave.failed, wave.sent),
            Self::Unheard(wave) => {
                let (open, sent) = (wave.open(), wave.sent);
                write!(
                    f,
                    "nothing was heard of {open} of {sent} letters: no worker runs, or raw queues are long"
                )
            }
        }
    }
}

impl Run<'_> {
    async fn all(&mut self) -> Result<(), DeadLetterError> {
        for source in self.plan.names() {
            self.source(&source).await?;
            if self.came.stopped.is_some() {
                break;
            }
            self.came.not_found += self.plan.left(&source);
        }
        Ok(())
    }

    /// Goes through a source's queue until all letters that are meant were met. Each source has a ramp of its own: what
    /// is mended for one may not be for another.
    async fn source(&mut self, source: &SourceName) -> Result<(), DeadLetterError> {
        let mut ramp = self.replay.canary.map(|canary| Ramp::new(canary.max_failing));
        let mut at_end = false;
        while !at_end && self.plan.left(source) > 0 && self.came.stopped.is_none() {
            let mut pass = self.desk.pass(source).await?;
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
        while !at_end && self.came.stopped.is_none() {
            let room = ramp.map_or(BATCH, |ramp| ramp.size().saturating_sub(wave.sent.len()));
            let size = self.batch_size().min(room).max(1);
            let batch = next_batch(pass, &mut self.plan, &self.journal, size, self.tools.stop).await?;
            at_end = batch.is_empty() || self.plan.left(source) == 0 || pass.saw_all() || pass.is_old();
            let sent = self.send(pass, batch, wave.name.as_deref()).await?;
            let letters = sent.len();
            wave.sent.extend(sent);
            (self.progress)(Progress::Letters(self.came.sent + self.came.already_done + self.came.held_back));
            if self.tools.stop.is_cancelled() {
                self.came.stopped = Some(Stopped::Asked);
            }
            if let (Some(ramp), Some(canary)) = (ramp.as_mut(), self.replay.canary)
                && !wave.sent.is_empty()
                && (at_end || wave.sent.len() >= ramp.size())
            {
                self.judge(&wave, ramp, canary).await?;
                wave = self.next_wave(&Some(*ramp));
            }
            self.keep_pace(letters).await;
        }
        Ok(())
    }

    /// A tenth of a second's worth, where there is a pace.
    fn batch_size(&self) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a handful of letters")]
        self.replay.rate.map_or(BATCH, |rate| (rate / 10.0).ceil() as usize).clamp(1, BATCH)
    }

    fn next_wave(&mut self, ramp: &Option<Ramp>) -> Wave {
        self.waves += 1;
        Wave { name: ramp.map(|_| format!("{}/{}", self.job.id, self.waves)), sent: HashSet::new() }
    }

    /// Publishes letters, writes them in the journal, and only then takes them out of the queue. Those that were sent.
    async fn send(
        &mut self,
        pass: &mut Pass<'_>,
        batch: Vec<Held>,
        wave: Option<&str>,
    ) -> Result<Vec<DeliveryId>, DeadLetterError> {
        let (done, sending) = self.sort(batch).await?;
        for held in &done {
            note(&self.tools, &held.letter, State::Duplicate).await?;
        }
        if faults::is(Mutant::RemoveBeforeReplay) {
            for held in &sending {
                pass.ack(held).await?;
            }
        }
        let publishing = sending.iter().map(|held| {
            let shard = self.spread.shard_of(&held.letter.queued.webhook);
            let mut publication = routes::replay(&held.letter.queued, shard, wave.map(str::to_owned));
            publication.not_after = Instant::now() + routes::PATIENCE;
            self.tools.publisher.publish(publication, routes::PATIENCE * 2)
        });
        let verdicts = join_all(publishing).await;
        let failed = verdicts.iter().find_map(|verdict| verdict.err());
        let sent: Vec<Held> = sending
            .into_iter()
            .zip(verdicts)
            .filter(|(_, verdict)| verdict.is_ok())
            .map(|(h, _)| h)
            .collect();
        self.came.sent += sent.len() as u64;
        settle_all(self.job, &mut self.journal, pass, Fate::Replayed, &sent).await?;
        settle_all(self.job, &mut self.journal, pass, Fate::AlreadyDone, &done).await?;
        self.came.already_done += done.len() as u64;
        match failed {
            Some(error) => Err(DeadLetterError::NotMoved(error)),
            None => Ok(sent.iter().map(|held| held.letter.queued.webhook.delivery_id).collect()),
        }
    }

    /// Those whose webhook is done, and those to send. What has a key that is done, or on its way, by another body is held
    /// back: it would be taken for a duplicate.
    async fn sort(&mut self, batch: Vec<Held>) -> Result<(Vec<Held>, Vec<Held>), DeadLetterError> {
        let tried: Vec<_> =
            batch.iter().map(|held| (&held.letter, attempt(self.desk.config, &held.letter))).collect();
        let standings = standings(self.tools.store, &tried).await?;
        let mut fates = Vec::with_capacity(batch.len());
        if self.on_their_way.len() > ON_THEIR_WAY_MAX {
            self.on_their_way.clear();
        }
        for ((letter, read), standing) in tried.iter().zip(standings) {
            let webhook = &letter.queued.webhook;
            let Ok(read) = read else {
                fates.push(Prior::Open);
                continue;
            };
            let body = BodyHash::of(&webhook.body);
            let ahead = *self.on_their_way.entry(read.key.store_key(&webhook.source)).or_insert(body);
            fates.push(match standing {
                _ if ahead != body => Prior::DoneByAnother,
                Prior::DoneByAnother if self.replay.again => {
                    self.tools.store.forget(&webhook.source, &read.key).await?;
                    Prior::Open
                }
                Prior::Open | Prior::Done | Prior::DoneByAnother => standing,
            });
        }
        drop(tried);
        let (mut done, mut sending) = (Vec::new(), Vec::new());
        for (held, fate) in batch.into_iter().zip(fates) {
            match fate {
                Prior::Open => sending.push(held),
                Prior::Done => done.push(held),
                Prior::DoneByAnother => self.came.held_back += 1,
            }
        }
        Ok((done, sending))
    }

    /// Waits for the outcome of a wave, and stops the replay if it is bad.
    async fn judge(&mut self, wave: &Wave, ramp: &mut Ramp, canary: Canary) -> Result<(), DeadLetterError> {
        let Some(name) = &wave.name else { return Ok(()) };
        let asked = Instant::now();
        let fates = loop {
            let fates = self.tools.store.fates(name, wave.sent.len() as u64).await?;
            (self.progress)(Progress::Waiting { sent: fates.sent, open: fates.open() });
            if fates.open() == 0 || asked.elapsed() > canary.patience || self.tools.stop.is_cancelled() {
                break fates;
            }
            sleep(LOOK_EVERY).await;
        };
        self.came.fates += fates;
        drop(self.tools.store.forget_wave(name).await);
        self.on_their_way.clear();
        if self.came.stopped.is_none() {
            self.came.stopped = match ramp.judge(&fates) {
                WaveVerdict::Continue => None,
                WaveVerdict::TooManyFailed => Some(Stopped::TooManyFailed(fates)),
                WaveVerdict::NoOutcome if self.tools.stop.is_cancelled() => Some(Stopped::Asked),
                WaveVerdict::NoOutcome => Some(Stopped::Unheard(fates)),
            };
        }
        Ok(())
    }

    /// Waits until the next letters may go. Time that was lost is not made up for.
    async fn keep_pace(&mut self, letters: usize) {
        let Some(rate) = self.replay.rate else { return };
        #[expect(clippy::cast_precision_loss, reason = "a handful of letters")]
        let worth = Duration::from_secs_f64(letters as f64 / rate);
        self.due = self.due.max(Instant::now()) + worth;
        tokio::select! {
            () = sleep_until(self.due.into()) => {}
            () = self.tools.stop.cancelled() => {}
        }
    }
}
