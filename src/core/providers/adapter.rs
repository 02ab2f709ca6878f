//! The adapter: the interface between a provider's file and the rest of hookswitch.

use super::{drift::Drift, error::NormalizeError, schema::Schema};
use crate::core::{
    events::{event::Event, key::IdempotencyKey, phone::PhoneRegion},
    webhook::{headers::Headers, names::DeliveryId},
};

/// A provider's webhook format: everything that hookswitch knows of it.
#[derive(Debug)]
pub struct Adapter {
    /// The name in configuration, events and metrics; also the name of the adapter's file.
    pub name: &'static str,
    /// The HTTP headers that the provider's contract defines, in lower case and without those that carry a
    /// secret. They are captured with every webhook.
    pub headers: &'static [&'static str],
    /// The parts of a body that may be shown without personal data.
    pub schema: Schema,
    /// Turns a webhook into events. A pure function: no I/O, no clock.
    pub normalize: for<'a> fn(Input<'a>) -> Result<Normalized<'a>, NormalizeError>,
}

/// The part of a webhook that an adapter may read. The source and the time of receipt must not change the
/// events.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The captured headers.
    pub headers: &'a Headers,
    /// The body as it was received.
    pub body: &'a [u8],
    /// Identifies the webhook where its content has no id.
    pub delivery_id: DeliveryId,
}

/// A normalized webhook.
#[derive(Clone, Debug)]
pub struct Normalized<'a> {
    /// Webhooks with the same key state the same fact.
    pub key: IdempotencyKey,
    /// One or more events, in the order of publishing.
    pub events: Vec<Event<'a>>,
    /// The leaves that the adapter did not expect.
    pub drift: Vec<Drift>,
}

impl Normalized<'_> {
    /// Adds the E.164 form of the numbers that are written as in `region`. A number that has one keeps it.
    pub fn add_e164(&mut self, region: PhoneRegion) {
        let e164 = |raw: &str| region.e164(raw).map(Into::into);
        for event in &mut self.events {
            for party in event.data.parties_mut().filter(|party| party.e164.is_none()) {
                party.e164 = party.raw.as_deref().and_then(e164);
            }
            for phone in event.data.phones_mut().filter(|phone| phone.e164.is_none()) {
                phone.e164 = e164(&phone.raw);
            }
        }
    }
}
