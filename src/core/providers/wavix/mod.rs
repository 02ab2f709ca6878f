//! Wavix: a communications platform (CPaaS).
//!
//! Call events are flat. The other callbacks have no event type and are recognized by their shape: the bill
//! after a call, a message, the report of its delivery, a transcription, a recording.

mod message;
mod parts;
mod transcription;

use self::parts::{Read, call_id, money};
use super::{
    adapter::{Adapter, Input, Normalized},
    drift,
    error::{NormalizeError, UnknownEvent},
    schema::Schema,
};
use crate::core::{
    events::{
        data::{CallData, Cost, Data, Direction, EndReason, Party, Recording, Text},
        event::{Event, EventType, subject_of},
        key::{IdempotencyKey, digest_hex},
    },
    json::{Object, Raw, present},
};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "wavix",
    headers: &[],
    // `destination` is a number in some bills, `tag` is free text, `digits` may be a PIN, and `sip_trunk` is
    // a login.
    schema: Schema {
        public: &[
            "uuid|id|event_type|event_time|direction|machine_detected|answered_by",
            "event_payload.type",
            "event_payload.payload.status|playback_id",
            "call_started|call_answered|call_completed",
            "parent_uuid|disposition|date|duration|charge|per_minute|forward_fee",
            "message_id|message_type|received_at|status|sent|delivered|segments|segments_count|carrier_fees",
            "request_id|call_uuid|language|transcription_date|call_date|call_score|transcription_score",
            "turns[].s|e|speaker|sentiment",
        ],
        // A transcript's keys are the numbers of the call.
        keyed: &["transcript"],
    },
    normalize,
};

/// Paths that stay unmapped and are no drift.
const CARRIED: &[&str] = &[
    "destination",
    "sip_trunk",
    "forward_fee",
    "parent_uuid",
    "answered_by",
    "segments",
    "segments_count",
    "carrier_fees",
    "transcript",
    "turns[].type",
    "turns[].sentiment",
];

const DIRECTIONS: &[(&str, Direction)] =
    &[("inbound", Direction::Inbound), ("outbound", Direction::Outbound)];

/// The dispositions of the post-call callback.
const DISPOSITIONS: &[(&str, EndReason)] = &[
    ("answered", EndReason::Completed),
    ("noanswer", EndReason::NoAnswer),
    ("busy", EndReason::Busy),
    ("failed", EndReason::Failed),
];

fn normalize(input: Input<'_>) -> Result<Normalized<'_>, NormalizeError> {
    let root = Object::root(input.body)?;
    let shape = Shape::of(&root);
    let (key, event) = match shape {
        Shape::CallEvent => call_event(root)?,
        Shape::PostCall => post_call(root)?,
        Shape::Message => message::received(root)?,
        Shape::DeliveryReport => message::delivery_report(root)?,
        Shape::Transcription => transcription::read(root)?,
        Shape::Recording => recording(root)?,
    };
    let events = vec![event];
    // A transcript has no cost.
    let is_carried_charge = |path: &str| path == "charge" && matches!(shape, Shape::Transcription);
    let is_carried = |path: &str| CARRIED.contains(&path) || ABOUT_TRANSCRIPTION.contains(&path);
    let drift = drift::find(&events, |path| is_carried(path) || is_carried_charge(path));
    Ok(Normalized { key, events, drift })
}

/// The fields by which a transcription is known.
const OF_TRANSCRIPTION: &[&str] = &["request_id", "transcript", "turns", "transcription_date"];

/// What a transcription says of itself, none of which a recording has. It stays.
const ABOUT_TRANSCRIPTION: &[&str] = &[
    "language",
    "transcription_date",
    "call_date",
    "call_score",
    "call_summary",
    "transcription_score",
    "transcription_summary",
    "original_file",
];

/// The callbacks, told apart by their fields. `null` is no field.
enum Shape {
    CallEvent,
    PostCall,
    Message,
    DeliveryReport,
    Transcription,
    Recording,
}

impl Shape {
    fn of(root: &Object<'_>) -> Self {
        let has = |key: &&str| root.peek(key).is_some();
        let has_any = |keys: &[&str]| keys.iter().any(has);
        let is_completed = || root.peek("status").and_then(Raw::text).as_deref() == Some("completed");
        let is_recording =
            || has(&"recording_url") && is_completed() && !has(&"call_uuid") && !has_any(ABOUT_TRANSCRIPTION);
        if has(&"event_type") {
            Self::CallEvent
        } else if has(&"message_id") {
            if has(&"message_body") { Self::Message } else { Self::DeliveryReport }
        } else if has_any(OF_TRANSCRIPTION) {
            Self::Transcription
        } else if has_any(&["charge", "per_minute", "disposition"]) {
            Self::PostCall
        } else if is_recording() {
            Self::Recording
        } else if has(&"status") {
            Self::Transcription
        } else if root.has("recording_url") {
            // With `null` too, whose error then names it.
            Self::Recording
        } else {
            Self::CallEvent
        }
    }
}

/// Maps an event's name to its type and the reason for the call's end.
fn classify(name: &str) -> Option<(EventType, Option<EndReason>)> {
    let ended = |reason| (EventType::CallEnded, Some(reason));
    Some(match name {
        "call_setup" => (EventType::CallInitiated, None),
        "ringing" => (EventType::CallRinging, None),
        "early_media" => (EventType::CallEarlyMedia, None),
        "answered" => (EventType::CallAnswered, None),
        "completed" => ended(EndReason::Completed),
        "busy" => ended(EndReason::Busy),
        "cancelled" => ended(EndReason::Canceled),
        "rejected" => ended(EndReason::Rejected),
        "failed" => ended(EndReason::Failed),
        "transfer" => (EventType::CallTransferred, None),
        "on_call_event" => (EventType::CallUpdated, None),
        _ => return None,
    })
}

fn unknown(root: &mut Object<'_>, name: &str) -> UnknownEvent {
    let key = match call_id(root) {
        Ok(uuid) => key(root, &uuid, name),
        Err(_) => IdempotencyKey::of_content(&[], root),
    };
    UnknownEvent { time: root.time("event_time"), ..UnknownEvent::new("event_type", name, key) }
}

/// Returns the key. All events of a call share its id, so it is never a key by itself.
fn key(root: &Object<'_>, uuid: &str, name: &str) -> IdempotencyKey {
    let written_time = root.peek("event_time").and_then(Raw::text_or_number).unwrap_or_default();
    let payload = digest_hex(&root.canonical_field("event_payload"));
    IdempotencyKey::from_parts(&[uuid, name, &*written_time, &*payload])
}

fn call_event(mut root: Object<'_>) -> Read<'_> {
    let name = root.require_text("event_type")?;
    let Some((kind, end_reason)) = classify(&name) else {
        return Err(unknown(&mut root, &name).into());
    };
    let uuid = call_id(&mut root)?;
    let key = key(&root, &uuid, &name);
    let time = root.require_time("event_time")?;
    let mut data = call_data(&uuid, &mut root);
    data.end_reason = end_reason;
    data.end_reason_raw = end_reason.map(|_| name.clone());
    let kind = payload(&mut root, &mut data, name == "on_call_event").unwrap_or(kind);
    data.status = kind.call_status();
    data.started_at = root.time("call_started");
    data.answered_at = root.time("call_answered");
    data.ended_at = root.time("call_completed");
    data.machine_detected = root.boolean("machine_detected");
    data.tag = root.scalar("tag");
    let event = Event {
        time: Some(time),
        unmapped: root.into_unmapped(),
        ..Event::new(kind, subject_of("call", &uuid), name, Data::Call(Box::new(data)))
    };
    Ok((key, event))
}

/// Takes what every callback about a call may say.
fn call_data<'a>(uuid: &Text<'a>, root: &mut Object<'a>) -> CallData<'a> {
    let (direction, direction_raw) = root.word("direction", DIRECTIONS).known_or_raw();
    CallData {
        call_id: Some(uuid.clone()),
        direction,
        direction_raw,
        from: Party::without_plus(root.scalar("from")),
        to: Party::without_plus(root.scalar("to")),
        recordings: Recording::at(root.text("recording_url")),
        ..CallData::default()
    }
}

/// Reads the payload of an event. During a call it tells the event's type: media was played, or keys were
/// pressed. In the events that have a type of their own it stays.
fn payload<'a>(root: &mut Object<'a>, data: &mut CallData<'a>, is_during_call: bool) -> Option<EventType> {
    let mut payload = root.object("event_payload")?;
    let kind = payload.leave("type", |raw| match raw.text()?.as_ref() {
        "audio" => Some(EventType::CallMedia),
        "collect" => Some(EventType::CallInput),
        _ => None,
    });
    let told = kind.filter(|_| is_during_call);
    if told == Some(EventType::CallMedia) {
        data.media = Some(payload.raw());
        return told;
    }
    if let Some(mut detail) = payload.object("payload") {
        if told == Some(EventType::CallInput) {
            data.digits = detail.scalar("digits");
        }
        for key in ["status", "playback_id", "digits"] {
            detail.leave(key, Raw::filled_text_or_number);
        }
        payload.keep("payload", detail);
    }
    root.keep("event_payload", payload);
    told
}

/// Reads the bill after a call. It has no event type and is recognized by its shape.
fn post_call(mut root: Object<'_>) -> Read<'_> {
    let uuid = call_id(&mut root)?;
    let cost =
        Cost { total: root.decimal("charge").map(money), per_minute: root.decimal("per_minute").map(money) };
    let disposition = root.word("disposition", DISPOSITIONS);
    let data = CallData {
        billed_seconds: root.length("duration", 1.0),
        end_reason: disposition.known,
        end_reason_raw: disposition.raw,
        cost: present(cost),
        ..call_data(&uuid, &mut root)
    };
    let event = Event {
        time: root.time("date"),
        unmapped: root.into_unmapped(),
        ..Event::new(
            EventType::CallCostReported,
            subject_of("call", &uuid),
            "post_call",
            Data::Call(Box::new(data)),
        )
    };
    Ok((IdempotencyKey::from_parts(&["post_call", &uuid]), event))
}

/// Reads a callback that tells nothing of a call but where its recording is. The provider's documents have
/// the address in the bill; by itself it announces the recording.
fn recording(mut root: Object<'_>) -> Read<'_> {
    let uuid = call_id(&mut root)?;
    let key = IdempotencyKey::of_content(&["recording", &uuid], &root);
    let mut data = call_data(&uuid, &mut root);
    root.leave("status", Raw::text);
    if data.recordings.is_empty() {
        return Err(NormalizeError::invalid("recording_url", "expected a non-empty string"));
    }
    for recording in &mut data.recordings {
        recording.duration_seconds = root.length("duration", 1.0);
    }
    let event = Event {
        time: root.time("date"),
        unmapped: root.into_unmapped(),
        ..Event::new(
            EventType::CallRecordingAvailable,
            subject_of("call", &uuid),
            "recording",
            Data::Call(Box::new(data)),
        )
    };
    Ok((key, event))
}
