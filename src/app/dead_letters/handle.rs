//! The handle through which dead letters are read and moved.

use std::collections::BTreeMap;

use super::error::DeadLetterError;
use crate::{
    config::Config,
    core::{letters::Filter, providers::Provider, webhook::SourceName},
    edge::amqp::{
        Connection,
        consume::dead_queue::{self, DeadQueueError, Pass},
    },
};

/// The dead letters of the configured sources, over one connection to the broker.
pub struct DeadLetters<'a> {
    pub(super) connection: &'a Connection,
    pub(super) config: &'a Config,
}

impl<'a> DeadLetters<'a> {
    /// Returns a handle. Nothing is read yet.
    pub fn new(connection: &'a Connection, config: &'a Config) -> Self {
        Self { connection, config }
    }

    /// Returns the number of letters ready in the queue of each source that `filter` selects. Letters held by
    /// a running job are not counted.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn depths(&self, filter: &Filter) -> Result<BTreeMap<SourceName, u64>, DeadLetterError> {
        let mut depths = BTreeMap::new();
        for source in self.sources(filter) {
            depths.insert(source.clone(), u64::from(dead_queue::depth(self.connection, source).await?));
        }
        Ok(depths)
    }

    /// Returns the configured sources that `filter` selects.
    pub(super) fn sources(&self, filter: &Filter) -> impl Iterator<Item = &'a SourceName> {
        let selected = |source: &SourceName, provider: Provider| {
            (filter.sources.is_empty() || filter.sources.contains(source))
                && (filter.providers.is_empty() || filter.providers.contains(&provider))
        };
        let sources = self.config.sources.iter();
        sources.filter(move |(source, set)| selected(source, set.provider)).map(|(source, _)| source)
    }

    /// Begins a pass through a source's dead-letter queue.
    pub(super) async fn pass<'s>(&'s self, source: &'s SourceName) -> Result<Pass<'s>, DeadLetterError> {
        let settings = self.config.sources.get(source);
        let settings = settings.ok_or_else(|| DeadQueueError::Missing(source.clone()))?;
        Ok(Pass::open(self.connection, source, settings.provider).await?)
    }
}
