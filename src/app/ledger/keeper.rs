//! A worker's part of the ledger: it records the receivers' marks, and exports the balance.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::balance::Balance;
use crate::{
    config::Config,
    core::{delivery::retry::Reconnect, ledger::Mark, shard::Shard, webhook::SourceName},
    edge::{
        amqp::{self, Connection, consume::marks::MarkConsumer},
        metrics::WorkerMetrics,
        redis::Store,
    },
};

/// The time between two computations of the balance for the metrics.
const BALANCE_EVERY: Duration = Duration::from_secs(15);

/// Keeps the ledger of one worker over one connection.
pub(in crate::app) struct Keeper {
    pub(in crate::app) config: Config,
    pub(in crate::app) store: Store,
    pub(in crate::app) metrics: Arc<WorkerMetrics>,
    pub(in crate::app) connection: Arc<Connection>,
    /// The raw queues whose messages are in the balance.
    pub(in crate::app) shards: Vec<(SourceName, Shard)>,
}

impl Keeper {
    /// Records marks and exports the balance until `stop`.
    ///
    /// # Errors
    /// The channel of the marks is gone.
    pub(in crate::app) async fn run(
        self,
        mut consumer: MarkConsumer,
        stop: CancellationToken,
    ) -> Result<(), amqp::Error> {
        let mut balance_due = tokio::time::interval(BALANCE_EVERY);
        balance_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                marks = consumer.next() => {
                    let gone = || amqp::Error::Lost("the channel of the ledger's marks is gone".to_owned());
                    let marks = marks.ok_or_else(gone)?;
                    tokio::select! {
                        () = self.record(&marks.marks) => consumer.ack(&marks).await,
                        () = stop.cancelled() => return Ok(()),
                    }
                }
                _ = balance_due.tick() => tokio::select! {
                    () = self.export_balance() => {}
                    () = stop.cancelled() => return Ok(()),
                },
            }
        }
    }

    /// Records marks, and retries until Redis has them.
    async fn record(&self, marks: &[Mark]) {
        for mark in marks {
            let Ok(source) = mark.source.parse() else { continue };
            let mut backoff = Reconnect::default();
            while self.store.mark(&source, mark).await.is_err() {
                tokio::time::sleep(backoff.next_delay()).await;
            }
        }
    }

    async fn export_balance(&self) {
        let computing = Balance::compute(&self.store, &self.connection, &self.config, &self.shards);
        match tokio::time::timeout(BALANCE_EVERY, computing).await {
            Ok(Ok(balance)) => {
                let queued = balance.queued + balance.waiting;
                self.metrics.balance(&balance.sources, queued, Timestamp::now());
            }
            Ok(Err(error)) => tracing::debug!(%error, "no balance of the ledger"),
            Err(_) => tracing::debug!(within = ?BALANCE_EVERY, "no balance of the ledger in time"),
        }
    }
}
