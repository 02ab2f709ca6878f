//! Gathering webhooks: those that arrive while an earlier message to their raw queue is not confirmed go out
//! together, as a bundle.
//!
//! A confirm comes after RabbitMQ has written to disk, and its cost is one of messages. So the busier a raw
//! queue is, the more webhooks share a message and its confirm. A webhook that arrives alone goes out at once
//! and as it came. Nothing waits for a timer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    core::{
        delivery::{bundle, queued::QueuedWebhook},
        shard::Shard,
        webhook::SourceName,
    },
    edge::{
        amqp::{
            publish::{PublishError, Publisher, Verdict},
            routes,
        },
        metrics::ReceiverMetrics,
    },
};

/// A raw queue.
type Queue = (SourceName, Shard);

/// The bounds of a bundle.
#[derive(Clone, Copy, Debug)]
pub struct BundleMax {
    /// The number of its webhooks.
    pub webhooks: usize,
    /// Its bytes, about.
    pub bytes: usize,
}

/// Publishes webhooks, several in one message where they would wait anyway; cheap to clone.
#[derive(Clone)]
pub struct Gatherer {
    publisher: Publisher,
    max: BundleMax,
    patience: Duration,
    metrics: Arc<ReceiverMetrics>,
    /// The raw queues with messages that are not confirmed.
    busy: Arc<Mutex<BTreeMap<Queue, Gathered>>>,
}

/// What is under way to a raw queue.
#[derive(Default)]
struct Gathered {
    /// The number of messages that are not confirmed.
    unconfirmed: usize,
    /// The webhooks that wait for one of their confirms.
    waiting: Vec<Waiting>,
    /// About the bytes that they take in a bundle.
    bytes: usize,
}

/// A webhook, and where its verdict goes.
struct Waiting {
    queued: QueuedWebhook,
    /// About the bytes that it takes in a bundle.
    bytes: usize,
    not_after: Instant,
    verdict: oneshot::Sender<Verdict>,
}

impl Gatherer {
    /// Creates one that waits at most `patience` for a confirm.
    pub fn new(
        publisher: Publisher,
        max: BundleMax,
        patience: Duration,
        metrics: Arc<ReceiverMetrics>,
    ) -> Self {
        Self { publisher, max, patience, metrics, busy: Arc::default() }
    }

    /// Publishes a webhook and waits for the confirm of its message.
    ///
    /// # Errors
    /// [`PublishError`], of the message that holds the webhook.
    pub async fn publish(&self, queued: QueuedWebhook) -> Verdict {
        let queue = (queued.webhook.source.clone(), queued.shard);
        let (verdict, answer) = oneshot::channel();
        let (bytes, not_after) = (bundle::weight(&queued), Instant::now() + self.patience);
        let waiting = Waiting { queued, bytes, not_after, verdict };
        for due in self.add(&queue, waiting) {
            // The request may go away. What it sends or has gathered must not go with it.
            tokio::spawn(self.clone().send(queue.clone(), due));
        }
        answer.await.unwrap_or(Err(PublishError::Unknown))
    }

    /// Adds a webhook to those that wait, and takes out what is to be sent now, each as a message.
    fn add(&self, queue: &Queue, webhook: Waiting) -> Vec<Vec<Waiting>> {
        let mut busy = self.busy();
        let gathered = busy.entry(queue.clone()).or_default();
        let mut due = Vec::new();
        if gathered.bytes + webhook.bytes > self.max.bytes {
            due.extend(gathered.take());
        }
        gathered.bytes += webhook.bytes;
        gathered.waiting.push(webhook);
        let is_full = gathered.waiting.len() >= self.max.webhooks || gathered.bytes > self.max.bytes;
        if is_full || gathered.unconfirmed + due.len() == 0 {
            due.extend(gathered.take());
        }
        gathered.unconfirmed += due.len();
        due
    }

    /// Sends webhooks as one message, and what has gathered when that is confirmed, and so on.
    async fn send(self, queue: Queue, mut due: Vec<Waiting>) {
        loop {
            // Whoever has given up is told nothing any more: the outcome is unknown, and the provider sends
            // again.
            due.retain(|waiting| !waiting.verdict.is_closed());
            let not_after = due.iter().map(|waiting| waiting.not_after).min();
            let (webhooks, owners): (Vec<_>, Vec<_>) =
                due.into_iter().map(|waiting| (waiting.queued, waiting.verdict)).unzip();
            if let (Some(mut publication), Some(not_after)) = (routes::accept_together(&webhooks), not_after)
            {
                publication.not_after = not_after;
                drop(webhooks);
                let verdict = self.publisher.publish(publication, self.patience).await;
                if verdict.is_ok() {
                    self.metrics.stored(&queue.0);
                }
                for owner in owners {
                    // One that has given up meanwhile does not receive it.
                    let _ = owner.send(verdict);
                }
            }
            match self.next(&queue) {
                Some(next) => due = next,
                None => return,
            }
        }
    }

    /// Takes out what has gathered, when a message is confirmed or has failed. None if that is nothing: then
    /// one message less is under way.
    fn next(&self, queue: &Queue) -> Option<Vec<Waiting>> {
        let mut busy = self.busy();
        let gathered = busy.get_mut(queue)?;
        let next = gathered.take();
        if next.is_none() {
            gathered.unconfirmed -= 1;
            if gathered.unconfirmed == 0 {
                busy.remove(queue);
            }
        }
        next
    }

    fn busy(&self) -> MutexGuard<'_, BTreeMap<Queue, Gathered>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    /// Takes out what waits; none if that is nothing.
    fn take(&mut self) -> Option<Vec<Waiting>> {
        self.bytes = 0;
        Some(std::mem::take(&mut self.waiting)).filter(|waiting| !waiting.is_empty())
    }
}
