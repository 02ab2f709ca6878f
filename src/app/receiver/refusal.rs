//! Refused requests: the status, the text for the sender, and the line in the log.

use std::time::Duration;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::sink::SinkError;
use crate::core::auth::AuthError;

/// The reason why a request is not answered with 200. Its text is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("unknown source")]
    UnknownSource,
    #[error("the method is not POST")]
    Method,
    #[error("authentication failed: {0}")]
    Unauthenticated(AuthError),
    #[error("the body exceeds the source's body_bytes_max")]
    TooLarge,
    #[error("the body is empty")]
    Empty,
    #[error("the body did not arrive within receiver.read_timeout")]
    Slow,
    #[error("the connection ended before the body was complete")]
    Broken,
    #[error("{0}")]
    Sink(SinkError),
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::UnknownSource => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Empty | Self::Broken => StatusCode::BAD_REQUEST,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Sink(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the text for the sender, which tells neither why a proof failed nor anything about the broker.
    fn answer(self) -> &'static str {
        match self {
            Self::UnknownSource => "unknown source\n",
            Self::Method => "method not allowed: use POST\n",
            Self::Unauthenticated(_) => "authentication failed\n",
            Self::TooLarge => "the body is too large\n",
            Self::Empty => "the body is empty\n",
            Self::Slow => "timed out waiting for the body\n",
            Self::Broken => "the body is incomplete\n",
            Self::Sink(_) => "not accepted: retry later\n",
        }
    }

    /// Returns the response to the sender.
    pub(super) fn response(self, retry_after: Duration) -> Response {
        let (status, text) = (self.status(), self.answer());
        match self {
            Self::Method => (status, [(header::ALLOW, "POST")], text).into_response(),
            Self::Sink(_) => unavailable(text, retry_after),
            // The rest of the body is not worth reading: the connection ends with the answer.
            Self::TooLarge | Self::Slow | Self::Broken => {
                (status, [(header::CONNECTION, "close")], text).into_response()
            }
            Self::UnknownSource | Self::Unauthenticated(_) | Self::Empty => (status, text).into_response(),
        }
    }

    /// Logs one line. Its level depends on who has to act: 404 and 405 are background noise of the internet,
    /// a 401 or 413 comes from a sender that is set up wrong, and a 503 is the operator's concern.
    pub(super) fn log(self, source: &str, length: Option<u64>) {
        let status = self.status().as_u16();
        match self {
            Self::UnknownSource | Self::Method | Self::Empty | Self::Slow | Self::Broken => {
                tracing::debug!(source, status, length, "request refused: {self}");
            }
            Self::Unauthenticated(_) | Self::TooLarge => {
                tracing::info!(source, status, length, "request refused: {self}");
            }
            Self::Sink(_) => tracing::warn!(source, status, length, "webhook not accepted: {self}"),
        }
    }
}

/// Returns a 503 that asks to retry after `retry_after`, rounded down to seconds and at least one.
pub(super) fn unavailable(text: &'static str, retry_after: Duration) -> Response {
    let seconds = retry_after.as_secs().max(1).to_string();
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, seconds)], text).into_response()
}
