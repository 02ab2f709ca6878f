//! Follows the record of the topology: drains the raw queues of sources that are configured no more, lets go
//! of raw queues that are being replaced, and learns which sources are paused.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{batch::Processor, lane::Common};
use crate::{
    core::{
        applied::{Declared, Pause, Pauses, RawQueueOf},
        printable::printable,
        shard::Shard,
    },
    edge::amqp::{
        self,
        depth::{Look, depth},
        topology::{self, LeftOver, Topology, TopologyError},
    },
};

/// Interval of looks at the record.
const READ_EVERY: Duration = Duration::from_secs(3);

/// Interval of looks at the queues that are left over.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Interval of looks at a queue that is being drained, and how many of them in a row must find it empty.
const DRAINED: (Duration, u32) = (Duration::from_secs(1), 3);

/// Time after which the record is looked at again, though a queue is not drained yet.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// Follows the record over one connection.
pub(super) struct Follower {
    pub(super) common: Common,
    pub(super) pauses: watch::Sender<Pauses>,
    /// What makes the lane of each raw queue let go of it.
    pub(super) releases: BTreeMap<String, CancellationToken>,
}

impl Follower {
    /// Follows the record until `stop`.
    ///
    /// # Errors
    /// A queue of which its lane has let go was replaced: all lanes must open their queues again.
    pub(super) async fn run(self, stop: CancellationToken) -> Result<(), amqp::Error> {
        let ((read, newest), stop) = (watch::channel(Declared::default()), stop.child_token());
        let reading = async {
            let ended = tokio::select! {
                () = stop.cancelled() => Ok(()),
                ended = self.read_again_and_again(read) => ended,
            };
            // A lane that drains a queue finishes what it has in work.
            stop.cancel();
            ended
        };
        let (ended, ()) = tokio::join!(reading, self.drain_again_and_again(newest, &stop));
        ended
    }

    /// Reads the record, and has the lanes do what it says. Draining one queue may take long: it goes on
    /// beside.
    async fn read_again_and_again(&self, read: watch::Sender<Declared>) -> Result<(), amqp::Error> {
        let (mut looks, mut said) = (interval(READ_EVERY), false);
        loop {
            looks.tick().await;
            match topology::declared(&self.common.connection).await {
                Ok(declared) => {
                    self.release(&declared)?;
                    note_pauses(&self.pauses, &declared);
                    read.send_replace(declared);
                }
                Err(error) => tell(&mut said, &error),
            }
        }
    }

    async fn drain_again_and_again(&self, mut newest: watch::Receiver<Declared>, stop: &CancellationToken) {
        let (mut looks, mut said) = (interval(LOOK_EVERY), false);
        while newest.changed().await.is_ok() {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            let declared = newest.borrow_and_update().clone();
            if let Err(error) = self.drain(&declared, stop).await {
                tell(&mut said, &error);
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
        self.common.newest.borrow().clone()
    }

    /// Drains the raw queues that are left over, one after the other.
    async fn drain(&self, declared: &Declared, stop: &CancellationToken) -> Result<(), TopologyError> {
        // Without Redis or the broker nothing would be drained, and each try would spend deliveries.
        let processor = self.processor();
        if processor.gate.trouble().is_some() {
            return Ok(());
        }
        let (config, topology) = (&processor.config, Topology::of(&processor.config));
        let left_over = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            left_over = topology.left_over(&self.common.connection, declared) => left_over?,
        };
        for LeftOver { name, look, is_applied, raw, .. } in left_over {
            // Another worker drains a queue with consumers, or works with another configuration.
            let idle = Look { consumers: 0, ..look };
            let Some(raw) = raw.filter(|raw| {
                let is_wanted =
                    config.sources.contains_key(&raw.source) || declared.paused.contains_key(&raw.source);
                !stop.is_cancelled() && !is_applied && look == idle && look.ready > 0 && !is_wanted
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
        tracing::info!(queue = name, "draining the queue of a source that is configured no more");
        self.processor().former.add(raw.source.clone());
        let lane = (raw.source, shard, provider);
        let lane = self.common.open(lane, stop.clone(), CancellationToken::new()).await?.run();
        tokio::pin!(lane);
        let empty = async {
            let ((interval, needed), until) = (DRAINED, Instant::now() + DRAIN_MAX);
            let mut found = 0;
            while found < needed && Instant::now() < until {
                sleep(interval).await;
                let ready = depth(&self.common.connection, name).await;
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

/// Returns an interval whose ticks keep their distance after a late one.
fn interval(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Says once that the record cannot be followed.
fn tell(said: &mut bool, error: &TopologyError) {
    if std::mem::replace(said, true) {
        tracing::debug!(%error, "the record of the topology");
    } else {
        tracing::warn!(%error, "pauses, and what earlier configurations left in the broker, are unknown");
    }
}

/// Notes which sources are paused, and logs what is new.
pub(super) fn note_pauses(pauses: &watch::Sender<Pauses>, Declared { paused, resumed, .. }: &Declared) {
    pauses.send_if_modified(|known| {
        let news = paused.iter().filter(|(source, _)| !known.contains_key(*source));
        for (source, Pause { by, since, .. }) in news {
            let (by, since) = (&*printable(by), since.strftime("%Y-%m-%dT%H:%M:%SZ"));
            tracing::warn!(%source, by, %since, "paused: its webhooks wait in their queue");
        }
        for source in known.keys().filter(|source| !paused.contains_key(*source)) {
            let by = resumed.get(source).map(|resumption| printable(&resumption.by));
            tracing::info!(%source, by = by.as_deref(), "resumed");
        }
        let is_news = known != paused;
        known.clone_from(paused);
        is_news
    });
}
