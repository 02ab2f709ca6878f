//! What can be wrong with one message, and why a webhook is dead.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a webhook is dead: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The body is not JSON, not UTF-8, or nested too deep.
    MalformedJson,
    /// An event whose name nobody here knows.
    UnsupportedEvent,
    /// JSON, but not what the provider's contract says.
    InvalidPayload,
    /// The message names a source that is not the queue's.
    UnknownSource,
    /// The message does not carry what the receiver puts on every message.
    InvalidMessage,
    /// The normalized event is larger than the broker takes.
    EventTooLarge,
    /// Its key in Redis holds what hookswitch never writes, so nobody knows whether it is done.
    UnreadableKey,
    /// It failed as often as its class may.
    RetriesExhausted,
    /// The broker gave it out as often as the queue's delivery limit allows: it may kill its worker.
    DeliveryLimit,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::MalformedJson,
        Self::UnsupportedEvent,
        Self::InvalidPayload,
        Self::UnknownSource,
        Self::InvalidMessage,
        Self::EventTooLarge,
        Self::UnreadableKey,
        Self::RetriesExhausted,
        Self::DeliveryLimit,
    ];

    /// The word used in headers, metrics and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::UnsupportedEvent => "unsupported_event",
            Self::InvalidPayload => "invalid_payload",
            Self::UnknownSource => "unknown_source",
            Self::InvalidMessage => "invalid_message",
            Self::EventTooLarge => "event_too_large",
            Self::UnreadableKey => "unreadable_key",
            Self::RetriesExhausted => "retries_exhausted",
            Self::DeliveryLimit => "delivery_limit",
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

/// A text that names no [`Reason`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a reason is one of malformed_json, unsupported_event, invalid_payload, unknown_source, invalid_message, \
     event_too_large, unreadable_key, retries_exhausted, delivery_limit"
)]
pub struct UnknownReason;

/// How often a message has failed by its own fault. The first try is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(pub u32);

impl Attempt {
    /// The next one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What went wrong with this message alone.
///
/// Trouble of ours (the broker or Redis away) is no fault and never gets here: then the worker waits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It will fail every time.
    #[error("{error}")]
    Permanent {
        /// The dead letter's reason.
        reason: Reason,
        /// For people; names the JSON path.
        error: String,
    },
    /// Our code panicked over it: a fixed build may take it, so it is tried again.
    #[error("the normalizer panicked at {location}")]
    Panicked {
        /// File and line.
        location: String,
    },
    /// Somebody has overwritten its key: they may mend it, so it is tried again. The name can be pasted into `redis-cli`.
    #[error("its key in Redis holds what hookswitch never writes: DEL \"{}\" and replay", .name.escape_ascii())]
    UnreadableKey {
        /// See [`crate::core::events::key::IdempotencyKey::store_name`].
        name: [u8; 18],
    },
}

impl Fault {
    /// The dead letter's reason, once it has been tried enough.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Permanent { reason, .. } => *reason,
            Self::Panicked { .. } => Reason::RetriesExhausted,
            Self::UnreadableKey { .. } => Reason::UnreadableKey,
        }
    }
}
