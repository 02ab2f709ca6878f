//! Where the receiver puts webhooks: the raw exchange, with a confirm.

use std::time::{Duration, Instant};

use super::{
    receiver::{RawSink, SinkError},
    settle,
};
use crate::{
    core::webhook::Webhook,
    edge::amqp::{
        message::{History, Inbound},
        publisher::{PublishError, Publisher, Trouble},
    },
};

/// The raw exchange behind a publisher.
pub struct RawExchange {
    publisher: Publisher,
    patience: Duration,
}

impl RawExchange {
    /// Waits at most `patience` for a confirm, which is what the receiver itself waits.
    pub fn new(publisher: Publisher, patience: Duration) -> Self {
        Self { publisher, patience }
    }
}

impl RawSink for RawExchange {
    async fn accept(&self, webhook: Webhook, content_type: Option<String>) -> Result<(), SinkError> {
        let mut publication = settle::accept(&Inbound { webhook, content_type, history: History::default() });
        publication.not_after = Instant::now() + self.patience;
        self.publisher.publish(publication, self.patience).await.map_err(|error| match error {
            PublishError::NotSent(Trouble::Late) | PublishError::Unknown => SinkError::TimedOut,
            PublishError::NotSent(trouble) => SinkError::Unavailable(trouble.as_str()),
            PublishError::Refused => SinkError::Refused,
            PublishError::Unroutable => SinkError::Unroutable,
        })
    }

    fn ready(&self) -> bool {
        self.publisher.trouble().is_none()
    }
}
