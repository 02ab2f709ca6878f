//! Allo: a business phone.
//!
//! The body is `{topic, data}`; version 2 adds `version` and `timestamp`, and the oldest documents have
//! `{topic, body}` without an id. The fields have been documented in snake_case and in camelCase, so both are
//! read.

mod call;
mod fields;
mod people;
mod topic;
mod transcript;

use self::{
    call::call,
    fields::{DIRECTIONS, any_of, names, party},
    people::people,
    topic::{Edition, Fact, Topic, parse_topic},
};

use super::{
    adapter::{Adapter, Input, Normalized},
    drift,
    error::{NormalizeError, UnknownEvent},
    schema::Schema,
};
use crate::core::{
    events::{
        data::{ContactData, Data, Direction, MessageData, MessageKind, Phone, Text},
        event::{Event, EventType as E, subject_of},
        key::{IdempotencyKey, digest_hex},
    },
    json::{Object, Raw},
};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "allo",
    headers: &["webhook-id", "webhook-timestamp"],
    // A tag is typed by people. Data collected in a call has the keys that it was asked for under.
    schema: Schema {
        public: &[
            "topic|version|timestamp",
            "data|body.id|call_id|callId|integration_id|integrationId",
            "data|body.transfer_original_call_id|transferOriginalCallId",
            "data|body.type|direction|result",
            "data|body.start_date|startDate|started_at|startedAt|answered_at|answeredAt",
            "data|body.ended_at|endedAt|sent_at|sentAt",
            "data|body.length_in_minutes|lengthInMinutes",
            "data|body.transcriptions[].source|time|start_seconds|startSeconds|end_seconds|endSeconds",
            "data|body.person.id",
        ],
        keyed: &["data|body.data_collected|dataCollected"],
    },
    normalize,
};

/// Paths in the data that stay unmapped and are no drift.
const CARRIED: &[&str] = &[
    "length",
    "data_collected",
    "dataCollected",
    "integration_id",
    "integrationId",
    "original_to_number",
    "originalToNumber",
    "original_to_name",
    "originalToName",
    "ivr_result",
    "ivrResult",
    "company",
    "deals",
];

fn normalize(input: Input<'_>) -> Result<Normalized<'_>, NormalizeError> {
    let mut root = Object::root(input.body)?;
    let topic = root.require_text("topic")?;
    if matches!(topic.as_ref(), "PING" | "ping") {
        return Ok(ping(input, root, topic));
    }
    let Some(parsed) = parse_topic(&topic) else { return Err(unknown(input, &mut root, &topic).into()) };
    let envelope = if root.has("body") && !root.has("data") { "body" } else { "data" };
    let mut data = root.require_object(envelope)?;
    let edition = Edition { is_second: is_second(&mut root, &topic), has_ids: envelope == "data" };
    let key = key(input, parsed, &topic, &root, &data);
    let facts = match parsed {
        Topic::Call(stage) => call(stage, edition, &mut data)?,
        Topic::Message(kind) => vec![message(kind, edition, &mut data)?],
        Topic::Contact(kind) => vec![contact(kind, &mut data)?],
    };
    root.keep(envelope, data);
    // The time of sending is used where the payload has no time of its own.
    let sent_at = if facts.iter().all(|fact| fact.time.is_none()) { root.time("timestamp") } else { None };
    root.leave("timestamp", Raw::time);
    let mut unmapped = root.into_unmapped();
    let mut events = Vec::with_capacity(facts.len());
    for fact in facts {
        // Equal keys give equal event ids, and equal ids must not differ in their subjects.
        let subject = fact.subject.unwrap_or_else(|| subject_of("webhook", key.as_str()));
        events.push(Event {
            time: fact.time.or(sent_at),
            // Only the first event carries it.
            unmapped: std::mem::take(&mut unmapped),
            ..Event::new(fact.kind, subject, topic.clone(), fact.data)
        });
    }
    let drift = drift::find(&events, |path| {
        let path = path.strip_prefix(envelope).and_then(|path| path.strip_prefix('.'));
        path.is_some_and(|path| CARRIED.contains(&path))
    });
    Ok(Normalized { key, events, drift })
}

/// Returns true if a webhook has the format of version 2: it says so, or it says no version and its topic has
/// the new form.
fn is_second(root: &mut Object<'_>, topic: &str) -> bool {
    let major = root.leave("version", |raw| {
        let version = raw.text_or_number()?;
        version.split('.').next()?.parse::<u64>().ok()
    });
    major.map_or_else(|| topic.contains('.'), |major| major >= 2)
}

/// Normalizes a ping. Every press of the test button is a fact of its own, and its content is never drift.
fn ping<'a>(input: Input<'_>, root: Object<'a>, topic: Text<'a>) -> Normalized<'a> {
    let delivery_id = input.delivery_id.to_string();
    let key = match input.headers.get("webhook-id") {
        Some(id) => IdempotencyKey::from_parts(&[id]),
        None => IdempotencyKey::from_parts(&[topic.as_ref(), &delivery_id]),
    };
    let event = Event {
        unmapped: root.into_unmapped(),
        ..Event::new(E::SourcePing, subject_of("webhook", key.as_str()), topic, Data::Empty {})
    };
    Normalized { key, events: vec![event], drift: Vec::new() }
}

fn unknown(input: Input<'_>, root: &mut Object<'_>, topic: &str) -> UnknownEvent {
    let key = match input.headers.get("webhook-id") {
        Some(id) => IdempotencyKey::from_parts(&[id]),
        None => IdempotencyKey::of_content(&[], root),
    };
    UnknownEvent { time: root.time("timestamp"), ..UnknownEvent::new("topic", topic, key) }
}

/// Returns `webhook-id` as the key if it is there, else topic and id. What can happen again (a contact
/// changes, a tag is added and removed) also needs the data and the time of sending. Without that time a
/// change back cannot be told from a redelivery: each delivery is a fact of its own then, since a consumer
/// gets over a repeated event, but not over a missing one.
fn key(input: Input<'_>, parsed: Topic, topic: &str, root: &Object<'_>, data: &Object<'_>) -> IdempotencyKey {
    if let Some(id) = input.headers.get("webhook-id") {
        return IdempotencyKey::from_parts(&[id]);
    }
    let (ids, may_happen_again) = match parsed {
        Topic::Call(stage) => (names::CALL_ID, stage.may_recur()),
        Topic::Message(_) => (names::ID, false),
        Topic::Contact(kind) => (names::ID, kind == E::ContactUpdated),
    };
    let id = ids.iter().find_map(|name| data.peek(name).and_then(Raw::id));
    let time = root.peek("timestamp").and_then(Raw::id);
    match (id, may_happen_again, time) {
        (Some(id), false, _) => IdempotencyKey::from_parts(&[topic, &*id]),
        (Some(id), true, Some(time)) => {
            IdempotencyKey::from_parts(&[topic, &id, &digest_hex(&data.canonical()), &time])
        }
        (Some(id), true, None) => IdempotencyKey::from_parts(&[topic, &id, &input.delivery_id.to_string()]),
        (None, true, None) => IdempotencyKey::of_content(&[&input.delivery_id.to_string()], root),
        (None, ..) => IdempotencyKey::of_content(&[], root),
    }
}

const KINDS: &[(&str, MessageKind)] =
    &[("SMS", MessageKind::Sms), ("MMS", MessageKind::Mms), ("WHATSAPP", MessageKind::WhatsApp)];

/// Reads a message. `direction` takes precedence over the topic, which has been sent for both directions.
fn message<'a>(kind: E, edition: Edition, data: &mut Object<'a>) -> Result<Fact<'a>, NormalizeError> {
    let id = if edition.has_ids { Some(data.require_id("id")?) } else { data.id("id") };
    let subject = id.as_ref().map(|id| subject_of("message", id));
    let (direction, direction_raw) = data.word("direction", DIRECTIONS).known_or_raw();
    let word = data.word("type", KINDS);
    let from = party(data, names::FROM, names::FROM_NAME);
    let to = party(data, names::TO, names::TO_NAME);
    let message = MessageData {
        message_id: id,
        direction,
        direction_raw,
        kind: word.known,
        kind_raw: word.raw,
        participants: people(data, direction, from.as_ref(), to.as_ref()),
        from,
        to,
        content: data.scalar("content"),
        sent_at: any_of(data, names::SENT_AT, Object::time),
        ..MessageData::default()
    };
    let kind = match message.direction {
        Some(Direction::Inbound) => E::MessageReceived,
        Some(Direction::Outbound) => E::MessageSent,
        None => kind,
    };
    Ok(Fact { kind, subject, time: message.sent_at, data: Data::Message(Box::new(message)) })
}

fn contact<'a>(kind: E, data: &mut Object<'a>) -> Result<Fact<'a>, NormalizeError> {
    let id = data.require_id("id")?;
    let subject = Some(subject_of("contact", &id));
    let contact = ContactData {
        contact_id: Some(id),
        // The provider's `name` is the first name alone.
        first_name: data.text("name"),
        last_name: any_of(data, names::LAST_NAME, Object::text),
        company: data.text("company"),
        emails: data.scalars("emails"),
        phones: data.scalars("numbers").map(|numbers| numbers.into_iter().map(Phone::new).collect()),
        ..ContactData::default()
    };
    Ok(Fact { kind, subject, time: None, data: Data::Contact(Box::new(contact)) })
}
