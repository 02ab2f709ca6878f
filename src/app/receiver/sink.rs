//! Where the receiver puts webhooks: the raw exchange, with a confirm.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{RawSink, SinkError};
use crate::{
    app::{
        ledger::{Books, Open},
        shards::Shards,
    },
    core::{
        delivery::queued::{History, QueuedWebhook},
        webhook::Webhook,
    },
    edge::{
        amqp::{
            publish::{PublishError, Publisher},
            routes,
        },
        trouble::Trouble,
    },
};

/// The raw exchange behind a publisher.
pub struct RawExchangeSink {
    publisher: Publisher,
    books: Arc<Books>,
    spread: Shards,
    patience: Duration,
}

impl RawExchangeSink {
    /// Waits at most `patience` for a confirm, which is what the receiver itself waits.
    pub fn new(publisher: Publisher, books: Arc<Books>, spread: Shards, patience: Duration) -> Self {
        Self { publisher, books, spread, patience }
    }
}

impl RawSink for RawExchangeSink {
    async fn accept(&self, webhook: Webhook, content_type: Option<String>) -> Result<(), SinkError> {
        // In an outage every webhook would be a refused entry.
        if let Some(trouble) = self.publisher.trouble() {
            return Err(SinkError::Unavailable(trouble.as_str()));
        }
        let open = self.books.enter(&webhook.source);
        let entry = open.as_ref().map(Open::entry);
        let shard = self.spread.shard_of(&webhook);
        let inbound = QueuedWebhook { webhook, content_type, entry, shard, history: History::default() };
        let mut publication = routes::accept(&inbound);
        publication.not_after = Instant::now() + self.patience;
        self.publisher.publish(publication, self.patience).await.map_err(|error| match error {
            PublishError::NotSent(Trouble::Late) | PublishError::Unknown => SinkError::TimedOut,
            PublishError::NotSent(trouble) => SinkError::Unavailable(trouble.as_str()),
            PublishError::Refused => SinkError::Refused,
            PublishError::Unroutable => SinkError::Unroutable,
        })?;
        if let Some(open) = open {
            open.accept();
        }
        Ok(())
    }

    fn ready(&self) -> bool {
        self.publisher.trouble().is_none()
    }
}
