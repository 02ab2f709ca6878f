//! The ways in which one message can fail, and the reasons of dead letters.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The reason of a dead letter, from a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The body is not JSON, not UTF-8, or nested too deep.
    MalformedJson,
    /// The provider's event type is unknown.
    UnsupportedEvent,
    /// The body is JSON and breaks the provider's contract.
    InvalidPayload,
    /// The message names a source that is not configured.
    UnknownSource,
    /// The message lacks properties that the receiver sets on every message.
    InvalidMessage,
    /// The message's properties or headers cannot be read: too large, nested too deep, or not UTF-8.
    UnreadableHeaders,
    /// A normalized event is larger than `worker.event_bytes_max`.
    EventTooLarge,
    /// Its Redis key holds a value that hookswitch did not write, so it is unknown whether it is done.
    UnreadableKey,
    /// It failed more often than its class of fault is retried.
    RetriesExhausted,
    /// The broker delivered it as often as the queue's delivery limit allows: it may crash its worker.
    DeliveryLimit,
    /// The broker removed it from its raw queue for its age: a policy sets `message-ttl` there.
    Expired,
    /// The broker removed it from its raw queue, which was full: a policy sets `max-length` there.
    #[serde(rename = "maxlen", alias = "max_length")]
    MaxLength,
    /// Another consumer of its raw queue rejected it.
    Rejected,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::MalformedJson,
        Self::UnsupportedEvent,
        Self::InvalidPayload,
        Self::UnknownSource,
        Self::InvalidMessage,
        Self::UnreadableHeaders,
        Self::EventTooLarge,
        Self::UnreadableKey,
        Self::RetriesExhausted,
        Self::DeliveryLimit,
        Self::Expired,
        Self::MaxLength,
        Self::Rejected,
    ];

    /// The reasons for which the broker, and no worker, dead-letters a message.
    pub const OF_THE_BROKER: [Self; 4] =
        [Self::DeliveryLimit, Self::Expired, Self::MaxLength, Self::Rejected];

    /// Returns the word used in headers, metrics and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::UnsupportedEvent => "unsupported_event",
            Self::InvalidPayload => "invalid_payload",
            Self::UnknownSource => "unknown_source",
            Self::InvalidMessage => "invalid_message",
            Self::UnreadableHeaders => "unreadable_headers",
            Self::EventTooLarge => "event_too_large",
            Self::UnreadableKey => "unreadable_key",
            Self::RetriesExhausted => "retries_exhausted",
            Self::DeliveryLimit => "delivery_limit",
            Self::Expired => "expired",
            Self::MaxLength => "maxlen",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(UnknownReason)
    }
}

/// The error for a text that is not a [`Reason`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown reason: expected one of malformed_json, unsupported_event, invalid_payload, unknown_source, \
     invalid_message, unreadable_headers, event_too_large, unreadable_key, retries_exhausted, \
     delivery_limit, expired, maxlen, rejected"
)]
pub struct UnknownReason;

/// The number of times that a message has failed by its own fault: 0 on its first delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    /// Returns the next attempt.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A failure of one message.
///
/// An infrastructure error (the broker or Redis is down) is not a fault and never becomes one: the worker
/// waits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It will fail every time.
    #[error("{error}")]
    Permanent {
        /// The dead letter's reason.
        reason: Reason,
        /// The error text for operators; it names the JSON path.
        error: String,
    },
    /// The normalizer panicked. A fixed build may succeed, so it is retried.
    #[error("the normalizer panicked at {location}")]
    Panicked {
        /// File, line and column.
        location: String,
    },
    /// Another program has overwritten its Redis key. An operator may delete the key, so it is retried.
    #[error(
        "its Redis key holds a value that hookswitch did not write: run DEL \"{key}\" in redis-cli, \
         then replay"
    )]
    UnreadableKey {
        /// The name of the key, as `redis-cli` takes it between double quotes.
        key: Box<str>,
    },
}

impl Fault {
    /// Returns the reason that the dead letter will have once the retries are used up.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Permanent { reason, .. } => *reason,
            Self::Panicked { .. } => Reason::RetriesExhausted,
            Self::UnreadableKey { .. } => Reason::UnreadableKey,
        }
    }
}
