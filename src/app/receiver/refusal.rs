//! Refused requests: the status, the text for the sender, and the line in the log.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::sink::SinkError;
use crate::core::{auth::AuthError, webhook::DeliveryId};

/// The reason why a request is not answered with 200. Its text is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("unknown source")]
    UnknownSource,
    #[error("the method is not POST")]
    Method,
    #[error("authentication failed ({word}): {0}", word = .0.as_str())]
    Unauthenticated(AuthError),
    #[error("a header of the provider's contract is repeated, and it is ambiguous which value applies")]
    Repeated,
    #[error("the body, as sent or decoded, exceeds the source's body_bytes_max")]
    TooLarge,
    #[error("the transfer coding is not chunked")]
    TransferCoding,
    #[error("the content coding is not gzip")]
    ContentCoding,
    #[error("the body is not the gzip that its headers announce")]
    Undecodable,
    #[error("the body is empty")]
    Empty,
    #[error("the body did not arrive within receiver.read_timeout")]
    Slow,
    #[error("the connection ended before the body was complete")]
    Broken,
    #[error(
        "receiver.memory_max is used up by requests in progress: add receivers, or raise it with their memory"
    )]
    NoMemory,
    #[error("{0}")]
    Sink(SinkError),
}

impl Refusal {
    /// Returns the word used in metrics: one of [`REFUSALS`](crate::edge::metrics::REFUSALS).
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::UnknownSource => "unknown_source",
            Self::Method => "method",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Repeated => "repeated_header",
            Self::TooLarge => "body_too_large",
            Self::TransferCoding => "transfer_coding",
            Self::ContentCoding => "content_coding",
            Self::Undecodable => "undecodable",
            Self::Empty => "empty_body",
            Self::Slow => "slow_body",
            Self::Broken => "incomplete_body",
            Self::NoMemory => "no_memory",
            Self::Sink(_) => "not_stored",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::UnknownSource => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::ContentCoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Repeated | Self::Undecodable | Self::Empty | Self::Broken => StatusCode::BAD_REQUEST,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::NoMemory | Self::Sink(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the text for the sender, which tells neither why a proof failed nor anything about the broker.
    fn answer(self) -> &'static str {
        match self {
            Self::UnknownSource => "unknown source\n",
            Self::Method => "method not allowed: use POST\n",
            Self::Unauthenticated(_) => "authentication failed\n",
            Self::Repeated => "a header that identifies the webhook is repeated: send it once\n",
            Self::TooLarge => "the body is too large\n",
            Self::TransferCoding => "transfer coding not supported: use chunked or a content length\n",
            Self::ContentCoding => "content coding not supported: use gzip or none\n",
            Self::Undecodable => "the body is not valid gzip\n",
            Self::Empty => "the body is empty\n",
            Self::Slow => "timed out waiting for the body\n",
            Self::Broken => "the body is incomplete\n",
            Self::NoMemory | Self::Sink(_) => "not accepted: retry later\n",
        }
    }

    /// Returns the response to the sender.
    pub(super) fn response(self, retry_after: Duration) -> Response {
        let (status, text) = (self.status(), self.answer());
        match self {
            Self::Method => (status, [(header::ALLOW, "POST")], text).into_response(),
            Self::ContentCoding => (status, [(header::ACCEPT_ENCODING, "gzip")], text).into_response(),
            Self::Sink(_) => unavailable(text, retry_after),
            Self::NoMemory => closing(unavailable(text, retry_after)),
            // The rest of the body is not worth reading, or cannot be told from the next request: the
            // connection ends with the answer.
            Self::TooLarge | Self::TransferCoding | Self::Slow | Self::Broken => {
                closing((status, text).into_response())
            }
            Self::UnknownSource
            | Self::Unauthenticated(_)
            | Self::Repeated
            | Self::Undecodable
            | Self::Empty => (status, text).into_response(),
        }
    }

    /// Logs one line. Its level depends on who has to act: 404 and 405 are background noise of the internet,
    /// a 401 or 413 comes from a sender that is set up wrong, and a 503 is the operator's concern.
    pub(super) fn log(self, source: &str, delivery_id: DeliveryId, length: Option<u64>) {
        let status = self.status().as_u16();
        match self {
            Self::UnknownSource | Self::Method | Self::Empty | Self::Slow | Self::Broken => {
                tracing::debug!(source, %delivery_id, status, length, "request refused: {self}");
            }
            Self::Unauthenticated(_)
            | Self::Repeated
            | Self::TooLarge
            | Self::TransferCoding
            | Self::ContentCoding
            | Self::Undecodable => {
                tracing::info!(source, %delivery_id, status, length, "request refused: {self}");
            }
            Self::NoMemory | Self::Sink(_) => {
                tracing::warn!(source, %delivery_id, status, length, "webhook not accepted: {self}");
            }
        }
    }
}

fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Returns a 503 that asks to retry after `retry_after`, rounded down to seconds and at least one.
pub(super) fn unavailable(text: &'static str, retry_after: Duration) -> Response {
    let seconds = retry_after.as_secs().max(1).to_string();
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, seconds)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::{http::Rejected, metrics::REFUSALS};

    #[test]
    fn each_refusal_is_in_the_list_of_the_metric() {
        let of_requests = [
            Refusal::UnknownSource,
            Refusal::Method,
            Refusal::Unauthenticated(AuthError::Missing),
            Refusal::Repeated,
            Refusal::TooLarge,
            Refusal::TransferCoding,
            Refusal::ContentCoding,
            Refusal::Undecodable,
            Refusal::Empty,
            Refusal::Slow,
            Refusal::Broken,
            Refusal::NoMemory,
            Refusal::Sink(SinkError::TimedOut),
        ];
        let words = of_requests.map(Refusal::as_str).into_iter().chain(Rejected::ALL.map(Rejected::as_str));
        let (mut words, mut listed) = (words.collect::<Vec<_>>(), REFUSALS.to_vec());
        words.sort_unstable();
        words.dedup();
        listed.sort_unstable();
        assert_eq!(words, listed);
    }
}
