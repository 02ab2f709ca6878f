//! One adapter per provider. Each turns a webhook's bytes into events; pure code: no I/O, no clock.
//!
//! A new provider is one file here and its `mod` line, one line in the list of [`provider`], golden cases in
//! `tests/golden/<provider>/` and samples in `src/samples/<provider>/`. CONTRIBUTING.md walks through it, and
//! `tests/new_provider` keeps that walk true.
//!
//! The list is a file of its own because [`Webhook`] holds a [`Provider`]: in this file, which needs
//! [`Webhook`], it would close an import circle.

pub mod adapter;
pub mod drift;
pub mod error;
pub mod provider;
pub mod schema;
pub mod sightings;

mod allo;
mod morph;
mod salpre;
mod varda;
mod wavix;

use self::adapter::Input;
pub use self::{
    adapter::{Adapter, Normalized},
    drift::Drift,
    error::{NormalizeError, UnknownEvent},
    provider::{Provider, UnknownProvider},
    schema::Schema,
    sightings::{Sighting, Sightings},
};
use super::{
    events::{
        data::Data,
        event::{Event, EventType, subject_of},
    },
    json::Object,
    webhook::Webhook,
};

/// Turns a webhook into events with its provider's adapter.
///
/// # Errors
/// [`NormalizeError`] says what is wrong with the webhook, and where.
pub fn normalize(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    let input = Input { headers: &webhook.headers, body: &webhook.body, delivery_id: webhook.delivery_id };
    (webhook.provider.adapter().normalize)(input)
}

/// Passes an event of unknown type on: `provider.unmapped`, with the whole payload under `unmapped`.
///
/// # Errors
/// [`NormalizeError`] if the body is not a JSON object.
pub fn pass_on(webhook: &Webhook, unknown: UnknownEvent) -> Result<Normalized<'_>, NormalizeError> {
    let UnknownEvent { path: _, name, key, time, test, tenant, connector } = unknown;
    let event = Event {
        kind: EventType::ProviderUnmapped,
        subject: subject_of("webhook", key.as_str()),
        time,
        provider_event: name.into(),
        test,
        tenant: tenant.map(Into::into),
        connector: connector.map(Into::into),
        data: Data::Empty {},
        unmapped: Object::root(&webhook.body)?.into_unmapped(),
    };
    Ok(Normalized { key, events: vec![event], drift: Vec::new() })
}
