//! Salpre: AI telephony.
//!
//! The body is `{event_type, timestamp_utc, payload, is_test}`. There is no delivery id and no signature.

use std::borrow::Cow;

use jiff::Timestamp;

use super::{
    adapter::{Adapter, Input, Normalized},
    drift,
    error::{NormalizeError, UnknownEvent},
    schema::Schema,
};
use crate::core::{
    events::{
        data::{CallData, Data, Direction, Moment, Party, Segment, Speaker, Text, TranscriptData},
        event::{Event, EventType, subject_of},
        key::{IdempotencyKey, digest_hex},
    },
    json::{Object, Raw, Value, Word},
};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "salpre",
    headers: &[],
    // `source` is the serial number of a customer's line, and an error's message is free text.
    schema: Schema {
        public: &[
            "event_type|timestamp_utc|is_test",
            "payload.call_id|direction|type|timestamp_utc",
            "payload.call.id|direction",
            "payload.transcript[].type|utc_timestamp",
        ],
        keyed: &[],
    },
    normalize,
};

/// Paths that stay unmapped and are no drift: the line that the call came over.
const CARRIED: &[&str] = &["payload.source", "payload.call.source"];

const DIRECTIONS: &[(&str, Direction)] =
    &[("inbound", Direction::Inbound), ("outbound", Direction::Outbound)];

const SPEAKERS: &[(&str, Speaker)] =
    &[("ai", Speaker::Ai), ("customer", Speaker::Customer), ("agent", Speaker::Agent)];

/// The fields that every webhook has.
struct Head<'a> {
    name: Cow<'a, str>,
    time: Timestamp,
    /// The delivery's id, if it is a test.
    test: Option<String>,
}

fn normalize(input: Input<'_>) -> Result<Normalized<'_>, NormalizeError> {
    let mut root = Object::root(input.body)?;
    let name = root.require_text("event_type")?;
    let Some(read) = reader(&name) else { return Err(unknown(input, &mut root, &name).into()) };
    let time = root.require_time("timestamp_utc")?;
    let test = is_test(&mut root).then(|| input.delivery_id.to_string());
    let payload = root.require_object("payload")?;
    let head = Head { name, time, test };
    let (key, events) = read(&head, root, payload)?;
    let drift = drift::find(&events, |path| CARRIED.contains(&path));
    Ok(Normalized { key, events, drift })
}

fn unknown(input: Input<'_>, root: &mut Object<'_>, name: &str) -> UnknownEvent {
    let test = is_test(root);
    let key = if test {
        IdempotencyKey::from_parts(&["test", &input.delivery_id.to_string()])
    } else {
        IdempotencyKey::of_content(&["live", name], root)
    };
    UnknownEvent { time: root.time("timestamp_utc"), test, ..UnknownEvent::new("event_type", name, key) }
}

/// Takes the mark of a test. Whatever else is there and is neither false nor zero marks a test too, and
/// stays: a test that is taken for a call does harm.
fn is_test(root: &mut Object<'_>) -> bool {
    let Some(mark) = root.peek("is_test") else { return false };
    let says_no = |mark: Raw<'_>| {
        mark.integer() == Some(0) || mark.text().is_some_and(|word| word.eq_ignore_ascii_case("false"))
    };
    root.boolean("is_test").unwrap_or_else(|| !says_no(mark))
}

type Read<'a> = Result<(IdempotencyKey, Vec<Event<'a>>), NormalizeError>;

type Reader = for<'a> fn(&Head<'a>, Object<'a>, Object<'a>) -> Read<'a>;

fn reader(name: &str) -> Option<Reader> {
    Some(match name {
        "call_initiated" | "call_ringing" | "call_answered" | "call_ended" => call,
        "transcript" => transcript,
        "error" => error,
        _ => return None,
    })
}

/// Returns the key: the event's name, the call, the time, and `more` that tells events of one second apart.
/// Every press of the test button sends the same, so a test counts per delivery.
fn key(head: &Head<'_>, call_id: &str, more: &[&str]) -> IdempotencyKey {
    if let Some(delivery) = &head.test {
        return IdempotencyKey::from_parts(&["test", delivery]);
    }
    let (second, nanosecond) = (head.time.as_second(), head.time.subsec_nanosecond());
    let time = if nanosecond == 0 { second.to_string() } else { format!("{second}.{nanosecond:09}") };
    let mut parts = vec!["live", &head.name, call_id, &time];
    parts.extend_from_slice(more);
    IdempotencyKey::from_parts(&parts)
}

fn event<'a>(
    head: &Head<'a>,
    kind: EventType,
    call_id: &str,
    data: Data<'a>,
    unmapped: Value<'a>,
) -> Event<'a> {
    Event {
        time: Some(head.time),
        test: head.test.is_some(),
        unmapped,
        ..Event::new(kind, subject_of("call", call_id), head.name.clone(), data)
    }
}

/// Takes what the provider says of a call. Some payloads have it at the top level, others under `call`.
fn call_data<'a>(call_id: &Text<'a>, call: &mut Object<'a>) -> CallData<'a> {
    let (direction, direction_raw) = call.word("direction", DIRECTIONS).known_or_raw();
    CallData {
        call_id: Some(call_id.clone()),
        direction,
        direction_raw,
        from: Party::new(call.scalar("from"), None),
        to: Party::new(call.scalar("to"), None),
        ..CallData::default()
    }
}

fn call<'a>(head: &Head<'a>, mut root: Object<'a>, mut payload: Object<'a>) -> Read<'a> {
    let call_id = payload.require_id("call_id")?;
    let mut data = call_data(&call_id, &mut payload);
    // The event's time is the only one that the provider gives.
    let kind = match head.name.as_ref() {
        "call_initiated" => {
            data.started_at = Some(head.time);
            data.derived.push("started_at");
            EventType::CallInitiated
        }
        "call_ringing" => EventType::CallRinging,
        "call_answered" => {
            data.answered_at = Some(head.time);
            data.derived.push("answered_at");
            EventType::CallAnswered
        }
        _ => {
            data.ended_at = Some(head.time);
            data.derived.push("ended_at");
            EventType::CallEnded
        }
    };
    data.status = kind.call_status();
    let spoken = if kind == EventType::CallEnded { spoken(&mut payload) } else { None };
    root.keep("payload", payload);
    let transcript = spoken
        .map(|transcript| TranscriptData { transcript: Some(transcript), ..TranscriptData::of_call(&data) });
    let mut events = vec![event(head, kind, &call_id, Data::Call(Box::new(data)), root.into_unmapped())];
    if let Some(transcript) = transcript {
        let data = Data::Transcript(Box::new(transcript));
        events.push(event(head, EventType::TranscriptCompleted, &call_id, data, Value::default()));
    }
    Ok((key(head, &call_id, &[]), events))
}

/// Takes the final transcript of a call. An empty transcript, or one of another shape, stays unmapped.
fn spoken<'a>(payload: &mut Object<'a>) -> Option<Vec<Segment<'a>>> {
    let mut lines = payload.objects("transcript")?;
    let segment = |(position, line): (i64, &mut Object<'a>)| {
        Some(Segment { sequence: Some(position), ..segment(line, "message", "utc_timestamp")? })
    };
    let segments = (0..).zip(&mut lines).filter_map(segment).collect::<Vec<_>>();
    payload.keep_all("transcript", lines);
    (!segments.is_empty()).then_some(segments)
}

/// Takes one line of a transcript. A line without a text stays as a whole.
fn segment<'a>(line: &mut Object<'a>, text: &str, at: &str) -> Option<Segment<'a>> {
    let Some(text) = line.scalar(text) else {
        line.leave("type", |raw| Word::of(raw.text(), SPEAKERS).known);
        line.leave(at, Raw::filled_text_or_number);
        return None;
    };
    let speaker = line.word("type", SPEAKERS);
    // The provider's own sample has a number that is no time of this century: only a certain one is read.
    let segment = Segment::new(text, Moment::of_time(line.scalar(at)), Moment::default());
    Some(Segment { speaker: speaker.known, speaker_raw: speaker.raw, ..segment })
}

/// Reads one line of a call in progress. Several lines can share a second, so the key includes the line.
fn transcript<'a>(head: &Head<'a>, mut root: Object<'a>, mut payload: Object<'a>) -> Read<'a> {
    let mut call = payload.require_object("call")?;
    let call_id = call.require_id("id")?;
    let data = call_data(&call_id, &mut call);
    payload.keep("call", call);
    let speaker = payload.peek("type").and_then(Raw::text_or_number).unwrap_or_default();
    let at = payload.peek("timestamp_utc").and_then(Raw::text_or_number).unwrap_or_default();
    let line = segment(&mut payload, "transcript", "timestamp_utc");
    if line.is_none() {
        // A line may be empty, but not missing.
        payload.require_text("transcript")?;
    }
    let key = key(head, &call_id, &[&speaker, &at, &digest_hex(&payload.canonical_field("transcript"))]);
    root.keep("payload", payload);
    let data = TranscriptData { transcript: line.map(|line| vec![line]), ..TranscriptData::of_call(&data) };
    let data = Data::Transcript(Box::new(data));
    Ok((key, vec![event(head, EventType::TranscriptPartial, &call_id, data, root.into_unmapped())]))
}

/// Reads an error during a call; the call may go on.
fn error<'a>(head: &Head<'a>, mut root: Object<'a>, mut payload: Object<'a>) -> Read<'a> {
    let mut call = payload.require_object("call")?;
    let call_id = call.require_id("id")?;
    let data = call_data(&call_id, &mut call);
    payload.keep("call", call);
    let error = payload.scalar("error_message");
    let key = key(head, &call_id, &[&digest_hex(&payload.canonical_field("error_message"))]);
    root.keep("payload", payload);
    let data = Data::Call(Box::new(CallData { error, ..data }));
    Ok((key, vec![event(head, EventType::CallError, &call_id, data, root.into_unmapped())]))
}
