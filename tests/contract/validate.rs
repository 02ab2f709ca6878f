//! Every golden event and many generated ones are valid under their schemas, which refuse unknown fields
//! here.
//!
//! `make contract` does the same with more events and other validators.

use std::{collections::BTreeMap, fs};

use bytes::Bytes;
use hookswitch::core::{
    contract::{
        Schemas, Unknown,
        family::{Family, SCHEMA_BASE},
    },
    events::event::EventType,
};
use jsonschema::Validator;
use serde_json::Value;

use crate::events;

/// The number of generated events that each run validates.
const GENERATED: usize = 5_000;

fn validators() -> BTreeMap<&'static str, Validator> {
    let schemas = Schemas::new(SCHEMA_BASE, Unknown::Refused);
    let validator = |kind: EventType| {
        let schema = serde_json::to_value(schemas.bundle(kind)).unwrap();
        jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
    };
    EventType::ALL.iter().map(|kind| (kind.as_str(), validator(*kind))).collect()
}

/// Returns what is wrong with events, at most one problem each.
fn problems(events: &[Bytes]) -> Vec<String> {
    let validators = validators();
    let problem = |body: &Bytes| {
        let event: Value = serde_json::from_slice(body).unwrap();
        let error = validators[event["type"].as_str().unwrap()].validate(&event).err()?;
        Some(format!("{} at {}: {error}\n{event}", event["type"], error.instance_path()))
    };
    events.iter().filter_map(problem).collect()
}

#[test]
fn every_golden_event_is_valid_and_nothing_in_it_is_undeclared() {
    let problems = problems(&events::golden());
    assert!(problems.is_empty(), "{} events: {}", problems.len(), problems.join("\n"));
}

#[test]
fn generated_events_are_valid() {
    let problems = problems(&events::generated(GENERATED, 1));
    let shown = problems.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(problems.is_empty(), "{} of {GENERATED} events: {shown}", problems.len());
}

#[test]
fn the_validator_notices_what_is_wrong() {
    let events = events::golden();
    let ended = events.iter().find(|body| String::from_utf8_lossy(body).contains("\"call.ended\"")).unwrap();
    let event: Value = serde_json::from_slice(ended).unwrap();
    for (pointer, key, wrong) in [
        ("", "time", Value::from("yesterday")),
        ("", "id", Value::from("1")),
        ("", "new", Value::from(1)),
        ("/data", "direction", Value::from("sideways")),
        ("/data", "started_at", Value::from("2026-03-25")),
        ("/data", "new", Value::from(1)),
        ("/data", "call_id", Value::Null),
    ] {
        let mut planted = event.clone();
        planted.pointer_mut(pointer).unwrap()[key] = wrong;
        assert_eq!(problems(&[planted.to_string().into()]).len(), 1, "{pointer}/{key}");
    }
    let mut planted = event;
    planted.as_object_mut().unwrap().remove("subject");
    assert_eq!(problems(&[planted.to_string().into()]).len(), 1, "an attribute is missing");
}

#[test]
fn every_event_names_the_schema_of_its_data_by_its_id() {
    let schemas = Schemas::new(SCHEMA_BASE, Unknown::Allowed);
    let ids: BTreeMap<_, _> = EventType::ALL
        .iter()
        .map(|kind| {
            let schema = serde_json::to_value(schemas.data(Family::of_type(*kind))).unwrap();
            (kind.as_str(), schema["$id"].clone())
        })
        .collect();
    for body in events::golden() {
        let event: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(event["dataschema"], ids[event["type"].as_str().unwrap()], "{event}");
    }
}

/// Writes the golden events and `HOOKSWITCH_EVENTS` generated ones to the file `HOOKSWITCH_EVENTS_FILE`, one
/// a line, for other validators.
#[test]
#[ignore = "run by make contract"]
fn write_events_to_a_file() {
    let file = std::env::var_os("HOOKSWITCH_EVENTS_FILE").expect("HOOKSWITCH_EVENTS_FILE");
    let count =
        std::env::var("HOOKSWITCH_EVENTS").ok().and_then(|count| count.parse().ok()).unwrap_or(100_000);
    let events = [events::golden(), events::generated(count, 2)].concat();
    let problems = problems(&events);
    assert!(problems.is_empty(), "{} of {}: {}", problems.len(), events.len(), problems[0]);
    let lines: Vec<u8> = events.iter().flat_map(|body| body.iter().chain(b"\n")).copied().collect();
    fs::write(file, lines).unwrap();
    eprintln!("{} events are valid under the jsonschema crate", events.len());
}
