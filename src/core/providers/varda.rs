//! Varda (contact centre): `{event, timestamp, data}`; a delivery id and a signature in headers.

use super::{NormalizeError, Normalized, drift_of};
use crate::core::{
    events::{
        data::{
            CallData, CallStatus, CallValue, ContactData, ConversationData, Data, Direction, EndReason,
            MessageData, Money, Outcome, Participant, Party, Text,
        },
        event::{Event, EventType},
        key::IdempotencyKey,
    },
    json::{Object, Raw},
    redact::Schema,
    webhook::Webhook,
};

/// `X-Varda-Signature` is only for authentication.
pub(super) const HEADERS: &[&str] = &["x-varda-event", "x-varda-delivery"];

/// What stays unmapped by design.
const CARRIED: &[&str] = &[];

/// Nothing of `attribution`: its click ids and pages lead to a person. Nor what somebody's order is worth.
pub(super) const SCHEMA: Schema = Schema {
    public: &[
        "event|timestamp",
        "data.id|conversation_id|call_session_id|channel_id",
        "data.status|priority|channel_type|direction|sender_type|message_type|disposition|outcome_type",
        "data.created_at|updated_at|started_at|answered_at|ended_at|duration_seconds",
        "data.contact.id",
    ],
    keyed: &[],
};

const DIRECTIONS: &[(&str, Direction)] =
    &[("inbound", Direction::Inbound), ("outbound", Direction::Outbound)];

const STATUSES: &[(&str, CallStatus)] = &[
    ("initiated", CallStatus::Initiated),
    ("ringing", CallStatus::Ringing),
    ("in_progress", CallStatus::InProgress),
    ("ended", CallStatus::Ended),
];

/// `call.ended` covers completed, failed and abandoned calls.
const DISPOSITIONS: &[(&str, EndReason)] = &[
    ("completed", EndReason::Completed),
    ("failed", EndReason::Failed),
    ("abandoned", EndReason::Abandoned),
    ("busy", EndReason::Busy),
    ("no_answer", EndReason::NoAnswer),
    ("missed", EndReason::Missed),
    ("voicemail", EndReason::Voicemail),
];

const OUTCOMES: &[&str] =
    &["booked", "quoted", "follow_up", "not_interested", "no_answer", "spam", "wrong_number", "other"];

pub(super) fn normalize(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    let mut root = Object::root(&webhook.body)?;
    let name = root.require_text("event")?;
    let written_time = root.peek("timestamp").and_then(Raw::text_or_number).unwrap_or_default();
    let time = root.require_time("timestamp")?;
    let mut data = root.require_object("data")?;
    let id = data.require_id("id")?;
    let key = match webhook.headers.get("x-varda-delivery") {
        Some(delivery) => IdempotencyKey::from_parts(&["delivery", delivery]),
        // A conversation reopens and a call is tagged again: the time tells them apart.
        None => IdempotencyKey::from_parts(&["event", &*name, &*id, &*written_time]),
    };
    let (kind, subject, typed) = match name.as_ref() {
        "conversation.created" => conversation(EventType::ConversationCreated, id, &mut data),
        "conversation.resolved" => conversation(EventType::ConversationResolved, id, &mut data),
        "conversation.closed" => conversation(EventType::ConversationClosed, id, &mut data),
        "message.created" => message(id, &mut data),
        "call.started" => call(EventType::CallInitiated, id, &mut data),
        "call.ended" => call(EventType::CallEnded, id, &mut data),
        "call.outcome_tagged" => outcome(id, &mut data)?,
        "contact.created" => contact(EventType::ContactCreated, id, &mut data),
        "contact.updated" => contact(EventType::ContactUpdated, id, &mut data),
        _ => return Err(NormalizeError::unsupported("event")),
    };
    root.keep("data", data);
    let event = Event {
        kind,
        subject,
        time: Some(time),
        provider_event: name,
        test: false,
        tenant: None,
        data: typed,
        unmapped: root.into_unmapped(),
    };
    let events = vec![event];
    let drift = drift_of(&events, |path| CARRIED.contains(&path));
    Ok(Normalized { key, events, drift })
}

type Typed<'a> = (EventType, String, Data<'a>);

fn conversation<'a>(kind: EventType, id: Text<'a>, data: &mut Object<'a>) -> Typed<'a> {
    let typed = ConversationData {
        status: data.text("status"),
        priority: data.text("priority"),
        channel_id: data.id("channel_id"),
        channel: data.text("channel_type"),
        contact: contact_inside(data),
        attribution: data.any("attribution"),
        created_at: data.time("created_at"),
        updated_at: data.time("updated_at"),
        conversation_id: Some(id.clone()),
    };
    (kind, format!("conversation/{id}"), Data::Conversation(Box::new(typed)))
}

fn message<'a>(id: Text<'a>, data: &mut Object<'a>) -> Typed<'a> {
    let direction = data.one_of("direction", DIRECTIONS);
    let typed = MessageData {
        conversation_id: data.id("conversation_id"),
        direction,
        kind: data.text("message_type"),
        channel: data.text("channel_type"),
        from: Party::new(None, data.text("sender_name")),
        sender_kind: data.text("sender_type"),
        content: data.text("content"),
        sent_at: data.time("created_at"),
        contact: contact_inside(data),
        attribution: data.any("attribution"),
        message_id: Some(id.clone()),
        to: None,
    };
    let kind = match direction {
        Some(Direction::Outbound) => EventType::MessageSent,
        Some(Direction::Inbound) | None => EventType::MessageReceived,
    };
    (kind, format!("message/{id}"), Data::Message(Box::new(typed)))
}

fn call<'a>(kind: EventType, id: Text<'a>, data: &mut Object<'a>) -> Typed<'a> {
    let mut typed = call_fields(data);
    typed.call_id = Some(id.clone());
    if kind == EventType::CallEnded {
        typed.end_reason = Some(data.one_of("disposition", DISPOSITIONS).unwrap_or(EndReason::Unknown));
    }
    (kind, format!("call/{id}"), Data::Call(Box::new(typed)))
}

fn call_fields<'a>(data: &mut Object<'a>) -> CallData<'a> {
    CallData {
        direction: data.one_of("direction", DIRECTIONS),
        status: data.one_of("status", STATUSES),
        from: Party::new(data.scalar("from_number"), None),
        to: Party::new(data.scalar("to_number"), None),
        started_at: data.time("started_at"),
        answered_at: data.time("answered_at"),
        ended_at: data.time("ended_at"),
        duration_seconds: data.float("duration_seconds"),
        participants: participant(data).into_iter().collect(),
        attribution: data.any("attribution"),
        ..CallData::default()
    }
}

/// An agent says what came of a call: `data.id` is the tag's, the call is `call_session_id`.
fn outcome<'a>(id: Text<'a>, data: &mut Object<'a>) -> Result<Typed<'a>, NormalizeError> {
    let call_id = data.require_id("call_session_id")?;
    let known = OUTCOMES.iter().map(|name| (*name, *name)).collect::<Vec<_>>();
    let cents = |minor_units| Money { minor_units: Some(minor_units), ..Money::default() };
    let value = CallValue {
        estimated: data.integer("estimated_value_cents").map(cents),
        actual: data.integer("actual_value_cents").map(cents),
        revenue: data.integer("revenue_cents").map(cents),
    };
    let outcome = Outcome {
        id: Some(id),
        kind: data.one_of("outcome_type", &known).map(Into::into),
        notes: data.text("notes"),
    };
    let typed = CallData {
        call_id: Some(call_id.clone()),
        outcome: Some(outcome),
        value: Some(value),
        ..call_fields(data)
    };
    Ok((EventType::CallOutcomeTagged, format!("call/{call_id}"), Data::Call(Box::new(typed))))
}

fn contact<'a>(kind: EventType, id: Text<'a>, data: &mut Object<'a>) -> Typed<'a> {
    let typed = ContactData {
        contact_id: Some(id.clone()),
        created_at: data.time("created_at"),
        updated_at: data.time("updated_at"),
        ..contact_fields(data)
    };
    (kind, format!("contact/{id}"), Data::Contact(Box::new(typed)))
}

fn contact_fields<'a>(contact: &mut Object<'a>) -> ContactData<'a> {
    ContactData {
        contact_id: contact.id("id"),
        name: contact.text("name"),
        first_name: contact.text("first_name"),
        last_name: contact.text("last_name"),
        company: contact.text("company"),
        emails: contact.text("email").map(|email| vec![email]),
        phones: contact.text("phone").map(|phone| vec![phone]),
        ..ContactData::default()
    }
}

/// The contact inside a message or conversation.
fn contact_inside<'a>(data: &mut Object<'a>) -> Option<ContactData<'a>> {
    let mut contact = data.object("contact")?;
    let fields = contact_fields(&mut contact);
    data.keep("contact", contact);
    Some(fields)
}

/// The contact on a call.
fn participant<'a>(data: &mut Object<'a>) -> Option<Participant<'a>> {
    let mut contact = data.object("contact")?;
    let participant = Participant {
        role: Some("external"),
        id: contact.id("id"),
        kind: Some("contact".into()),
        name: contact.text("name"),
        email: contact.text("email"),
        phone: contact.text("phone"),
    };
    data.keep("contact", contact);
    Some(participant)
}
