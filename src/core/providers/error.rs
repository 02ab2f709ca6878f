//! The errors of normalizing a webhook.

use jiff::Timestamp;

use crate::core::{
    delivery::fault::Reason,
    events::key::IdempotencyKey,
    json::{JsonError, path},
};

/// The reason why a webhook cannot be normalized. The texts hold paths and positions, never values from the
/// body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NormalizeError {
    /// The body is not JSON, not UTF-8, or nested too deeply.
    #[error("the body {problem}")]
    MalformedJson {
        /// The problem and its position, as the end of a sentence about the body.
        problem: String,
    },
    /// The body is JSON but violates the provider's contract.
    #[error("{path}: {problem}")]
    InvalidPayload {
        /// The JSON path, as in `data.contact.id`; `$` is the whole body.
        path: String,
        /// The problem with the value.
        problem: String,
    },
    /// The event's name is not in the adapter's list.
    #[error(
        "{}: unknown event type `{}` for this provider", _0.path, path::shown_name(&_0.name)
    )]
    UnsupportedEvent(Box<UnknownEvent>),
}

/// An event whose name is not in the adapter's list: what is known of it anyway, for passing it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEvent {
    /// The JSON path of the event's name.
    pub path: &'static str,
    /// The event's name at the provider, as it was written.
    pub name: String,
    /// The webhook's key.
    pub key: IdempotencyKey,
    /// The time of the event at the provider.
    pub time: Option<Timestamp>,
    /// True if the provider marks the event as a test.
    pub test: bool,
    /// The tenant, where one source serves several.
    pub tenant: Option<String>,
    /// The system behind a unified API.
    pub connector: Option<String>,
}

impl UnknownEvent {
    /// Describes an event that has a name, at `path`, and a key.
    pub fn new(path: &'static str, name: &str, key: IdempotencyKey) -> Self {
        let name = name.to_owned();
        Self { path, name, key, time: None, test: false, tenant: None, connector: None }
    }
}

impl NormalizeError {
    /// Creates a [`NormalizeError::InvalidPayload`] at `path`; an empty path is the whole body.
    pub fn invalid(path: &str, problem: &str) -> Self {
        JsonError::invalid(path, problem).into()
    }

    /// Returns the dead letter's reason.
    pub fn reason(&self) -> Reason {
        match self {
            Self::MalformedJson { .. } => Reason::MalformedJson,
            Self::InvalidPayload { .. } => Reason::InvalidPayload,
            Self::UnsupportedEvent(_) => Reason::UnsupportedEvent,
        }
    }
}

impl From<UnknownEvent> for NormalizeError {
    fn from(unknown: UnknownEvent) -> Self {
        Self::UnsupportedEvent(Box::new(unknown))
    }
}

impl From<JsonError> for NormalizeError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Malformed { problem } => Self::MalformedJson { problem },
            JsonError::Invalid { path, problem } => Self::InvalidPayload { path, problem },
        }
    }
}
