//! Acme: a switchboard.
//!
//! The body is `{event, at, call}`; a header carries the delivery's id.

use super::{
    adapter::{Adapter, Input, Normalized},
    drift,
    error::{NormalizeError, UnknownEvent},
    schema::Schema,
};
use crate::core::{
    events::{
        data::{CallData, Data, Party},
        event::{Event, EventType},
        key::IdempotencyKey,
    },
    json::Object,
};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "acme",
    headers: &["x-acme-delivery"],
    // Not the note, which is free text.
    schema: Schema { public: &["event|at", "call.id|seconds|trunk"], keyed: &[] },
    normalize,
};

/// Paths that stay unmapped and are no drift.
const CARRIED: &[&str] = &["call.trunk"];

fn normalize(input: Input<'_>) -> Result<Normalized<'_>, NormalizeError> {
    let mut root = Object::root(input.body)?;
    let name = root.require_text("event")?;
    let kind = match name.as_ref() {
        "started" => EventType::CallInitiated,
        "ended" => EventType::CallEnded,
        _ => {
            let key = IdempotencyKey::of_content(&[], &root);
            return Err(UnknownEvent::new("event", &name, key).into());
        }
    };
    let time = root.require_time("at")?;
    let mut call = root.require_object("call")?;
    let id = call.require_id("id")?;
    let key = match input.headers.get("x-acme-delivery") {
        Some(delivery) => IdempotencyKey::from_parts(&["delivery", delivery]),
        None => IdempotencyKey::from_parts(&["event", &*name, &*id]),
    };
    let data = CallData {
        call_id: Some(id.clone()),
        status: kind.call_status(),
        from: Party::new(call.scalar("from"), None),
        to: Party::new(call.scalar("to"), None),
        duration_seconds: call.length("seconds", 1.0),
        summary: call.text("note"),
        ..CallData::default()
    };
    root.keep("call", call);
    let events = vec![Event {
        time: Some(time),
        unmapped: root.into_unmapped(),
        ..Event::new(kind, format!("call/{id}"), name, Data::Call(Box::new(data)))
    }];
    let drift = drift::find(&events, |path| CARRIED.contains(&path));
    Ok(Normalized { key, events, drift })
}
