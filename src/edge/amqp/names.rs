//! The names of exchanges and queues, and routing keys.

use crate::core::{delivery::retry::Tier, shard::Shard, webhook::SourceName};

/// The broker's own exchange, which reaches every queue by its name. In permissions it is `amq.default`.
pub const DEFAULT_EXCHANGE: &str = "";

/// Direct exchange of raw webhooks, by source and shard: new, retried and replayed ones.
pub const RAW_EXCHANGE: &str = "hookswitch.raw";

/// Direct exchange of dead letters, by source.
pub const DEAD_EXCHANGE: &str = "hookswitch.dead";

/// Fanout exchange to which workers publish events. `hookswitch tail` binds here, so that a tail never makes
/// an event count as delivered.
pub const PUBLISHED_EXCHANGE: &str = "hookswitch.published";

/// Topic exchange of the events, by `<type>.<source>`. Consumers bind their queues here.
pub const EVENTS_EXCHANGE: &str = "hookswitch.events";

/// Direct exchange of redacted copies of events, by the queue that gets them. It has no alternate exchange: a
/// copy waits at its worker until its queue is bound.
pub const REDACTED_EXCHANGE: &str = "hookswitch.redacted";

/// Fanout, the alternate exchange of [`EVENTS_EXCHANGE`]: events that match no binding.
pub const UNROUTED_EXCHANGE: &str = "hookswitch.unrouted";

/// Queue of the events that match no binding.
pub const UNROUTED_QUEUE: &str = "events.unrouted";

/// Queue of the marks that receivers send to workers (see [`crate::core::ledger`]).
pub const LEDGER_QUEUE: &str = "hookswitch.ledger";

/// Queue of the canaries that came out of delay queues (see [`crate::core::delivery::canary`]).
pub const CANARY_QUEUE: &str = "hookswitch.canaries";

/// Routing key of canaries. A source's name holds no space, so it is no raw queue's.
pub const CANARY_KEY: &str = "delay canary";

/// Stream that lists the dead letters of all sources (see [`crate::core::letters`]).
pub const DEAD_LOG: &str = "hookswitch.dead-log";

/// Stream with the record of the queues that were ever declared (see [`crate::core::applied`]).
pub const TOPOLOGY_LOG: &str = "hookswitch.topology";

/// Stream with the journal of dead-letter jobs: who did what to which letters.
pub const DEAD_JOBS: &str = "hookswitch.dead-jobs";

/// The streams that hookswitch itself reads.
pub const OWN_STREAMS: [&str; 3] = [DEAD_LOG, DEAD_JOBS, TOPOLOGY_LOG];

/// Exclusive queue that a job holds while it moves dead letters.
pub const DEAD_LOCK: &str = "hookswitch.dead-lock";

/// The beginning of the names of all raw queues.
pub const RAW_PREFIX: &str = "raw.";

/// The beginning of the names of all dead-letter queues.
pub const DEAD_PREFIX: &str = "dead.";

/// The beginning of the names of all delay queues.
pub const RETRY_PREFIX: &str = "retry.";

/// Returns the queue of the raw webhooks of a source's shard.
pub fn raw_queue(source: &SourceName, shard: Shard) -> String {
    format!("{RAW_PREFIX}{}", raw_key(source, shard))
}

/// Returns the routing key of a source's shard. The first shard has the key of a source without shards, so
/// that webhooks under way arrive when shards are added. A source's name holds no dot, so no other key is a
/// source's name.
pub fn raw_key(source: &SourceName, shard: Shard) -> String {
    if shard == Shard::FIRST { source.to_string() } else { format!("{source}.{}", shard.number()) }
}

/// Returns the queue of a source's dead letters.
pub fn dead_queue(source: &SourceName) -> String {
    format!("{DEAD_PREFIX}{source}")
}

/// Returns the routing key by which a subscription with a filter or a redaction profile gets its events: a
/// worker that publishes an event adds the keys of those that it is for.
///
/// It is one word, which no type of event and no pattern of another subscription begins with. A queue's name
/// holds no space.
pub fn addressed_key(queue: &str) -> String {
    format!("for {}", queue.replace('.', " "))
}

/// Returns the queue that holds the messages of another while that is being replaced.
pub fn hold_queue(queue: &str) -> String {
    format!("hookswitch.hold.{queue}")
}

/// Returns a delay queue, shared by all sources. Its messages all wait equally long, so the first in is the
/// first out.
pub fn retry_queue(tier: Tier) -> String {
    format!("{RETRY_PREFIX}{}", tier.name())
}

/// Returns the fanout exchange in front of a delay queue. A message keeps its raw queue's routing key, which
/// takes it back there.
pub fn retry_exchange(tier: Tier) -> String {
    format!("hookswitch.retry.{}", tier.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::shard::Sharding;

    #[test]
    fn the_first_shard_has_the_name_of_a_source_without_shards() {
        let source: SourceName = "wavix-eu".parse().expect("a name");
        let queues: Vec<_> = Sharding::new(3, None).shards().map(|shard| raw_queue(&source, shard)).collect();
        assert_eq!(queues, ["raw.wavix-eu", "raw.wavix-eu.1", "raw.wavix-eu.2"]);
        let keys: Vec<_> = Sharding::new(2, None).shards().map(|shard| raw_key(&source, shard)).collect();
        assert_eq!(keys, ["wavix-eu", "wavix-eu.1"]);
    }
}
