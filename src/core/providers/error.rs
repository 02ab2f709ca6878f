//! The errors of normalizing a webhook.

use crate::core::{
    delivery::fault::Reason,
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
    #[error("{path}: unknown event type `{name}` for this provider")]
    UnsupportedEvent {
        /// The JSON path of the event's name.
        path: String,
        /// The event's name, or a marker if it is not a plain name.
        name: String,
    },
}

impl NormalizeError {
    /// Creates a [`NormalizeError::InvalidPayload`] at `path`; an empty path is the whole body.
    pub fn invalid(path: &str, problem: &str) -> Self {
        JsonError::invalid(path, problem).into()
    }

    /// Creates a [`NormalizeError::UnsupportedEvent`] for the event `name`, which is at `path`.
    pub fn unsupported(path: &str, name: &str) -> Self {
        Self::UnsupportedEvent { path: path.to_owned(), name: path::shown_name(name).to_owned() }
    }

    /// Returns the dead letter's reason.
    pub fn reason(&self) -> Reason {
        match self {
            Self::MalformedJson { .. } => Reason::MalformedJson,
            Self::InvalidPayload { .. } => Reason::InvalidPayload,
            Self::UnsupportedEvent { .. } => Reason::UnsupportedEvent,
        }
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
