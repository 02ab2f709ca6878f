//! A webhook from a raw queue.

use crate::{core::delivery::queued::QueuedWebhook, edge::amqp::invalid::InvalidMessage};

/// A webhook from a raw queue, to be settled once. Its message holds it alone, or in a bundle.
#[derive(Debug)]
pub struct Delivery {
    /// The webhook; what could be salvaged if `invalid` is set.
    pub queued: QueuedWebhook,
    /// Set if no receiver published the message as it is.
    pub invalid: Option<InvalidMessage>,
    /// Earlier deliveries of its message by the broker.
    pub redeliveries: u32,
    /// Its place in its message, from 0.
    pub place: usize,
    /// The number of webhooks in its message.
    pub of: usize,
    /// Set if it is of a bundle that was delivered before: another of the bundle may have killed its worker.
    pub came_back: bool,
    pub(super) tag: u64,
}
