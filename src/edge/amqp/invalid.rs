//! Messages in raw queues that no receiver published there.

use crate::core::{
    delivery::{bundle::InvalidBundle, fault::Reason},
    webhook::SourceName,
};

/// Why a message in a raw queue is none that a receiver published there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    /// It lacks a property or header that receivers set on every message.
    #[error("no valid `{0}`: another program has published the message, or a newer hookswitch")]
    Lacks(&'static str),
    /// Its properties or headers cannot be read. What can be is kept.
    #[error("the message is unreadable: {0}; it was not published by a hookswitch receiver")]
    Unreadable(String),
    /// It says that it holds several webhooks, and cannot be taken apart. They are kept as its body.
    #[error("the message is no bundle that can be taken apart: {0}")]
    Bundle(InvalidBundle),
    /// It names another source than that of its queue.
    #[error(
        "the message names the source `{0}` and was in the raw queue of another: a replay would make it a \
         webhook of this source"
    )]
    OtherSource(SourceName),
}

impl InvalidMessage {
    /// Returns the reason of the dead letter that it becomes.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Lacks(_) | Self::Bundle(_) => Reason::InvalidMessage,
            Self::Unreadable(_) => Reason::UnreadableHeaders,
            Self::OtherSource(_) => Reason::UnknownSource,
        }
    }
}
