//! The exchanges, queues and bindings that a configuration needs, as data.

use lapin::ExchangeKind;

use crate::{
    config::{Config, Kind, Overflow, Source, Subscription},
    core::{
        applied::{DeclaredQueue, RawQueueOf},
        delivery::retry::Tier,
        webhook::SourceName,
    },
    edge::amqp::names,
};

/// A delivery limit that is never reached. RabbitMQ 4 drops a message after 20 deliveries by default: that
/// must not happen in queues that are browsed or belong to consumers, nor end a delay early. 3.x has no value
/// for "unlimited".
const NO_DELIVERY_LIMIT: i64 = 1_000_000_000;

/// Retention of the log of dead letters, in RabbitMQ's notation for days.
const DEAD_LOG_AGE_MAX: &str = "90D";

/// Retention of the journal of jobs. It must exceed the log's, or letters that have left would be listed
/// again.
const DEAD_JOBS_AGE_MAX: &str = "400D";

/// Size of a stream's segments, in bytes.
const STREAM_SEGMENT: i64 = 50_000_000;

/// A queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<(&'static str, Argument)>,
    /// The exchange and routing key of each binding.
    pub bindings: Vec<(String, String)>,
    /// What it holds raw webhooks of, if it does.
    pub raw: Option<RawQueueOf>,
}

impl Queue {
    /// Returns it as the record of the topology lists it.
    pub(super) fn declared(&self) -> DeclaredQueue {
        DeclaredQueue { bindings: self.bindings.clone(), raw: self.raw.clone(), stream: self.is_stream() }
    }

    /// Returns the queue that holds its messages while it is being replaced.
    pub(super) fn held(&self) -> Self {
        let name = names::hold_queue(&self.name);
        Self { name, arguments: unlimited(), bindings: Vec::new(), raw: None }
    }

    /// Returns whether it gets redacted copies of events.
    pub(super) fn is_redacted(&self) -> bool {
        self.bindings.iter().any(|(exchange, _)| exchange == names::REDACTED_EXCHANGE)
    }

    /// Returns whether workers address to it what it gets.
    pub(super) fn is_addressed(&self) -> bool {
        let own_key = names::addressed_key(&self.name);
        self.bindings.iter().any(|(_, key)| *key == own_key)
    }

    /// Returns whether it is a stream.
    pub(super) fn is_stream(&self) -> bool {
        self.arguments.contains(&("x-queue-type", text("stream")))
    }
}

/// The value of a queue's argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// Text.
    Text(String),
    /// A number.
    Number(i64),
}

/// An exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// Its type, which decides how it routes.
    pub kind: ExchangeKind,
    /// The exchange that gets what this one cannot route.
    pub alternate: Option<&'static str>,
    /// The exchange that forwards everything to this one.
    pub bound_to: Option<&'static str>,
}

/// All exchanges, queues and bindings that hookswitch needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    /// The exchanges, in the order in which they can be declared.
    pub exchanges: Vec<Exchange>,
    /// The queues.
    pub queues: Vec<Queue>,
}

fn text(value: &str) -> Argument {
    Argument::Text(value.to_owned())
}

/// Returns the arguments of a queue that dead-letters to `exchange` and keeps a message until it has arrived
/// there. At-least-once dead-lettering needs a quorum queue that rejects publishes when full; otherwise
/// RabbitMQ silently falls back to at-most-once.
fn dead_lettering(exchange: &str) -> Vec<(&'static str, Argument)> {
    vec![
        ("x-queue-type", text("quorum")),
        ("x-dead-letter-exchange", text(exchange)),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ]
}

/// Returns the arguments of a queue without a delivery limit. If a policy limits its length, and does not
/// set `overflow` as well, it refuses new messages, whose publishers wait: by default it would drop its
/// oldest ones.
fn unlimited() -> Vec<(&'static str, Argument)> {
    vec![
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", Argument::Number(NO_DELIVERY_LIMIT)),
        ("x-overflow", text("reject-publish")),
    ]
}

/// Returns a stream of hookswitch's own, with retention by age if there is a maximum.
///
/// A letter older than the log's retention is still in its queue, and `dead-letters reindex` lists it in the
/// log again.
fn stream(name: &str, age_max: Option<&str>) -> Queue {
    let arguments = kept_for(age_max);
    Queue { name: name.to_owned(), arguments, bindings: Vec::new(), raw: None }
}

/// Returns the arguments of a stream. It drops whole segments only, so they are small.
fn kept_for(age_max: Option<&str>) -> Vec<(&'static str, Argument)> {
    let mut arguments = vec![("x-queue-type", text("stream"))];
    arguments.extend(age_max.map(|age_max| ("x-max-age", text(age_max))));
    arguments.push(("x-stream-max-segment-size-bytes", Argument::Number(STREAM_SEGMENT)));
    arguments
}

impl Topology {
    /// Returns the topology for a configuration.
    pub fn of(config: &Config) -> Self {
        Self { exchanges: exchanges(config), queues: queues(config) }
    }
}

fn exchanges(config: &Config) -> Vec<Exchange> {
    let plain = |name: &str, kind| Exchange { name: name.to_owned(), kind, alternate: None, bound_to: None };
    let mut all = vec![
        plain(names::RAW_EXCHANGE, ExchangeKind::Direct),
        plain(names::DEAD_EXCHANGE, ExchangeKind::Direct),
        plain(names::REDACTED_EXCHANGE, ExchangeKind::Direct),
        plain(names::UNROUTED_EXCHANGE, ExchangeKind::Fanout),
        plain(names::PUBLISHED_EXCHANGE, ExchangeKind::Fanout),
        Exchange {
            alternate: Some(names::UNROUTED_EXCHANGE),
            bound_to: Some(names::PUBLISHED_EXCHANGE),
            ..plain(names::EVENTS_EXCHANGE, ExchangeKind::Topic)
        },
    ];
    for tier in config.retry.schedule().all_tiers() {
        all.push(plain(&names::retry_exchange(tier), ExchangeKind::Fanout));
    }
    all
}

fn queues(config: &Config) -> Vec<Queue> {
    let mut all = Vec::new();
    for (source, settings) in &config.sources {
        all.extend(source_queues(config, source, settings));
    }
    all.extend(config.retry.schedule().all_tiers().into_iter().map(delay_queue));
    all.push(Queue {
        name: names::LEDGER_QUEUE.to_owned(),
        arguments: unlimited(),
        // Reached by its name over the default exchange.
        bindings: Vec::new(),
        raw: None,
    });
    all.push(Queue {
        name: names::CANARY_QUEUE.to_owned(),
        arguments: unlimited(),
        bindings: vec![(names::RAW_EXCHANGE.to_owned(), names::CANARY_KEY.to_owned())],
        raw: None,
    });
    all.push(stream(names::DEAD_LOG, Some(DEAD_LOG_AGE_MAX)));
    all.push(stream(names::DEAD_JOBS, Some(DEAD_JOBS_AGE_MAX)));
    all.push(stream(names::TOPOLOGY_LOG, None));
    all.extend(config.subscriptions.iter().map(|(name, subscription)| subscribed_queue(name, subscription)));
    // Last, so that events wait until all other queues are bound.
    all.push(Queue {
        name: names::UNROUTED_QUEUE.to_owned(),
        arguments: unlimited(),
        bindings: vec![(names::UNROUTED_EXCHANGE.to_owned(), String::new())],
        raw: None,
    });
    all
}

/// Returns a source's raw queues and its dead-letter queue.
fn source_queues(config: &Config, source: &SourceName, settings: &Source) -> Vec<Queue> {
    let mut arguments = dead_lettering(names::DEAD_EXCHANGE);
    arguments.push(("x-dead-letter-routing-key", text(source.as_str())));
    arguments.push(("x-delivery-limit", Argument::Number(config.retry.delivery_limit.into())));
    let raw = |shard| Queue {
        name: names::raw_queue(source, shard),
        arguments: arguments.clone(),
        bindings: vec![(names::RAW_EXCHANGE.to_owned(), names::raw_key(source, shard))],
        raw: Some(RawQueueOf {
            source: source.clone(),
            provider: settings.provider.to_string(),
            shard: shard.number(),
        }),
    };
    let mut queues: Vec<_> = settings.sharding.shards().map(raw).collect();
    queues.push(Queue {
        name: names::dead_queue(source),
        arguments: unlimited(),
        bindings: vec![(names::DEAD_EXCHANGE.to_owned(), source.to_string())],
        raw: None,
    });
    queues
}

fn delay_queue(tier: Tier) -> Queue {
    let mut arguments = dead_lettering(names::RAW_EXCHANGE);
    let ttl = i64::try_from(tier.delay.as_millis()).unwrap_or(i64::MAX);
    arguments.push(("x-message-ttl", Argument::Number(ttl)));
    arguments.push(("x-delivery-limit", Argument::Number(NO_DELIVERY_LIMIT)));
    Queue {
        name: names::retry_queue(tier),
        arguments,
        bindings: vec![(names::retry_exchange(tier), String::new())],
        raw: None,
    }
}

fn subscribed_queue(name: &str, subscription: &Subscription) -> Queue {
    let mut arguments = match subscription.kind {
        Kind::Queue => unlimited(),
        Kind::Stream => {
            let age_max = subscription.retention.map(|retention| format!("{}s", retention.as_secs()));
            kept_for(age_max.as_deref())
        }
    };
    if subscription.overflow == Overflow::DropOldest {
        arguments.retain(|(name, _)| *name != "x-overflow");
        arguments.push(("x-overflow", text("drop-head")));
    }
    if let Some(length_max) = subscription.length_max {
        arguments.push(("x-max-length", Argument::Number(length_max.into())));
    }
    if let Some(bytes_max) = subscription.bytes_max {
        let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
        arguments.push(("x-max-length-bytes", Argument::Number(bytes_max)));
    }
    let (exchange, keys) = match (subscription.redact.profile(), subscription.filter.is_empty()) {
        (Some(_), _) => (names::REDACTED_EXCHANGE, vec![names::addressed_key(name)]),
        (None, true) => (names::EVENTS_EXCHANGE, subscription.patterns.clone()),
        (None, false) => (names::EVENTS_EXCHANGE, vec![names::addressed_key(name)]),
    };
    let bindings = keys.into_iter().map(|key| (exchange.to_owned(), key)).collect();
    Queue { name: name.to_owned(), arguments, bindings, raw: None }
}
