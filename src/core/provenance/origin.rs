//! The parts of a webhook that something can come from.

/// A part of a webhook that an adapter may read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A value in the body, by its JSON pointer; the empty one is the whole body.
    Body(String),
    /// A captured header.
    Header(String),
    /// A header of the provider's contract that was not sent.
    AbsentHeader(String),
    /// The delivery id.
    DeliveryId,
    /// The time of receipt.
    ReceivedAt,
    /// The idempotency key, which has origins of its own.
    Key,
}

impl Origin {
    /// Returns the pointer of a value in the body.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Body(pointer) => Some(pointer),
            Self::Header(_) | Self::AbsentHeader(_) | Self::DeliveryId | Self::ReceivedAt | Self::Key => None,
        }
    }
}
