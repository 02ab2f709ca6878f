//! Follows the record of the topology: drains the raw queues of sources that are configured no more, and lets
//! go of raw queues that are being replaced.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{batch::Processor, in_work::RawQueue, lane::Lane, memory::Memory};
use crate::{
    app::fairness::Fairness,
    core::{
        applied::{Declared, RawQueueOf},
        shard::Shard,
    },
    edge::amqp::{
        self, Connection,
        consume::raw::RawConsumer,
        depth::{Look, depth},
        topology::{self, LeftOver, Topology, TopologyError},
    },
};

/// Interval of looks at the record, and at the queues that are left over.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Interval of looks at a queue that is being drained, and how many of them in a row must find it empty.
const DRAINED: (Duration, u32) = (Duration::from_secs(1), 3);

/// Time after which the record is looked at again, though a queue is not drained yet.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// Follows the record over one connection.
pub(super) struct Follower {
    pub(super) newest: watch::Receiver<Arc<Processor>>,
    pub(super) fairness: Arc<Fairness>,
    pub(super) memory: Arc<Memory>,
    pub(super) connection: Arc<Connection>,
    /// What makes the lane of each raw queue let go of it.
    pub(super) releases: BTreeMap<String, CancellationToken>,
}

impl Follower {
    /// Follows the record until `stop`.
    ///
    /// # Errors
    /// A queue of which its lane has let go was replaced: all lanes must open their queues again.
    pub(super) async fn run(self, stop: CancellationToken) -> Result<(), amqp::Error> {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = looks.tick() => {}
            }
            let followed = async {
                let declared = topology::declared(&self.connection).await?;
                self.release(&declared)?;
                self.drain(&declared, &stop).await
            };
            let ended = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                ended = followed => ended,
            };
            match ended {
                Ok(()) => {}
                Err(TopologyError::Lost(replaced @ amqp::Error::Replaced(_))) => return Err(replaced),
                Err(error) if !said => {
                    said = true;
                    tracing::warn!(%error, "what earlier configurations have left in the broker is unknown");
                }
                Err(error) => tracing::debug!(%error, "the record of the topology"),
            }
        }
    }

    /// Makes the lanes of queues that are being replaced let go of them.
    fn release(&self, declared: &Declared) -> Result<(), amqp::Error> {
        let now = Timestamp::now();
        for (queue, release) in &self.releases {
            match (declared.is_replaced_at(queue, now), release.is_cancelled()) {
                (true, false) => {
                    tracing::info!(%queue, "letting go of a queue that is being replaced");
                    release.cancel();
                }
                (false, true) => return Err(amqp::Error::Replaced(queue.clone())),
                (true, true) | (false, false) => {}
            }
        }
        Ok(())
    }

    fn processor(&self) -> Arc<Processor> {
        self.newest.borrow().clone()
    }

    /// Drains the raw queues that are left over, one after the other.
    async fn drain(&self, declared: &Declared, stop: &CancellationToken) -> Result<(), TopologyError> {
        // Without Redis or the broker nothing would be drained, and each try would spend deliveries.
        let processor = self.processor();
        if processor.gate.trouble().is_some() {
            return Ok(());
        }
        let config = &processor.config;
        let left_over = Topology::of(config).left_over(&self.connection, declared).await?;
        for LeftOver { name, look, is_applied, raw, .. } in left_over {
            // Another worker drains a queue with consumers, or works with another configuration.
            let idle = Look { consumers: 0, ..look };
            let Some(raw) = raw.filter(|raw| {
                !is_applied && look == idle && look.ready > 0 && !config.sources.contains_key(&raw.source)
            }) else {
                continue;
            };
            self.drain_one(&name, raw, stop.child_token()).await?;
        }
        Ok(())
    }

    async fn drain_one(
        &self,
        name: &str,
        raw: RawQueueOf,
        stop: CancellationToken,
    ) -> Result<(), TopologyError> {
        let (Ok(provider), Some(shard)) = (raw.provider.parse(), Shard::of_number(raw.shard)) else {
            tracing::warn!(queue = name, "left over, and of a provider that this version does not know");
            return Ok(());
        };
        let Processor { config, metrics, former, .. } = &*self.processor();
        tracing::info!(queue = name, "draining the queue of a source that is configured no more");
        former.add(raw.source.clone());
        let memory = self.memory.lane(config.worker.prefetch);
        let (source, prefetch) = (raw.source, memory.prefetch());
        let consumer = RawConsumer::open(&self.connection, source.clone(), shard, provider, prefetch).await?;
        let queue = RawQueue { settler: consumer.settler(), metrics: metrics.of_source(&source), source };
        let (newest, fairness) = (self.newest.clone(), self.fairness.clone());
        let (release, connection) = (CancellationToken::new(), self.connection.clone());
        let ending = stop.clone();
        let lane = Lane { queue, consumer, newest, fairness, release, stop: ending, memory, connection };
        let lane = lane.run();
        tokio::pin!(lane);
        let empty = async {
            let ((interval, needed), until) = (DRAINED, Instant::now() + DRAIN_MAX);
            let mut found = 0;
            while found < needed && Instant::now() < until {
                sleep(interval).await;
                let ready = depth(&self.connection, name).await;
                found = if ready.is_ok_and(|ready| ready == 0) { found + 1 } else { 0 };
            }
        };
        tokio::select! {
            ended = &mut lane => ended?,
            () = empty => {
                stop.cancel();
                lane.await?;
            }
        }
        Ok(())
    }
}
