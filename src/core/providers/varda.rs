//! Varda: a contact centre.
//!
//! The body is `{event, timestamp, data}`; headers carry a delivery id and a signature.

use super::{
    adapter::{Adapter, Input, Normalized},
    drift,
    error::{NormalizeError, UnknownEvent},
    schema::Schema,
};
use crate::core::{
    events::{
        data::{
            CallData, CallOutcome, CallStatus, CallValue, ContactData, ConversationData, Data, Direction,
            EndReason, MessageData, Money, Participant, Party, Text,
        },
        event::{Event, EventType},
        key::IdempotencyKey,
    },
    json::{Object, Raw, present},
};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "varda",
    // `X-Varda-Signature` is only for authentication.
    headers: &["x-varda-event", "x-varda-delivery"],
    // Nothing of `attribution`: its click ids and pages identify a person. No order values either.
    schema: Schema {
        public: &[
            "event|timestamp",
            "data.id|conversation_id|call_session_id|channel_id",
            "data.status|priority|channel_type|direction|sender_type|message_type|disposition|outcome_type",
            "data.created_at|updated_at|started_at|answered_at|ended_at|duration_seconds",
            "data.contact.id",
        ],
        keyed: &[],
    },
    normalize,
};

/// Paths that stay unmapped and are no drift.
const CARRIED: &[&str] = &[];

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

fn normalize(input: Input<'_>) -> Result<Normalized<'_>, NormalizeError> {
    let mut root = Object::root(input.body)?;
    let name = root.require_text("event")?;
    let Some(read) = reader(&name) else { return Err(unknown(input, &mut root, &name).into()) };
    let written_time = root.peek("timestamp").and_then(Raw::text_or_number).unwrap_or_default();
    let time = root.require_time("timestamp")?;
    let mut data = root.require_object("data")?;
    let id = data.require_id("id")?;
    let key = match input.headers.get("x-varda-delivery") {
        Some(delivery) => IdempotencyKey::from_parts(&["delivery", delivery]),
        // A conversation can reopen and a call can be tagged again: the time tells the events apart.
        None => IdempotencyKey::from_parts(&["event", &*name, &*id, &*written_time]),
    };
    let (kind, subject, typed) = read(id, &mut data)?;
    root.keep("data", data);
    let event =
        Event { time: Some(time), unmapped: root.into_unmapped(), ..Event::new(kind, subject, name, typed) };
    let events = vec![event];
    let drift = drift::find(&events, |path| CARRIED.contains(&path));
    Ok(Normalized { key, events, drift })
}

fn unknown(input: Input<'_>, root: &mut Object<'_>, name: &str) -> UnknownEvent {
    let key = match input.headers.get("x-varda-delivery") {
        Some(delivery) => IdempotencyKey::from_parts(&["delivery", delivery]),
        None => IdempotencyKey::of_content(&[], root),
    };
    UnknownEvent { time: root.time("timestamp"), ..UnknownEvent::new("event", name, key) }
}

type Reader = for<'a> fn(Text<'a>, &mut Object<'a>) -> Result<Typed<'a>, NormalizeError>;

fn reader(name: &str) -> Option<Reader> {
    Some(match name {
        "conversation.created" => |id, data| Ok(conversation(EventType::ConversationCreated, id, data)),
        "conversation.resolved" => |id, data| Ok(conversation(EventType::ConversationResolved, id, data)),
        "conversation.closed" => |id, data| Ok(conversation(EventType::ConversationClosed, id, data)),
        "message.created" => |id, data| Ok(message(id, data)),
        "call.started" => |id, data| Ok(call(EventType::CallInitiated, id, data)),
        "call.ended" => |id, data| Ok(call(EventType::CallEnded, id, data)),
        "call.outcome_tagged" => outcome,
        "contact.created" => |id, data| Ok(contact(EventType::ContactCreated, id, data)),
        "contact.updated" => |id, data| Ok(contact(EventType::ContactUpdated, id, data)),
        _ => return None,
    })
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
    let is_from_contact = data.peek("sender_type").and_then(Raw::text).is_none_or(|kind| is_outside(&kind));
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
        ..MessageData::default()
    };
    let kind = match direction {
        Some(Direction::Inbound) => EventType::MessageReceived,
        None if is_from_contact => EventType::MessageReceived,
        Some(Direction::Outbound) | None => EventType::MessageSent,
    };
    (kind, format!("message/{id}"), Data::Message(Box::new(typed)))
}

/// Returns true for a sender who is not on the customer's side. Agents, bots and the system itself are.
fn is_outside(sender_type: &str) -> bool {
    matches!(sender_type, "contact" | "customer" | "visitor" | "lead")
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

/// Reads an agent's outcome tag for a call: `data.id` is the tag's id, `call_session_id` the call's.
fn outcome<'a>(id: Text<'a>, data: &mut Object<'a>) -> Result<Typed<'a>, NormalizeError> {
    let call_id = data.require_id("call_session_id")?;
    let known = OUTCOMES.iter().map(|name| (*name, *name)).collect::<Vec<_>>();
    let cents = |minor_units| Money { minor_units: Some(minor_units), ..Money::default() };
    let [estimated, actual, revenue] = ["estimated_value_cents", "actual_value_cents", "revenue_cents"]
        .map(|key| data.integer(key).map(cents));
    let outcome = CallOutcome {
        id: Some(id),
        kind: data.one_of("outcome_type", &known).map(Into::into),
        notes: data.text("notes"),
    };
    let typed = CallData {
        call_id: Some(call_id.clone()),
        outcome: Some(outcome),
        value: present(CallValue { estimated, actual, revenue }),
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
        phones: contact.id("phone").map(|phone| vec![phone]),
        ..ContactData::default()
    }
}

/// Takes the contact inside a message or conversation.
fn contact_inside<'a>(data: &mut Object<'a>) -> Option<ContactData<'a>> {
    let mut contact = data.object("contact")?;
    let fields = contact_fields(&mut contact);
    data.keep("contact", contact);
    present(fields)
}

/// Takes the contact of a call.
fn participant<'a>(data: &mut Object<'a>) -> Option<Participant<'a>> {
    let mut contact = data.object("contact")?;
    let participant = Participant {
        id: contact.id("id"),
        name: contact.text("name"),
        email: contact.text("email"),
        phone: contact.id("phone"),
        ..Participant::default()
    };
    data.keep("contact", contact);
    let participant = present(participant)?;
    Some(Participant { role: Some("external"), kind: Some("contact".into()), ..participant })
}
