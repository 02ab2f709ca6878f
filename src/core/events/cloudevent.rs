//! Writes an [`Event`] as a CloudEvent 1.0 in JSON, structured mode.

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use super::{event::Event, key::IdempotencyKey};
use crate::core::{
    json::{Fields, write_field, write_object},
    webhook::Webhook,
};

/// The media type of an encoded event.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// The approximate size of an event's own attributes, in bytes.
const ENVELOPE_BYTES: usize = 720;

/// An event as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The CloudEvent's `id`, also the AMQP `message_id`. The same webhook always yields the same ids.
    pub id: Uuid,
    /// The CloudEvent's `type`.
    pub kind: &'static str,
    /// The CloudEvent's `time`.
    pub time: Timestamp,
    /// The routing key: `<type>.<source>`.
    pub routing_key: String,
    /// The JSON text.
    pub body: Bytes,
}

/// Encodes the event at `position` of those that `webhook` yielded.
pub fn encode(webhook: &Webhook, key: &IdempotencyKey, position: usize, event: &Event<'_>) -> Encoded {
    let id = key.event_id(&webhook.source, position);
    let kind = event.kind.as_str();
    let time = event.time.unwrap_or(webhook.received_at);
    let routing_key = [kind, ".", webhook.source.as_str()].concat();
    let mut body = Vec::with_capacity(ENVELOPE_BYTES + webhook.body.len());
    write_object(&mut body, |out| write_cloud_event(out, webhook, key, id, time, event));
    Encoded { id, kind, time, routing_key, body: body.into() }
}

fn write_cloud_event(
    out: &mut Vec<u8>,
    webhook: &Webhook,
    key: &IdempotencyKey,
    id: Uuid,
    time: Timestamp,
    event: &Event<'_>,
) {
    let (provider, source) = (webhook.provider.as_str(), webhook.source.as_str());
    write_field!(out, "specversion", "1.0");
    write_field!(out, "id", &id);
    // Names of providers and sources need no escapes.
    extend(out, &["\"source\":\"/hookswitch/", provider, "/", source, "\","]);
    write_field!(out, "type", event.kind.as_str());
    write_field!(out, "subject", &event.subject);
    write_field!(out, "time", &time);
    write_field!(out, "timesource", &event.time.is_none().then_some("received"));
    write_field!(out, "datacontenttype", "application/json");
    extend(out, &["\"dataschema\":\"urn:hookswitch:schema:", event.data.family(), ":1\","]);
    write_field!(out, "provider", provider);
    write_field!(out, "providerevent", &event.provider_event);
    write_field!(out, "deliveryid", &webhook.delivery_id.uuid());
    write_field!(out, "idempotencykey", key.as_str());
    write_field!(out, "receivedtime", &webhook.received_at);
    write_field!(out, "test", &event.test);
    write_field!(out, "tenant", &event.tenant);
    write_field!(out, "traceparent", &webhook.headers.get("traceparent"));
    out.extend_from_slice(b"\"data\":");
    write_object(out, |out| {
        event.data.write_fields(out);
        write_field!(out, "unmapped", &event.unmapped);
    });
}

fn extend(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}
