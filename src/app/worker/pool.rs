//! What a worker runs over one connection to the broker: a lane for each raw queue, and the tasks beside
//! them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Once},
};

use jiff::Timestamp;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    batch::Processor,
    ended::ConsumeError,
    follow::{self, Follower},
    lane::{Common, LaneOf},
    memory::Memory,
    read,
};
use crate::{
    app::{
        fairness::Fairness,
        ledger::{Delays, Keeper, Scope},
    },
    config::Config,
    core::{
        applied::{Declared, Pauses},
        rabbitmq,
        shard::Shard,
        webhook::SourceName,
    },
    edge::amqp::{
        self, Connection,
        consume::marks::MarkConsumer,
        names,
        topology::{self, Topology},
    },
};

/// What outlives a connection.
pub(super) struct Shared {
    /// The processor of the configuration in force.
    newest: watch::Sender<Arc<Processor>>,
    /// The sources that are paused, as far as it is known: none before the record is read.
    pub(super) pauses: watch::Sender<Pauses>,
    fairness: Arc<Fairness>,
    /// Done once the log has said whether the broker is too old.
    version_told: Once,
}

impl Shared {
    pub(super) fn new(processor: Processor) -> Self {
        let (newest, pauses) = (watch::Sender::new(Arc::new(processor)), watch::Sender::default());
        Self { newest, pauses, fairness: Arc::default(), version_told: Once::new() }
    }

    /// Returns the processor of the configuration in force.
    pub(super) fn newest(&self) -> Arc<Processor> {
        self.newest.borrow().clone()
    }

    /// Returns the paused sources among those that the process works on, or did before they were removed from
    /// the configuration: their webhooks wait still.
    pub(super) fn pauses(&self) -> Pauses {
        let (mut pauses, config) = (self.pauses.borrow().clone(), self.newest().config.clone());
        pauses.retain(|source, _| config.worker.works_on(source));
        pauses
    }
}

/// The lanes of one connection, which follow the configuration.
pub(super) struct Pool<'s> {
    shared: &'s Shared,
    common: Common,
    stop: CancellationToken,
    pub(super) tasks: JoinSet<Result<(), amqp::Error>>,
    lanes: BTreeMap<LaneOf, Controls>,
    /// The record of the topology, as it was read last; none before the first look.
    declared: Option<Declared>,
    scope: watch::Sender<Arc<Scope>>,
    follower: CancellationToken,
}

/// What ends a lane: at once, or when it holds no delivery.
struct Controls {
    stop: CancellationToken,
    release: CancellationToken,
}

impl<'s> Pool<'s> {
    /// Creates a pool without lanes, which runs until `stop`.
    pub(super) fn new(shared: &'s Shared, connection: Arc<Connection>, stop: CancellationToken) -> Self {
        let Processor { config, metrics, .. } = &*shared.newest();
        let memory = Memory::new(config.worker.memory_max, 0, metrics.bytes_held());
        let (newest, fairness) = (shared.newest.subscribe(), shared.fairness.clone());
        let common = Common { newest, fairness, memory, connection };
        let (scope, follower) = (watch::Sender::new(scope(config, Vec::new())), stop.child_token());
        let (tasks, lanes, declared) = (JoinSet::new(), BTreeMap::new(), None);
        Self { shared, common, stop, tasks, lanes, declared, scope, follower }
    }

    /// Returns whether it has lanes, or could have.
    pub(super) fn is_open(&self) -> bool {
        self.declared.is_some()
    }

    /// Puts a configuration in force, and opens and ends lanes as it wants. Lanes that it leaves as they are
    /// go on. Changes nothing if the broker lacks something that it needs.
    ///
    /// # Errors
    /// [`ConsumeError`]
    pub(super) async fn arrange(&mut self, config: Arc<Config>) -> Result<(), ConsumeError> {
        let topology = Topology::of(&config);
        let is_another = topology != Topology::of(&self.shared.newest().config);
        if is_another || !self.is_open() {
            self.look_at_the_broker(&config, &topology, is_another).await?;
        } else {
            self.scope.send_modify(|before| *before = scope(&config, before.shards.clone()));
        }
        self.put_in_force(config);
        self.open_lanes().await
    }

    /// Checks the topology, and at first whose the keys in Redis are. Finds the raw queues.
    async fn look_at_the_broker(
        &mut self,
        config: &Arc<Config>,
        topology: &Topology,
        is_another: bool,
    ) -> Result<(), ConsumeError> {
        let connection = self.common.connection.clone();
        let declared = topology::known(&connection).await?;
        if is_another {
            // Over AMQP bindings cannot be looked at, but they decide which queue gets an event.
            topology.check_applied(&declared)?;
        }
        topology.check(&connection).await?;
        let shards = topology::raw_shards(&connection, config, &declared).await?;
        if !self.is_open() {
            self.begin(config, &declared).await?;
        }
        self.scope.send_replace(scope(config, shards));
        // A record that the user may not read says nothing: what is paused stays paused.
        if declared.since.is_some() {
            follow::note_pauses(&self.shared.pauses, &declared);
        }
        self.declared = Some(declared);
        Ok(())
    }

    /// Starts what runs as long as the connection, whatever the configuration.
    async fn begin(&mut self, config: &Config, declared: &Declared) -> Result<(), ConsumeError> {
        let Processor { publisher, store, metrics, drift_log, owners, .. } = &*self.shared.newest();
        // An address may lead to another broker than before.
        let broker = amqp::identity(&config.amqp, declared).await?;
        self.shared.version_told.call_once(|| {
            if let Some(advice) = rabbitmq::advice(&broker.version) {
                tracing::warn!("{advice}");
            }
        });
        store.take_for(&broker).await?;
        let marks = MarkConsumer::open(&self.common.connection).await?;
        let (store, metrics, connection) = (store.clone(), metrics.clone(), self.common.connection.clone());
        let (scope, owner) = (self.scope.subscribe(), owners.next());
        let keeper = Keeper { scope, store, metrics, connection, owner };
        let delays = Delays::new(config, publisher.clone(), keeper.metrics.clone());
        self.tasks.spawn(keeper.run(marks, delays, self.stop.clone()));
        self.tasks.spawn(drift_log.clone().run(self.stop.clone()));
        Ok(())
    }

    /// Has the next deliveries processed under `config`.
    fn put_in_force(&self, config: Arc<Config>) {
        let before = self.shared.newest();
        if Arc::ptr_eq(&before.config, &config) {
            return;
        }
        // What still comes from their queues must not become dead letters.
        let removed = before.config.sources.keys().filter(|source| !config.sources.contains_key(*source));
        removed.for_each(|source| before.former.add(source.clone()));
        before.metrics.begin_all(&config);
        self.shared.newest.send_replace(Arc::new(before.with(config)));
        tracing::info!("the worker uses the new configuration");
    }

    /// Ends the lanes that are not wanted, and opens those that are and are missing. The lanes of a paused
    /// source are not wanted.
    pub(super) async fn open_lanes(&mut self) -> Result<(), ConsumeError> {
        let config = self.shared.newest().config.clone();
        let scope = self.scope.borrow().clone();
        let pauses = self.shared.pauses();
        let mine = config.sources.keys().filter(|source| config.worker.works_on(source));
        let mine = mine.map(|source| (source, pauses.contains_key(source)));
        let removed = pauses.keys().filter(|source| !config.sources.contains_key(*source));
        self.shared.newest().metrics.waits.show_paused(mine.chain(removed.map(|source| (source, true))));
        let is_mine = |source| config.worker.works_on(source) && !pauses.contains_key(source);
        let mine = scope.shards.iter().filter(|(source, _)| is_mine(source));
        let mine = mine.filter_map(|(source, shard)| {
            Some((source.clone(), *shard, config.sources.get(source)?.provider))
        });
        let mine: Vec<LaneOf> = mine.collect();
        self.lanes.retain(|lane, Controls { stop, .. }| {
            let stays = mine.contains(lane);
            if !stays {
                stop.cancel();
            }
            stays
        });
        self.common.memory.resize(config.worker.memory_max, mine.len());
        let (before, now) = (self.lanes.len(), mine.len());
        for lane in mine {
            if !self.lanes.contains_key(&lane) {
                let controls = self.open_lane(&lane).await?;
                self.lanes.insert(lane, controls);
            }
        }
        if before != now {
            tracing::info!(raw_queues = now, "consuming");
        }
        self.follow();
        Ok(())
    }

    async fn open_lane(&mut self, lane: &LaneOf) -> Result<Controls, ConsumeError> {
        let (stop, release) = (self.stop.child_token(), CancellationToken::new());
        let name = names::raw_queue(&lane.0, lane.1);
        if self.declared.as_ref().is_some_and(|declared| declared.is_replaced_at(&name, Timestamp::now())) {
            release.cancel();
        } else {
            let opened = self.common.open(lane.clone(), stop.clone(), release.clone()).await?;
            self.tasks.spawn(opened.run());
        }
        Ok(Controls { stop, release })
    }

    /// Follows the record of the topology from now on for the present lanes.
    fn follow(&mut self) {
        self.follower.cancel();
        self.follower = self.stop.child_token();
        let release = |((source, shard, _), controls): (&LaneOf, &Controls)| {
            (names::raw_queue(source, *shard), controls.release.clone())
        };
        let follower = Follower {
            common: self.common.clone(),
            pauses: self.shared.pauses.clone(),
            releases: self.lanes.iter().map(release).collect(),
        };
        self.tasks.spawn(follower.run(self.follower.clone()));
    }
}

/// Returns what the ledger is kept of.
fn scope(config: &Arc<Config>, shards: Vec<(SourceName, Shard)>) -> Arc<Scope> {
    let settings = serde_json::json!(read::settings(config)).to_string();
    Arc::new(Scope { config: config.clone(), shards, settings })
}
