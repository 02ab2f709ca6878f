//! Storing webhooks: the raw exchange with a confirm, or a fake in tests.

use std::{future::Future, sync::Arc};

use super::gather::Gatherer;
use crate::{
    app::{
        ledger::{Books, Open},
        shards::Shards,
    },
    core::{
        delivery::queued::{History, QueuedWebhook},
        trace::TraceParent,
        webhook::Webhook,
    },
    edge::{amqp::publish::PublishError, trouble::Trouble},
};

/// A durable store of accepted webhooks.
pub trait RawSink: Send + Sync {
    /// Stores a webhook so that a crash does not lose it. `content_type` is the request's, as sent. `span`
    /// is that of storing it, if its trace is recorded.
    ///
    /// The receiver drops the future when its deadline is over. The outcome is then unknown, and the provider
    /// retries.
    fn accept(
        &self,
        webhook: Webhook,
        content_type: Option<String>,
        span: Option<TraceParent>,
    ) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// Returns whether a webhook could be stored now, as far as can be known without trying.
    fn ready(&self) -> bool;
}

/// The reason why a webhook was not stored. Never the sender's fault: each gives a 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// An infrastructure error. Nothing was sent.
    #[error("{0}")]
    Unavailable(Trouble),
    /// The broker answered with a nack, mostly because the queue is full.
    #[error("the broker refused it: its raw queue may be full")]
    Refused,
    /// No queue is bound where it was published.
    #[error("no queue is bound for this source: run `hookswitch topology apply`")]
    Unroutable,
    /// There was no confirm within the deadline.
    #[error("the broker did not confirm it within receiver.confirm_timeout")]
    TimedOut,
    /// Not sent: too many webhooks of the source wait for the broker, and would hold up those of others.
    #[error(
        "too many webhooks of this source are waiting for the broker: add receivers or raise \
         receiver.concurrency_shared"
    )]
    Crowded,
}

/// The raw exchange behind a gatherer.
pub struct RawExchangeSink {
    gatherer: Gatherer,
    books: Arc<Books>,
    shards: Shards,
}

impl RawExchangeSink {
    /// Creates a sink.
    pub fn new(gatherer: Gatherer, books: Arc<Books>, shards: Shards) -> Self {
        Self { gatherer, books, shards }
    }
}

impl RawSink for RawExchangeSink {
    async fn accept(
        &self,
        webhook: Webhook,
        content_type: Option<String>,
        span: Option<TraceParent>,
    ) -> Result<(), SinkError> {
        // In an outage every webhook would otherwise become a refused entry of the ledger.
        if let Some(trouble) = self.gatherer.trouble() {
            return Err(SinkError::Unavailable(trouble));
        }
        let open = self.books.enter(&webhook.source);
        let entry = open.as_ref().map(Open::entry);
        let shard = self.shards.shard_of(&webhook);
        let history = History::default();
        let queued = QueuedWebhook { webhook, content_type, entry, shard, trace: span, history };
        self.gatherer.publish(queued).await.map_err(|error| match error {
            PublishError::NotSent(Trouble::Late) | PublishError::Unknown => SinkError::TimedOut,
            PublishError::NotSent(trouble) => SinkError::Unavailable(trouble),
            PublishError::Refused => SinkError::Refused,
            PublishError::Unroutable => SinkError::Unroutable,
        })?;
        if let Some(open) = open {
            open.accept();
        }
        Ok(())
    }

    fn ready(&self) -> bool {
        self.gatherer.trouble().is_none()
    }
}
