//! Which shard of its source each webhook goes to.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    config::Source,
    core::{
        shard::{Shard, Sharding},
        webhook::{SourceName, Webhook},
    },
};

/// The rule of each source, and whose turn it is where the rule says nothing.
#[derive(Debug)]
pub struct Shards(BTreeMap<SourceName, (Sharding, AtomicU64)>);

impl Shards {
    /// Over the shards of these sources.
    pub fn new(sources: &BTreeMap<SourceName, Source>) -> Self {
        let rule = |(name, source): (&SourceName, &Source)| {
            (name.clone(), (source.sharding.clone(), AtomicU64::default()))
        };
        Self(sources.iter().map(rule).collect())
    }

    /// Where a webhook goes; that of a source that is not configured to the shard that every source has.
    pub fn shard_of(&self, webhook: &Webhook) -> Shard {
        self.0.get(&webhook.source).map_or(Shard::FIRST, |(sharding, turns)| {
            sharding.shard_of(webhook, || turns.fetch_add(1, Ordering::Relaxed))
        })
    }
}
