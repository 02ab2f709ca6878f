//! Why a publisher's connection or one of its channels failed.

use crate::edge::{
    amqp::{ConnectError, Error},
    trouble::Trouble,
};

/// A failure that ends the publisher's connection.
#[derive(Debug)]
pub(super) struct Failure {
    /// What it keeps the process from.
    pub(super) trouble: Trouble,
    /// The cause, in the words of the broker or of lapin.
    pub(super) cause: String,
}

impl Failure {
    /// Returns a failure of the connection itself.
    pub(super) fn down(cause: impl Into<String>) -> Self {
        Self { trouble: Trouble::BrokerDown, cause: cause.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { trouble: error.trouble().unwrap_or(Trouble::BrokerDown), cause: error.to_string() }
    }
}

impl From<lapin::Error> for Failure {
    fn from(error: lapin::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self { trouble: error.trouble(), cause: error.to_string() }
    }
}
