//! Watching whether delay queues let messages out in time (see [`canary`]).
//!
//! [`canary`]: crate::core::delivery::canary

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    config::Config,
    core::delivery::canary::Canaries,
    edge::{
        amqp::{
            self, Connection,
            consume::canaries,
            depth::Depths,
            names,
            publish::Publisher,
            routes::{self, PATIENCE},
        },
        metrics::WorkerMetrics,
    },
};

/// The canaries of every delay queue.
pub(in crate::app) struct Delays {
    publisher: Publisher,
    metrics: Arc<WorkerMetrics>,
    began: Instant,
    tiers: Vec<Canaries>,
}

impl Delays {
    /// Begins without canaries.
    pub(in crate::app) fn new(config: &Config, publisher: Publisher, metrics: Arc<WorkerMetrics>) -> Self {
        let mut delays = Self { publisher, metrics, began: Instant::now(), tiers: Vec::new() };
        delays.follow(config);
        delays
    }

    /// Begins again without canaries if the configuration has other delay queues.
    pub(super) fn follow(&mut self, config: &Config) {
        let (tiers, now) = (config.retry.schedule().all_tiers(), self.now());
        if !self.tiers.iter().map(Canaries::tier).eq(tiers.iter().copied()) {
            self.tiers = tiers.into_iter().map(|tier| Canaries::new(tier, now)).collect();
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Takes the canaries that came back, exports what they say, and sends others.
    pub(super) async fn watch(&mut self, connection: &Connection) {
        match self.look(connection).await {
            Ok(()) => {
                let now = self.now();
                let overdue = self.tiers.iter().map(|tier| (tier.tier(), tier.overdue(now)));
                self.metrics.queues.show_overdue(overdue);
                self.send().await;
            }
            Err(error) => {
                self.metrics.queues.show_overdue([]);
                tracing::debug!(%error, "whether delay queues are late is not known");
            }
        }
    }

    /// Waits for no canary any more, since another worker sends its own.
    pub(super) fn stop(&mut self) {
        self.metrics.queues.show_overdue([]);
        let now = self.now();
        for tier in &mut self.tiers {
            *tier = Canaries::new(tier.tier(), now);
        }
    }

    /// Returns how many canaries are ready in delay queues, where they are counted with the webhooks.
    pub(super) fn waiting(&self) -> i64 {
        let now = self.now();
        let waiting: usize = self.tiers.iter().map(|tier| tier.waiting(now)).sum();
        i64::try_from(waiting).unwrap_or(i64::MAX)
    }

    async fn look(&mut self, connection: &Connection) -> Result<(), amqp::Error> {
        let (began, mut depths) = (self.began, Depths::new(connection));
        for tier in &mut self.tiers {
            if depths.of(&names::retry_queue(tier.tier())).await? == 0 {
                tier.queue_is_empty(began.elapsed());
            }
        }
        depths.close().await?;
        for id in canaries::take(connection).await? {
            self.tiers.iter_mut().for_each(|tier| tier.returned(id, began.elapsed()));
        }
        Ok(())
    }

    /// Sends canaries where they are wanted. Why the broker does not confirm is told elsewhere.
    async fn send(&mut self) {
        let began = self.began;
        for tier in &mut self.tiers {
            if !tier.wants(began.elapsed()) {
                continue;
            }
            let id = Uuid::now_v7();
            let canary = routes::canary(tier.tier(), id, Timestamp::now());
            match self.publisher.publish(canary, PATIENCE).await {
                Ok(()) => tier.sent(id, began.elapsed()),
                Err(error) => return tracing::debug!(%error, "no canary was sent through a delay queue"),
            }
        }
    }
}
