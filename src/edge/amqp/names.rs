//! What things are called in the broker.

use crate::core::{backoff::Tier, webhook::SourceName};

/// Direct: raw webhooks, by source. New ones, retried ones and replayed ones come this way.
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

/// The source's raw webhooks.
pub fn raw_queue(source: &SourceName) -> String {
    format!("raw.{source}")
}

/// The source's dead letters.
pub fn dead_queue(source: &SourceName) -> String {
    format!("dead.{source}")
}

/// A delay queue, shared by all sources: in one queue all wait equally long, so the first in is the first out.
pub fn retry_queue(tier: Tier) -> String {
    format!("retry.{}", tier.name())
}

/// The fanout exchange in front of a delay queue; the routing key stays the source's name, which is what takes the
/// message back to the source's raw queue.
pub fn retry_exchange(tier: Tier) -> String {
    format!("hookswitch.retry.{}", tier.name())
}
