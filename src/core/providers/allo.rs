//! Allo: a business phone.
//!
//! The body is `{topic, data}`; version 2 adds `version` and `timestamp`, and the oldest documents have
//! `{topic, body}` without an id. The fields have been documented in snake_case and in camelCase, so both are
//! read.

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

/// Paths in the data that always stay unmapped and are no drift; [`expected`] adds those that depend on the
/// webhook. The full text of a transcript stays only if it is empty: then the call has no transcript and no
/// event for it.
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
    "concatenated_transcript",
    "concatenatedTranscript",
    "transcriptions[].start_seconds",
    "transcriptions[].startSeconds",
    "transcriptions[].end_seconds",
    "transcriptions[].endSeconds",
    "ivr_result",
    "ivrResult",
    "person",
    "company",
    "deals",
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
    pub(super) const TAG: Names = &["tag", "call_category", "callCategory"];
    pub(super) const START_SECONDS: Names = &["start_seconds", "startSeconds"];
    pub(super) const END_SECONDS: Names = &["end_seconds", "endSeconds"];
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
    let envelope = if root.has("body") && !root.has("data") { "body" } else { "data" };
    let mut data = root.require_object(envelope)?;
    let edition =
        Edition { is_second: root.has("version") || topic.contains('.'), has_ids: envelope == "data" };
    let key = key(input, parsed, &topic, &root, &data);
    let facts = match parsed {
        Topic::Call(stage) => call(stage, edition, &mut data)?,
        Topic::Message(kind) => vec![message(kind, edition, &mut data)?],
        Topic::Contact(kind) => vec![contact(kind, &mut data)?],
    };
    let expected = expected(parsed, &data);
    // The time of sending yields to the payload's own time.
    let has_time = root.peek("timestamp").and_then(Raw::time).is_some();
    root.keep(envelope, data);
    // The time of sending is used where the payload has no time of its own.
    let sent_at = if facts.iter().all(|fact| fact.time.is_none()) { root.time("timestamp") } else { None };
    let mut unmapped = root.into_unmapped();
    let mut events = Vec::with_capacity(facts.len());
    for fact in facts {
        events.push(Event {
            kind: fact.kind,
            // Equal keys give equal event ids, and equal ids must not differ in their subjects.
            subject: fact.subject.unwrap_or_else(|| format!("webhook/{key}")),
            time: fact.time.or(sent_at),
            provider_event: topic.clone(),
            test: false,
            tenant: None,
            connector: None,
            data: fact.data,
            // Only the first event carries it.
            unmapped: std::mem::replace(&mut unmapped, Value::Object(Vec::new())),
        });
    }
    let in_data =
        |path: &str| path.strip_prefix(envelope)?.strip_prefix('.').map(|path| expected.contains(&path));
    let drift = drift::find(&events, |path| {
        matches!(path, "version") || (path == "timestamp" && has_time) || in_data(path).unwrap_or_default()
    });
    Ok(Normalized { key, events, drift })
}

/// What differs between the editions of the provider's documents.
#[derive(Clone, Copy)]
struct Edition {
    /// True for version 2.
    is_second: bool,
    /// False for the oldest edition, whose calls and messages have no ids.
    has_ids: bool,
}

/// Returns the paths that stay unmapped and are no drift: [`CARRIED`], and those that were read but not
/// taken.
fn expected(parsed: Topic, data: &Object<'_>) -> Vec<&'static str> {
    let mut expected = CARRIED.to_vec();
    // Only the written length, in minutes, is exact; the seconds are derived from it.
    if minutes(data).is_some() {
        expected.extend(["length_in_minutes", "lengthInMinutes"]);
    }
    if matches!(parsed, Topic::Call(Stage::TagRemoved)) {
        expected.extend(names::TAG);
    }
    // Several results are the same reason.
    if data.peek("result").and_then(known_result).is_some() {
        expected.push("result");
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
    Summarized,
}

impl Stage {
    /// Returns true if the same can happen again to a call.
    fn may_recur(self) -> bool {
        matches!(self, Self::TagAdded | Self::TagRemoved | Self::Summarized)
    }
}

fn parse_topic(topic: &str) -> Option<Topic> {
    Some(match topic {
        "CALL_RECEIVED" | "call.completed" => Topic::Call(Stage::Ended),
        "call.received" => Topic::Call(Stage::Ringing),
        "call.triggered" => Topic::Call(Stage::Initiated),
        "call.answered" => Topic::Call(Stage::Answered),
        "tag.added" => Topic::Call(Stage::TagAdded),
        "tag.removed" => Topic::Call(Stage::TagRemoved),
        "summary.updated" | "SUMMARY_UPDATED" => Topic::Call(Stage::Summarized),
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
        subject: format!("webhook/{key}"),
        time: None,
        provider_event: topic,
        test: false,
        tenant: None,
        connector: None,
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
        Topic::Call(stage) => (names::CALL_ID, stage.may_recur()),
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
fn call<'a>(stage: Stage, edition: Edition, data: &mut Object<'a>) -> Result<Vec<Fact<'a>>, NormalizeError> {
    let call_id = match any_of(data, names::CALL_ID, Object::id) {
        // Only a finished call always has an id; a ringing call has none.
        None if stage == Stage::Ended && edition.has_ids => Some(data.require_id("id")?),
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
        tag: if stage == Stage::TagRemoved { None } else { any_of(data, names::TAG, Object::text) },
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
        Stage::TagAdded => (E::CallTagged, None),
        Stage::TagRemoved => (E::CallUntagged, None),
        Stage::Summarized => (E::CallUpdated, None),
    };
    let subject = call.call_id.as_ref().map(|id| format!("call/{id}"));
    let transcript = if stage == Stage::Ended { transcript(&call, edition, data) } else { None };
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
        Stage::TagAdded | Stage::TagRemoved | Stage::Summarized => (None, None),
    };
    call.status = status;
    call.end_reason = if stage == Stage::Ended { end_reason(data) } else { None };
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

/// The results of a call. A transfer says where the call went, not how it ended.
const RESULTS: &[(&str, Option<EndReason>)] = &[
    ("ANSWERED", Some(EndReason::Completed)),
    ("COMPLETED", Some(EndReason::Completed)),
    ("VOICEMAIL", Some(EndReason::Voicemail)),
    ("MISSED", Some(EndReason::Missed)),
    ("NO_ANSWER", Some(EndReason::NoAnswer)),
    ("BUSY", Some(EndReason::Busy)),
    ("CANCELED", Some(EndReason::Canceled)),
    ("CANCELLED", Some(EndReason::Canceled)),
    ("REJECTED", Some(EndReason::Rejected)),
    ("BLOCKED", Some(EndReason::Rejected)),
    ("ABANDONED", Some(EndReason::Abandoned)),
    ("FAILED", Some(EndReason::Failed)),
    ("TRANSFERRED", None),
    ("TRANSFERRED_AI", None),
    ("TRANSFERRED_EXTERNAL", None),
];

fn known_result(result: Raw<'_>) -> Option<Option<EndReason>> {
    let word = result.text()?;
    RESULTS.iter().find(|(known, _)| *known == word).map(|(_, reason)| *reason)
}

/// Returns what the provider's own word says, without taking it. A call without a result has no reason: that
/// it is finished does not tell whether it was answered.
fn end_reason(data: &Object<'_>) -> Option<EndReason> {
    known_result(data.peek("result")?).unwrap_or(Some(EndReason::Unknown))
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

/// The speakers of version 1.
const TWO_SPEAKERS: &[(&str, Speaker)] = &[("AGENT", Speaker::Agent), ("USER", Speaker::Customer)];

/// The speakers of version 2, and of every transcript that has one of the third kind: the provider's
/// assistant, its user, and the other side.
const THREE_SPEAKERS: &[(&str, Speaker)] =
    &[("AGENT", Speaker::Ai), ("USER", Speaker::Agent), ("EXTERNAL", Speaker::Customer)];

/// Returns the transcript of `call`, if it has any text.
fn transcript<'a>(
    call: &CallData<'a>,
    edition: Edition,
    data: &mut Object<'a>,
) -> Option<TranscriptData<'a>> {
    let mut segments = Vec::new();
    if let Some(mut entries) = data.objects("transcriptions") {
        let is_external = |entry: &Object<'a>| {
            entry.peek("source").and_then(Raw::text).is_some_and(|source| source == "EXTERNAL")
        };
        let speakers = match edition.is_second || entries.iter().any(is_external) {
            true => THREE_SPEAKERS,
            false => TWO_SPEAKERS,
        };
        for entry in &mut entries {
            // An entry without a text stays unmapped.
            let Some(text) = entry.text("text") else { continue };
            let speaker = entry.one_of("source", speakers).unwrap_or(Speaker::Unknown);
            // Seconds beside a time would be its end in another unit.
            let (at, until) = match entry.id("time") {
                None => {
                    let at = any_of(entry, names::START_SECONDS, Object::id);
                    (at, any_of(entry, names::END_SECONDS, Object::id))
                }
                at => (at, None),
            };
            segments.push(Segment { speaker, text, at, until, speaker_id: None });
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

const KINDS: &[(&str, &str)] = &[("SMS", "SMS"), ("MMS", "MMS"), ("WHATSAPP", "WHATSAPP")];

/// Reads a message. `direction` takes precedence over the topic, which has been sent for both directions.
fn message<'a>(kind: E, edition: Edition, data: &mut Object<'a>) -> Result<Fact<'a>, NormalizeError> {
    let id = if edition.has_ids { Some(data.require_id("id")?) } else { data.id("id") };
    let subject = id.as_ref().map(|id| format!("message/{id}"));
    let message = MessageData {
        message_id: id,
        direction: data.one_of("direction", DIRECTIONS),
        kind: data.one_of("type", KINDS).map(Into::into),
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
        emails: data.scalars("emails"),
        phones: data.scalars("numbers"),
        ..ContactData::default()
    };
    Ok(Fact { kind, subject, time: None, data: Data::Contact(Box::new(contact)) })
}
