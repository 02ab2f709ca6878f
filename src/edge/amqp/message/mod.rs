//! Webhooks and events as AMQP messages: which property or header holds what.
//!
//! A webhook's [`Head`] is in one header of hookswitch's own, and a bundle's [`BundleHead`] too. An event has
//! no header but `traceparent`, which all systems that trace messages know: its routing key, its properties
//! and its envelope say the rest. The broker's headers (`x-…`) are never copied: RabbitMQ 3 and 4 interpret
//! them differently when a client sends them.

mod old;
mod table;

use bytes::Bytes;
use jiff::Timestamp;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use uuid::Uuid;

use self::table::{long, number_of, string_of};
use super::{frames::UNREADABLE, invalid::InvalidMessage, names};
use crate::core::{
    delivery::{
        bundle::{self, BundleHead, InvalidBundle},
        fault::Reason,
        head::Head,
        queued::{History, QueuedWebhook},
    },
    events::{
        cloudevent::{CONTENT_TYPE, Encoded},
        redaction,
    },
    ledger::Mark,
    letters::LetterId,
    providers::Provider,
    shard::Shard,
    trace::TRACE_PARENT,
    webhook::{DeliveryId, Headers, SourceName, Webhook},
};

/// The header that holds the [`Head`] of a webhook or the [`BundleHead`] of a bundle.
const HEAD: &str = "hookswitch";

/// The type of a message that holds a webhook.
const WEBHOOK: &str = "webhook";

/// The type of a message that holds a bundle of webhooks.
const BUNDLE: &str = "bundle";

/// A head of this many bytes fits into the smallest frame, 40 KiB, even if it takes six times as many.
const SHORT_HEAD: usize = 5 << 10;

/// The most bytes of an AMQP short string.
pub(super) const SHORT_STRING_MAX: usize = 255;

/// Returns the properties of a raw webhook's message: persistent, with its head in a header.
pub fn properties(queued: &QueuedWebhook) -> BasicProperties {
    with_head(queued, &Head::of(queued))
}

/// Returns the properties of a dead letter's message.
pub fn letter_properties(id: LetterId, letter: &QueuedWebhook) -> BasicProperties {
    with_head(letter, &Head { letter: Some(id), ..Head::of(letter) })
}

fn with_head(queued: &QueuedWebhook, head: &Head<'_>) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(HEAD.into(), long(&head.to_json()));
    let properties = persistent(&queued.webhook.delivery_id.to_string(), queued.webhook.received_at)
        .with_type(WEBHOOK.into())
        .with_headers(headers);
    match queued.content_type.as_deref().filter(|text| text.len() <= SHORT_STRING_MAX) {
        Some(content_type) => properties.with_content_type(content_type.into()),
        None => properties,
    }
}

/// Returns the properties of the message of a bundle of `webhooks` webhooks.
pub fn bundle_properties(webhooks: usize, now: Timestamp) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(HEAD.into(), long(&BundleHead::of(webhooks).to_json()));
    persistent(&Uuid::now_v7().to_string(), now).with_type(BUNDLE.into()).with_headers(headers)
}

/// Returns the properties of a record in the journal of jobs.
pub fn record_properties(now: Timestamp) -> BasicProperties {
    persistent(&Uuid::now_v7().to_string(), now)
        .with_type("dead-letter-job".into())
        .with_content_type("application/json".into())
}

fn persistent(message_id: &str, time: Timestamp) -> BasicProperties {
    BasicProperties::default()
        .with_delivery_mode(2)
        .with_message_id(message_id.into())
        .with_app_id("hookswitch".into())
        .with_timestamp(u64::try_from(time.as_second()).unwrap_or(0))
}

/// Returns the properties of an event's message.
///
/// `BCC` holds more routing keys: those of the subscriptions that the event is addressed to. The broker
/// removes it.
pub fn event_properties(event: &Encoded, webhook: &Webhook) -> BasicProperties {
    let properties = persistent(&event.id.to_string(), event.time)
        .with_type(event.kind.into())
        .with_content_type(CONTENT_TYPE.into());
    let trace_parent = match event.is_redacted {
        true => redaction::trace_parent(&webhook.headers),
        false => webhook.headers.get(TRACE_PARENT),
    };
    if trace_parent.is_none() && event.addressed_to.is_empty() {
        return properties;
    }
    let mut headers = FieldTable::default();
    if let Some(traceparent) = trace_parent {
        headers.insert(TRACE_PARENT.into(), long(traceparent));
    }
    if !event.addressed_to.is_empty() {
        let keys = event.addressed_to.iter().map(|queue| long(&names::addressed_key(queue)));
        let keys: Vec<_> = keys.collect();
        headers.insert("BCC".into(), AMQPValue::FieldArray(keys.into()));
    }
    properties.with_headers(headers)
}

/// Returns the properties of a canary, which leaves a delay queue as soon as no message is before it.
pub fn canary_properties(id: Uuid, now: Timestamp) -> BasicProperties {
    persistent(&id.to_string(), now).with_type("canary".into()).with_expiration("1".into())
}

/// Returns the id of a canary.
pub(super) fn canary_id(properties: &BasicProperties) -> Option<Uuid> {
    properties.message_id().as_ref()?.as_str().parse().ok()
}

/// Returns the properties of a message of the ledger's marks.
pub fn marks_properties(now: Timestamp) -> BasicProperties {
    persistent(&Uuid::now_v7().to_string(), now)
        .with_type("ledger-marks".into())
        .with_content_type("application/json".into())
}

/// Returns the body of a message of the ledger's marks.
pub fn marks_body(marks: &[Mark]) -> Bytes {
    // Names and numbers always serialize.
    serde_json::to_vec(marks).unwrap_or_default().into()
}

/// A webhook that was read from its message; otherwise what the message lacks, and its body.
pub type Decoded = Result<QueuedWebhook, (InvalidMessage, Vec<u8>)>;

/// Reads a raw webhook's message. The message does not hold its shard; the queue that it came from tells it.
///
/// # Errors
/// [`InvalidMessage`] names what is missing, and comes with the body.
pub fn decode(properties: &BasicProperties, body: Vec<u8>) -> Decoded {
    let head = match unreadable(properties) {
        Some(cause) => Err(InvalidMessage::Unreadable(cause)),
        None => decode_head(properties),
    };
    match head {
        Ok(queued) => Ok(with_body(queued, body)),
        Err(error) => Err((error, body)),
    }
}

/// Reads the webhooks of a message that is a bundle; none if it is no bundle.
///
/// # Errors
/// [`InvalidBundle`]: it says that it is one, and cannot be taken apart.
pub fn decode_bundle(
    properties: &BasicProperties,
    body: &[u8],
) -> Option<Result<Vec<QueuedWebhook>, InvalidBundle>> {
    properties.kind().as_ref().filter(|kind| kind.as_str() == BUNDLE)?;
    let headers = properties.headers().as_ref()?;
    let head = BundleHead::from_json(string_of(headers, HEAD)?.as_bytes())?;
    let (mut read, reason) = (bundle::read(head, body), broker_reason(headers));
    for queued in read.iter_mut().flatten() {
        // As for a webhook alone: a message of its own could not carry it.
        queued.content_type.take_if(|text| text.len() > SHORT_STRING_MAX);
        queued.history.reason = queued.history.reason.or(reason);
    }
    Some(read)
}

/// Reads a dead letter's message. One of which a part is unreadable is a letter as well. The id is none if no
/// worker wrote the letter: the broker dead-letters messages as well.
///
/// # Errors
/// [`InvalidMessage`] with the body: the message is no letter that a worker wrote.
pub fn decode_letter(properties: &BasicProperties, body: Vec<u8>) -> (Option<LetterId>, Decoded) {
    let unreadable = unreadable(properties).map(InvalidMessage::Unreadable);
    let head = head_of(properties);
    let id = head.as_ref().ok().and_then(|head| head.letter);
    let letter = match queued_of(properties, head) {
        Ok(mut queued) => {
            if let Some(cause) = unreadable {
                died_of(&mut queued.history, &cause);
            }
            Ok(with_body(queued, body))
        }
        Err(error) => Err((unreadable.unwrap_or(error), body)),
    };
    (id, letter)
}

/// Records why a letter without a reason of its own is one.
pub fn died_of(history: &mut History, cause: &InvalidMessage) {
    if history.reason.is_none() {
        history.reason = Some(cause.reason());
        history.error = Some(cause.to_string());
    }
}

/// Makes a webhook of a message that cannot be decoded, so that it can become a dead letter and be replayed.
///
/// Keeps what can be read. A delivery id that is missing is derived from the body: the same message always
/// gets the same id.
pub fn salvage(
    properties: &BasicProperties,
    body: Vec<u8>,
    source: &SourceName,
    provider: Provider,
    now: Timestamp,
) -> QueuedWebhook {
    if let Ok(queued) = decode_head(properties) {
        return with_body(queued, body);
    }
    let message_id = properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok());
    let webhook = Webhook {
        delivery_id: message_id.unwrap_or_else(|| DeliveryId::new(Uuid::new_v5(&Uuid::NAMESPACE_OID, &body))),
        source: source.clone(),
        provider,
        received_at: now,
        headers: Headers::default(),
        body: Bytes::new(),
    };
    let content_type = properties.content_type().as_ref().map(ToString::to_string);
    let reason = properties.headers().as_ref().and_then(broker_reason);
    let (shard, history) = (Shard::FIRST, History { reason, ..History::default() });
    with_body(QueuedWebhook { webhook, content_type, entry: None, shard, trace: None, history }, body)
}

/// Returns why the properties of a message had to be replaced, if they were.
fn unreadable(properties: &BasicProperties) -> Option<String> {
    string_of(properties.headers().as_ref()?, UNREADABLE)
}

fn with_body(mut queued: QueuedWebhook, body: Vec<u8>) -> QueuedWebhook {
    queued.webhook.body = Bytes::from(body);
    queued
}

fn decode_head(properties: &BasicProperties) -> Result<QueuedWebhook, InvalidMessage> {
    queued_of(properties, head_of(properties))
}

fn queued_of(
    properties: &BasicProperties,
    head: Result<Head<'_>, InvalidMessage>,
) -> Result<QueuedWebhook, InvalidMessage> {
    let message_id = properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok());
    let delivery_id: DeliveryId = message_id.ok_or(InvalidMessage::Lacks("message_id"))?;
    let content_type = properties.content_type().as_ref().map(ToString::to_string);
    let mut queued = head?.into_queued(delivery_id, content_type);
    let of_the_broker = || properties.headers().as_ref().and_then(broker_reason);
    queued.history.reason = queued.history.reason.or_else(of_the_broker);
    Ok(queued)
}

fn head_of(properties: &BasicProperties) -> Result<Head<'_>, InvalidMessage> {
    let headers = properties.headers().as_ref().ok_or(InvalidMessage::Lacks(HEAD))?;
    match headers.inner().get(HEAD) {
        Some(AMQPValue::LongString(json)) => Head::from_json(json.as_bytes()),
        None if old::is_one(headers) => return old::head(headers),
        Some(_) | None => None,
    }
    .ok_or(InvalidMessage::Lacks(HEAD))
}

/// Returns whether a head may be much longer once it is written again: in JSON, a byte takes up to six.
pub(super) fn may_grow(properties: &BasicProperties) -> bool {
    let head = properties.headers().as_ref().and_then(|headers| headers.inner().get(HEAD));
    !matches!(head, Some(AMQPValue::LongString(json)) if json.as_bytes().len() <= SHORT_HEAD)
}

/// Returns whether the head of a webhook from a bundle may be too long for a message of its own.
pub(super) fn is_long(queued: &QueuedWebhook) -> bool {
    bundle::weight(queued) - queued.webhook.body.len() > SHORT_HEAD || queued.history != History::default()
}

/// Returns how often the broker has delivered the message before. RabbitMQ counts that for quorum queues
/// only.
pub fn redeliveries(properties: &BasicProperties) -> u32 {
    properties.headers().as_ref().and_then(|headers| number_of(headers, "x-delivery-count")).unwrap_or(0)
}

/// Returns the offset of a message in the stream that it was read from.
pub fn stream_offset(properties: &BasicProperties) -> Option<u64> {
    let AMQPValue::LongLongInt(offset) = properties.headers().as_ref()?.inner().get("x-stream-offset")?
    else {
        return None;
    };
    u64::try_from(*offset).ok()
}

/// Returns why the broker itself moved a message out of a raw queue, if it did. Delay queues move messages as
/// well, when their delay is over.
fn broker_reason(headers: &FieldTable) -> Option<Reason> {
    let AMQPValue::FieldArray(deaths) = headers.inner().get("x-death")? else { return None };
    // The last death comes first.
    deaths.as_slice().iter().find_map(|death| {
        let AMQPValue::FieldTable(death) = death else { return None };
        if !string_of(death, "queue")?.starts_with(names::RAW_PREFIX) {
            return None;
        }
        let reason = string_of(death, "reason")?;
        Reason::OF_THE_BROKER.into_iter().find(|known| known.as_str() == reason)
    })
}

#[cfg(test)]
mod tests;
