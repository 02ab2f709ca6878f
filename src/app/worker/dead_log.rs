//! Writing dead letters to the log, beside the work: whatever happens to the log holds up no delivery, and the letter is
//! safe in its queue.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{
    config::Amqp,
    edge::{
        amqp::{
            publish::{Publication, Publisher},
            routes,
        },
        metrics::WorkerMetrics,
    },
};

/// How many letters may be on their way to the log at a time. What comes on top waits while the log takes letters, and is
/// counted as unlisted while it does not.
const ON_THEIR_WAY_MAX: usize = 256;

/// How long a letter's way to the log may take. It holds up nothing but the letters behind it, of which there must be many.
const WRITING_MAX: Duration = Duration::from_secs(60);

/// The log, as a worker writes it. It has a connection of its own, made with the first letter, since a confirm that does
/// not come ends the connection that it was awaited on.
pub(super) struct DeadLog {
    config: Amqp,
    metrics: Arc<WorkerMetrics>,
    publisher: OnceLock<Publisher>,
    room: Arc<Semaphore>,
    takes_letters: Arc<AtomicBool>,
    writing: TaskTracker,
}

impl DeadLog {
    /// A log to which nothing was written yet.
    pub(super) fn new(config: Amqp, metrics: Arc<WorkerMetrics>) -> Self {
        let room = Arc::new(Semaphore::new(ON_THEIR_WAY_MAX));
        let takes_letters = Arc::new(AtomicBool::new(true));
        Self { config, metrics, publisher: OnceLock::new(), room, takes_letters, writing: TaskTracker::new() }
    }

    /// Writes a letter that is safe in its queue; returns before it is written. If it cannot be written it is only not listed:
    /// `dead-letters stats` sees that one is missing, and `dead-letters reindex` adds it.
    pub(super) async fn write(&self, shelved: Publication) {
        let patience =
            if self.takes_letters.load(Ordering::Relaxed) { routes::PATIENCE } else { Duration::ZERO };
        let room = tokio::time::timeout(patience, self.room.clone().acquire_owned()).await;
        let Ok(Ok(room)) = room else { return self.metrics.unlisted(&shelved.routing_key) };
        let start = || Publisher::start(self.config.clone(), "dead letter log", Arc::default());
        let publisher = self.publisher.get_or_init(start).clone();
        let (metrics, takes_letters) = (self.metrics.clone(), self.takes_letters.clone());
        self.writing.spawn(async move {
            let written = routes::publish_until_confirmed(&publisher, WRITING_MAX, || {
                routes::log_entry(shelved.clone())
            })
            .await;
            takes_letters.store(written.is_ok(), Ordering::Relaxed);
            if written.is_err() {
                metrics.unlisted(&shelved.routing_key);
            }
            drop(room);
        });
    }

    /// Waits until everything is written, but not for ever.
    pub(super) async fn finish(&self, patience: Duration) {
        self.writing.close();
        drop(tokio::time::timeout(patience, self.writing.wait()).await);
        self.writing.reopen();
    }
}
