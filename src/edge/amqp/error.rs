//! Why the broker did not do what was asked, in the distinctions that callers make.

use lapin::{
    ErrorKind,
    protocol::{AMQPErrorKind, AMQPSoftError},
};

use crate::edge::trouble::Trouble;

/// Why the broker did not do what was asked; each holds the broker's or lapin's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such queue or exchange.
    #[error("{0}")]
    Missing(String),
    /// The user lacks a permission.
    #[error("{0}; grant the permissions listed in docs/permissions.md")]
    Denied(String),
    /// Another connection holds the queue exclusively.
    #[error("{0}")]
    Locked(String),
    /// A queue exists and does not answer: it has no leader at the moment, as while the broker starts.
    #[error("{0}")]
    Leaderless(String),
    /// The broker answered and refused for another reason.
    #[error("{0}")]
    Refused(String),
    /// The queue was replaced by another of its name.
    #[error("queue {0} was replaced: opening it again")]
    Replaced(String),
    /// The channel or the connection failed.
    #[error("{0}")]
    Lost(String),
}

impl From<lapin::Error> for Error {
    fn from(error: lapin::Error) -> Self {
        let text = error.to_string();
        let ErrorKind::ProtocolError(refusal) = error.kind() else { return Self::Lost(text) };
        let broker_says = refusal.get_message().as_str();
        if says_missing(broker_says) {
            Self::Missing(text)
        } else if matches!(refusal.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)) {
            Self::Leaderless(text)
        } else if says_denied(broker_says) {
            Self::Denied(text)
        } else if matches!(refusal.kind(), AMQPErrorKind::Soft(AMQPSoftError::RESOURCELOCKED)) {
            Self::Locked(text)
        } else {
            Self::Refused(text)
        }
    }
}

impl Error {
    /// Returns the infrastructure error that this is, where more is known than that the broker did not do it.
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Missing(_) => Some(Trouble::Topology),
            Self::Denied(_) => Some(Trouble::BrokerDenied),
            Self::Locked(_) | Self::Leaderless(_) | Self::Refused(_) | Self::Replaced(_) | Self::Lost(_) => {
                None
            }
        }
    }
}

/// Returns whether a 403 says that the user lacks a permission. Another 403 says: "queue 'x' in vhost '/' in
/// exclusive use".
pub(super) fn says_denied(broker_says: &str) -> bool {
    broker_says.starts_with("ACCESS_REFUSED - ") && broker_says.contains(" refused for user ")
}

/// Returns whether a 404 says that something does not exist. Other 404s say: "failed to perform operation on
/// queue 'raw.x' in vhost '/' due to timeout", "home node 'rabbit@one' of durable queue 'x' in vhost '/' is
/// down or inaccessible".
pub(super) fn says_missing(broker_says: &str) -> bool {
    ["NOT_FOUND - no queue ", "NOT_FOUND - no exchange "].iter().any(|text| broker_says.starts_with(text))
}

#[cfg(test)]
mod tests {
    use lapin::protocol::{AMQPError, AMQPErrorKind, AMQPSoftError};

    use super::{Error, says_denied};

    #[test]
    fn a_queue_in_use_is_not_a_missing_permission() {
        for right in ["", "configure ", "read "] {
            assert!(says_denied(&format!(
                "ACCESS_REFUSED - {right}access to queue 'raw.x' in vhost '/' refused for user 'u'"
            )));
        }
        assert!(!says_denied("ACCESS_REFUSED - queue 'raw.x' in vhost '/' in exclusive use"));
    }

    #[test]
    fn a_queue_that_does_not_answer_is_not_missing() {
        let error = |broker_says: &str| {
            let kind = AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND);
            let refusal = AMQPError::new(kind, format!("NOT_FOUND - {broker_says}").into());
            Error::from(lapin::Error::from(lapin::ErrorKind::ProtocolError(refusal)))
        };
        for missing in ["no queue 'raw.x' in vhost '/'", "no exchange 'hookswitch.raw' in vhost '/'"] {
            assert!(matches!(error(missing), Error::Missing(_)), "{missing}");
        }
        for silent in [
            "failed to perform operation on queue 'raw.x' in vhost '/' due to timeout",
            "home node 'r@a' of durable queue 'raw.x' in vhost '/' is down or inaccessible",
        ] {
            assert!(matches!(error(silent), Error::Leaderless(_)), "{silent}");
        }
    }
}
