//! Writing dead letters to the log, beside the work. The letter is safe in its queue, so a failure of the log
//! holds up no delivery.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{
    config::Amqp,
    core::webhook::DeliveryId,
    edge::{
        amqp::{
            publish::{Publication, Publisher},
            routes,
        },
        metrics::{LinkMetrics, WorkerMetrics},
    },
};

/// The most letters that are being written at a time. Further letters wait while the log accepts letters, and
/// are counted as unlisted while it does not.
const ON_THEIR_WAY_MAX: u32 = 256;

/// Bytes of a letter that take the place of one more letter: all places together are 8 MiB.
const LETTER_BYTES: usize = 32 << 10;

/// The time that writing a letter may take. It holds up only the letters behind it, and only if there are
/// many.
const WRITING_MAX: Duration = Duration::from_secs(60);

/// The log, as a worker writes it. It has its own connection, opened with the first letter, since a confirm
/// that does not come ends the connection that it was awaited on.
pub(super) struct DeadLog {
    config: Mutex<Amqp>,
    metrics: Arc<WorkerMetrics>,
    publisher: OnceLock<Publisher>,
    room: Arc<Semaphore>,
    takes_letters: Arc<AtomicBool>,
    writing: TaskTracker,
}

impl DeadLog {
    /// Creates a log. It connects when the first letter is written.
    pub(super) fn new(config: Amqp, metrics: Arc<WorkerMetrics>) -> Self {
        let room = Arc::new(Semaphore::new(ON_THEIR_WAY_MAX as usize));
        let takes_letters = Arc::new(AtomicBool::new(true));
        let (config, publisher, writing) = (Mutex::new(config), OnceLock::new(), TaskTracker::new());
        Self { config, metrics, publisher, room, takes_letters, writing }
    }

    /// Changes the configuration for the next connection.
    pub(super) fn reconfigure(&self, config: Amqp) {
        let mut newest = self.config();
        *newest = config;
        if let Some(publisher) = self.publisher.get() {
            publisher.reconfigure(newest.clone(), Vec::new());
        }
    }

    fn config(&self) -> MutexGuard<'_, Amqp> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts writing a letter that is safe in its queue, and returns before it is written. If that fails the
    /// letter is only not listed: `dead-letters stats` shows that one is missing, and `dead-letters reindex`
    /// adds it.
    pub(super) async fn write(&self, dead_letter: Publication, id: DeliveryId) {
        let places = places(dead_letter.body.len());
        let patience =
            if self.takes_letters.load(Ordering::Relaxed) { routes::PATIENCE } else { Duration::ZERO };
        let room = tokio::time::timeout(patience, self.room.clone().acquire_many_owned(places)).await;
        let Ok(Ok(room)) = room else { return self.metrics.unlisted(&dead_letter.routing_key, id) };
        let start = || Publisher::start(self.config().clone(), "dead letter log", LinkMetrics::unexported());
        let publisher = self.publisher.get_or_init(start).clone();
        let (metrics, takes_letters) = (self.metrics.clone(), self.takes_letters.clone());
        self.writing.spawn(async move {
            let written = routes::publish_until_confirmed(&publisher, WRITING_MAX, || {
                routes::log_entry(dead_letter.clone())
            })
            .await;
            takes_letters.store(written.is_ok(), Ordering::Relaxed);
            if written.is_err() {
                metrics.unlisted(&dead_letter.routing_key, id);
            }
            drop(room);
        });
    }

    /// Waits until everything is written, for at most `patience`.
    pub(super) async fn finish(&self, patience: Duration) {
        self.writing.close();
        drop(tokio::time::timeout(patience, self.writing.wait()).await);
        self.writing.reopen();
    }
}

/// Returns the places that a letter takes; a very large one takes all.
fn places(bytes: usize) -> u32 {
    u32::try_from(bytes / LETTER_BYTES + 1).unwrap_or(u32::MAX).min(ON_THEIR_WAY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_on_their_way_to_the_log_are_bounded_by_their_bytes() {
        assert_eq!(places(2_000), 1);
        assert_eq!(places(1 << 20), 33);
        assert_eq!(places(16 << 20), ON_THEIR_WAY_MAX);
    }
}
