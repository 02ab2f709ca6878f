//! The worker pool: one lane per raw queue, each with its own channel and limit.
//!
//! This file keeps the lanes running, `lane` chooses the deliveries to begin, `batch` takes deliveries from
//! step to step, and `steps` performs each step.

mod batch;
mod dead_log;
mod drift_log;
mod ended;
mod follow;
mod former;
pub mod gate;
mod in_hand;
mod in_work;
mod inbox;
mod lane;
mod memory;
mod owners;
mod per_message;
mod pool;
pub mod read;
mod report;
mod spans;
mod steps;
mod traced;
mod unmarked;
mod unroutable;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::{
    batch::Processor,
    dead_log::DeadLog,
    drift_log::DriftLog,
    ended::ConsumeError,
    gate::Gate,
    owners::Owners,
    pool::{Pool, Shared},
    read::Normalize,
    unroutable::Unroutable,
};
use crate::{
    config::Config,
    core::{applied::Pauses, delivery::retry::Reconnect},
    edge::{
        amqp::{self, publish::Publisher, topology::TopologyError},
        metrics::WorkerMetrics,
        panics::TaskFailed,
        redis::{Store, StoreError},
        traces::Tracer,
        trouble::Trouble,
    },
};

/// The time that checking the topology and starting to consume may take, in times for connecting.
const SET_UP_PATIENCE: u32 = 6;

/// Interval of tries to take a configuration for which the topology was not applied yet.
const APPLIED_EVERY: Duration = Duration::from_secs(5);

/// The worker pool of one process.
pub struct Worker {
    shared: Shared,
    /// The configuration that is to be in force: it is not while the broker lacks something that it needs.
    wanted: watch::Sender<Arc<Config>>,
    /// What keeps the lanes from running; none while all of them run.
    halted: watch::Sender<Option<Trouble>>,
    /// Set once all lanes have run.
    has_consumed: AtomicBool,
    /// Set once the log has said what the broker lacks for the wanted configuration.
    lack_told: AtomicBool,
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

impl Worker {
    /// Creates a pool over started links.
    pub fn new(
        config: Arc<Config>,
        publisher: Publisher,
        store: Store,
        gate: Gate,
        metrics: Arc<WorkerMetrics>,
        normalize: Normalize,
        tracer: Option<Tracer>,
    ) -> Self {
        let processor = Processor {
            schedule: Arc::new(config.retry.schedule()),
            dead_log: Arc::new(DeadLog::new(config.amqp.clone(), metrics.clone())),
            drift_log: DriftLog::new(store.clone()),
            config: config.clone(),
            publisher,
            store,
            gate,
            metrics,
            normalize,
            reading: Arc::default(),
            owners: Arc::new(Owners::new()),
            unmarked: Arc::default(),
            unroutable: Arc::new(Unroutable::new()),
            former: Arc::default(),
            tracer,
        };
        Self {
            shared: Shared::new(processor),
            wanted: watch::Sender::new(config),
            halted: watch::Sender::new(Some(Trouble::NotConsuming)),
            has_consumed: AtomicBool::new(false),
            lack_told: AtomicBool::new(false),
        }
    }

    /// Returns what keeps this pool from working now.
    pub fn trouble(&self) -> Option<Trouble> {
        let Processor { gate, unroutable, .. } = &*self.shared.newest();
        gate.trouble().or_else(|| *self.halted.borrow()).or_else(|| unroutable.trouble())
    }

    /// Computes the metrics that are computed when they are asked for.
    pub fn refresh_metrics(&self) {
        self.shared.newest().metrics.waits.refresh(Timestamp::now());
    }

    /// Makes `config` the one to work with. It is in force at once, or as soon as the broker has the queues
    /// and bindings that it needs.
    pub fn reconfigure(&self, config: Arc<Config>) {
        self.shared.newest().dead_log.reconfigure(config.amqp.clone());
        self.lack_told.store(false, Ordering::Relaxed);
        self.wanted.send_replace(config);
    }

    /// Returns whether a configuration waits for the broker to have what it needs.
    pub fn waits_for_topology(&self) -> bool {
        !Arc::ptr_eq(&self.shared.newest().config, &self.wanted.borrow())
    }

    /// Returns the paused sources among those that it works on.
    pub fn pauses(&self) -> Pauses {
        self.shared.pauses()
    }

    /// Works until `stop`, through every outage of the broker and of Redis.
    ///
    /// # Errors
    /// [`RefusedError`] at the first check.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), RefusedError> {
        let (gate, mut reconnect) = (self.shared.newest().gate.clone(), Reconnect::default());
        while !stop.is_cancelled() {
            tokio::select! {
                () = gate.broker_answers() => {}
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
            if began.elapsed() > self.shared.newest().config.amqp.heartbeat * 2 {
                reconnect.reset();
            }
            let delay = reconnect.next_delay();
            tracing::warn!(%cause, ?delay, "consuming ended and will be restarted");
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = stop.cancelled() => break,
            }
        }
        let Processor { config, dead_log, drift_log, .. } = &*self.shared.newest();
        dead_log.finish(config.worker.grace).await;
        drift_log.write().await;
        Ok(())
    }

    /// Consumes over one connection until it fails, or until `stop`.
    async fn consume(&self, stop: &CancellationToken) -> Result<(), ConsumeError> {
        let (mut wanted, mut pauses) = (self.wanted.subscribe(), self.shared.pauses.subscribe());
        let amqp = wanted.borrow().amqp.clone();
        let connection = Arc::new(amqp::connect(&amqp, "worker").await?);
        let stop = stop.child_token();
        let mut pool = Pool::new(&self.shared, connection.clone(), stop.clone());
        self.take(&mut pool).await?;
        self.halted.send_replace(None);
        self.has_consumed.store(true, Ordering::Relaxed);
        let mut result = Ok(());
        let grace = tokio::time::sleep(Duration::MAX);
        tokio::pin!(grace);
        loop {
            let waits = self.waits_for_topology();
            let failed = tokio::select! {
                ended = pool.tasks.join_next() => match ended {
                    None => break,
                    Some(Ok(Ok(()))) => {
                        if stop.is_cancelled() {
                            self.halted.send_replace(Some(Trouble::NotConsuming));
                        }
                        continue;
                    }
                    Some(Ok(Err(lost))) => lost.into(),
                    Some(Err(failed)) => TaskFailed::from(failed).into(),
                },
                Ok(()) = wanted.changed(), if !stop.is_cancelled() => match self.take(&mut pool).await {
                    Ok(()) => continue,
                    Err(cause) => cause,
                },
                Ok(()) = pauses.changed(), if !stop.is_cancelled() => {
                    match self.in_time(pool.open_lanes()).await {
                        Ok(()) => continue,
                        Err(cause) => cause,
                    }
                }
                () = tokio::time::sleep(APPLIED_EVERY), if waits && !stop.is_cancelled() => {
                    wanted.mark_changed();
                    continue;
                }
                () = &mut grace => {
                    // A lane that waits for an outage to end must not hold up all others.
                    pool.tasks.shutdown().await;
                    break;
                }
            };
            // The lanes finish what they have in work, and all restart on a new connection.
            self.halted.send_replace(Some(Trouble::NotConsuming));
            result = Err(failed);
            stop.cancel();
            grace.as_mut().reset(tokio::time::Instant::now() + self.shared.newest().config.worker.grace);
        }
        connection.close().await;
        result
    }

    /// Puts the wanted configuration in force. If the broker lacks something that it needs, the one before
    /// stays in force.
    async fn take(&self, pool: &mut Pool<'_>) -> Result<(), ConsumeError> {
        let (wanted, before) = (self.wanted.borrow().clone(), self.shared.newest());
        let taking = async {
            match pool.arrange(wanted).await {
                Err(ConsumeError::Topology(differs @ TopologyError::Differs(_)))
                    if self.waits_for_topology() && self.has_consumed.load(Ordering::Relaxed) =>
                {
                    if !self.lack_told.swap(true, Ordering::Relaxed) {
                        tracing::error!(
                            "the worker keeps the previous configuration until this is mended: {differs}"
                        );
                    }
                    if pool.is_open() { Ok(()) } else { pool.arrange(before.config.clone()).await }
                }
                taken => taken,
            }
        };
        self.in_time(taking).await
    }

    /// Bounds the time of what asks the broker: it may never answer for a queue that has no leader, while its
    /// heartbeats continue.
    async fn in_time(
        &self,
        asking: impl Future<Output = Result<(), ConsumeError>>,
    ) -> Result<(), ConsumeError> {
        let patience = self.wanted.borrow().amqp.connect_timeout * SET_UP_PATIENCE;
        tokio::time::timeout(patience, asking).await.map_err(|_| ConsumeError::Late(patience))?
    }
}
