//! A worker's part of the ledger: it records the receivers' marks, and exports the balance.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{balance::Balance, delays::Delays, marks::now};
use crate::{
    config::Config,
    core::{
        delivery::retry::Reconnect,
        ledger::{Mark, Sum},
        shard::Shard,
        webhook::SourceName,
    },
    edge::{
        amqp::{self, Connection, consume::marks::MarkConsumer, depth::Depths, names},
        metrics::{QueueDepths, UNKNOWN_SOURCE, WorkerMetrics},
        redis::Store,
    },
};

/// The time between two computations of the balance for the metrics.
const BALANCE_EVERY: Duration = Duration::from_secs(15);

/// The time for which a worker is the one that exports the balance, unless it says so again.
const LEASE: Duration = Duration::from_secs(40);

/// What the ledger is kept of, which a new configuration changes.
pub(in crate::app) struct Scope {
    pub(in crate::app) config: Arc<Config>,
    /// The raw queues whose messages are in the balance.
    pub(in crate::app) shards: Vec<(SourceName, Shard)>,
    /// The settings that this worker reads webhooks with, as JSON.
    pub(in crate::app) settings: String,
}

/// Keeps the ledger of one worker over one connection.
pub(in crate::app) struct Keeper {
    pub(in crate::app) scope: watch::Receiver<Arc<Scope>>,
    pub(in crate::app) store: Store,
    pub(in crate::app) metrics: Arc<WorkerMetrics>,
    pub(in crate::app) connection: Arc<Connection>,
    /// The token of the claim to export the balance.
    pub(in crate::app) owner: String,
}

impl Keeper {
    fn scope(&self) -> Arc<Scope> {
        self.scope.borrow().clone()
    }

    /// Records marks and exports the balance until `stop`.
    ///
    /// # Errors
    /// The channel of the marks is gone.
    pub(in crate::app) async fn run(
        self,
        consumer: MarkConsumer,
        mut delays: Delays,
        stop: CancellationToken,
    ) -> Result<(), amqp::Error> {
        let ended = self.keep(consumer, &mut delays, stop).await;
        // Another worker exports the balance from now on.
        self.lead_no_more(&mut delays);
        self.metrics.queues.show(&QueueDepths::default());
        drop(self.store.stop_leading(&self.owner).await);
        ended
    }

    /// Does both at the same time: what is exported must not stand still while marks wait for Redis.
    async fn keep(
        &self,
        consumer: MarkConsumer,
        delays: &mut Delays,
        stop: CancellationToken,
    ) -> Result<(), amqp::Error> {
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            () = self.record_all(consumer) => {
                Err(amqp::Error::Lost("the channel of the ledger's marks is gone".to_owned()))
            }
            never = self.export_all(delays) => match never {},
        }
    }

    /// Records marks until their channel is gone.
    async fn record_all(&self, mut consumer: MarkConsumer) {
        while let Some(marks) = consumer.next().await {
            self.record(&marks.marks).await;
            consumer.ack(&marks).await;
        }
    }

    async fn export_all(&self, delays: &mut Delays) -> Infallible {
        let mut due = tokio::time::interval(BALANCE_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut denied = BTreeSet::new();
        loop {
            due.tick().await;
            self.say_settings().await;
            self.export_depths(&mut denied).await;
            self.export_store().await;
            self.lead(delays).await;
        }
    }

    /// Records marks, and retries until Redis has them.
    async fn record(&self, marks: &[Mark]) {
        for mark in marks {
            let Ok(source) = mark.source.parse() else {
                self.drop_mark("its source's name is none");
                continue;
            };
            if let Err(unlikely) = mark.check(now()) {
                self.drop_mark(&unlikely.to_string());
                continue;
            }
            let mut backoff = Reconnect::default();
            while self.store.mark(&source, mark).await.is_err() {
                tokio::time::sleep(backoff.next_delay()).await;
            }
        }
    }

    /// Counts a mark that is not recorded.
    fn drop_mark(&self, why: &str) {
        self.metrics.mark_dropped();
        tracing::warn!(why, "dropped a mark in the ledger's queue that no receiver can have sent");
    }

    /// Puts the sources that are not configured under one label: their names come with messages.
    fn labelled(&self, sources: BTreeMap<String, Sum>) -> BTreeMap<String, Sum> {
        let (scope, mut labelled) = (self.scope(), BTreeMap::<String, Sum>::new());
        for (source, sum) in sources {
            let configured = scope.config.sources.keys().any(|known| known.as_str() == source);
            let label = if configured { source } else { UNKNOWN_SOURCE.to_owned() };
            *labelled.entry(label).or_default() += sum;
        }
        labelled
    }

    /// Says which settings this worker reads webhooks with, for `dead-letters try`.
    async fn say_settings(&self) {
        if let Err(error) =
            self.store.say_settings(&self.owner, &self.scope().settings, Timestamp::now()).await
        {
            tracing::debug!(%error, "the settings of this worker are not known to commands");
        }
    }

    /// Exports how many messages the queues hold, without Redis: that is known even while there is no
    /// balance.
    async fn export_depths(&self, denied: &mut BTreeSet<String>) {
        let scope = self.scope();
        let reading = async {
            let mut depths = Depths::new(&self.connection);
            let read = read_depths(&scope, &mut depths, denied).await?;
            depths.close().await?;
            Ok::<_, amqp::Error>(read)
        };
        match tokio::time::timeout(BALANCE_EVERY, reading).await {
            Ok(Ok(depths)) => self.metrics.queues.show(&depths),
            Ok(Err(_)) | Err(_) => self.metrics.queues.show(&QueueDepths::default()),
        }
    }

    /// Exports what Redis tells of its memory.
    async fn export_store(&self) {
        match self.store.memory().await {
            Ok(memory) => self.metrics.store.show(&memory),
            Err(error) => tracing::debug!(%error, "the memory of Redis is unknown"),
        }
    }

    /// Watches the delay queues and exports the balance, if no other worker does: each would show the same,
    /// and sums over all workers would be a multiple.
    async fn lead(&self, delays: &mut Delays) {
        match self.store.lead(&self.owner, LEASE).await {
            Ok(true) => {}
            Ok(false) => return self.lead_no_more(delays),
            Err(error) => {
                tracing::debug!(%error, "no balance of the ledger");
                return self.lead_no_more(delays);
            }
        }
        delays.follow(&self.scope().config);
        if tokio::time::timeout(BALANCE_EVERY, delays.watch(&self.connection)).await.is_err() {
            delays.stop();
        }
        self.export_balance(delays.waiting()).await;
    }

    fn lead_no_more(&self, delays: &mut Delays) {
        self.metrics.no_balance();
        delays.stop();
    }

    /// Exports the balance, without the canaries that wait among the webhooks. Exports nothing while it is
    /// not known.
    async fn export_balance(&self, canaries: i64) {
        let Scope { config, shards, .. } = &*self.scope();
        let computing = Balance::compute(&self.store, &self.connection, config, shards, canaries);
        match tokio::time::timeout(BALANCE_EVERY, computing).await {
            Ok(Ok(balance)) => {
                let queued = balance.queued + balance.waiting;
                self.metrics.balance(&self.labelled(balance.sources), queued, Timestamp::now());
            }
            Ok(Err(error)) => {
                self.metrics.no_balance();
                tracing::debug!(%error, "no balance of the ledger");
            }
            Err(_) => {
                self.metrics.no_balance();
                tracing::debug!(within = ?BALANCE_EVERY, "no balance of the ledger in time");
            }
        }
    }
}

/// Reads the depths. A queue of `denied` is not asked for, and one that this user may not look up is
/// added to it: each question would be an error in the broker's log.
async fn read_depths<'a>(
    Scope { config, shards, .. }: &'a Scope,
    depths: &mut Depths<'_>,
    denied: &mut BTreeSet<String>,
) -> Result<QueueDepths<'a>, amqp::Error> {
    let mut read = QueueDepths::default();
    for source in config.sources.keys() {
        if let Some(dead) = depths.if_present(&names::dead_queue(source)).await? {
            read.dead.push((source, dead));
        }
    }
    for (source, shard) in shards {
        let label = if config.sources.contains_key(source) { source.as_str() } else { UNKNOWN_SOURCE };
        if let Some(raw) = depths.if_present(&names::raw_queue(source, *shard)).await? {
            *read.raw.entry(label).or_default() += raw;
        }
    }
    for tier in config.retry.schedule().all_tiers() {
        if let Some(delayed) = depths.if_present(&names::retry_queue(tier)).await? {
            read.delayed.push((tier, delayed));
        }
    }
    let subscribed = config.subscriptions.keys().map(String::as_str);
    for queue in subscribed.chain([names::UNROUTED_QUEUE, names::LEDGER_QUEUE]) {
        if denied.contains(queue) {
            continue;
        }
        match depths.if_present(queue).await {
            Ok(ready) => read.others.extend(ready.map(|ready| (queue, ready))),
            Err(amqp::Error::Denied(_)) => drop(denied.insert(queue.to_owned())),
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
