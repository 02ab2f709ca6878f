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
        trouble::Trouble,
    },
};

/// The part of the patience with a confirm after which webhooks do not wait for it any longer.
const PATIENCE_PART: u32 = 10;

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
    since: Instant,
    verdict: oneshot::Sender<Verdict>,
}

impl Gatherer {
    /// Creates a gatherer that waits at most `patience` for a confirm.
    pub fn new(
        publisher: Publisher,
        max: BundleMax,
        patience: Duration,
        metrics: Arc<ReceiverMetrics>,
    ) -> Self {
        Self { publisher, max, patience, metrics, busy: Arc::default() }
    }

    /// Returns what prevents publishing now.
    pub fn trouble(&self) -> Option<Trouble> {
        self.publisher.trouble()
    }

    /// Publishes a webhook and waits for the confirm of its message.
    ///
    /// # Errors
    /// [`PublishError`], of the message that holds the webhook.
    pub async fn publish(&self, queued: QueuedWebhook) -> Verdict {
        let queue = (queued.webhook.source.clone(), queued.shard);
        let (verdict, answer) = oneshot::channel();
        let (bytes, since) = (bundle::weight(&queued), Instant::now());
        for due in self.add(&queue, Waiting { queued, bytes, since, verdict }) {
            self.send(queue.clone(), due);
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
        // A confirm that does not come must not hold up a queue that is never full.
        let is_old = gathered.waiting[0].since.elapsed() > self.patience / PATIENCE_PART;
        if is_full || is_old || gathered.unconfirmed + due.len() == 0 {
            due.extend(gathered.take());
        }
        gathered.unconfirmed += due.len();
        due
    }

    /// Sends webhooks as one message, and what has gathered when that is confirmed, and so on. The request
    /// that begins it may end before.
    fn send(&self, queue: Queue, mut due: Vec<Waiting>) {
        let turn = Turn { gatherer: self.clone(), queue };
        tokio::spawn(async move {
            loop {
                turn.publish(due).await;
                match turn.next() {
                    Some(next) => due = next,
                    None => return,
                }
            }
        });
    }

    fn busy(&self) -> MutexGuard<'_, BTreeMap<Queue, Gathered>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to have one message to a raw queue unconfirmed.
struct Turn {
    gatherer: Gatherer,
    queue: Queue,
}

impl Turn {
    /// Publishes webhooks as one message, and tells its verdict to all of them.
    async fn publish(&self, mut due: Vec<Waiting>) {
        // The outcome is unknown to a request that has ended, and its provider sends the webhook again.
        due.retain(|waiting| !waiting.verdict.is_closed());
        let Some(newest) = due.iter().map(|waiting| waiting.since).max() else { return };
        let (webhooks, owners): (Vec<_>, Vec<_>) =
            due.into_iter().map(|waiting| (waiting.queued, waiting.verdict)).unzip();
        let Some(mut publication) = routes::accept_together(&webhooks) else { return };
        publication.not_after = newest + self.gatherer.patience;
        let verdict = self.gatherer.publisher.publish(publication, self.gatherer.patience).await;
        if verdict.is_ok() {
            self.gatherer.metrics.stored(&self.queue.0);
        }
        for owner in owners {
            // A request that has ended meanwhile does not receive it.
            let _ = owner.send(verdict);
        }
        // Until now they held their room in the memory for requests: so long the message exists too.
        drop(webhooks);
    }

    /// Takes out what has gathered.
    fn next(&self) -> Option<Vec<Waiting>> {
        self.gatherer.busy().get_mut(&self.queue)?.take()
    }
}

impl Drop for Turn {
    /// Ends the turn, also after a panic. What has gathered since the last look goes out.
    fn drop(&mut self) {
        let mut busy = self.gatherer.busy();
        let Some(gathered) = busy.get_mut(&self.queue) else { return };
        gathered.unconfirmed -= 1;
        if gathered.unconfirmed > 0 {
            return;
        }
        match gathered.take() {
            None => drop(busy.remove(&self.queue)),
            Some(rest) => {
                gathered.unconfirmed = 1;
                drop(busy);
                self.gatherer.send(self.queue.clone(), rest);
            }
        }
    }
}

impl Gathered {
    /// Takes out what waits; none if that is nothing.
    fn take(&mut self) -> Option<Vec<Waiting>> {
        self.bytes = 0;
        Some(std::mem::take(&mut self.waiting)).filter(|waiting| !waiting.is_empty())
    }
}
