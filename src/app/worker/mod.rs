//! The worker pool: one lane per raw queue, each with its own channel and limit. What becomes of its deliveries is in
//! `worker/batch.rs`.

mod batch;
mod dead_log;
pub mod gate;
pub mod read;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::{
    batch::{Batch, Flow, Unmarked},
    dead_log::DeadLog,
    gate::Gate,
    read::Normalize,
};
use super::{fairness::Fairness, ledger};
use crate::{
    config::{self, Config},
    core::{
        delivery::retry::{Reconnect, Schedule},
        shard::Shard,
        webhook::SourceName,
    },
    edge::{
        amqp::{
            self, Connection,
            consume::{
                acks::Settler,
                delivery::Delivery,
                marks::{MarkConsumer, Marks},
                raw::RawConsumer,
            },
            publish::Publisher,
            topology::{self, Topology, TopologyError},
        },
        metrics::{SourceMetrics, WorkerMetrics},
        redis::Store,
        trouble::Trouble,
    },
};

/// How often a worker draws the ledger's balance for its metrics.
const BALANCE_EVERY: Duration = Duration::from_secs(15);

/// Batches of a queue that are worked on at a time: while one waits for Redis, another waits for confirms.
const BATCHES_MAX: usize = 4;

/// A batch has room for so many webhooks even where there is not room for [`BATCHES_MAX`] of them.
const BATCH_MIN: usize = 16;

/// Webhooks in a batch at most: Redis' scripts take no more than some thousand values at once.
const BATCH_MAX: usize = 512;

/// A batch takes no more webhooks than give about so many bytes: a hundredth of a second's reading.
const BATCH_BYTES: usize = 1 << 20;

/// How many times the time for connecting it may take to check the topology and begin to consume.
const SET_UP_PATIENCE: u32 = 6;

/// The worker pool of one process.
pub struct Worker {
    config: Config,
    schedule: Schedule,
    publisher: Publisher,
    store: Store,
    gate: Gate,
    metrics: Arc<WorkerMetrics>,
    fairness: Fairness,
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

/// Why consuming ended.
enum Ended {
    /// We were asked to stop, and everything in flight is settled.
    Stopped,
    /// The connection or a channel failed.
    Lost(String),
}

/// One raw queue's part of the pool.
struct Lane {
    source: SourceName,
    done_ttl: Duration,
    settler: Settler,
    metrics: SourceMetrics,
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
            fairness: Fairness::default(),
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
        connection.close().await;
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
        let marks = MarkConsumer::open(connection).await.map_err(TopologyError::Lost)?;
        let shards = topology::raw_shards(connection, &self.config).await.map_err(TopologyError::Lost)?;
        for (source, shard) in &shards {
            if self.config.worker.sources.as_ref().is_some_and(|mine| !mine.contains(source)) {
                continue;
            }
            let Some(settings) = self.config.sources.get(source) else { continue };
            let prefetch = self.config.worker.prefetch;
            let opening = RawConsumer::open(connection, source.clone(), *shard, settings.provider, prefetch);
            let intake = opening.await.map_err(TopologyError::Lost)?;
            let lane = Lane {
                source: source.clone(),
                done_ttl: settings.done_ttl.unwrap_or(self.config.dedup.done_ttl),
                settler: intake.settler(),
                metrics: self.metrics.of_source(source),
            };
            lanes.spawn(self.clone().lane(lane, intake, stop.clone()));
        }
        lanes.spawn(self.clone().keep_ledger(connection.clone(), marks, shards, stop.clone()));
        Ok(lanes)
    }

    /// One raw queue's deliveries, as many at a time as may be. What is there is worked on together; whoever gets out of
    /// step goes on alone.
    async fn lane(self: Arc<Self>, lane: Lane, mut intake: RawConsumer, stop: CancellationToken) -> Ended {
        // Never more than the prefetch.
        let mut waiting: VecDeque<Delivery> = VecDeque::new();
        let (mut batches, mut alone) = (FuturesUnordered::new(), FuturesUnordered::new());
        let mut in_work = 0;
        let mut downstream = Downstream::default();
        let mut in_flight = self.metrics.in_flight(&lane.source);
        let mut ended = None;
        while ended.is_none() || in_work > 0 {
            let share = self.share(&lane);
            let places = share.saturating_sub(in_work);
            let begins = ended.is_none() && !waiting.is_empty() && places > 0 && batches.len() < BATCHES_MAX;
            tokio::select! {
                Some(Batch { settled, taken, stragglers }) = batches.next(), if !batches.is_empty() => {
                    in_work -= settled;
                    downstream.note(taken.then_some(Flow::Taken));
                    alone.extend(stragglers.into_iter().map(|work| self.process(&lane, work)));
                }
                Some(outcome) = alone.next(), if !alone.is_empty() => {
                    in_work -= 1;
                    if downstream.note(outcome) {
                        self.metrics.paused(Trouble::DownstreamFull);
                    }
                }
                deliveries = intake.next(), if ended.is_none() => match deliveries {
                    Some(deliveries) => waiting.extend(deliveries),
                    None => ended = Some(Ended::Lost("the channel is gone".to_owned())),
                },
                () = self.may_work(&downstream), if begins => {
                    // Of a small share two batches, so that one can wait for Redis while the other waits for confirms.
                    let worth = BATCH_MIN.min(share.div_ceil(2));
                    let most = places.min(share.div_ceil(BATCHES_MAX).max(worth)).min(BATCH_MAX);
                    let size = batch_size(&waiting, most);
                    in_work += size;
                    batches.push(self.process_together(&lane, waiting.drain(..size).collect()));
                }
                () = stop.cancelled(), if ended.is_none() => {
                    intake.stop(waiting.drain(..)).await;
                    ended = Some(Ended::Stopped);
                }
            }
            in_flight.set(waiting.len() + in_work);
            self.fairness.note(&lane.source);
        }
        ended.unwrap_or(Ended::Stopped)
    }

    /// How many deliveries a queue may have in work now.
    fn share(&self, lane: &Lane) -> usize {
        let config::Worker { concurrency, concurrency_shared, .. } = self.config.worker;
        if self.fairness.others_are_active(&lane.source) {
            concurrency_shared.min(concurrency)
        } else {
            concurrency
        }
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
        mut intake: MarkConsumer,
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
}

/// How many of those that wait are worked on together: so many that reading them does not hold up everybody else.
fn batch_size(waiting: &VecDeque<Delivery>, most: usize) -> usize {
    let mut bytes = 0;
    let fits = |delivery: &&Delivery| {
        let before = bytes;
        bytes += delivery.inbound.webhook.body.len();
        before < BATCH_BYTES
    };
    waiting.iter().take(most).take_while(fits).count()
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
