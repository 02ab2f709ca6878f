//! What things are called in the broker.

use crate::core::{delivery::retry::Tier, shard::Shard, webhook::SourceName};

/// Direct: raw webhooks, by source and shard. New ones, retried ones and replayed ones come this way.
pub const RAW_EXCHANGE: &str = "hookswitch.raw";

/// Direct: dead letters, by source.
pub const DEAD_EXCHANGE: &str = "hookswitch.dead";

/// Fanout: where workers publish events. Whoever only looks on (`hookswitch tail`) attaches here, so that
/// looking on never makes an event count as delivered.
pub const PUBLISHED_EXCHANGE: &str = "hookswitch.published";

/// Topic: the events, by `<type>.<source>`. Consumers bind their queues here.
pub const EVENTS_EXCHANGE: &str = "hookswitch.events";

/// Fanout: the alternate exchange of the events, for what no queue wanted.
pub const UNROUTED_EXCHANGE: &str = "hookswitch.unrouted";

/// Holds the events that no queue wanted.
pub const UNROUTED_QUEUE: &str = "events.unrouted";

/// Where receivers tell workers how far they have come (see [`crate::core::ledger`]).
pub const LEDGER_QUEUE: &str = "hookswitch.ledger";

/// The dead letters of all sources, to be browsed (see [`crate::core::letters`]).
pub const DEAD_LOG: &str = "hookswitch.dead-log";

/// Who did what to which dead letters.
pub const DEAD_JOBS: &str = "hookswitch.dead-jobs";

/// Whoever works on dead letters holds this queue, exclusively.
pub const DEAD_LOCK: &str = "hookswitch.dead-lock";

/// The raw webhooks of a source's shard.
pub fn raw_queue(source: &SourceName, shard: Shard) -> String {
    format!("raw.{}", raw_key(source, shard))
}

/// The key by which the raw exchange knows a source's shard. The first one's is what a source without shards has: with
/// more of them what is under way goes on. A source's name holds no dot, so the others' are no source's.
pub fn raw_key(source: &SourceName, shard: Shard) -> String {
    if shard == Shard::FIRST { source.to_string() } else { format!("{source}.{}", shard.number()) }
}

/// The source's dead letters.
pub fn dead_queue(source: &SourceName) -> String {
    format!("dead.{source}")
}

/// A delay queue, shared by all sources: in one queue all wait equally long, so the first in is the first out.
pub fn retry_queue(tier: Tier) -> String {
    format!("retry.{}", tier.name())
}

/// The fanout exchange in front of a delay queue; the routing key stays the raw queue's, which is what takes the
/// message back to it.
pub fn retry_exchange(tier: Tier) -> String {
    format!("hookswitch.retry.{}", tier.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::shard::Sharding;

    #[test]
    fn the_first_shard_is_called_as_a_source_without_shards() {
        let source: SourceName = "wavix-eu".parse().expect("a name");
        let queues: Vec<_> = Sharding::new(3, None).shards().map(|shard| raw_queue(&source, shard)).collect();
        assert_eq!(queues, ["raw.wavix-eu", "raw.wavix-eu.1", "raw.wavix-eu.2"]);
        let keys: Vec<_> = Sharding::new(2, None).shards().map(|shard| raw_key(&source, shard)).collect();
        assert_eq!(keys, ["wavix-eu", "wavix-eu.1"]);
    }
}
