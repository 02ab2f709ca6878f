//! The choice of a raw queue: the shard of its source that a webhook goes to.

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

/// The sharding rule of each source, and a count of the webhooks that take the shards in turn because the
/// rule does not choose one.
#[derive(Debug)]
pub struct Shards(BTreeMap<SourceName, (Sharding, AtomicU64)>);

impl Shards {
    /// Takes the rules of these sources.
    pub fn new(sources: &BTreeMap<SourceName, Source>) -> Self {
        let rule = |(name, source): (&SourceName, &Source)| {
            (name.clone(), (source.sharding.clone(), AtomicU64::default()))
        };
        Self(sources.iter().map(rule).collect())
    }

    /// Returns the shard for a webhook. If its source is not configured, that is the shard that every source
    /// has.
    pub fn shard_of(&self, webhook: &Webhook) -> Shard {
        self.0.get(&webhook.source).map_or(Shard::FIRST, |(sharding, turns)| {
            sharding.shard_of(webhook, || turns.fetch_add(1, Ordering::Relaxed))
        })
    }
}
