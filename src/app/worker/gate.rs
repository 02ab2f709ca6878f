//! Whether we can work: the broker takes messages and Redis answers.
//!
//! Trouble of ours is not the message's fault: while the gate is closed the worker takes nothing, reports that it is
//! not ready, and spends no attempts.

use std::sync::Arc;

use tokio::sync::watch;

use crate::edge::{amqp::publish::Publisher, metrics::WorkerMetrics, redis::Store, trouble::Trouble};

/// A view on the trouble that there is; cheap to clone.
#[derive(Clone)]
pub struct Gate(watch::Receiver<Option<Trouble>>);

impl Gate {
    /// Watches both services, and counts and logs every pause.
    pub fn watch(publisher: &Publisher, store: &Store, metrics: Arc<WorkerMetrics>) -> Self {
        let (sender, receiver) = watch::channel(publisher.trouble().or(store.trouble()));
        let (mut broker, mut redis) = (publisher.watch(), store.watch());
        tokio::spawn(async move {
            loop {
                let trouble = (*broker.borrow_and_update())
                    .or(redis.borrow_and_update().is_none().then_some(Trouble::StoreDown));
                let changed = sender.send_if_modified(|now| std::mem::replace(now, trouble) != trouble);
                match trouble {
                    Some(cause) if changed => {
                        metrics.paused(cause);
                        tracing::warn!(cause = cause.as_str(), "paused: {cause}");
                    }
                    None if changed => tracing::info!("working"),
                    Some(_) | None => {}
                }
                let ended = tokio::select! {
                    change = broker.changed() => change.is_err(),
                    change = redis.changed() => change.is_err(),
                    () = sender.closed() => true,
                };
                if ended {
                    return;
                }
            }
        });
        Self(receiver)
    }

    /// What keeps us from working now.
    pub fn trouble(&self) -> Option<Trouble> {
        *self.0.borrow()
    }

    /// Waits until nothing does.
    pub async fn open(&self) {
        let mut receiver = self.0.clone();
        // The watching task ends only with the program.
        drop(receiver.wait_for(Option::is_none).await);
    }
}
