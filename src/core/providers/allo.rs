//! Allo: a business phone.
//!
//! The body is `{topic, data}`; version 2 adds `version` and `timestamp`. The fields have been documented in
//! snake_case and in camelCase, so both are read.

use jiff::{SignedDuration, Timestamp};

use super::{
    adapter::{Adapter, Input, Normalized},
    drift,
    error::NormalizeError,
    schema::Schema,
};
use crate::core::{
    events::{
        data::{
            CallData, CallStatus, ContactData, Data, Direction, EndReason, MessageData, Participant, Party,
            Segment, Speaker, Text, TranscriptData, Transfer,
        },
        event::{Event, EventType as E},
        key::{IdempotencyKey, digest_hex},
    },
    json::{Object, Raw, Value},
};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "allo",
    headers: &["webhook-id", "webhook-timestamp"],
    // A tag is typed by people. Data collected in a call has the keys that it was asked for under.
    schema: Schema {
        public: &[
            "topic|version|timestamp",
            "data.id|call_id|callId|integration_id|integrationId",
            "data.transfer_original_call_id|transferOriginalCallId",
            "data.type|direction",
            "data.start_date|startDate|started_at|startedAt|answered_at|answeredAt",
            "data.ended_at|endedAt|sent_at|sentAt",
            "data.length_in_minutes|lengthInMinutes",
            "data.transcriptions[].source|time",
            "data.person.id",
        ],
        keyed: &["data.data_collected|dataCollected"],
    },
    normalize,
};

/// Paths that always stay unmapped and are no drift; [`expected`] adds those that depend on the webhook. The
/// full text of a transcript stays only if it is empty: then the call has no transcript and no event for it.
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
    "data.concatenated_transcript",
    "data.concatenatedTranscript",
    "data.person",
    "data.company",
    "data.deals",
];

/// Every name that a field has had.
mod names {
    pub(super) type Names = &'static [&'static str];

    pub(super) const ID: Names = &["id"];
    pub(super) const CALL_ID: Names = &["id", "call_id", "callId"];
    pub(super) const STARTED_AT: Names = &["start_date", "startDate", "started_at", "startedAt"];
    pub(super) const ANSWERED_AT: Names = &["answered_at", "answeredAt"];
    pub(super) const ENDED_AT: Names = &["ended_at", "endedAt"];
    pub(super) const SENT_AT: Names = &["sent_at", "sentAt"];
    pub(super) const MINUTES: Names = &["length_in_minutes", "lengthInMinutes"];
    pub(super) const RECORDING: Names = &["recording_url", "recordingUrl"];
    pub(super) const FROM: Names = &["from_number", "fromNumber"];
    pub(super) const FROM_NAME: Names = &["from_name", "fromName"];
    pub(super) const TO: Names = &["to", "to_number", "toNumber"];
    pub(super) const TO_NAME: Names = &["to_name", "toName"];
    pub(super) const ONE_SENTENCE: Names = &["one_sentence_summary", "oneSentenceSummary"];
    pub(super) const FULL_TEXT: Names = &["concatenated_transcript", "concatenatedTranscript"];
    pub(super) const USER_EMAIL: Names = &["user_email", "userEmail"];
    pub(super) const TRANSFER_FROM: Names = &["transfer_from", "transferFrom"];
    pub(super) const TRANSFER_TO: Names = &["transfer_to", "transferTo"];
    pub(super) const FIRST_CALL: Names = &["transfer_original_call_id", "transferOriginalCallId"];
    pub(super) const LAST_NAME: Names = &["last_name", "lastName"];
    /// A call's direction is its `type`; a message's `type` is SMS or MMS.
    pub(super) const CALL_DIRECTION: Names = &["type", "direction"];
}

const DIRECTIONS: &[(&str, Direction)] =
    &[("INBOUND", Direction::Inbound), ("OUTBOUND", Direction::Outbound)];

fn normalize(input: Input<'_>) -> Result<Normalized<'_>, NormalizeError> {
    let mut root = Object::root(input.body)?;
    let topic = root.require_text("topic")?;
    if matches!(topic.as_ref(), "PING" | "ping") {
        return Ok(ping(input, root, topic));
    }
    let parsed = parse_topic(&topic).ok_or_else(|| NormalizeError::unsupported("topic", &topic))?;
    let mut data = root.require_object("data")?;
    let key = key(input, parsed, &topic, &root, &data);
    let facts = match parsed {
        Topic::Call(stage) => call(stage, &mut data)?,
        Topic::Message(kind) => vec![message(kind, &mut data)?],
        Topic::Contact(kind) => vec![contact(kind, &mut data)?],
    };
    let expected = expected(parsed, &root, &data);
    root.keep("data", data);
    // The time of sending is used where the payload has no time of its own.
    let sent_at = if facts.iter().all(|fact| fact.time.is_none()) { root.time("timestamp") } else { None };
    let mut unmapped = root.into_unmapped();
    let mut events = Vec::with_capacity(facts.len());
    for fact in facts {
        events.push(Event {
            kind: fact.kind,
            subject: fact.subject.unwrap_or_else(|| format!("delivery/{}", input.delivery_id)),
            time: fact.time.or(sent_at),
            provider_event: topic.clone(),
            test: false,
            tenant: None,
            data: fact.data,
            // Only the first event carries it.
            unmapped: std::mem::replace(&mut unmapped, Value::Object(Vec::new())),
        });
    }
    let drift = drift::find(&events, |path| expected.contains(&path));
    Ok(Normalized { key, events, drift })
}

/// Returns the paths that stay unmapped and are no drift: [`CARRIED`], and those that were read but not
/// taken.
fn expected(parsed: Topic, root: &Object<'_>, data: &Object<'_>) -> Vec<&'static str> {
    let mut expected = CARRIED.to_vec();
    // The time of sending yields to the payload's own time.
    if root.peek("timestamp").and_then(Raw::time).is_some() {
        expected.push("timestamp");
    }
    // Only the written length, in minutes, is exact; the seconds are derived from it.
    if minutes(data).is_some() {
        expected.extend(["data.length_in_minutes", "data.lengthInMinutes"]);
    }
    if matches!(parsed, Topic::Call(Stage::TagRemoved)) {
        expected.push("data.tag");
    }
    expected
}

/// One event without the fields that all events of the webhook share.
struct Fact<'a> {
    kind: E,
    /// None for a call that has no id yet.
    subject: Option<String>,
    time: Option<Timestamp>,
    data: Data<'a>,
}

/// The subject matter of every webhook except a ping.
#[derive(Clone, Copy)]
enum Topic {
    Call(Stage),
    Message(E),
    Contact(E),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Ringing,
    Initiated,
    Answered,
    Ended,
    TagAdded,
    TagRemoved,
}

fn parse_topic(topic: &str) -> Option<Topic> {
    Some(match topic {
        "CALL_RECEIVED" | "call.completed" => Topic::Call(Stage::Ended),
        "call.received" => Topic::Call(Stage::Ringing),
        "call.triggered" => Topic::Call(Stage::Initiated),
        "call.answered" => Topic::Call(Stage::Answered),
        "tag.added" => Topic::Call(Stage::TagAdded),
        "tag.removed" => Topic::Call(Stage::TagRemoved),
        "SMS_RECEIVED" | "sms.received" => Topic::Message(E::MessageReceived),
        "SMS_SENT" | "sms.sent" => Topic::Message(E::MessageSent),
        "CONTACT_CREATED" | "contact.created" => Topic::Contact(E::ContactCreated),
        "CONTACT_UPDATED" | "contact.updated" => Topic::Contact(E::ContactUpdated),
        _ => return None,
    })
}

/// Normalizes a ping. Every press of the test button is a fact of its own, and its content is never drift.
fn ping<'a>(input: Input<'_>, root: Object<'a>, topic: Text<'a>) -> Normalized<'a> {
    let delivery_id = input.delivery_id.to_string();
    let key = match input.headers.get("webhook-id") {
        Some(id) => IdempotencyKey::from_parts(&[id]),
        None => IdempotencyKey::from_parts(&[topic.as_ref(), &delivery_id]),
    };
    let event = Event {
        kind: E::SourcePing,
        subject: format!("delivery/{delivery_id}"),
        time: None,
        provider_event: topic,
        test: false,
        tenant: None,
        data: Data::Empty {},
        unmapped: root.into_unmapped(),
    };
    Normalized { key, events: vec![event], drift: Vec::new() }
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
        Topic::Call(stage) => (names::CALL_ID, matches!(stage, Stage::TagAdded | Stage::TagRemoved)),
        Topic::Message(_) => (names::ID, false),
        Topic::Contact(kind) => (names::ID, kind == E::ContactUpdated),
    };
    let id = |name: &&str| data.peek(name).and_then(Raw::id);
    let Some(id) = ids.iter().find_map(id) else { return IdempotencyKey::of_content(&[], root) };
    if !may_happen_again {
        return IdempotencyKey::from_parts(&[topic, &id]);
    }
    match root.peek("timestamp").and_then(Raw::id) {
        Some(time) => IdempotencyKey::from_parts(&[topic, &id, &digest_hex(&data.canonical()), &time]),
        None => IdempotencyKey::from_parts(&[topic, &id, &input.delivery_id.to_string()]),
    }
}

/// Takes the first of `names` whose value `read` accepts.
fn any_of<'a, T>(
    object: &mut Object<'a>,
    names: &[&str],
    read: impl Fn(&mut Object<'a>, &str) -> Option<T>,
) -> Option<T> {
    names.iter().find_map(|name| read(object, name))
}

fn party<'a>(data: &mut Object<'a>, number: names::Names, name: names::Names) -> Option<Party<'a>> {
    Party::new(any_of(data, number, Object::id), any_of(data, name, Object::text))
}

/// Returns the call's event and, if it comes with a transcript, the transcript's event.
fn call<'a>(stage: Stage, data: &mut Object<'a>) -> Result<Vec<Fact<'a>>, NormalizeError> {
    let call_id = match any_of(data, names::CALL_ID, Object::id) {
        // Only a finished call always has an id; a ringing call has none.
        None if stage == Stage::Ended => Some(data.require_id("id")?),
        found => found,
    };
    let mut call = CallData {
        call_id,
        direction: any_of(data, names::CALL_DIRECTION, |data, name| data.one_of(name, DIRECTIONS)),
        from: party(data, names::FROM, names::FROM_NAME),
        to: party(data, names::TO, names::TO_NAME),
        started_at: any_of(data, names::STARTED_AT, Object::time),
        answered_at: any_of(data, names::ANSWERED_AT, Object::time),
        ended_at: any_of(data, names::ENDED_AT, Object::time),
        recording_url: any_of(data, names::RECORDING, Object::text),
        // A removed tag is not the call's tag: it stays unmapped.
        tag: if stage == Stage::TagRemoved { None } else { data.text("tag") },
        participants: user(data),
        transfer: transfer(data),
        summary: data.text("summary"),
        short_summary: any_of(data, names::ONE_SENTENCE, Object::text),
        ..CallData::default()
    };
    derive(stage, &mut call, data);
    let (kind, time) = match stage {
        Stage::Ringing => (E::CallRinging, call.started_at),
        Stage::Initiated => (E::CallInitiated, call.started_at),
        Stage::Answered => (E::CallAnswered, call.answered_at),
        Stage::Ended => (E::CallEnded, call.ended_at),
        Stage::TagAdded | Stage::TagRemoved => (E::CallTagged, None),
    };
    let subject = call.call_id.as_ref().map(|id| format!("call/{id}"));
    let transcript = if stage == Stage::Ended { transcript(&call, data) } else { None };
    let mut facts = vec![Fact { kind, subject: subject.clone(), time, data: Data::Call(Box::new(call)) }];
    if let Some(transcript) = transcript {
        let data = Data::Transcript(Box::new(transcript));
        facts.push(Fact { kind: E::TranscriptCompleted, subject, time, data });
    }
    Ok(facts)
}

/// Sets the fields that follow from the topic or can be computed.
fn derive(stage: Stage, call: &mut CallData<'_>, data: &Object<'_>) {
    let (status, direction) = match stage {
        Stage::Ringing => (Some(CallStatus::Ringing), Some(Direction::Inbound)),
        Stage::Initiated => (Some(CallStatus::Initiated), Some(Direction::Outbound)),
        Stage::Answered => (Some(CallStatus::InProgress), None),
        Stage::Ended => (Some(CallStatus::Ended), None),
        Stage::TagAdded | Stage::TagRemoved => (None, None),
    };
    call.status = status;
    call.end_reason = (stage == Stage::Ended).then_some(EndReason::Completed);
    if call.direction.is_none() && direction.is_some() && !says_direction(data) {
        call.direction = direction;
        call.derived.push("direction");
    }
    if let Some(minutes) = minutes(data) {
        // Fractions of a minute are not exact in seconds; a millisecond is finer than the provider measures.
        let seconds = (minutes * 60_000.0).round() / 1_000.0;
        call.duration_seconds = Some(seconds);
        call.derived.push("duration_seconds");
        if let (None, Some(started_at)) = (call.ended_at, call.started_at) {
            let length = SignedDuration::try_from_secs_f64(seconds).ok();
            call.ended_at = length.and_then(|length| started_at.checked_add(length).ok());
            if call.ended_at.is_some() {
                call.derived.push("ended_at");
            }
        }
    }
}

/// Reads the call's length in minutes without taking it.
fn minutes(data: &Object<'_>) -> Option<f64> {
    let minutes = |name: &&str| data.peek(name).and_then(Raw::float);
    names::MINUTES.iter().find_map(minutes).filter(|minutes| *minutes >= 0.0)
}

/// Returns true if the payload has a direction in an unknown word, which must not be overruled by a derived
/// one.
fn says_direction(data: &Object<'_>) -> bool {
    names::CALL_DIRECTION.iter().any(|name| data.peek(name).is_some())
}

/// Returns the user whose phone it is.
fn user<'a>(data: &mut Object<'a>) -> Vec<Participant<'a>> {
    let email = any_of(data, names::USER_EMAIL, Object::text);
    let user = |email| Participant { role: Some("internal"), email: Some(email), ..Participant::default() };
    email.map(user).into_iter().collect()
}

fn transfer<'a>(data: &mut Object<'a>) -> Option<Transfer<'a>> {
    let transfer = Transfer {
        from: any_of(data, names::TRANSFER_FROM, Object::any),
        to: any_of(data, names::TRANSFER_TO, Object::any),
        original_call_id: any_of(data, names::FIRST_CALL, Object::id),
    };
    let happened = transfer.from.is_some() || transfer.to.is_some() || transfer.original_call_id.is_some();
    happened.then_some(transfer)
}

const SPEAKERS: &[(&str, Speaker)] = &[("AGENT", Speaker::Agent), ("USER", Speaker::Customer)];

/// Returns the transcript of `call`, if it has any text.
fn transcript<'a>(call: &CallData<'a>, data: &mut Object<'a>) -> Option<TranscriptData<'a>> {
    let mut segments = Vec::new();
    if let Some(mut entries) = data.filled_objects("transcriptions") {
        for entry in &mut entries {
            // An entry without a text stays unmapped.
            let Some(text) = entry.text("text") else { continue };
            let speaker = entry.one_of("source", SPEAKERS).unwrap_or(Speaker::Unknown);
            segments.push(Segment { speaker, text, at: entry.id("time"), until: None, speaker_id: None });
        }
        data.keep_all("transcriptions", entries);
    }
    let full_text = any_of(data, names::FULL_TEXT, filled_text);
    if segments.is_empty() && full_text.is_none() {
        return None;
    }
    Some(TranscriptData {
        call_id: call.call_id.clone(),
        direction: call.direction,
        from: call.from.clone(),
        to: call.to.clone(),
        transcript: (!segments.is_empty()).then_some(segments),
        full_text,
        ..TranscriptData::default()
    })
}

fn filled_text<'a>(data: &mut Object<'a>, name: &str) -> Option<Text<'a>> {
    let is_filled = data.peek(name).and_then(Raw::text).is_some_and(|text| !text.is_empty());
    if is_filled { data.text(name) } else { None }
}

/// Reads a message. `direction` takes precedence over the topic, which has been sent for both directions.
fn message<'a>(kind: E, data: &mut Object<'a>) -> Result<Fact<'a>, NormalizeError> {
    let id = data.require_id("id")?;
    let subject = Some(format!("message/{id}"));
    let message = MessageData {
        message_id: Some(id),
        direction: data.one_of("direction", DIRECTIONS),
        kind: data.one_of("type", &[("SMS", "SMS"), ("MMS", "MMS")]).map(Into::into),
        from: party(data, names::FROM, names::FROM_NAME),
        to: party(data, names::TO, names::TO_NAME),
        content: data.text("content"),
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
    let subject = Some(format!("contact/{id}"));
    let contact = ContactData {
        contact_id: Some(id),
        // The provider's `name` is the first name alone.
        first_name: data.text("name"),
        last_name: any_of(data, names::LAST_NAME, Object::text),
        company: data.text("company"),
        emails: data.texts("emails"),
        phones: data.texts("numbers"),
        ..ContactData::default()
    };
    Ok(Fact { kind, subject, time: None, data: Data::Contact(Box::new(contact)) })
}
