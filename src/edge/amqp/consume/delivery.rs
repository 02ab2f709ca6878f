//! A message from a raw queue.

use crate::{core::delivery::queued::QueuedWebhook, edge::amqp::invalid::InvalidMessage};

/// A message from a raw queue, to be settled once.
#[derive(Debug)]
pub struct Delivery {
    /// The webhook; what could be salvaged if `invalid` is set.
    pub queued: QueuedWebhook,
    /// Set if no receiver published the message as it is.
    pub invalid: Option<InvalidMessage>,
    /// Earlier deliveries of it by the broker.
    pub redeliveries: u32,
    pub(super) tag: u64,
}
