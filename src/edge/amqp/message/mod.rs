//! Webhooks and events as AMQP messages: which property or header holds what.
//!
//! hookswitch's own headers start with `hookswitch-`, captured HTTP headers with `http-`. `traceparent` names
//! the span that published a message, as all systems that trace messages have it. The broker's
//! headers (`x-…`) are never copied: RabbitMQ 3 and 4 interpret them differently when a client sends them.

use bytes::Bytes;
use jiff::Timestamp;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, LongString, ShortString},
};
use uuid::Uuid;

use super::{frames::UNREADABLE, invalid::InvalidMessage, names};
use crate::{
    config::HEADER_NAME_MAX,
    core::{
        delivery::{
            fault::{Attempt, Reason},
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
        trace::{TRACE_PARENT, TraceParent},
        webhook::{DeliveryId, Headers, SourceName, Webhook},
    },
};

const SOURCE: &str = "hookswitch-source";
const PROVIDER: &str = "hookswitch-provider";
const RECEIVED_AT: &str = "hookswitch-received-at";
const ATTEMPT: &str = "hookswitch-attempt";
const REASON: &str = "hookswitch-reason";
const ERROR: &str = "hookswitch-error";
const FIRST_FAILED_AT: &str = "hookswitch-first-failed-at";
const LAST_FAILED_AT: &str = "hookswitch-last-failed-at";
const VERSION: &str = "hookswitch-version";
const REPLAYS: &str = "hookswitch-replays";
const PAST: &str = "hookswitch-past";
const WAVE: &str = "hookswitch-wave";
const LETTER: &str = "hookswitch-letter";
const DELIVERY_ID: &str = "hookswitch-delivery-id";
const ENTRY: &str = "hookswitch-entry";
const HTTP: &str = "http-";

/// The most bytes of an AMQP short string.
pub(super) const SHORT_STRING_MAX: usize = 255;

// With its prefix, the name of a captured header is a short string.
const _: () = assert!(HEADER_NAME_MAX == SHORT_STRING_MAX - HTTP.len());

fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

fn string_of(headers: &FieldTable, name: &str) -> Option<String> {
    string_in(headers.inner().get(name)?)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "AMQP has more types; only these can hold it")]
fn string_in(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

/// Returns the values of a captured header: a string, or an array of them if the header was repeated.
/// Returns the texts that a header holds: a repeated header is an array.
pub(super) fn strings_in(value: &AMQPValue) -> impl Iterator<Item = String> {
    let array = if let AMQPValue::FieldArray(values) = value { Some(values.as_slice()) } else { None };
    array.unwrap_or(std::slice::from_ref(value)).iter().filter_map(string_in)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "AMQP has more types; only these can hold it")]
fn number_of(headers: &FieldTable, name: &str) -> Option<u32> {
    match headers.inner().get(name)? {
        AMQPValue::LongInt(n) => u32::try_from(*n).ok(),
        AMQPValue::LongUInt(n) => Some(*n),
        AMQPValue::LongLongInt(n) => u32::try_from(*n).ok(),
        AMQPValue::ShortInt(n) => u32::try_from(*n).ok(),
        AMQPValue::ShortUInt(n) => Some(u32::from(*n)),
        AMQPValue::ShortShortInt(n) => u32::try_from(*n).ok(),
        AMQPValue::ShortShortUInt(n) => Some(u32::from(*n)),
        _ => None,
    }
}

fn time_of(headers: &FieldTable, name: &str) -> Option<Timestamp> {
    string_of(headers, name)?.parse().ok()
}

/// Returns the properties of a raw webhook's message: persistent, with its history in headers.
pub fn properties(queued: &QueuedWebhook) -> BasicProperties {
    let (webhook, history) = (&queued.webhook, &queued.history);
    let mut headers = FieldTable::default();
    let mut put = |name: &str, value| {
        headers.insert(ShortString::from(name), value);
    };
    put(SOURCE, long(webhook.source.as_str()));
    put(PROVIDER, long(webhook.provider.as_str()));
    put(RECEIVED_AT, long(&webhook.received_at.to_string()));
    put(ATTEMPT, AMQPValue::LongInt(i32::try_from(history.attempt.0).unwrap_or(i32::MAX)));
    if history.replays > 0 {
        put(REPLAYS, AMQPValue::LongInt(i32::try_from(history.replays).unwrap_or(i32::MAX)));
    }
    let optional = [
        (REASON, history.reason.map(|reason| reason.to_string())),
        (ERROR, history.error.clone()),
        (FIRST_FAILED_AT, history.first_failed_at.map(|at| at.to_string())),
        (LAST_FAILED_AT, history.last_failed_at.map(|at| at.to_string())),
        (VERSION, history.version.clone()),
        (PAST, past_of(history)),
        (WAVE, history.wave.clone()),
        (ENTRY, queued.entry.map(|entry| entry.to_string())),
        (TRACE_PARENT, queued.trace.map(|span| span.to_string())),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            put(name, long(&value));
        }
    }
    for (name, value) in webhook.headers.iter() {
        // Receivers capture no longer names, and an import refuses them.
        if name.len() <= HEADER_NAME_MAX {
            let key = ShortString::from(format!("{HTTP}{name}"));
            let value = if headers.contains_key(key.as_str()) {
                AMQPValue::FieldArray(webhook.headers.values(name).map(long).collect::<Vec<_>>().into())
            } else {
                long(value)
            };
            headers.insert(key, value);
        }
    }
    let mut properties = persistent(&webhook.delivery_id.to_string(), webhook.received_at)
        .with_type("webhook".into())
        .with_headers(headers);
    if let Some(content_type) = queued.content_type.as_deref().filter(|text| text.len() <= SHORT_STRING_MAX) {
        properties = properties.with_content_type(content_type.into());
    }
    properties
}

fn past_of(history: &History) -> Option<String> {
    // Names, numbers and texts always serialize.
    (!history.past.is_empty()).then(|| serde_json::to_string(&history.past).unwrap_or_default())
}

/// Returns the properties of a dead letter's message.
pub fn letter_properties(id: LetterId, letter: &QueuedWebhook) -> BasicProperties {
    let properties = properties(letter);
    let mut headers = properties.headers().clone().unwrap_or_default();
    headers.insert(LETTER.into(), long(&id.to_string()));
    properties.with_headers(headers)
}

/// Returns the id of a dead letter; none if the message is not one, or if the broker dead-lettered it.
pub fn letter_id(properties: &BasicProperties) -> Option<LetterId> {
    string_of(properties.headers().as_ref()?, LETTER)?.parse().ok()
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

/// Returns the properties of an event's message, which consumers can filter on without parsing the body.
///
/// `BCC` holds more routing keys: those of the subscriptions that the event is addressed to. The broker
/// removes it.
pub fn event_properties(event: &Encoded, webhook: &Webhook) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(SOURCE.into(), long(webhook.source.as_str()));
    headers.insert(PROVIDER.into(), long(webhook.provider.as_str()));
    headers.insert(DELIVERY_ID.into(), long(&webhook.delivery_id.to_string()));
    let trace_parent = match event.is_redacted {
        true => redaction::trace_parent(&webhook.headers),
        false => webhook.headers.get(TRACE_PARENT),
    };
    if let Some(traceparent) = trace_parent {
        headers.insert(TRACE_PARENT.into(), long(traceparent));
    }
    if !event.addressed_to.is_empty() {
        let keys = event.addressed_to.iter().map(|queue| long(&names::addressed_key(queue)));
        let keys: Vec<_> = keys.collect();
        headers.insert("BCC".into(), AMQPValue::FieldArray(keys.into()));
    }
    persistent(&event.id.to_string(), event.time)
        .with_type(event.kind.into())
        .with_content_type(CONTENT_TYPE.into())
        .with_headers(headers)
}

/// Returns the routing key of an event, `<type>.<source>`, also where the event was moved under another one.
/// That a test was kept apart is not known.
pub(super) fn event_key(properties: &BasicProperties) -> Option<String> {
    let source = string_of(properties.headers().as_ref()?, SOURCE)?;
    Some(format!("{}.{source}", properties.kind().as_ref()?))
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

/// Reads a raw webhook's message. The message does not hold its shard; the queue that it came from tells it.
///
/// # Errors
/// [`InvalidMessage`] names what is missing, and comes with the body.
pub fn decode(
    properties: &BasicProperties,
    body: Vec<u8>,
) -> Result<QueuedWebhook, (InvalidMessage, Vec<u8>)> {
    let head = match unreadable(properties) {
        Some(cause) => Err(InvalidMessage::Unreadable(cause)),
        None => decode_head(properties),
    };
    match head {
        Ok(queued) => Ok(with_body(queued, body)),
        Err(error) => Err((error, body)),
    }
}

/// Reads a dead letter's message. One of which a part is unreadable is a letter as well.
///
/// # Errors
/// [`InvalidMessage`] with the body: the message is no letter that a worker wrote.
pub fn decode_letter(
    properties: &BasicProperties,
    body: Vec<u8>,
) -> Result<QueuedWebhook, (InvalidMessage, Vec<u8>)> {
    let unreadable = unreadable(properties).map(InvalidMessage::Unreadable);
    match decode_head(properties) {
        Ok(mut queued) => {
            if let Some(cause) = unreadable {
                died_of(&mut queued.history, &cause);
            }
            Ok(with_body(queued, body))
        }
        Err(error) => Err((unreadable.unwrap_or(error), body)),
    }
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
    let empty = FieldTable::default();
    let headers = properties.headers().as_ref().unwrap_or(&empty);
    let text = |name: &'static str| string_of(headers, name).ok_or(InvalidMessage::Lacks(name));
    let message_id = properties.message_id().as_ref().ok_or(InvalidMessage::Lacks("message_id"))?;
    let delivery_id: DeliveryId =
        message_id.as_str().parse().map_err(|_| InvalidMessage::Lacks("message_id"))?;
    let source: SourceName = text(SOURCE)?.parse().map_err(|_| InvalidMessage::Lacks(SOURCE))?;
    let provider = text(PROVIDER)?.parse().map_err(|_| InvalidMessage::Lacks(PROVIDER))?;
    let received_at = time_of(headers, RECEIVED_AT).ok_or(InvalidMessage::Lacks(RECEIVED_AT))?;
    let mut captured = Headers::default();
    for (name, value) in headers.inner() {
        if let Some(name) = name.as_str().strip_prefix(HTTP) {
            strings_in(value).for_each(|value| captured.push(name, value));
        }
    }
    let webhook =
        Webhook { delivery_id, source, provider, received_at, headers: captured, body: Bytes::new() };
    let history = History {
        attempt: Attempt(number_of(headers, ATTEMPT).unwrap_or(0)),
        error: string_of(headers, ERROR),
        first_failed_at: time_of(headers, FIRST_FAILED_AT),
        last_failed_at: time_of(headers, LAST_FAILED_AT),
        reason: string_of(headers, REASON)
            .and_then(|reason| reason.parse().ok())
            .or_else(|| broker_reason(headers)),
        version: string_of(headers, VERSION),
        replays: number_of(headers, REPLAYS).unwrap_or(0),
        past: string_of(headers, PAST).and_then(|past| serde_json::from_str(&past).ok()).unwrap_or_default(),
        wave: string_of(headers, WAVE),
    };
    let content_type = properties.content_type().as_ref().map(ToString::to_string);
    // A webhook whose entry cannot be read is not counted in the ledger.
    let entry = string_of(headers, ENTRY).and_then(|entry| entry.parse().ok());
    let trace = string_of(headers, TRACE_PARENT).and_then(|span| TraceParent::parse(&span));
    Ok(QueuedWebhook { webhook, content_type, entry, shard: Shard::FIRST, trace, history })
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
#[path = "message_tests.rs"]
mod tests;
