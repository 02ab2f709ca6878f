//! The probe of `hookswitch ledger --check`.

use super::marks::{self, now};
use crate::{
    core::{
        ledger::{Mark, Run},
        webhook::SourceName,
    },
    edge::{
        amqp::publish::{PublishError, Publisher},
        redis::{Store, StoreError},
    },
};

/// A mark of no webhook, sent to see whether a worker records marks.
#[derive(Debug)]
pub struct Probe(SourceName, Run);

impl Probe {
    /// Sends a probe.
    ///
    /// # Errors
    /// The broker did not confirm it.
    pub async fn send(publisher: &Publisher, source: SourceName) -> Result<Self, PublishError> {
        let run = Run { began: now(), nonce: rand::random() };
        let mark = Mark { source: source.to_string(), run, through: 0, refused: Vec::new(), closed: true };
        marks::publish(publisher, &[mark]).await?;
        Ok(Self(source, run))
    }

    /// Returns whether a worker has recorded it, and so, most likely, every mark before it.
    ///
    /// # Errors
    /// Redis is down.
    pub async fn is_noted(&self, store: &Store) -> Result<bool, StoreError> {
        store.has_run(&self.0, self.1).await
    }
}
