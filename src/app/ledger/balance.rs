//! The balance: the sum of the ledger beside the depths of the queues.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::marks::now;
use crate::{
    config::{self, Config},
    core::{
        ledger::{RUN_MAX, Sum},
        shard::{Shard, Sharding},
        webhook::SourceName,
    },
    edge::{
        amqp::{self, Connection, depth::Depths, names},
        redis::{Store, StoreError},
    },
};

/// The sum of the ledger, and the messages that the queues hold.
#[derive(Clone, Debug, Serialize)]
pub struct Balance {
    /// Webhooks that came before this, and up to a quarter of an hour after it, are not in the sum.
    pub since: Timestamp,
    /// The sum of each source.
    pub sources: BTreeMap<String, Sum>,
    /// The sum over all sources.
    pub total: Sum,
    /// Messages ready in raw queues. One that is a bundle holds several webhooks.
    pub messages: i64,
    /// Webhooks in these messages, about: as many as the ledger has in the system, if that can be.
    pub queued: i64,
    /// Messages in delay queues.
    pub waiting: i64,
    /// Messages of marks that no worker has recorded yet: without them more is accepted than the sum says.
    pub marks: i64,
}

impl Balance {
    /// Computes the balance over the raw queues that [`amqp::topology::raw_shards`] has found. `canaries` of
    /// the messages in delay queues are no webhooks.
    ///
    /// # Errors
    /// [`BalanceError`]
    pub async fn compute(
        store: &Store,
        connection: &Connection,
        config: &Config,
        shards: &[(SourceName, Shard)],
        canaries: i64,
    ) -> Result<Self, BalanceError> {
        let ledger = store.ledger(config.sources.keys(), now()).await?.ok_or(BalanceError::NotKept)?;
        let mut depths = Depths::new(connection);
        let (mut messages, mut waiting) = (BTreeMap::<&SourceName, i64>::new(), -canaries);
        for (source, shard) in shards {
            let configured = config.sources.get(source).is_some_and(|s| s.sharding.has(*shard));
            match depths.of(&names::raw_queue(source, *shard)).await {
                Ok(depth) => *messages.entry(source).or_default() += i64::from(depth),
                // The source had more shards before, and the queue has been deleted since.
                Err(amqp::Error::Missing(_)) if !configured => {}
                Err(error) => return Err(error.into()),
            }
        }
        let removed = removed_sources(&ledger.sources, shards);
        for source in &removed {
            messages.insert(source, left_of(&mut depths, source).await?);
        }
        for tier in config.retry.schedule().all_tiers() {
            waiting += i64::from(depths.of(&names::retry_queue(tier)).await?);
        }
        let marks = depths.of(names::LEDGER_QUEUE).await?.into();
        depths.close().await?;
        let mut total = Sum::default();
        ledger.sources.values().for_each(|sum| total += *sum);
        let in_system =
            |source: &SourceName| ledger.sources.get(source.as_str()).map_or(0, |sum| sum.in_system);
        let most = messages.iter().map(|(source, messages)| most_in(*messages, in_system(source))).sum();
        let messages = messages.values().sum();
        let queued = (total.in_system - waiting).clamp(messages, most);
        Ok(Self { since: ledger.since, sources: ledger.sources, total, messages, queued, waiting, marks })
    }

    /// Returns how many webhooks are in the system and in no queue: with a worker, or lost. While raw queues
    /// hold messages, those that these may hold are not among them. Negative while a message exists twice or
    /// is not counted.
    pub fn unaccounted(&self) -> i64 {
        self.total.in_system - self.queued - self.waiting
    }

    /// Returns whether webhooks of `source` are in the system.
    pub fn is_open(&self, source: &SourceName) -> bool {
        self.sources.get(source.as_str()).is_some_and(|sum| sum.in_system > 0)
    }

    /// Returns whether a webhook that is missing could hide behind messages that hold several: then it is not
    /// known that none is.
    pub fn may_hide(&self) -> bool {
        self.queued > self.messages
    }

    /// Returns the time until which webhooks may be left out, if it is after `now`.
    pub fn blind_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.since.checked_add(RUN_MAX).ok()?;
        (until > now).then_some(until)
    }
}

/// Returns how many webhooks the messages in a source's raw queues hold at most. RabbitMQ counts messages,
/// and the ledger knows how many webhooks of the source are in the system.
fn most_in(messages: i64, in_system: i64) -> i64 {
    in_system.clamp(messages, messages.saturating_mul(config::BUNDLE_MAX.into()))
}

/// Returns the sources with webhooks in the system that have none of the raw queues that are known: they were
/// removed from the configuration, and their queues may hold webhooks still.
fn removed_sources(sums: &BTreeMap<String, Sum>, shards: &[(SourceName, Shard)]) -> Vec<SourceName> {
    let open = sums.iter().filter(|(_, sum)| sum.in_system > 0).filter_map(|(source, _)| source.parse().ok());
    open.filter(|source| !shards.iter().any(|(known, _)| known == source)).collect()
}

/// Returns how many messages are ready in the raw queues of a source that was removed.
async fn left_of(depths: &mut Depths<'_>, source: &SourceName) -> Result<i64, amqp::Error> {
    let (one, mut ready) = (Sharding::new(1, None), 0);
    for shard in one.shards().chain(one.beyond()) {
        match depths.of(&names::raw_queue(source, shard)).await {
            Ok(depth) => ready += i64::from(depth),
            Err(amqp::Error::Missing(_)) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(ready)
}

/// The reason why there is no balance.
#[derive(Debug, thiserror::Error)]
pub enum BalanceError {
    /// Redis cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker is down, or a queue is missing.
    #[error("the depths of the queues are unknown: {0}")]
    Broker(#[from] amqp::Error),
    /// The root of the ledger was overwritten.
    #[error(
        "no ledger is kept: another program has overwritten its key; see \"A key in Redis was overwritten\" \
         in the runbook"
    )]
    NotKept,
}
