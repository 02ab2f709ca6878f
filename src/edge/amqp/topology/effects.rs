//! What each setting of a policy does to each of our exchanges and queues.
//!
//! Our queues are declared with arguments. Of two limits the broker takes the lower one. `overflow` of a
//! policy overrides the argument in a quorum queue; for everything else the argument wins.
//! Of a stream the policy's setting wins.

use std::cmp::Ordering;

use serde_json::Value;

use super::spec::{Argument, Exchange, Queue};
use crate::edge::amqp::names;

/// Settings that change nothing that hookswitch relies on: queues are declared with arguments of their own
/// for some of them, and the others say where and how the broker stores messages.
const HARMLESS: [&str; 19] = [
    "consumer-timeout",
    "dead-letter-exchange",
    "dead-letter-strategy",
    "ha-mode",
    "ha-params",
    "ha-promote-on-failure",
    "ha-promote-on-shutdown",
    "ha-sync-batch-size",
    "ha-sync-mode",
    "initial-cluster-size",
    "max-in-memory-bytes",
    "max-in-memory-length",
    "queue-leader-locator",
    "queue-master-locator",
    "queue-mode",
    "queue-version",
    "stream-filter-size-bytes",
    "stream-max-segment-size-bytes",
    "target-group-size",
];

/// Something that policies apply to.
pub(super) enum Object<'a> {
    Exchange(&'a Exchange),
    Queue(&'a Queue),
}

impl Object<'_> {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Exchange(exchange) => &exchange.name,
            Self::Queue(queue) => &queue.name,
        }
    }

    /// Returns its kind and name, as in `queue raw.x`.
    pub(super) fn shown(&self) -> String {
        let kind = if matches!(self, Self::Exchange(_)) { "exchange" } else { "queue" };
        format!("{kind} {}", self.name())
    }
}

/// Returns what a setting of a policy does to an object; none if it does nothing.
pub(super) fn effect(object: &Object<'_>, key: &str, value: &Value) -> Option<&'static str> {
    match object {
        Object::Exchange(exchange) => on_exchange(exchange, key),
        Object::Queue(queue) if queue.is_stream() => on_stream(queue, key, value),
        Object::Queue(queue) => on_queue(queue, key, value),
    }
}

fn on_exchange(exchange: &Exchange, key: &str) -> Option<&'static str> {
    match key {
        "alternate-exchange" if exchange.alternate.is_some() => None,
        "alternate-exchange" if exchange.name == names::RAW_EXCHANGE => {
            Some("receivers answer 200 to webhooks that no raw queue takes")
        }
        "alternate-exchange" => Some("messages that no queue takes count as stored"),
        // Settings of queues do nothing to exchanges.
        _ if on_any_queue(key) || HARMLESS.contains(&key) => None,
        _ => Some(UNKNOWN),
    }
}

const UNKNOWN: &str = "hookswitch does not know what it does";

fn on_any_queue(key: &str) -> bool {
    matches!(
        key,
        "message-ttl"
            | "expires"
            | "max-length"
            | "max-length-bytes"
            | "max-age"
            | "overflow"
            | "delivery-limit"
            | "dead-letter-routing-key"
    )
}

fn on_stream(queue: &Queue, key: &str, value: &Value) -> Option<&'static str> {
    if !matches!(key, "max-age" | "max-length-bytes") {
        let is_known = key == "alternate-exchange" || on_any_queue(key) || HARMLESS.contains(&key);
        return if is_known { None } else { Some(UNKNOWN) };
    }
    let name = queue.name.as_str();
    match (name, compare(queue, key, value)) {
        (_, Some(Ordering::Equal)) => None,
        (_, Some(Ordering::Greater)) if names::OWN_STREAMS.contains(&name) => None,
        (_, Some(Ordering::Greater)) => Some("events stay in the history longer"),
        (names::DEAD_LOG, _) => Some("dead letters leave the list sooner"),
        (names::DEAD_JOBS, _) => Some("jobs leave the journal sooner, and letters are listed again"),
        (names::TOPOLOGY_LOG, _) => Some("what was ever declared is forgotten"),
        _ => Some("events leave the history sooner"),
    }
}

fn on_queue(queue: &Queue, key: &str, value: &Value) -> Option<&'static str> {
    if is_no_lower(queue, key, value) {
        return None;
    }
    let role = Role::of(queue);
    match key {
        "message-ttl" => Some(match role {
            Role::Raw => "webhooks that wait longer become dead letters (`expired`), unprocessed",
            Role::Delay => "retries come sooner",
            Role::Dead => "dead letters are deleted",
            Role::Ledger => "marks of receivers are deleted, and webhooks look lost",
            Role::Canaries => "delay queues look late",
            Role::Events => "events are deleted before they are consumed",
        }),
        "expires" => Some("it is deleted, with what is in it, when it is not used for so long"),
        "max-length" | "max-length-bytes" if drops_oldest(queue) => {
            Some("its oldest events are deleted sooner")
        }
        "max-length" | "max-length-bytes" => Some(match role {
            Role::Raw => "receivers answer 503 while it is full",
            Role::Ledger => "marks of receivers wait while it is full",
            Role::Canaries => "delay queues look late while it is full, and may be",
            Role::Delay | Role::Dead | Role::Events => "workers wait while it is full",
        }),
        "delivery-limit" => Some(match role {
            Role::Raw => "webhooks become dead letters (`delivery_limit`) after fewer deliveries",
            Role::Delay => "retries come sooner",
            Role::Dead => "dead letters are deleted after so many looks at them",
            Role::Ledger => "marks of receivers may be deleted, and webhooks look lost",
            Role::Canaries => return None,
            Role::Events => "events that consumers give back so often are deleted",
        }),
        "overflow" if is_own(queue, key, value) => None,
        "overflow" if drops_oldest(queue) => {
            Some("workers wait while it is full, where it should drop its oldest events")
        }
        "overflow" => Some(match role {
            Role::Raw => {
                "the oldest webhooks become dead letters (`maxlen`), unprocessed, when it is full, and \
                          no dead letter is safe on its way"
            }
            Role::Delay => "webhooks may be lost on their way back to their queue",
            Role::Dead => "the oldest dead letters are deleted when it is full",
            Role::Ledger => "marks of receivers are deleted when it is full, and webhooks look lost",
            Role::Canaries => "delay queues look late when it is full",
            Role::Events => "the oldest events are deleted when it is full",
        }),
        "dead-letter-routing-key" if role == Role::Delay => {
            Some("webhooks do not come back to their queue after the delay")
        }
        "dead-letter-routing-key" | "alternate-exchange" | "max-age" => None,
        _ if HARMLESS.contains(&key) => None,
        _ => Some(UNKNOWN),
    }
}

/// Returns whether a setting is a limit that is not below the queue's own.
fn is_no_lower(queue: &Queue, key: &str, value: &Value) -> bool {
    compare(queue, key, value).is_some_and(Ordering::is_ge)
}

/// Compares a limit with the queue's own, if it has one. A negative limit is none.
fn compare(queue: &Queue, key: &str, value: &Value) -> Option<Ordering> {
    match own(queue, key)? {
        Argument::Number(own) => {
            let limit = value.as_i64()?;
            Some(if limit < 0 { Ordering::Greater } else { limit.cmp(own) })
        }
        Argument::Text(own) => Some(seconds(value.as_str()?)?.cmp(&seconds(own)?)),
    }
}

/// Returns the seconds of an age in RabbitMQ's notation, as in `7D`; none if it is no age.
fn seconds(age: &str) -> Option<u64> {
    let (number, unit) = age.split_at_checked(age.len().checked_sub(1)?)?;
    let unit = match unit {
        "Y" => 365 * 86_400,
        "M" => 30 * 86_400,
        "D" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Returns whether a text is the queue's own setting.
fn is_own(queue: &Queue, key: &str, value: &Value) -> bool {
    matches!(own(queue, key), Some(Argument::Text(own)) if value == own)
}

fn drops_oldest(queue: &Queue) -> bool {
    matches!(own(queue, "overflow"), Some(Argument::Text(own)) if own == "drop-head")
}

/// Returns the argument of a queue that stands for a setting of policies.
fn own<'q>(queue: &'q Queue, key: &str) -> Option<&'q Argument> {
    let own = queue.arguments.iter().find(|(name, _)| name.strip_prefix("x-") == Some(key));
    own.map(|(_, value)| value)
}

/// What a queue is for.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Raw,
    Delay,
    Dead,
    Ledger,
    Canaries,
    Events,
}

impl Role {
    fn of(queue: &Queue) -> Self {
        let is = |prefix| queue.name.starts_with(prefix);
        match queue.name.as_str() {
            _ if queue.raw.is_some() => Self::Raw,
            names::LEDGER_QUEUE => Self::Ledger,
            names::CANARY_QUEUE => Self::Canaries,
            _ if is(names::RETRY_PREFIX) => Self::Delay,
            _ if is(names::DEAD_PREFIX) => Self::Dead,
            _ => Self::Events,
        }
    }
}
