//! Sending letters back to their raw queue: a few first, then more, for as long as they do well.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    DeadLetterError, Desk, Order, Plan, Progress, Tools,
    job::Running,
    queue::{Held, Pass},
    standing::{Standing, attempt, standings},
};
use crate::{
    app::settle,
    core::{
        ledger::State,
        letters::{Fate, Fates, Journal, Outcome, Ramp, Verdict},
        webhook::SourceName,
    },
    faults::{self, Mutant},
};

/// Letters that are on their way at the same time, and share one record of the journal.
const BATCH: usize = 64;

/// How often the fates of a wave are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

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
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// Letters sent back.
    pub sent: u64,
    /// Letters whose webhook had been done meanwhile: out of the queue, nothing published.
    pub already_done: u64,
    /// Letters left where they are, since their key is done by another body.
    pub held_back: u64,
    /// Letters that were meant and were not in their queue.
    pub not_found: u64,
    /// Letters not reached.
    pub not_reached: u64,
    /// What became of those sent, as far as it was waited for.
    pub fates: Fates,
    /// Why it stopped before the end.
    pub stopped: Option<Stopped>,
}

/// Why a replay stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Somebody asked.
    Asked,
    /// Too many of a wave failed again.
    TooManyFailed(Fates),
    /// Of some of a wave nothing was heard.
    Unheard(Fates),
}

/// A replay under way.
struct Run<'a> {
    desk: &'a Desk<'a>,
    tools: Tools<'a>,
    job: &'a Running<'a>,
    replay: Replay,
    journal: Journal,
    plan: Plan,
    came: Replayed,
    began: Instant,
    waves: u32,
    progress: &'a mut dyn FnMut(Progress),
}

/// A wave of letters.
#[derive(Default)]
struct Wave {
    /// Under which its fates are noted; none where nobody waits for them.
    name: Option<String>,
    sent: u64,
}

impl Desk<'_> {
    /// Sends the letters of `plan` back.
    ///
    /// # Errors
    /// [`DeadLetterError`]; what was done until then is done and on record.
    pub async fn replay(
        &self,
        tools: Tools<'_>,
        order: &Order,
        plan: Plan,
        replay: Replay,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Replayed, DeadLetterError> {
        let (job, journal) = self.begin(tools.publisher, order).await?;
        let mut run = Run {
            desk: self,
            tools,
            job: &job,
            replay,
            journal,
            plan,
            came: Replayed::default(),
            began: Instant::now(),
            waves: 0,
            progress,
        };
        let came = match run.all().await {
            Ok(()) => {
                let came = run.came;
                let outcome = match came.stopped {
                    None => Outcome::Finished,
                    Some(Stopped::Asked) => Outcome::Interrupted,
                    Some(Stopped::TooManyFailed(_) | Stopped::Unheard(_)) => Outcome::Stopped,
                };
                let note = came.stopped.map(|stopped| stopped.to_string());
                Ok((outcome, 0, note, came))
            }
            Err(error) => Err(error),
        };
        job.end_with(came).await
    }
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Asked => f.write_str("stopped by hand"),
            Self::TooManyFailed(wave) => write!(f, "{} of {} letters failed again", wave.failed, wave.sent),
            Self::Unheard(wave) => {
                write!(f, "nothing was heard of {} of {} letters: do workers run?", wave.open(), wave.sent)
            }
        }
    }
}

impl Run<'_> {
    async fn all(&mut self) -> Result<(), DeadLetterError> {
        for source in self.plan.sources().keys().cloned().collect::<Vec<_>>() {
            self.source(&source).await?;
            if self.came.stopped.is_some() {
                break;
            }
            self.came.not_found += self.plan.left(&source);
        }
        let left: u64 = self.plan.sources().values().sum();
        self.came.not_reached = left - self.came.not_found;
        Ok(())
    }

    /// Goes through a source's queue until all letters that are meant were met. Each source has a ramp of its own: what
    /// is mended for one may not be for another.
    async fn source(&mut self, source: &SourceName) -> Result<(), DeadLetterError> {
        let mut ramp = self.replay.canary.map(|canary| Ramp::new(canary.max_failing));
        let mut saw_all = false;
        while !saw_all && self.plan.left(source) > 0 && self.came.stopped.is_none() {
            let mut pass = Pass::open(self.desk, source).await?;
            let passed = self.pass(&mut pass, source, &mut ramp).await;
            saw_all = pass.saw_all() || !pass.is_old();
            let closed = pass.close().await;
            passed?;
            closed?;
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
            let room = ramp.map_or(u64::MAX, |ramp| ramp.size() as u64 - wave.sent);
            let batch = self.batch(pass, source, room).await?;
            at_end = self.plan.left(source) == 0 || pass.saw_all() || pass.is_old() || batch.is_empty();
            wave.sent += self.send(pass, batch, wave.name.as_deref()).await?;
            (self.progress)(Progress::Letters(self.came.sent + self.came.already_done + self.came.held_back));
            if self.tools.stop.is_cancelled() {
                self.came.stopped = Some(Stopped::Asked);
            }
            if let (Some(ramp), Some(canary)) = (ramp.as_mut(), self.replay.canary)
                && wave.sent > 0
                && (at_end || wave.sent >= ramp.size() as u64)
            {
                self.judge(&wave, ramp, canary).await?;
                wave = self.next_wave(&Some(*ramp));
            }
            self.keep_pace().await;
        }
        Ok(())
    }

    fn next_wave(&mut self, ramp: &Option<Ramp>) -> Wave {
        self.waves += 1;
        Wave { name: ramp.map(|_| format!("{}/{}", self.job.id, self.waves)), sent: 0 }
    }

    /// The next letters that are meant. What an earlier job has settled and could not ack any more is acked on the way.
    async fn batch(
        &mut self,
        pass: &mut Pass<'_>,
        source: &SourceName,
        room: u64,
    ) -> Result<Vec<Held>, DeadLetterError> {
        // A tenth of a second's worth, where there is a pace.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a handful of letters")]
        let paced = self.replay.rate.map_or(BATCH, |rate| (rate / 10.0).ceil() as usize).clamp(1, BATCH);
        let size = paced.min(usize::try_from(room).unwrap_or(BATCH)).max(1);
        let mut batch = Vec::with_capacity(size);
        while batch.len() < size && self.plan.left(source) > 0 && !self.tools.stop.is_cancelled() {
            let Some(held) = pass.next().await? else { break };
            if self.journal.is_settled(held.letter.id) {
                pass.ack(&held).await?;
            } else if self.plan.take(held.letter.id, source) {
                batch.push(held);
            }
        }
        Ok(batch)
    }

    /// Publishes letters, writes them in the journal, and only then takes them out of the queue. How many were sent.
    async fn send(
        &mut self,
        pass: &mut Pass<'_>,
        batch: Vec<Held>,
        wave: Option<&str>,
    ) -> Result<u64, DeadLetterError> {
        let tried: Vec<_> =
            batch.iter().map(|held| (&held.letter, attempt(self.desk.config, &held.letter))).collect();
        let standings = standings(self.tools.store, &tried).await?;
        for ((letter, read), standing) in tried.iter().zip(&standings) {
            if let (Standing::DoneByAnother, true, Ok(read)) = (standing, self.replay.again, read) {
                self.tools.store.forget(&letter.inbound.webhook.source, &read.key).await?;
            }
        }
        drop(tried);
        let (mut done, mut sending) = (Vec::new(), Vec::new());
        for (held, standing) in batch.into_iter().zip(standings) {
            match standing {
                Standing::Done => done.push(held),
                Standing::DoneByAnother if !self.replay.again => self.came.held_back += 1,
                Standing::Open | Standing::DoneByAnother => sending.push(held),
            }
        }
        for held in &done {
            let inbound = &held.letter.inbound;
            if let Some(entry) = inbound.entry {
                self.tools.store.record(&inbound.webhook.source, entry, State::Duplicate).await?;
            }
        }
        if faults::is(Mutant::RemoveBeforeReplay) {
            for held in &sending {
                pass.ack(held).await?;
            }
        }
        let publishing = sending.iter().map(|held| {
            let mut publication = settle::replay(&held.letter.inbound, wave.map(str::to_owned));
            publication.not_after = Instant::now() + settle::PATIENCE;
            self.tools.publisher.publish(publication, settle::PATIENCE * 2)
        });
        let verdicts = join_all(publishing).await;
        let failed = verdicts.iter().find_map(|verdict| verdict.err());
        let sent: Vec<Held> = sending
            .into_iter()
            .zip(verdicts)
            .filter(|(_, verdict)| verdict.is_ok())
            .map(|(h, _)| h)
            .collect();
        self.settle(pass, Fate::AlreadyDone, &done).await?;
        self.settle(pass, Fate::Replayed, &sent).await?;
        self.came.already_done += done.len() as u64;
        self.came.sent += sent.len() as u64;
        match failed {
            Some(error) => Err(DeadLetterError::NotMoved(error)),
            None => Ok(sent.len() as u64),
        }
    }

    async fn settle(
        &mut self,
        pass: &mut Pass<'_>,
        fate: Fate,
        letters: &[Held],
    ) -> Result<(), DeadLetterError> {
        settle_all(self.job, pass, fate, letters).await
    }

    /// Waits for the outcome of a wave, and stops the replay if it is bad.
    async fn judge(&mut self, wave: &Wave, ramp: &mut Ramp, canary: Canary) -> Result<(), DeadLetterError> {
        let Some(name) = &wave.name else { return Ok(()) };
        let asked = Instant::now();
        let fates = loop {
            let fates = self.tools.store.fates(name, wave.sent).await?;
            (self.progress)(Progress::Waiting { sent: wave.sent, open: fates.open() });
            if fates.open() == 0 || asked.elapsed() > canary.patience || self.tools.stop.is_cancelled() {
                break fates;
            }
            sleep(LOOK_EVERY).await;
        };
        self.came.fates += fates;
        drop(self.tools.store.forget_wave(name).await);
        if self.came.stopped.is_none() {
            self.came.stopped = match ramp.judge(&fates) {
                Verdict::GoOn => None,
                Verdict::TooManyFailed => Some(Stopped::TooManyFailed(fates)),
                Verdict::Unheard if self.tools.stop.is_cancelled() => Some(Stopped::Asked),
                Verdict::Unheard => Some(Stopped::Unheard(fates)),
            };
        }
        Ok(())
    }

    async fn keep_pace(&self) {
        let Some(rate) = self.replay.rate else { return };
        #[expect(clippy::cast_precision_loss, reason = "a count of letters")]
        let due = self.began + Duration::from_secs_f64(self.came.sent as f64 / rate);
        let pause = due.saturating_duration_since(Instant::now());
        wait(self.tools.stop, pause).await;
    }
}

/// Writes letters in the journal and takes them out of the queue.
pub(super) async fn settle_all(
    job: &Running<'_>,
    pass: &mut Pass<'_>,
    fate: Fate,
    letters: &[Held],
) -> Result<(), DeadLetterError> {
    job.gone(fate, letters.iter().map(|held| held.letter.id.key()).collect()).await?;
    if !faults::is(Mutant::RemoveBeforeReplay) {
        for held in letters {
            pass.ack(held).await?;
        }
    }
    Ok(())
}

async fn wait(stop: &CancellationToken, pause: Duration) {
    tokio::select! {
        () = sleep(pause) => {}
        () = stop.cancelled() => {}
    }
}
