//! The worker pool: one lane per raw queue, each with its own channel and limit.
//!
//! This file keeps the lanes running, `lane` chooses the deliveries to begin, `batch` takes deliveries from
//! step to step, and `steps` performs each step.

mod batch;
mod dead_log;
mod drift_log;
mod follow;
mod former;
pub mod gate;
mod in_hand;
mod in_work;
mod inbox;
mod lane;
mod memory;
mod owners;
pub mod read;
mod report;
mod spans;
mod steps;
mod traced;
mod unmarked;
mod unroutable;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::{
    batch::Processor, dead_log::DeadLog, drift_log::DriftLog, follow::Follower, former::FormerSources,
    gate::Gate, in_work::RawQueue, lane::Lane, memory::Memory, owners::Owners, read::Normalize,
    unmarked::Unmarked, unroutable::Unroutable,
};
use super::{
    fairness::Fairness,
    ledger::{Delays, Keeper},
};
use crate::{
    config::Config,
    core::{delivery::retry::Reconnect, rabbitmq},
    edge::{
        amqp::{
            self, ConnectError, Connection,
            consume::{marks::MarkConsumer, raw::RawConsumer},
            names,
            publish::Publisher,
            topology::{self, Topology, TopologyError},
        },
        metrics::WorkerMetrics,
        panics::TaskFailed,
        redis::{Store, StoreError},
        traces::Tracer,
        trouble::Trouble,
    },
};

/// The time that checking the topology and starting to consume may take, in times for connecting.
const SET_UP_PATIENCE: u32 = 6;

/// The tasks of a connection beside its lanes: one keeps the ledger, one follows the record of the topology,
/// one records schema drift.
const BESIDE_LANES: usize = 3;

/// The worker pool of one process.
pub struct Worker {
    processor: Arc<Processor>,
    fairness: Arc<Fairness>,
    /// What keeps the lanes from running; none while all of them run.
    halted: watch::Sender<Option<Trouble>>,
    /// Set once all lanes have run.
    has_consumed: AtomicBool,
    /// Done once the log has said whether the broker is too old.
    version_told: Once,
}

/// The reason why a pool refuses to work: working on could lose or swallow webhooks.
#[derive(Debug, thiserror::Error)]
pub enum RefusedError {
    /// The broker's topology differs from what is needed.
    #[error(transparent)]
    Topology(TopologyError),
    /// The keys in Redis belong to another broker or virtual host.
    #[error(transparent)]
    Foreign(StoreError),
}

/// The reason why consuming ended before the stop.
#[derive(Debug, thiserror::Error)]
enum ConsumeError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error("consuming could not begin within {0:?}")]
    Late(Duration),
    #[error(transparent)]
    Lost(#[from] amqp::Error),
    #[error("a lane failed: {0}")]
    Failed(#[from] TaskFailed),
}

impl ConsumeError {
    /// Returns the infrastructure error that this is.
    fn trouble(&self) -> Trouble {
        let known = match self {
            Self::Connect(error) => Some(error.trouble()),
            Self::Store(error) => Some(error.trouble()),
            Self::Topology(TopologyError::Differs(_)) => Some(Trouble::Topology),
            Self::Topology(TopologyError::Lost(error)) | Self::Lost(error) => error.trouble(),
            Self::Topology(TopologyError::NotApplied | TopologyError::Record(_))
            | Self::Late(_)
            | Self::Failed(_) => None,
        };
        known.unwrap_or(Trouble::NotConsuming)
    }
}

impl Worker {
    /// Creates a pool over started links.
    pub fn new(
        config: Config,
        publisher: Publisher,
        store: Store,
        gate: Gate,
        metrics: Arc<WorkerMetrics>,
        normalize: Normalize,
        tracer: Option<Tracer>,
    ) -> Self {
        let processor = Processor {
            schedule: config.retry.schedule(),
            dead_log: DeadLog::new(config.amqp.clone(), metrics.clone()),
            drift_log: DriftLog::new(store.clone()),
            config: Arc::new(config),
            publisher,
            store,
            gate,
            metrics,
            normalize,
            reading: Arc::default(),
            owners: Owners::new(),
            unmarked: Unmarked::default(),
            unroutable: Unroutable::new(),
            former: FormerSources::default(),
            tracer,
        };
        Self {
            processor: Arc::new(processor),
            fairness: Arc::default(),
            halted: watch::Sender::new(Some(Trouble::NotConsuming)),
            has_consumed: AtomicBool::new(false),
            version_told: Once::new(),
        }
    }

    /// Returns what keeps this pool from working now.
    pub fn trouble(&self) -> Option<Trouble> {
        let Processor { gate, unroutable, .. } = &*self.processor;
        gate.trouble().or_else(|| *self.halted.borrow()).or_else(|| unroutable.trouble())
    }

    /// Computes the metrics that are computed when they are asked for.
    pub fn refresh_metrics(&self) {
        self.processor.metrics.waits.refresh(Timestamp::now());
    }

    /// Works until `stop`, through every outage of the broker and of Redis.
    ///
    /// # Errors
    /// [`RefusedError`] at the first check.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), RefusedError> {
        let config = &self.processor.config;
        let mut reconnect = Reconnect::default();
        while !stop.is_cancelled() {
            tokio::select! {
                () = self.processor.gate.broker_answers() => {}
                () = stop.cancelled() => break,
            }
            let began = Instant::now();
            let cause = match self.consume(&stop).await {
                Ok(()) => break,
                // Later, the nodes of a cluster may disagree while it recovers. What was right before will be
                // right again.
                Err(ConsumeError::Topology(differs @ TopologyError::Differs(_)))
                    if !self.has_consumed.load(Ordering::Relaxed) =>
                {
                    return Err(RefusedError::Topology(differs));
                }
                Err(ConsumeError::Store(foreign))
                    if foreign.trouble() == Trouble::StoreForeign
                        && !self.has_consumed.load(Ordering::Relaxed) =>
                {
                    return Err(RefusedError::Foreign(foreign));
                }
                Err(cause) => cause,
            };
            self.halted.send_replace(Some(cause.trouble()));
            if began.elapsed() > config.amqp.heartbeat * 2 {
                reconnect.reset();
            }
            let delay = reconnect.next_delay();
            tracing::warn!(%cause, ?delay, "consuming ended and will be restarted");
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = stop.cancelled() => break,
            }
        }
        self.processor.dead_log.finish(config.worker.grace).await;
        self.processor.drift_log.write().await;
        Ok(())
    }

    /// Consumes over one connection until it fails, or until `stop`.
    async fn consume(&self, stop: &CancellationToken) -> Result<(), ConsumeError> {
        let config = &self.processor.config;
        let connection = Arc::new(amqp::connect(&config.amqp, "worker").await?);
        let stop = stop.child_token();
        // The broker may never answer for a queue that has no leader, while its heartbeats continue.
        let patience = config.amqp.connect_timeout * SET_UP_PATIENCE;
        let opening = tokio::time::timeout(patience, self.open_lanes(&connection, &stop)).await;
        let mut lanes = opening.map_err(|_| ConsumeError::Late(patience))??;
        tracing::info!(raw_queues = lanes.len() - BESIDE_LANES, "consuming");
        self.halted.send_replace(None);
        self.has_consumed.store(true, Ordering::Relaxed);
        let mut result = Ok(());
        let grace = tokio::time::sleep(Duration::MAX);
        tokio::pin!(grace);
        loop {
            let ended = tokio::select! {
                ended = lanes.join_next() => ended,
                () = &mut grace => {
                    // A lane that waits for an outage to end must not hold up all others.
                    lanes.shutdown().await;
                    break;
                }
            };
            let Some(ended) = ended else { break };
            if matches!(ended, Ok(Ok(()))) && !stop.is_cancelled() {
                // The lane has let go of a queue that is being replaced.
                continue;
            }
            self.halted.send_replace(Some(Trouble::NotConsuming));
            if let Err(cause) =
                ended.map_err(TaskFailed::from).map_err(ConsumeError::from).and_then(|lane| Ok(lane?))
            {
                // The other lanes finish what they have in work, and all restart on a new connection.
                result = Err(cause);
                stop.cancel();
                grace.as_mut().reset(tokio::time::Instant::now() + config.worker.grace);
            }
        }
        connection.close().await;
        result
    }

    /// Checks the topology and whose the keys in Redis are, and starts consuming the ledger's marks and every
    /// raw queue of this worker's sources.
    async fn open_lanes(
        &self,
        connection: &Arc<Connection>,
        stop: &CancellationToken,
    ) -> Result<JoinSet<Result<(), amqp::Error>>, ConsumeError> {
        let Processor { config, store, metrics, .. } = &*self.processor;
        Topology::of(config).check(connection).await?;
        // An address may lead to another broker than before.
        let declared = topology::known(connection).await?;
        let broker = amqp::identity(&config.amqp, &declared).await?;
        self.version_told.call_once(|| {
            if let Some(advice) = rabbitmq::advice(&broker.version) {
                tracing::warn!("{advice}");
            }
        });
        store.take_for(&broker).await?;
        let mut lanes = JoinSet::new();
        let marks = MarkConsumer::open(connection).await?;
        let shards = topology::raw_shards(connection, config, &declared).await?;
        let mine = shards.iter().filter(|(source, _)| config.worker.works_on(source));
        let mine: Vec<_> =
            mine.filter_map(|(source, shard)| Some((source, *shard, config.sources.get(source)?))).collect();
        let memory = Memory::new(config.worker.memory_max, mine.len(), metrics.bytes_held());
        let mut releases = BTreeMap::new();
        for (source, shard, settings) in mine {
            let (name, release) = (names::raw_queue(source, shard), CancellationToken::new());
            releases.insert(name.clone(), release.clone());
            if declared.is_replaced_at(&name, Timestamp::now()) {
                release.cancel();
                continue;
            }
            let memory = memory.lane(config.worker.prefetch);
            let (provider, prefetch) = (settings.provider, memory.prefetch());
            let consumer = RawConsumer::open(connection, source.clone(), shard, provider, prefetch).await?;
            let queue = RawQueue {
                source: source.clone(),
                done_ttl: settings.done_ttl.unwrap_or(config.dedup.done_ttl),
                settler: consumer.settler(),
                metrics: metrics.of_source(source),
            };
            let (processor, fairness) = (self.processor.clone(), self.fairness.clone());
            let connection = connection.clone();
            let lane = Lane { queue, consumer, processor, fairness, release, memory, connection };
            lanes.spawn(lane.run(stop.clone()));
        }
        let (processor, fairness) = (self.processor.clone(), self.fairness.clone());
        let follower = Follower { processor, fairness, memory, connection: connection.clone(), releases };
        lanes.spawn(follower.run(stop.clone()));
        lanes.spawn(self.processor.drift_log.clone().run(stop.clone()));
        let (config, store, metrics) = (Config::clone(config), store.clone(), metrics.clone());
        let (connection, owner) = (connection.clone(), self.processor.owners.next());
        let settings = serde_json::json!(read::settings(&config)).to_string();
        let delays = Delays::new(&config, self.processor.publisher.clone(), metrics.clone());
        let keeper = Keeper { config, store, metrics, connection, shards, owner, settings };
        lanes.spawn(keeper.run(marks, delays, stop.clone()));
        Ok(lanes)
    }
}
