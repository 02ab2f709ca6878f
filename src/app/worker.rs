//! The worker pool: one lane per raw queue, each with its own channel and limit.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use lapin::Connection;
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{dead_log::DeadLog, gate::Gate, ledger, reading, settle};
use crate::{
    config::Config,
    core::{
        backoff::{Reconnect, Schedule},
        disposition::{Disposition, Fault, Reason},
        envelope::Encoded,
        inbound::Inbound,
        key::{self, IdempotencyKey},
        ledger::{Entry, State},
        lifecycle::{self, Answer, Claim, Life, Step},
        providers::{NormalizeError, Normalized},
        shard::Shard,
        webhook::{SourceName, Webhook},
    },
    edge::{
        amqp::{
            self,
            consumer::{Delivery, Intake, MarkIntake, Marks, Settler},
            message, names,
            publisher::{Publication, PublishError, Publisher, Trouble},
            topology::{self, Topology, TopologyError},
        },
        metrics::WorkerMetrics,
        store::Store,
    },
    faults::{self, Point},
};

/// How often a worker draws the ledger's balance for its metrics.
const BALANCE_EVERY: Duration = Duration::from_secs(15);

/// How many times the time for connecting it may take to check the topology and begin to consume.
const SET_UP_PATIENCE: u32 = 6;

/// What turns a webhook into events; a parameter, so that tests can make it fail.
pub type Normalize = for<'a> fn(&'a Webhook) -> Result<Normalized<'a>, NormalizeError>;

/// The worker pool of one process.
pub struct Worker {
    config: Config,
    schedule: Schedule,
    publisher: Publisher,
    store: Store,
    gate: Gate,
    metrics: Arc<WorkerMetrics>,
    dead_log: DeadLog,
    normalize: Normalize,
    /// Tells this process's claims from another's.
    owner: String,
    claims: AtomicU64,
    consuming: AtomicBool,
    has_consumed: AtomicBool,
    /// Keys whose events are confirmed while Redis could not be told so: whoever gets such a delivery again here
    /// must not publish it again.
    unmarked: Mutex<HashMap<[u8; 18], Unmarked>>,
}

/// A key whose events are confirmed, and whose done mark is missing.
#[derive(Clone, Copy)]
struct Unmarked {
    /// Of the webhook that was published.
    entry: Option<Entry>,
    fingerprint: u64,
    /// The mark would be gone by then.
    until: Instant,
}

/// A delivery that cannot be settled any more, since its channel is gone: the broker gives it out again.
struct Abandoned;

/// Why consuming ended.
enum Ended {
    /// We were asked to stop, and everything in flight is settled.
    Stopped,
    /// The connection or a channel failed.
    Lost(String),
}

/// A webhook, read: what is published and under which key.
struct Work {
    key: IdempotencyKey,
    fingerprint: u64,
    events: Vec<Encoded>,
    /// Tells this claim from every other; made up when it is first needed.
    owner: Option<String>,
    /// Where the claim's fence is.
    not_after: Instant,
}

impl Work {
    fn new(key: IdempotencyKey, body: &[u8], events: Vec<Encoded>) -> Self {
        let fingerprint = key::body_fingerprint(body);
        Self { key, fingerprint, events, owner: None, not_after: Instant::now() }
    }

    /// Of a webhook that cannot be read: no step of its life asks for any of it.
    fn none() -> Self {
        Self::new(IdempotencyKey::of_body(&[]), &[], Vec::new())
    }
}

impl Worker {
    /// A pool over started links.
    pub fn new(
        config: Config,
        publisher: Publisher,
        store: Store,
        gate: Gate,
        metrics: Arc<WorkerMetrics>,
        normalize: Normalize,
    ) -> Arc<Self> {
        let schedule = config.retry.schedule();
        // `o` marks an owner's token in Redis; a number is a done key.
        let owner = format!("o{:016x}", rand::random::<u64>());
        let dead_log = DeadLog::new(config.amqp.clone(), metrics.clone());
        Arc::new(Self {
            config,
            dead_log,
            schedule,
            publisher,
            store,
            gate,
            metrics,
            normalize,
            owner,
            claims: AtomicU64::new(0),
            consuming: AtomicBool::new(false),
            has_consumed: AtomicBool::new(false),
            unmarked: Mutex::default(),
        })
    }

    /// What keeps this pool from working now.
    pub fn trouble(&self) -> Option<Trouble> {
        let consuming = self.consuming.load(Ordering::Relaxed);
        self.gate.trouble().or_else(|| (!consuming).then_some(Trouble::NotConsuming))
    }

    /// Works until `stop`, through every outage of the broker and of Redis.
    ///
    /// # Errors
    /// The broker's topology is not what we need, at the first look: going on could lose messages.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), TopologyError> {
        let mut reconnect = Reconnect::default();
        while !stop.is_cancelled() {
            tokio::select! {
                () = self.gate.open() => {}
                () = stop.cancelled() => break,
            }
            let began = Instant::now();
            let ended = match self.consume(&stop).await {
                // While a cluster mends itself its nodes may disagree; what was right before will be right again.
                Err(differs) if self.has_consumed.load(Ordering::Relaxed) => Ended::Lost(differs.to_string()),
                ended => ended?,
            };
            match ended {
                Ended::Stopped => break,
                Ended::Lost(cause) => {
                    if began.elapsed() > self.config.amqp.heartbeat * 2 {
                        reconnect.reset();
                    }
                    let delay = reconnect.next_delay();
                    tracing::warn!(%cause, ?delay, "consuming ended, starting anew");
                    tokio::select! {
                        () = tokio::time::sleep(delay) => {}
                        () = stop.cancelled() => break,
                    }
                }
            }
        }
        self.dead_log.finish(self.config.worker.grace).await;
        Ok(())
    }

    /// Consumes over one connection until it fails or we are to stop.
    async fn consume(self: &Arc<Self>, stop: &CancellationToken) -> Result<Ended, TopologyError> {
        let connection = match amqp::connect(&self.config.amqp, "worker").await {
            Ok(connection) => connection,
            Err(error) => return Ok(Ended::Lost(error.to_string())),
        };
        let stop = stop.child_token();
        let connection = Arc::new(connection);
        // The broker may never answer for a queue that has no leader, while its heartbeats go on.
        let patience = self.config.amqp.connect_timeout * SET_UP_PATIENCE;
        let mut lanes = match tokio::time::timeout(patience, self.open_lanes(&connection, &stop)).await {
            Ok(Ok(lanes)) => lanes,
            Ok(Err(TopologyError::Lost(error))) => return Ok(Ended::Lost(error.to_string())),
            Ok(Err(differs @ TopologyError::Differs(_))) => return Err(differs),
            Err(_) => return Ok(Ended::Lost(format!("consuming could not begin within {patience:?}"))),
        };
        tracing::info!(raw_queues = lanes.len() - 1, "taking messages");
        self.consuming.store(true, Ordering::Relaxed);
        self.has_consumed.store(true, Ordering::Relaxed);
        let mut ended = Ended::Stopped;
        let grace = tokio::time::sleep(Duration::MAX);
        tokio::pin!(grace);
        loop {
            let lane = tokio::select! {
                lane = lanes.join_next() => lane,
                () = &mut grace => {
                    // One that waits for trouble of its own to end must not hold up all others.
                    lanes.shutdown().await;
                    break;
                }
            };
            let Some(lane) = lane else { break };
            self.consuming.store(false, Ordering::Relaxed);
            if let Ended::Lost(cause) = lane.unwrap_or_else(|e| Ended::Lost(e.to_string())) {
                // The other lanes finish what they have in work, and all start anew on a new connection.
                ended = Ended::Lost(cause);
                stop.cancel();
                grace.as_mut().reset(tokio::time::Instant::now() + self.config.worker.grace);
            }
        }
        let closing = connection.close(200, "done".into());
        drop(tokio::time::timeout(Duration::from_secs(1), closing).await);
        Ok(ended)
    }

    /// Checks the topology and begins to consume: the ledger's marks, and every raw queue of the sources that are ours.
    async fn open_lanes(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        stop: &CancellationToken,
    ) -> Result<JoinSet<Ended>, TopologyError> {
        Topology::of(&self.config).check(connection).await?;
        let mut lanes = JoinSet::new();
        let marks = MarkIntake::open(connection).await.map_err(TopologyError::Lost)?;
        let shards = topology::raw_shards(connection, &self.config).await.map_err(TopologyError::Lost)?;
        for (source, shard) in &shards {
            if self.config.worker.sources.as_ref().is_some_and(|mine| !mine.contains(source)) {
                continue;
            }
            let Some(settings) = self.config.sources.get(source) else { continue };
            let prefetch = self.config.worker.prefetch;
            let opening = Intake::open(connection, source.clone(), *shard, settings.provider, prefetch);
            let intake = opening.await.map_err(TopologyError::Lost)?;
            lanes.spawn(self.clone().lane(source.clone(), intake, stop.clone()));
        }
        lanes.spawn(self.clone().keep_ledger(connection.clone(), marks, shards, stop.clone()));
        Ok(lanes)
    }

    /// One raw queue's deliveries, as many at a time as may be.
    async fn lane(self: Arc<Self>, source: SourceName, mut intake: Intake, stop: CancellationToken) -> Ended {
        let settler = intake.settler();
        // Never more than the prefetch.
        let mut waiting = VecDeque::new();
        let mut in_work = FuturesUnordered::new();
        let mut downstream = Downstream::default();
        let mut in_flight = self.metrics.in_flight(&source);
        let mut ended = None;
        while ended.is_none() || !in_work.is_empty() {
            let begins =
                ended.is_none() && !waiting.is_empty() && in_work.len() < self.config.worker.concurrency;
            tokio::select! {
                Some(outcome) = in_work.next(), if !in_work.is_empty() => {
                    if downstream.note(outcome) {
                        self.metrics.paused(Trouble::DownstreamFull);
                    }
                }
                delivery = intake.next(), if ended.is_none() => match delivery {
                    Some(delivery) => waiting.push_back(delivery),
                    None => ended = Some(Ended::Lost("the channel is gone".to_owned())),
                },
                () = self.may_work(&downstream), if begins => {
                    in_work.extend(waiting.pop_front().map(|delivery| self.process(delivery, &settler)));
                }
                () = stop.cancelled(), if ended.is_none() => {
                    intake.stop(waiting.drain(..)).await;
                    ended = Some(Ended::Stopped);
                }
            }
            in_flight.set(waiting.len() + in_work.len());
        }
        ended.unwrap_or(Ended::Stopped)
    }

    /// Waits until we can work and the source's downstream takes events.
    async fn may_work(&self, downstream: &Downstream) {
        self.gate.open().await;
        if let Some(until) = downstream.pause_until {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Notes how far the receivers have come, and shows the balance now and then.
    async fn keep_ledger(
        self: Arc<Self>,
        connection: Arc<Connection>,
        mut intake: MarkIntake,
        shards: Vec<(SourceName, Shard)>,
        stop: CancellationToken,
    ) -> Ended {
        let mut balance_due = tokio::time::interval(BALANCE_EVERY);
        balance_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ended::Stopped,
                marks = intake.next() => {
                    let Some(marks) = marks else { return Ended::Lost("the ledger's channel is gone".to_owned()) };
                    tokio::select! {
                        () = self.note(&marks) => intake.ack(&marks).await,
                        () = stop.cancelled() => return Ended::Stopped,
                    }
                }
                _ = balance_due.tick() => tokio::select! {
                    () = self.show_balance(&connection, &shards) => {}
                    () = stop.cancelled() => return Ended::Stopped,
                },
            }
        }
    }

    async fn show_balance(&self, connection: &Connection, shards: &[(SourceName, Shard)]) {
        let drawing = ledger::balance(&self.store, connection, &self.config, shards);
        match tokio::time::timeout(BALANCE_EVERY, drawing).await {
            Ok(Ok(balance)) => {
                let queued = balance.queued + balance.waiting;
                self.metrics.balance(&balance.sources, queued, Timestamp::now());
            }
            Ok(Err(error)) => tracing::debug!(%error, "no balance"),
            Err(_) => tracing::debug!("no balance in time"),
        }
    }

    async fn note(&self, marks: &Marks) {
        for mark in &marks.marks {
            let Ok(source) = mark.source.parse() else { continue };
            let mut backoff = Reconnect::default();
            while self.store.mark(&source, mark).await.is_err() {
                tokio::time::sleep(backoff.next_delay()).await;
            }
        }
    }

    /// The life of one delivery: what to do next is [`Life`]'s to say; here it is done, and every trouble of ours is
    /// waited out. Whether a downstream queue took its events, where there is something to say of that.
    async fn process(&self, delivery: Delivery, settler: &Settler) -> Option<Flow> {
        let began = Instant::now();
        let inbound = &delivery.inbound;
        let attempt = inbound.history.attempt;
        let (mut work, mut life) = match self.read(&delivery) {
            Ok(work) => {
                let life = Life::of_webhook(attempt, &self.schedule, work.fingerprint, work.events.len());
                (work, life)
            }
            Err(fault) => (Work::none(), Life::of_fault(attempt, &self.schedule, fault)),
        };
        faults::at(Point::Taken);
        let (mut acked, mut refused) = (false, false);
        let mut backoff = Reconnect::default();
        loop {
            let answer = match life.step() {
                Step::Claim => self.claim(inbound, &mut work).await,
                Step::Publish(position) => self.publish(&inbound.webhook, &work, position).await,
                Step::MarkDone => self.mark_done(inbound, &work).await,
                Step::Release => self.release(&inbound.webhook.source, &work).await,
                Step::SendOn(disposition) => self.send_on(inbound, disposition).await,
                Step::NoteDead => self.note_dead(inbound).await,
                Step::Ack => {
                    acked = settler.ack(&delivery).await;
                    faults::at(Point::Acked);
                    Ok(Answer::Settled)
                }
                Step::End => break,
            };
            refused |= answer == Ok(Answer::Refused);
            life.after(answer.unwrap_or(Answer::Trouble));
            if let Err(trouble) = answer {
                self.wait_out(trouble, &mut backoff, settler).await.ok()?;
            }
        }
        let disposition = life.disposition()?;
        if let Some(wave) = &inbound.history.wave {
            // Whoever waits for it says so if nothing is heard.
            drop(self.store.note_fate(wave, inbound.webhook.delivery_id, disposition).await);
        }
        self.report(&inbound.webhook, disposition, acked, began.elapsed());
        match disposition {
            Disposition::Done { .. } => Some(Flow::Taken),
            Disposition::Retry { .. } if refused => Some(Flow::Refused),
            Disposition::Duplicate { .. } | Disposition::Retry { .. } | Disposition::DeadLetter { .. } => {
                None
            }
        }
    }

    /// Turns the delivery into encoded events, or says what is wrong with it. Pure but for counting drift.
    fn read(&self, delivery: &Delivery) -> Result<Work, Fault> {
        let webhook = &delivery.inbound.webhook;
        if let Some(invalid) = &delivery.invalid {
            return Err(Fault::Permanent { reason: Reason::InvalidMessage, error: invalid.to_string() });
        }
        // One more crash, and the broker would dead-letter it without a word to the ledger.
        if delivery.redeliveries >= self.config.retry.delivery_limit {
            let error = format!(
                "given out {} times and never settled: it may kill its worker",
                delivery.redeliveries
            );
            return Err(Fault::Permanent { reason: Reason::DeliveryLimit, error });
        }
        let read = reading::read(&self.config, self.normalize, webhook)?;
        for drift in &read.drift {
            if self.metrics.drifted(webhook.provider, drift) {
                let (path, class) = (&drift.path, drift.class);
                tracing::warn!(provider = %webhook.provider, source = %webhook.source, %path, class, "schema drift: the provider sends what we did not expect; it is carried under `unmapped`");
            }
        }
        Ok(Work::new(read.key, &webhook.body, read.events))
    }

    async fn claim(&self, inbound: &Inbound, work: &mut Work) -> Result<Answer, Trouble> {
        let source = &inbound.webhook.source;
        if self.unmarked().contains_key(&work.key.store_name(source)) {
            return Ok(Answer::Claim(Claim::Unmarked));
        }
        let lease = self.config.dedup.lease;
        work.owner.get_or_insert_with(|| self.next_owner());
        work.not_after = Instant::now() + lifecycle::fence(lease, self.config.amqp.confirm_timeout);
        let owner = work.owner.as_deref().unwrap_or_default();
        match self.store.claim(source, &work.key, owner, lease, inbound.entry).await {
            Ok(claim) => {
                if claim == Claim::Claimed {
                    faults::at(Point::Claimed);
                }
                Ok(Answer::Claim(claim))
            }
            Err(error) => {
                tracing::debug!(%error, "claim");
                Err(Trouble::StoreDown)
            }
        }
    }

    /// One event after the other: their order is the order of publishing.
    async fn publish(&self, webhook: &Webhook, work: &Work, position: usize) -> Result<Answer, Trouble> {
        let event = &work.events[position];
        let publication = Publication {
            exchange: names::PUBLISHED_EXCHANGE.to_owned(),
            routing_key: event.routing_key.clone(),
            properties: message::event_properties(event, webhook),
            body: Bytes::from(event.body.clone()),
            not_after: work.not_after,
        };
        match self.publisher.publish(publication, self.config.amqp.confirm_timeout).await {
            Ok(()) => {
                faults::at(Point::Confirmed);
                self.metrics.published(&webhook.source, event.kind);
                Ok(Answer::Confirmed)
            }
            Err(PublishError::Refused) => Ok(Answer::Refused),
            Err(error) => Err(error.trouble()),
        }
    }

    /// Marks the key done: by this webhook, or by the one whose mark is still missing.
    async fn mark_done(&self, inbound: &Inbound, work: &Work) -> Result<Answer, Trouble> {
        let source = &inbound.webhook.source;
        let name = work.key.store_name(source);
        let ttl =
            self.config.sources.get(source).and_then(|s| s.done_ttl).unwrap_or(self.config.dedup.done_ttl);
        let missing = self.unmarked().get(&name).copied();
        let by = missing.unwrap_or_else(|| Unmarked {
            entry: inbound.entry,
            fingerprint: work.fingerprint,
            until: Instant::now() + ttl,
        });
        let marked = async {
            self.store.done(source, &work.key, by.fingerprint, ttl, by.entry).await?;
            match inbound.entry.filter(|_| inbound.entry != by.entry) {
                Some(entry) => self.store.record(source, entry, State::Duplicate).await,
                None => Ok(()),
            }
        };
        let marked = marked.await;
        let mut unmarked = self.unmarked();
        match marked {
            Ok(()) => {
                faults::at(Point::Done);
                unmarked.remove(&name);
                Ok(Answer::Settled)
            }
            Err(error) => {
                tracing::debug!(%error, "done");
                let now = Instant::now();
                // Another process may have marked it since, and then nobody comes here for it any more.
                unmarked.retain(|_, missing| missing.until > now);
                unmarked.insert(name, by);
                Err(Trouble::StoreDown)
            }
        }
    }

    /// If this fails the lease ends by itself.
    async fn release(&self, source: &SourceName, work: &Work) -> Result<Answer, Trouble> {
        if let Some(owner) = &work.owner {
            drop(self.store.release(source, &work.key, owner).await);
        }
        Ok(Answer::Settled)
    }

    /// Publishes the webhook to where it waits or rests.
    async fn send_on(&self, inbound: &Inbound, disposition: &Disposition) -> Result<Answer, Trouble> {
        if let Some(publication) = settle::send_on(inbound, disposition, Timestamp::now()) {
            let logged = matches!(disposition, Disposition::DeadLetter { .. }).then(|| publication.clone());
            let sent = self.publisher.publish(publication, self.config.amqp.confirm_timeout).await;
            sent.map_err(PublishError::trouble)?;
            faults::at(Point::SentOn);
            if let Some(letter) = logged {
                self.dead_log.write(letter).await;
            }
        }
        Ok(Answer::Confirmed)
    }

    /// The dead letter is safe; where Redis cannot be told so, the ledger would miss one.
    async fn note_dead(&self, inbound: &Inbound) -> Result<Answer, Trouble> {
        if let Some(entry) = inbound.entry {
            let noted = self.store.record(&inbound.webhook.source, entry, State::Dead).await;
            noted.map_err(|error| {
                tracing::debug!(%error, "ledger");
                Trouble::StoreDown
            })?;
        }
        Ok(Answer::Settled)
    }

    fn next_owner(&self) -> String {
        format!("{}-{:x}", self.owner, self.claims.fetch_add(1, Ordering::Relaxed))
    }

    fn unmarked(&self) -> MutexGuard<'_, HashMap<[u8; 18], Unmarked>> {
        self.unmarked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it makes sense to try again; not longer than the delivery can be settled.
    async fn wait_out(
        &self,
        trouble: Trouble,
        backoff: &mut Reconnect,
        settler: &Settler,
    ) -> Result<(), Abandoned> {
        if matches!(trouble, Trouble::Topology) {
            tracing::error!("events cannot be routed: {trouble}");
        }
        let again = async {
            tokio::time::sleep(backoff.next_delay()).await;
            self.gate.open().await;
        };
        tokio::select! {
            () = again => Ok(()),
            () = settler.gone() => Err(Abandoned),
        }
    }

    /// The one log line of a delivery, and its numbers.
    fn report(&self, webhook: &Webhook, disposition: &Disposition, acked: bool, took: Duration) {
        self.metrics.settled(&webhook.source, disposition, took);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (source, delivery_id, word) = (&webhook.source, &webhook.delivery_id, disposition.as_str());
        match disposition {
            Disposition::Done { events } => {
                tracing::info!(%source, %delivery_id, disposition = word, acked, took_ms, events, "{word}");
            }
            Disposition::Duplicate { other_body } => {
                tracing::info!(%source, %delivery_id, disposition = word, acked, took_ms, other_body, "{word}");
            }
            Disposition::Retry { tier, attempt, error } => {
                let (tier, attempt, error) = (tier.name(), attempt.0, error.as_deref().unwrap_or_default());
                tracing::info!(%source, %delivery_id, disposition = word, acked, took_ms, tier, attempt, error, "{word}");
            }
            Disposition::DeadLetter { reason, error, attempts } => {
                let attempts = attempts.0;
                tracing::warn!(%source, %delivery_id, disposition = word, acked, took_ms, %reason, %error, attempts, "{word}");
            }
        }
    }
}

/// Whether a downstream queue takes events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Taken,
    Refused,
}

/// Slows a source down whose events are refused, so that its backlog does not race through the delay queue.
#[derive(Default)]
struct Downstream {
    backoff: Reconnect,
    pause_until: Option<tokio::time::Instant>,
}

impl Downstream {
    /// Whether this begins a pause.
    fn note(&mut self, flow: Option<Flow>) -> bool {
        match flow {
            Some(Flow::Taken) => {
                self.backoff.reset();
                self.pause_until = None;
                false
            }
            Some(Flow::Refused)
                if self.pause_until.is_none_or(|until| until <= tokio::time::Instant::now()) =>
            {
                self.pause_until = Some(tokio::time::Instant::now() + self.backoff.next_delay());
                true
            }
            Some(Flow::Refused) | None => false,
        }
    }
}
