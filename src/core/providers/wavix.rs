//! Wavix: a communications platform (CPaaS).
//!
//! Call events are flat. A post-call callback has no event type.

use std::borrow::Cow;

use super::{
    adapter::{Adapter, Input, Normalized},
    drift,
    error::NormalizeError,
    schema::Schema,
};
use crate::core::{
    events::{
        data::{CallData, CallStatus, Cost, Data, Direction, EndReason, Money, Party},
        event::{Event, EventType},
        key::{IdempotencyKey, digest_hex},
    },
    json::{Object, Raw},
};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "wavix",
    headers: &[],
    // `destination` is a number in some bills, `tag` is free text, `digits` may be a PIN, and `sip_trunk` is
    // a login.
    schema: Schema {
        public: &[
            "uuid|event_type|event_time|direction|machine_detected|answered_by",
            "event_payload.type",
            "event_payload.payload.status|playback_id",
            "call_started|call_answered|call_completed",
            "parent_uuid|disposition|date|duration|charge|per_minute|forward_fee",
        ],
        keyed: &[],
    },
    normalize,
};

/// Paths that stay unmapped and are no drift.
const CARRIED: &[&str] = &[
    "event_payload",
    "event_payload.type",
    "event_payload.payload.status",
    "destination",
    "sip_trunk",
    "forward_fee",
    "parent_uuid",
    "answered_by",
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
    let is_post_call =
        !root.has("event_type") && ["charge", "per_minute", "disposition"].iter().any(|key| root.has(key));
    let (key, event) = if is_post_call { post_call(root)? } else { call_event(root)? };
    let events = vec![event];
    let drift = drift::find(&events, |path| CARRIED.contains(&path));
    Ok(Normalized { key, events, drift })
}

/// Maps an event's name to its type, the call's status, and the reason for its end.
fn classify(name: &str) -> Option<(EventType, Option<CallStatus>, Option<EndReason>)> {
    let ended = |reason| (EventType::CallEnded, Some(CallStatus::Ended), Some(reason));
    Some(match name {
        "call_setup" => (EventType::CallInitiated, Some(CallStatus::Initiated), None),
        "ringing" => (EventType::CallRinging, Some(CallStatus::Ringing), None),
        "early_media" => (EventType::CallEarlyMedia, Some(CallStatus::Ringing), None),
        "answered" => (EventType::CallAnswered, Some(CallStatus::InProgress), None),
        "completed" => ended(EndReason::Completed),
        "busy" => ended(EndReason::Busy),
        "cancelled" => ended(EndReason::Canceled),
        "rejected" => ended(EndReason::Rejected),
        "failed" => ended(EndReason::Failed),
        "transfer" => (EventType::CallTransferred, None, None),
        "on_call_event" => (EventType::CallUpdated, None, None),
        _ => return None,
    })
}

type Read<'a> = Result<(IdempotencyKey, Event<'a>), NormalizeError>;

fn call_event(mut root: Object<'_>) -> Read<'_> {
    let name = root.require_text("event_type")?;
    let (mut kind, status, end_reason) =
        classify(&name).ok_or_else(|| NormalizeError::unsupported("event_type", &name))?;
    // All events of a call share its id, so it is never a key by itself.
    let uuid = root.require_id("uuid")?;
    let written_time = root.peek("event_time").and_then(Raw::text_or_number).unwrap_or_default();
    let payload = digest_hex(&root.canonical_field("event_payload"));
    let key = IdempotencyKey::from_parts(&[&*uuid, &*name, &*written_time, &*payload]);
    let time = root.require_time("event_time")?;
    let mut data = CallData { call_id: Some(uuid.clone()), status, end_reason, ..CallData::default() };
    if name == "on_call_event" {
        kind = during_call(&mut root, &mut data);
    }
    data.direction = root.one_of("direction", DIRECTIONS);
    data.from = Party::new(root.scalar("from"), None);
    data.to = Party::new(root.scalar("to"), None);
    data.started_at = root.time("call_started");
    data.answered_at = root.time("call_answered");
    data.ended_at = root.time("call_completed");
    data.machine_detected = root.boolean("machine_detected");
    data.tag = root.text("tag");
    let event = Event {
        kind,
        subject: format!("call/{uuid}"),
        time: Some(time),
        provider_event: name,
        test: false,
        tenant: None,
        data: Data::Call(Box::new(data)),
        unmapped: root.into_unmapped(),
    };
    Ok((key, event))
}

/// Reads an event during the call: media was played, keys were pressed, or an unknown kind of update.
fn during_call<'a>(root: &mut Object<'a>, data: &mut CallData<'a>) -> EventType {
    let Some(mut payload) = root.object("event_payload") else { return EventType::CallUpdated };
    let kind = match payload.peek("type").and_then(Raw::text).as_deref() {
        Some("audio") => {
            data.media = Some(payload.raw());
            return EventType::CallMedia;
        }
        Some("collect") => {
            if let Some(mut collected) = payload.object("payload") {
                data.digits = collected.scalar("digits");
                payload.keep("payload", collected);
            }
            EventType::CallInput
        }
        _ => EventType::CallUpdated,
    };
    root.keep("event_payload", payload);
    kind
}

/// Reads the bill after a call. It has no event type and is recognized by its shape.
fn post_call(mut root: Object<'_>) -> Read<'_> {
    let uuid = root.require_id("uuid")?;
    let money = |amount| Money { amount: Some(amount), ..Money::default() };
    let cost =
        Cost { total: root.decimal("charge").map(money), per_minute: root.decimal("per_minute").map(money) };
    let data = CallData {
        call_id: Some(uuid.clone()),
        direction: root.one_of("direction", DIRECTIONS),
        from: Party::new(root.scalar("from"), None),
        to: Party::new(root.scalar("to"), None),
        duration_seconds: root.float("duration"),
        end_reason: root.one_of("disposition", DISPOSITIONS),
        cost: Some(cost),
        ..CallData::default()
    };
    let event = Event {
        kind: EventType::CallCostReported,
        subject: format!("call/{uuid}"),
        time: root.time("date"),
        provider_event: Cow::Borrowed("post_call"),
        test: false,
        tenant: None,
        data: Data::Call(Box::new(data)),
        unmapped: root.into_unmapped(),
    };
    Ok((IdempotencyKey::from_parts(&["post_call", &uuid]), event))
}
