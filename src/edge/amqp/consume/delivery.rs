//! A message out of a raw queue.

use crate::{core::delivery::queued::QueuedWebhook, edge::amqp::message::InvalidMessage};

/// A message out of a raw queue, to be settled once.
#[derive(Debug)]
pub struct Delivery {
    /// The webhook; made up as well as can be where the message is not one of ours.
    pub inbound: QueuedWebhook,
    /// Set if the message lacks what the receiver puts on every message.
    pub invalid: Option<InvalidMessage>,
    /// How often the broker has given it out before.
    pub redeliveries: u32,
    pub(super) tag: u64,
}
