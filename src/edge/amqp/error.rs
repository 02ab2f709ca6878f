//! Why the broker did not do what was asked, in the distinctions that callers make.

use lapin::{
    ErrorKind,
    protocol::{AMQPErrorKind, AMQPSoftError},
};

/// Why the broker did not do what was asked; each holds the broker's or lapin's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such queue or exchange.
    #[error("{0}")]
    Missing(String),
    /// Another connection holds the queue exclusively.
    #[error("{0}")]
    Locked(String),
    /// The broker answered and refused for another reason.
    #[error("{0}")]
    Refused(String),
    /// The channel or the connection failed.
    #[error("{0}")]
    Lost(String),
}

impl From<lapin::Error> for Error {
    fn from(error: lapin::Error) -> Self {
        let text = error.to_string();
        let ErrorKind::ProtocolError(refusal) = error.kind() else { return Self::Lost(text) };
        if says_missing(refusal.get_message().as_str()) {
            Self::Missing(text)
        } else if matches!(refusal.kind(), AMQPErrorKind::Soft(AMQPSoftError::RESOURCELOCKED)) {
            Self::Locked(text)
        } else {
            Self::Refused(text)
        }
    }
}

/// Returns whether a 404 says that something does not exist. Other 404s say: "failed to perform operation on
/// queue 'raw.x' in vhost '/' due to timeout", "home node 'rabbit@one' of durable queue 'x' in vhost '/' is
/// down or inaccessible".
pub(super) fn says_missing(broker_says: &str) -> bool {
    ["NOT_FOUND - no queue ", "NOT_FOUND - no exchange "].iter().any(|text| broker_says.starts_with(text))
}

#[cfg(test)]
mod tests {
    use super::says_missing;

    #[test]
    fn a_queue_that_does_not_answer_is_not_missing() {
        assert!(says_missing("NOT_FOUND - no queue 'raw.x' in vhost '/'"));
        assert!(says_missing("NOT_FOUND - no exchange 'hookswitch.raw' in vhost '/'"));
        assert!(!says_missing(
            "NOT_FOUND - failed to perform operation on queue 'raw.x' in vhost '/' due to timeout"
        ));
        assert!(!says_missing(
            "NOT_FOUND - home node 'r@a' of durable queue 'raw.x' in vhost '/' is down or inaccessible"
        ));
    }
}
