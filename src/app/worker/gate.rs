//! The gate: it is open while the broker accepts messages and Redis answers.
//!
//! An infrastructure error is not the message's fault: while the gate is closed the worker begins no
//! delivery, reports that it is not ready, and spends no attempts.

use std::sync::Arc;

use tokio::sync::watch;

use crate::edge::{
    amqp::publish::Publisher,
    metrics::WorkerMetrics,
    redis::{Store, StoreError},
    trouble::Trouble,
};

/// The state of both services; cheap to clone.
#[derive(Clone)]
pub struct Gate(watch::Receiver<Option<Trouble>>);

impl Gate {
    /// Starts the task that watches both services, and counts and logs every pause.
    pub fn watch(publisher: &Publisher, store: &Store, metrics: Arc<WorkerMetrics>) -> Self {
        let (sender, receiver) = watch::channel(publisher.trouble().or(store.trouble()));
        let (mut broker, mut redis) = (publisher.watch(), store.watch());
        tokio::spawn(async move {
            // Until the first attempt to connect has ended, Redis is not known to be unreachable.
            tokio::select! {
                _ = redis.changed() => {}
                () = sender.closed() => return,
            }
            loop {
                let of_redis = redis.borrow_and_update().as_ref().err().map(StoreError::trouble);
                let trouble = (*broker.borrow_and_update()).or(of_redis);
                let changed = sender.send_if_modified(|now| std::mem::replace(now, trouble) != trouble);
                match trouble {
                    Some(cause) if changed => {
                        metrics.paused(cause);
                        tracing::warn!(cause = cause.as_str(), "paused: {cause}");
                    }
                    None if changed => tracing::info!("the broker and Redis are up"),
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

    /// Returns what closes the gate now.
    pub fn trouble(&self) -> Option<Trouble> {
        *self.0.borrow()
    }

    /// Waits until the gate is open, or closed by something that a check of the topology explains.
    pub async fn broker_answers(&self) {
        let mut receiver = self.0.clone();
        let answers = |trouble: &Option<Trouble>| {
            matches!(trouble, None | Some(Trouble::Topology | Trouble::BrokerDenied))
        };
        // The task that watches ends only with the program.
        drop(receiver.wait_for(answers).await);
    }

    /// Waits until the gate is open.
    pub async fn open(&self) {
        let mut receiver = self.0.clone();
        // The task that watches ends only with the program.
        drop(receiver.wait_for(Option::is_none).await);
    }
}
