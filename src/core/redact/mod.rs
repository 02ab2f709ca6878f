//! Shows webhooks, headers and events without personal data.
//!
//! Only what is listed as public is shown: each provider's [`Schema`](super::providers::Schema) names the
//! public paths of its bodies, and `policy` those of published events. Everything else, above all what is
//! new, is replaced by its type and length: `"‹text, 12 characters›"`.

mod leaf;
mod page;
pub(super) mod phone;
mod policy;
mod values;

use self::policy::Document;
pub use self::values::Value;
use super::providers::Provider;

/// Shows a webhook's body, indented, with the keys in their order. A body that is not JSON is masked
/// character by character, so that the line and column in an error message still apply.
pub fn body(provider: Provider, body: &[u8]) -> String {
    page::show(Document::Body(provider), body)
}

/// Shows a published event (a CloudEvent in JSON), indented.
pub fn event(cloud_event: &[u8]) -> String {
    page::show(Document::Event, cloud_event)
}

/// Shows a published event in one line of JSON, whole. What is not JSON becomes a marker.
pub fn event_in_one_line(cloud_event: &[u8]) -> String {
    page::show_in_one_line(Document::Event, cloud_event)
}

/// Shows every value inside a webhook's body, each with its pointer; nothing of what is not JSON.
pub fn body_values(provider: Provider, body: &[u8]) -> Vec<Value> {
    values::all(Document::Body(provider), body)
}

/// Shows every value inside a published event, as [`body_values`].
pub fn event_values(cloud_event: &[u8]) -> Vec<Value> {
    values::all(Document::Event, cloud_event)
}

/// Shows the value of a captured HTTP header: the value if it is public, else its length. Signatures and
/// tokens are never public.
pub fn header(provider: Provider, name: &str, value: &str) -> String {
    if policy::is_public_header(provider, name) { leaf::header(value) } else { leaf::text_marker(value) }
}

#[cfg(test)]
mod tests;
