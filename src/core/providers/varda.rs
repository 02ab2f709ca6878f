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
            CallData, CallOutcome, CallStatus, CallValue, Channel, ContactData, ConversationData,
            ConversationStatus, Data, Direction, EndReason, MessageData, MessageKind, Money, OutcomeKind,
            Participant, Party, Phone, Priority, Reference, Role, Side, Text, full_name,
        },
        event::{Event, EventType, subject_of},
        key::IdempotencyKey,
    },
    json::{Object, Raw, Word, present},
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
const CARRIED: &[&str] = &["data.contact.company"];

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

const OUTCOMES: &[(&str, OutcomeKind)] = &[
    ("booked", OutcomeKind::Booked),
    ("quoted", OutcomeKind::Quoted),
    ("follow_up", OutcomeKind::FollowUp),
    ("not_interested", OutcomeKind::NotInterested),
    ("no_answer", OutcomeKind::NoAnswer),
    ("spam", OutcomeKind::Spam),
    ("wrong_number", OutcomeKind::WrongNumber),
    ("other", OutcomeKind::Other),
];

// The documents show only some of the words below, so that others are no drift.

const CHANNELS: &[(&str, Channel)] = &[
    ("phone", Channel::Phone),
    ("webchat", Channel::Webchat),
    ("sms", Channel::Sms),
    ("email", Channel::Email),
    ("whatsapp", Channel::WhatsApp),
];

const CONVERSATION_STATUSES: &[(&str, ConversationStatus)] = &[
    ("open", ConversationStatus::Open),
    ("pending", ConversationStatus::Pending),
    ("resolved", ConversationStatus::Resolved),
    ("closed", ConversationStatus::Closed),
];

const PRIORITIES: &[(&str, Priority)] = &[
    ("low", Priority::Low),
    ("normal", Priority::Normal),
    ("medium", Priority::Normal),
    ("high", Priority::High),
    ("urgent", Priority::Urgent),
];

const MESSAGE_KINDS: &[(&str, MessageKind)] = &[
    ("text", MessageKind::Text),
    ("sms", MessageKind::Sms),
    ("mms", MessageKind::Mms),
    ("whatsapp", MessageKind::WhatsApp),
];

const SENDERS: &[(&str, Role)] = &[
    ("contact", Role::Customer),
    ("customer", Role::Customer),
    ("visitor", Role::Customer),
    ("lead", Role::Customer),
    ("agent", Role::Agent),
    ("user", Role::Agent),
    ("bot", Role::Ai),
    ("ai", Role::Ai),
];

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
        "conversation.created" => |id, data| Ok(conversation(EventType::ConversationCreated, None, id, data)),
        "conversation.resolved" => |id, data| {
            let status = Some(ConversationStatus::Resolved);
            Ok(conversation(EventType::ConversationResolved, status, id, data))
        },
        "conversation.closed" => |id, data| {
            let status = Some(ConversationStatus::Closed);
            Ok(conversation(EventType::ConversationClosed, status, id, data))
        },
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

/// Reads a conversation, whose status is that of the event's type if that says one.
fn conversation<'a>(
    kind: EventType,
    status_of_type: Option<ConversationStatus>,
    id: Text<'a>,
    data: &mut Object<'a>,
) -> Typed<'a> {
    let status = data.open_word("status", CONVERSATION_STATUSES);
    let priority = data.open_word("priority", PRIORITIES);
    let channel = data.open_word("channel_type", CHANNELS);
    let typed = ConversationData {
        status: status_of_type.or(status.known),
        status_raw: status.raw,
        priority: priority.known,
        priority_raw: priority.raw,
        channel_id: data.id("channel_id"),
        channel: channel.known,
        channel_raw: channel.raw,
        participants: contact_inside(data, None).into_iter().collect(),
        attribution: data.any("attribution"),
        created_at: data.time("created_at"),
        updated_at: data.time("updated_at"),
        conversation_id: Some(id.clone()),
    };
    (kind, subject_of("conversation", &id), Data::Conversation(Box::new(typed)))
}

fn message<'a>(id: Text<'a>, data: &mut Object<'a>) -> Typed<'a> {
    let (direction, direction_raw) = data.word("direction", DIRECTIONS).known_or_raw();
    let (message_kind, channel) =
        (data.open_word("message_type", MESSAGE_KINDS), data.open_word("channel_type", CHANNELS));
    let sender = data.open_word("sender_type", SENDERS);
    // Agents, bots and the system itself are on the customer's side.
    let is_from_contact = match sender.raw {
        Some(_) => sender.known == Some(Role::Customer),
        None => direction != Some(Direction::Outbound),
    };
    let name = data.text("sender_name");
    let typed = MessageData {
        conversation_id: data.id("conversation_id"),
        direction,
        direction_raw,
        kind: message_kind.known,
        kind_raw: message_kind.raw,
        channel: channel.known,
        channel_raw: channel.raw,
        from: Party::new(None, name.clone()),
        content: data.scalar("content"),
        sent_at: data.time("created_at"),
        participants: correspondents(data, sender, name, direction, is_from_contact),
        attribution: data.any("attribution"),
        message_id: Some(id.clone()),
        ..MessageData::default()
    };
    let kind = match direction {
        Some(Direction::Inbound) => EventType::MessageReceived,
        None if is_from_contact => EventType::MessageReceived,
        Some(Direction::Outbound) | None => EventType::MessageSent,
    };
    (kind, subject_of("message", &id), Data::Message(Box::new(typed)))
}

/// Returns the sender of a message, and the contact: one person if the message is the contact's.
fn correspondents<'a>(
    data: &mut Object<'a>,
    sender: Word<'a, Role>,
    name: Option<Text<'a>>,
    direction: Option<Direction>,
    is_from_contact: bool,
) -> Vec<Participant<'a>> {
    let side = match sender.known {
        _ if is_from_contact => Some(Side::From),
        Some(_) => Some(Side::To),
        None => direction.map(Side::of_customer),
    };
    let contact = contact_inside(data, side);
    let role_raw = sender.raw;
    if is_from_contact && let Some(contact) = contact {
        return vec![Participant { role_raw, name: contact.name.or(name), ..contact }];
    }
    let sender = (name.is_some() || role_raw.is_some()).then(|| Participant {
        role: sender.known,
        role_raw,
        party: Some(Side::From),
        name,
        ..Participant::default()
    });
    sender.into_iter().chain(contact).collect()
}

fn call<'a>(kind: EventType, id: Text<'a>, data: &mut Object<'a>) -> Typed<'a> {
    let mut typed = call_fields(kind, data);
    typed.call_id = Some(id.clone());
    if kind == EventType::CallEnded {
        let disposition = data.word("disposition", DISPOSITIONS);
        (typed.end_reason, typed.end_reason_raw) = (disposition.known, disposition.raw);
    }
    (kind, subject_of("call", &id), Data::Call(Box::new(typed)))
}

fn call_fields<'a>(kind: EventType, data: &mut Object<'a>) -> CallData<'a> {
    let (direction, direction_raw) = data.word("direction", DIRECTIONS).known_or_raw();
    let status = data.word("status", STATUSES);
    let mut call = CallData {
        direction,
        direction_raw,
        status: kind.call_status().or(status.known),
        status_raw: status.raw,
        from: Party::new(data.scalar("from_number"), None),
        to: Party::new(data.scalar("to_number"), None),
        started_at: data.time("started_at"),
        answered_at: data.time("answered_at"),
        ended_at: data.time("ended_at"),
        participants: contact_inside(data, direction.map(Side::of_customer)).into_iter().collect(),
        attribution: data.any("attribution"),
        ..CallData::default()
    };
    if let Some(seconds) = data.length("duration_seconds", 1.0) {
        call.set_length(seconds);
    }
    call
}

/// Reads an agent's outcome tag for a call: `data.id` is the tag's id, `call_session_id` the call's.
fn outcome<'a>(id: Text<'a>, data: &mut Object<'a>) -> Result<Typed<'a>, NormalizeError> {
    let call_id = data.require_id("call_session_id")?;
    let [estimated, actual, revenue] = ["estimated_value_cents", "actual_value_cents", "revenue_cents"]
        .map(|key| data.integer(key).map(Money::of_cents));
    let word = data.word("outcome_type", OUTCOMES);
    let outcome =
        CallOutcome { id: Some(id), kind: word.known, kind_raw: word.raw, notes: data.scalar("notes") };
    let typed = CallData {
        call_id: Some(call_id.clone()),
        outcome: Some(outcome),
        value: present(CallValue { estimated, actual, revenue }),
        ..call_fields(EventType::CallOutcomeTagged, data)
    };
    Ok((EventType::CallOutcomeTagged, subject_of("call", &call_id), Data::Call(Box::new(typed))))
}

fn contact<'a>(kind: EventType, id: Text<'a>, data: &mut Object<'a>) -> Typed<'a> {
    let typed = ContactData {
        contact_id: Some(id.clone()),
        name: data.text("name"),
        first_name: data.text("first_name"),
        last_name: data.text("last_name"),
        company: data.text("company"),
        emails: data.text("email").map(|email| vec![email]),
        phones: data.id("phone").map(|phone| vec![Phone::new(phone)]),
        created_at: data.time("created_at"),
        updated_at: data.time("updated_at"),
    };
    (kind, subject_of("contact", &id), Data::Contact(Box::new(typed)))
}

/// Takes the contact of a call, a message or a conversation, who is at the given end. The parts of the name
/// stay, since they are joined.
fn contact_inside<'a>(data: &mut Object<'a>, party: Option<Side>) -> Option<Participant<'a>> {
    let mut contact = data.object("contact")?;
    let [first, last] = ["first_name", "last_name"].map(|key| contact.leave(key, Raw::filled_text));
    let person = Participant {
        reference: contact.id("id").map(Reference::to_contact),
        name: contact.text("name").or_else(|| full_name(first, last)),
        emails: contact.text("email").into_iter().collect(),
        phones: contact.id("phone").map(Phone::new).into_iter().collect(),
        ..Participant::default()
    };
    data.keep("contact", contact);
    person.known(Some(Role::Customer), party)
}
