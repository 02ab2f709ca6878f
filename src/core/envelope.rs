//! Writing an [`Event`] as a CloudEvent 1.0 in JSON, structured mode.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::{data::Data, event::Event, json::Value, key::IdempotencyKey, webhook::Webhook};

/// The media type of an encoded event.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// An event as it goes to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The CloudEvent's `id`, also the AMQP `message_id`: the same webhook always gives the same ids.
    pub id: Uuid,
    /// The CloudEvent's `type`.
    pub kind: &'static str,
    /// When it happened.
    pub time: Timestamp,
    /// `<type>.<source>`
    pub routing_key: String,
    /// The JSON text.
    pub body: Bytes,
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: Uuid,
    source: String,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a str,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    timesource: Option<&'static str>,
    datacontenttype: &'static str,
    dataschema: String,
    provider: &'static str,
    providerevent: &'a str,
    deliveryid: String,
    idempotencykey: &'a str,
    receivedtime: Timestamp,
    test: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    data: WithUnmapped<'a>,
}

#[derive(Serialize)]
struct WithUnmapped<'a> {
    #[serde(flatten)]
    data: &'a Data<'a>,
    #[serde(skip_serializing_if = "Value::is_empty")]
    unmapped: &'a Value<'a>,
}

/// Writes the event at `position` of what `webhook` gave.
///
/// # Errors
/// None in practice: every part can be written as JSON; serde_json's signature cannot say so.
pub fn encode(
    webhook: &Webhook,
    key: &IdempotencyKey,
    position: usize,
    event: &Event<'_>,
) -> Result<Encoded, serde_json::Error> {
    let id = key.event_id(&webhook.source, position);
    let kind = event.kind.as_str();
    let time = event.time.unwrap_or(webhook.received_at);
    let cloud_event = CloudEvent {
        specversion: "1.0",
        id,
        source: format!("/hookswitch/{}/{}", webhook.provider.as_str(), webhook.source),
        kind,
        subject: &event.subject,
        time,
        timesource: event.time.is_none().then_some("received"),
        datacontenttype: "application/json",
        dataschema: format!("urn:hookswitch:schema:{}:1", event.data.family()),
        provider: webhook.provider.as_str(),
        providerevent: &event.provider_event,
        deliveryid: webhook.delivery_id.to_string(),
        idempotencykey: key.as_str(),
        receivedtime: webhook.received_at,
        test: event.test,
        tenant: event.tenant.as_deref(),
        traceparent: webhook.headers.get("traceparent"),
        data: WithUnmapped { data: &event.data, unmapped: &event.unmapped },
    };
    let mut body = Vec::with_capacity(1024 + webhook.body.len());
    serde_json::to_writer(&mut body, &cloud_event)?;
    Ok(Encoded { id, kind, time, routing_key: format!("{kind}.{}", webhook.source), body: body.into() })
}
