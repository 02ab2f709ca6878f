//! Why consuming over one connection ends.

use std::time::Duration;

use crate::edge::{
    amqp::{self, ConnectError, topology::TopologyError},
    panics::TaskFailed,
    redis::StoreError,
    trouble::Trouble,
};

/// The reason why consuming ended before the stop.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConsumeError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error("consuming could not begin within {0:?}")]
    Late(Duration),
    #[error(transparent)]
    Lost(#[from] amqp::Error),
    #[error("a lane failed: {0}")]
    Failed(#[from] TaskFailed),
}

impl ConsumeError {
    /// Returns the infrastructure error that this is.
    pub(super) fn trouble(&self) -> Trouble {
        let known = match self {
            Self::Connect(error) => Some(error.trouble()),
            Self::Store(error) => Some(error.trouble()),
            Self::Topology(TopologyError::Differs(_)) => Some(Trouble::Topology),
            Self::Topology(TopologyError::Lost(error)) | Self::Lost(error) => error.trouble(),
            Self::Topology(TopologyError::NotApplied | TopologyError::Record(_))
            | Self::Late(_)
            | Self::Failed(_) => None,
        };
        known.unwrap_or(Trouble::NotConsuming)
    }
}
