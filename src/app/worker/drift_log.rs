//! The record of schema drift, beside the work: what deliveries show is collected, and written to Redis once
//! in a while.
//!
//! It may lose some: what Redis does not take is gone, and counted in the metrics all the same.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    core::{
        providers::{Drift, Sightings},
        webhook::Webhook,
    },
    edge::{amqp, redis::Store},
};

/// The time between two writes.
const WRITE_EVERY: Duration = Duration::from_secs(10);

/// The drift that deliveries have shown since the last write.
pub(super) struct DriftLog {
    seen: Mutex<Sightings>,
    store: Store,
}

impl DriftLog {
    pub(super) fn new(store: Store) -> Arc<Self> {
        Arc::new(Self { seen: Mutex::default(), store })
    }

    /// Collects what a webhook has shown.
    pub(super) fn note(&self, webhook: &Webhook, drift: &[Drift]) {
        if drift.is_empty() {
            return;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for drift in drift {
            seen.add(&webhook.source, drift, webhook.received_at);
        }
    }

    /// Writes in intervals until `stop`.
    ///
    /// # Errors
    /// None: it has the type of the tasks beside it.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), amqp::Error> {
        loop {
            tokio::select! {
                () = tokio::time::sleep(WRITE_EVERY) => self.write().await,
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    /// Writes what has been collected.
    pub(super) async fn write(&self) {
        let taken = self.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        for (source, sightings) in taken {
            // Another source's key may be in order. Without a connection the next one fails at once.
            if let Err(error) = self.store.note_drift(&source, &sightings).await {
                tracing::debug!(%error, %source, "schema drift is not recorded");
            }
        }
    }
}
