//! One HTTP POST as it was received, and the names that identify it.

pub mod headers;
pub mod names;

use bytes::Bytes;
use jiff::Timestamp;

pub use self::{
    headers::{Headers, text_of_value},
    names::{DeliveryId, InvalidSourceName, SourceName},
};
use super::providers::provider::Provider;

/// One HTTP POST as it was received. The body's bytes never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The id that the receiver assigned on acceptance.
    pub delivery_id: DeliveryId,
    /// The configured endpoint that received it.
    pub source: SourceName,
    /// The source's webhook format.
    pub provider: Provider,
    /// The time at which the receiver had read the whole request.
    pub received_at: Timestamp,
    /// The headers that the provider's contract defines and those on the source's allowlist.
    pub headers: Headers,
    /// The body, byte for byte.
    pub body: Bytes,
}
