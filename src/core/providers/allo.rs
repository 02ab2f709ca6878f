//! Allo (business phone): `{topic, data}` in version 1, `{topic, version, timestamp, data}` in version 2.
//!
//! The fields of version 1 have been documented in snake_case and in camelCase: both are read.

use jiff::{SignedDuration, Timestamp};

use super::{NormalizeError, Normalized, drift_of};
use crate::core::{
    data::{
        CallData, CallStatus, ContactData, Data, Direction, EndReason, MessageData, Participant, Party, Segment, Speaker,
        Text, TranscriptData, Transfer,
    },
    event::{Event, EventType},
    json::{Object, Value, items},
    key::{IdempotencyKey, digest_hex},
    webhook::Webhook,
};

/// Those of Standard Webhooks; the signature is only for authentication.
pub(super) const HEADERS: &[&str] = &["webhook-id", "webhook-timestamp"];

/// What stays unmapped by design: prose that repeats a number, what a customer's own agent collected, and how the
/// number was dialled before it was routed.
const CARRIED: &[&str] = &[
    "version",
    "data.length",
    "data.data_collected",
    "data.dataCollected",
    "data.integration_id",
    "data.integrationId",
    "data.original_to_number",
    "data.originalToNumber",
    "data.original_to_name",
    "data.originalToName",
];

const DIRECTIONS: &[(&str, Direction)] = &[
    ("INBOUND", Direction::Inbound),
    ("OUTBOUND", Direction::Outbound),
    ("inbound", Direction::Inbound),
    ("outbound", Direction::Outbound),
];

const SPEAKERS: &[(&str, Speaker)] = &[("AGENT", Speaker::Agent), ("USER", Speaker::Customer)];

/// What a topic is about.
enum Topic {
    Call(EventType),
    Tag,
    Message(Direction),
    Contact(EventType),
    Ping,
}

fn topic(name: &str) -> Option<Topic> {
    Some(match name {
        // A completed call, whichever way it went.
        "CALL_RECEIVED" | "call.completed" => Topic::Call(EventType::CallEnded),
        "call.received" | "call.triggered" => Topic::Call(EventType::CallInitiated),
        "call.answered" => Topic::Call(EventType::CallAnswered),
        "tag.added" | "tag.removed" => Topic::Tag,
        "SMS_RECEIVED" | "sms.received" => Topic::Message(Direction::Inbound),
        "SMS_SENT" | "sms.sent" => Topic::Message(Direction::Outbound),
        "CONTACT_CREATED" | "contact.created" => Topic::Contact(EventType::ContactCreated),
        "CONTACT_UPDATED" | "contact.updated" => Topic::Contact(EventType::ContactUpdated),
        "PING" | "ping" => Topic::Ping,
        _ => return None,
    })
}

/// What an event is made of, before the envelope is put around it.
struct Draft<'a> {
    kind: EventType,
    subject: String,
    time: Option<Timestamp>,
    data: Data<'a>,
}

pub(super) fn normalize(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    let mut root = Object::root(&webhook.body)?;
    let name = root.require_text("topic")?;
    let topic = topic(&name).ok_or_else(|| NormalizeError::unsupported("topic"))?;
    let time = root.time("timestamp");
    if let Topic::Ping = topic {
        let key = match webhook.headers.get("webhook-id") {
            Some(id) => IdempotencyKey::from_parts(&["webhook", id]),
            None => IdempotencyKey::from_parts(&["PING", &webhook.delivery_id.to_string()]),
        };
        let subject = format!("source/{}", webhook.source);
        let event = Event {
            kind: EventType::SourcePing,
            subject,
            time,
            provider_event: name,
            test: true,
            tenant: None,
            data: Data::Nothing {},
            unmapped: root.into_unmapped(),
        };
        return Ok(Normalized { key, drift: Vec::new(), events: vec![event] });
    }
    let mut data = root.require_object("data")?;
    let key = key(webhook, &name, &topic, &data);
    let drafts = match topic {
        Topic::Call(kind) => call(kind, &mut data, name == "call.received")?,
        Topic::Tag => vec![tag(&mut data)?],
        Topic::Message(direction) => vec![message(direction, &mut data)?],
        Topic::Contact(kind) => vec![contact(kind, &mut data)?],
        Topic::Ping => Vec::new(),
    };
    root.keep("data", data);
    let mut unmapped = Some(root.into_unmapped());
    let events: Vec<_> = drafts
        .into_iter()
        .map(|draft| Event {
            kind: draft.kind,
            subject: draft.subject,
            time: time.or(draft.time),
            provider_event: name.clone(),
            test: false,
            tenant: None,
            data: draft.data,
            unmapped: unmapped.take().unwrap_or(Value::Object(Vec::new())),
        })
        .collect();
    let drift = drift_of(&events, CARRIED);
    Ok(Normalized { key, events, drift })
}

/// The sender's id of the webhook; without it topic and id, and the data too where the same thing changes again
/// and no time says so. An event without an id is told apart by its bytes.
fn key(webhook: &Webhook, name: &str, topic: &Topic, data: &Object<'_>) -> IdempotencyKey {
    if let Some(id) = webhook.headers.get("webhook-id") {
        return IdempotencyKey::from_parts(&["webhook", id]);
    }
    let changes = matches!(topic, Topic::Tag | Topic::Contact(EventType::ContactUpdated));
    match data.clone().id("id") {
        Some(id) if changes => IdempotencyKey::from_parts(&["topic", name, &id, &digest_hex(data.raw().get().as_bytes())]),
        Some(id) => IdempotencyKey::from_parts(&["topic", name, &id]),
        None => IdempotencyKey::of_body(&webhook.body),
    }
}

/// The first of the spellings that is there.
fn text<'a>(data: &mut Object<'a>, spellings: &[&str]) -> Option<Text<'a>> {
    spellings.iter().find_map(|key| data.text(key))
}

fn party<'a>(data: &mut Object<'a>, numbers: &[&str], names: &[&str]) -> Option<Party<'a>> {
    let number = numbers.iter().find_map(|key| data.scalar(key));
    Party::new(number, text(data, names))
}

fn call<'a>(kind: EventType, data: &mut Object<'a>, may_lack_id: bool) -> Result<Vec<Draft<'a>>, NormalizeError> {
    let call_id = if may_lack_id { data.id("id") } else { Some(data.require_id("id")?) };
    let mut typed = CallData {
        call_id,
        direction: data.one_of("type", DIRECTIONS).or_else(|| data.one_of("direction", DIRECTIONS)),
        from: party(data, &["from_number", "fromNumber"], &["from_name", "fromName"]),
        to: party(data, &["to", "to_number", "toNumber"], &["to_name", "toName"]),
        started_at: ["start_date", "startDate", "started_at", "startedAt"].iter().find_map(|key| data.time(key)),
        answered_at: ["answered_at", "answeredAt"].iter().find_map(|key| data.time(key)),
        ended_at: ["ended_at", "endedAt"].iter().find_map(|key| data.time(key)),
        recording_url: text(data, &["recording_url", "recordingUrl"]),
        tag: data.text("tag"),
        participants: user(data).into_iter().collect(),
        transfer: transfer(data),
        summary: data.text("summary"),
        short_summary: text(data, &["one_sentence_summary", "oneSentenceSummary"]),
        ..CallData::default()
    };
    typed.status = Some(match kind {
        EventType::CallEnded => CallStatus::Ended,
        EventType::CallAnswered => CallStatus::InProgress,
        _ => CallStatus::Initiated,
    });
    if kind == EventType::CallEnded {
        typed.end_reason = Some(EndReason::Completed);
        duration(data, &mut typed);
    }
    let transcript = if kind == EventType::CallEnded { transcript(data, &typed) } else { None };
    let subject = format!("call/{}", typed.call_id.as_deref().unwrap_or("unknown"));
    let time = match kind {
        EventType::CallEnded => typed.ended_at,
        EventType::CallAnswered => typed.answered_at,
        _ => typed.started_at,
    };
    let mut drafts = vec![Draft { kind, subject: subject.clone(), time, data: Data::Call(Box::new(typed)) }];
    if let Some(transcript) = transcript {
        let data = Data::Transcript(Box::new(transcript));
        drafts.push(Draft { kind: EventType::TranscriptCompleted, subject, time, data });
    }
    Ok(drafts)
}

/// The duration comes in minutes and their fraction, and the end of the call not at all.
fn duration<'a>(data: &mut Object<'a>, typed: &mut CallData<'a>) {
    let Some(minutes) = ["length_in_minutes", "lengthInMinutes"].iter().find_map(|key| data.float(key)) else {
        return;
    };
    // Rounded to milliseconds: 2.55 minutes are 153 seconds, not 152.99999999999997.
    let milliseconds = (minutes * 60_000.0).round();
    typed.duration_seconds = Some(milliseconds / 1_000.0);
    typed.derived.push("duration_seconds");
    let end = typed
        .started_at
        .filter(|_| (0.0..1e12).contains(&milliseconds))
        .and_then(|start| start.checked_add(SignedDuration::from_millis(milliseconds as i64)).ok());
    if let (None, Some(end)) = (typed.ended_at, end) {
        typed.ended_at = Some(end);
        typed.derived.push("ended_at");
    }
}

fn user<'a>(data: &mut Object<'a>) -> Option<Participant<'a>> {
    let email = text(data, &["user_email", "userEmail"])?;
    Some(Participant { role: Some("internal"), email: Some(email), ..Participant::default() })
}

/// Survives whole, as written.
fn transfer<'a>(data: &mut Object<'a>) -> Option<Transfer<'a>> {
    let transfer = Transfer {
        from: ["transfer_from", "transferFrom"].iter().find_map(|key| data.any(key)),
        to: ["transfer_to", "transferTo"].iter().find_map(|key| data.any(key)),
        original_call_id: ["transfer_original_call_id", "transferOriginalCallId"].iter().find_map(|key| data.id(key)),
    };
    let any = transfer.from.is_some() || transfer.to.is_some() || transfer.original_call_id.is_some();
    any.then_some(transfer)
}

fn transcript<'a>(data: &mut Object<'a>, call: &CallData<'a>) -> Option<TranscriptData<'a>> {
    let full_text = text(data, &["concatenated_transcript", "concatenatedTranscript"]);
    let spoken = data.peek("transcriptions").and_then(items).is_some_and(|lines| !lines.is_empty());
    let segments = if spoken { data.objects("transcriptions") } else { None }.map(|mut lines| {
        let segments = lines.iter_mut().map(segment).collect();
        data.keep_all("transcriptions", lines);
        segments
    });
    (full_text.is_some() || segments.is_some()).then(|| TranscriptData {
        call_id: call.call_id.clone(),
        direction: call.direction,
        from: call.from.clone(),
        to: call.to.clone(),
        transcript: segments,
        full_text,
        ..TranscriptData::default()
    })
}

fn segment<'a>(line: &mut Object<'a>) -> Segment<'a> {
    Segment {
        speaker: line.one_of("source", SPEAKERS).unwrap_or(Speaker::Unknown),
        text: line.text("text").unwrap_or_default(),
        at: line.scalar("time"),
        until: None,
        speaker_id: None,
    }
}

/// A tag was put on a call or taken off it.
fn tag<'a>(data: &mut Object<'a>) -> Result<Draft<'a>, NormalizeError> {
    let call_id = ["call_id", "callId"].iter().find_map(|key| data.id(key));
    let call_id = match call_id {
        Some(id) => id,
        None => data.require_id("id")?,
    };
    let typed = CallData { call_id: Some(call_id.clone()), tag: data.text("tag"), ..CallData::default() };
    let subject = format!("call/{call_id}");
    Ok(Draft { kind: EventType::CallTagged, subject, time: None, data: Data::Call(Box::new(typed)) })
}

/// One edition of the document sends received and sent messages under one topic: the message's own direction counts.
fn message<'a>(by_topic: Direction, data: &mut Object<'a>) -> Result<Draft<'a>, NormalizeError> {
    let id = data.require_id("id")?;
    let direction = data.one_of("direction", DIRECTIONS).unwrap_or(by_topic);
    let sent_at = ["sent_at", "sentAt"].iter().find_map(|key| data.time(key));
    let typed = MessageData {
        message_id: Some(id.clone()),
        direction: Some(direction),
        kind: data.text("type"),
        from: party(data, &["from_number", "fromNumber"], &["from_name", "fromName"]),
        to: party(data, &["to_number", "toNumber", "to"], &["to_name", "toName"]),
        content: data.text("content"),
        sent_at,
        ..MessageData::default()
    };
    let kind = match direction {
        Direction::Inbound => EventType::MessageReceived,
        Direction::Outbound => EventType::MessageSent,
    };
    Ok(Draft { kind, subject: format!("message/{id}"), time: sent_at, data: Data::Message(Box::new(typed)) })
}

/// `name` is the first name.
fn contact<'a>(kind: EventType, data: &mut Object<'a>) -> Result<Draft<'a>, NormalizeError> {
    let id = data.require_id("id")?;
    let typed = ContactData {
        contact_id: Some(id.clone()),
        first_name: data.text("name"),
        last_name: text(data, &["last_name", "lastName"]),
        company: data.text("company"),
        emails: data.texts("emails"),
        phones: data.texts("numbers"),
        ..ContactData::default()
    };
    Ok(Draft { kind, subject: format!("contact/{id}"), time: None, data: Data::Contact(Box::new(typed)) })
}
