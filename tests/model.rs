//! One model: a field means the same, whichever provider sends it. The rules hold for every event of every
//! golden case and sample.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "support/golden.rs"]
mod cases;

use std::collections::{BTreeMap, BTreeSet};

use hookswitch::core::{
    events::{
        cloudevent::{self, Encoded},
        event::Event,
    },
    providers::{self, Provider},
    webhook::{Headers, Webhook},
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The types that say in which state a call is.
const STATES: &[(&str, &str)] = &[
    ("call.scheduled", "scheduled"),
    ("call.initiated", "initiated"),
    ("call.ringing", "ringing"),
    ("call.early_media", "ringing"),
    ("call.answered", "in_progress"),
    ("call.ended", "ended"),
];

/// The closed words of each field, by family. A field that is not listed holds no closed word.
const WORDS: &[(&str, &str, &str)] = &[
    ("call", "direction", "inbound outbound"),
    ("call", "status", "scheduled initiated ringing in_progress ended"),
    ("call", "end_reason", "completed busy canceled rejected no_answer missed voicemail abandoned failed"),
    ("call", "outcome.kind", "booked quoted follow_up not_interested no_answer spam wrong_number other"),
    ("transcript", "direction", "inbound outbound"),
    ("transcript", "transcript[].speaker", "agent customer ai"),
    ("message", "direction", "inbound outbound"),
    ("message", "kind", "sms mms whatsapp text"),
    ("message", "channel", "phone sms webchat email whatsapp"),
    ("message", "status", "accepted pending sent delivered undelivered expired rejected"),
    ("conversation", "status", "open pending resolved closed"),
    ("conversation", "priority", "low normal high urgent"),
    ("conversation", "channel", "phone sms webchat email whatsapp"),
    ("record", "direction", "inbound outbound"),
    ("record", "kind", "call meeting email task note open won lost"),
    ("record", "status", "planned in_progress completed canceled"),
    ("invoice", "status", "draft pending overdue paid void"),
];

/// The closed words of fields that have the same shape in every family, by the end of their path.
const SHARED_WORDS: &[(&str, &str)] = &[
    ("participants[].role", "agent customer ai owner organizer"),
    ("participants[].party", "from to"),
    ("reference.kind", KINDS),
    ("transcript_ref.kind", KINDS),
    ("triggered_by.kind", KINDS),
    ("links[].kind", KINDS),
    ("transfer.from.role", "agent"),
    ("transfer.to.role", "agent"),
];

const KINDS: &str = "contact company user workspace opportunity pipeline stage engagement invoice \
    invoice_item invoice_line_item event_type slot event call transcript";

/// The fields of a person.
const PERSON: &str = "role role_raw party speaker_id reference name emails phones";

/// Fields that are as the provider wrote them, whatever is in them.
const AS_WRITTEN: &[&str] = &["unmapped", "attribution", "media", "questions", "answers", "durations"];

/// Names that a former version had for what has one shape now.
const FORMER: &str = "contact speakers recording_url email phone sender_kind external_attendees";

/// An event, its family, and the name of its case.
struct Told {
    case: String,
    family: String,
    event: Value,
}

impl Told {
    fn kind(&self) -> &str {
        self.event["type"].as_str().unwrap()
    }

    fn data(&self) -> &Map<String, Value> {
        self.event["data"].as_object().unwrap()
    }
}

/// Returns the family of a type, of which all types have the same fields.
fn family(kind: &str) -> &str {
    match kind.split_once('.').unwrap() {
        ("call", rest) if rest.starts_with("transcript") => "transcript",
        ("company" | "user" | "workspace" | "opportunity" | "pipeline" | "stage" | "engagement", _) => {
            "record"
        }
        ("source" | "provider", _) => "plain",
        (family, _) => family,
    }
}

fn told(case: &str, webhook: &Webhook) -> Vec<Told> {
    let Ok(normalized) = providers::normalize(webhook) else { return Vec::new() };
    let encoded = cloudevent::encode(webhook, &normalized.key, &normalized.events);
    let tell = |(position, (event, encoded)): (usize, (&Event<'_>, Encoded))| Told {
        case: format!("{} {case} {position}", webhook.provider),
        family: family(event.kind.as_str()).to_owned(),
        event: serde_json::from_slice(&encoded.body).unwrap(),
    };
    normalized.events.iter().zip(encoded).enumerate().map(tell).collect()
}

/// Returns the events of every golden case and sample.
fn all() -> Vec<Told> {
    let mut all = Vec::new();
    for provider in Provider::ALL {
        for case in cases::of(provider) {
            let name = case.file_name().unwrap().to_str().unwrap().to_owned();
            all.extend(told(&name, &cases::read(provider, &case)));
        }
    }
    all.extend(samples());
    assert!(all.len() > 250, "only {} events", all.len());
    all
}

fn samples() -> Vec<Told> {
    let mut events = Vec::new();
    for sample in hookswitch::samples::all() {
        let webhook =
            cases::webhook(sample.provider, sample.headers.into_iter().collect(), sample.body.to_vec());
        events.extend(told(&format!("sample {}", sample.name), &webhook));
    }
    events
}

/// Calls `visit` with the path and value of every typed field of an event, objects and lists too.
fn each(told: &Told, visit: &mut impl FnMut(&str, &Value)) {
    for (name, value) in told.data().iter().filter(|(name, _)| !AS_WRITTEN.contains(&name.as_str())) {
        each_in(name, value, visit);
    }
}

fn each_in(path: &str, value: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, value);
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| each_in(&format!("{path}.{name}"), value, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| each_in(&format!("{path}[]"), item, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap()
}

fn has_word(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|known| known == word)
}

#[test]
fn the_state_of_a_call_follows_from_the_type() {
    let mut seen = BTreeSet::new();
    for told in all() {
        if let Some((kind, status)) = STATES.iter().find(|(kind, _)| *kind == told.kind()) {
            assert_eq!(told.data().get("status"), Some(&json!(status)), "{}", told.case);
            seen.insert(*kind);
        }
    }
    assert_eq!(seen.len(), STATES.len(), "{seen:?}");
}

#[test]
fn every_word_is_of_its_closed_list_and_none_is_unknown() {
    let mut seen = BTreeSet::new();
    for told in all() {
        each(&told, &mut |path, value| {
            let Some(word) = value.as_str() else { return };
            let closed = WORDS
                .iter()
                .find(|(family, field, _)| *family == told.family && *field == path)
                .map(|(_, _, words)| *words)
                .or_else(|| {
                    let shared = SHARED_WORDS.iter().find(|(end, _)| path.ends_with(end));
                    shared.map(|(_, words)| *words)
                });
            if let Some(words) = closed {
                assert!(has_word(words, word), "{}: {path} = {word}", told.case);
                seen.insert(format!("{} {path}", told.family));
            }
            let is_theirs = path.ends_with("_raw") || path.ends_with(".raw");
            assert!(is_theirs || word != "unknown", "{}: {path}", told.case);
        });
    }
    for (family, field, _) in WORDS {
        assert!(seen.contains(&format!("{family} {field}")), "no event of {family} has {field}");
    }
}

#[test]
fn times_lengths_and_positions_have_one_form() {
    let (mut times, mut offsets) = (0, 0);
    for told in all() {
        each(&told, &mut |path, value| {
            let name = last(path);
            if name.ends_with("_at") || matches!(name, "at" | "until") {
                let text = value.as_str().unwrap_or_else(|| panic!("{}: {path} = {value}", told.case));
                let is_utc = text.ends_with('Z') && text.parse::<Timestamp>().is_ok();
                assert!(is_utc, "{}: {path} = {text}", told.case);
                times += 1;
            }
            if name.ends_with("_ms") || matches!(name, "sequence" | "minor_units") {
                assert!(value.is_i64(), "{}: {path} = {value}", told.case);
                offsets += 1;
            }
            if name.ends_with("_seconds") || name.ends_with("_minutes") {
                let is_length = value.as_f64().is_some_and(|length| (0.0..=1e9).contains(&length));
                assert!(is_length && !value.to_string().starts_with('-'), "{}: {path} = {value}", told.case);
            }
        });
    }
    assert!(times > 250 && offsets > 50, "{times} times, {offsets} offsets");
}

#[test]
fn no_typed_text_and_no_typed_object_is_empty() {
    for told in all() {
        each(&told, &mut |path, value| {
            let is_empty = value == "" || value.as_object().is_some_and(Map::is_empty);
            assert!(!is_empty, "{}: {path}", told.case);
        });
    }
}

#[test]
fn money_has_one_shape() {
    let (mut seen, mut with_minor_units) = (0, 0);
    for told in all() {
        each(&told, &mut |path, value| {
            let Some(money) = value.as_object() else { return };
            let is_money =
                ["currency", "minor_units", "amount"].iter().any(|field| money.contains_key(*field))
                    && !path.ends_with("[]");
            if !is_money {
                return;
            }
            let amount = money["amount"].as_str().unwrap();
            assert!(amount.parse::<f64>().is_ok(), "{}: {path} = {value}", told.case);
            assert!(
                money.keys().all(|field| has_word("amount currency minor_units", field)),
                "{}: {path}",
                told.case
            );
            if let Some(units) = money.get("minor_units").and_then(Value::as_i64) {
                assert_eq!(amount.replace('.', "").parse(), Ok(units), "{}: {path}", told.case);
                with_minor_units += 1;
            }
            seen += 1;
        });
    }
    assert!(seen > 30 && with_minor_units > 2, "{seen} amounts, {with_minor_units} with minor units");
}

#[test]
fn a_person_has_one_shape_and_no_former_name_is_left() {
    let mut families = BTreeSet::new();
    for told in all() {
        each(&told, &mut |path, value| {
            assert!(!has_word(FORMER, last(path)), "{}: {path}", told.case);
            if matches!(path, "participants[]" | "transfer.from" | "transfer.to") {
                let person = value.as_object().unwrap();
                assert!(person.keys().all(|field| has_word(PERSON, field)), "{}: {value}", told.case);
                assert!(person.keys().any(|field| field != "role" && field != "party"), "{}", told.case);
                families.insert(told.family.clone());
            }
            if last(path) == "phones[]" {
                let phone = value.as_object().unwrap();
                assert!(phone["raw"].is_string(), "{}: {value}", told.case);
                assert!(phone.keys().all(|field| has_word("raw e164", field)), "{}: {value}", told.case);
            }
            if last(path) == "emails[]" {
                assert!(value.is_string(), "{}: {path}", told.case);
            }
            if last(path) == "reference" || last(path) == "links[]" {
                let fields = value.as_object().unwrap();
                assert!(fields["id"].is_string(), "{}: {value}", told.case);
                assert!(fields.keys().all(|field| has_word("role id kind kind_raw", field)), "{}", told.case);
            }
        });
    }
    let expected = ["call", "conversation", "invoice", "message", "record", "scheduling", "transcript"];
    for family in expected.into_iter().chain(["widget"]) {
        assert!(families.contains(family), "{family} has no person");
    }
}

/// A speaker of a transcript that has an id is found among the people.
#[test]
fn speakers_with_ids_are_people_of_the_transcript() {
    let mut found = 0;
    for told in all().iter().filter(|told| told.data().contains_key("transcript")) {
        let lines = told.data()["transcript"].as_array().unwrap();
        let positions: Vec<_> = lines.iter().filter_map(|line| line["sequence"].as_i64()).collect();
        assert!(positions.is_sorted_by(|one, next| one < next), "{}: {positions:?}", told.case);
        let is_partial = told.kind() == "call.transcript.partial";
        assert_eq!(positions.is_empty(), is_partial, "{}", told.case);
        let people = told.data().get("participants").and_then(Value::as_array);
        for line in lines {
            let person =
                people.into_iter().flatten().find(|person| person["speaker_id"] == line["speaker_id"]);
            if let (Some(person), true) = (person, line["speaker_id"].is_string()) {
                assert_eq!(person["role"], line["speaker"], "{}", told.case);
                found += 1;
            }
        }
    }
    assert!(found > 5, "only {found} lines");
}

/// Returns the ways in which the lengths of a call contradict its times.
fn contradictions(data: &Map<String, Value>) -> Vec<String> {
    let time = |field: &str| data.get(field)?.as_str()?.parse::<Timestamp>().ok();
    let mut found = Vec::new();
    for (field, start) in [("duration_seconds", "started_at"), ("talk_seconds", "answered_at")] {
        let length = data.get(field).and_then(Value::as_f64);
        if let (Some(length), Some(start), Some(end)) = (length, time(start), time("ended_at")) {
            let seconds = end.duration_since(start).as_secs_f64();
            if (length - seconds).abs() > 1.0 {
                found.push(format!("{field} is {length}, but from {start} to {end} are {seconds} s"));
            }
        }
    }
    found
}

#[test]
fn the_length_of_a_call_counts_from_its_start_in_every_event() {
    let mut checked = 0;
    for told in all() {
        let has = |field: &str| told.data().contains_key(field);
        if told.family == "transcript" || told.kind() == "call.cost_reported" {
            assert!(!has("duration_seconds") && !has("talk_seconds"), "{}", told.case);
        }
        assert_eq!(contradictions(told.data()), Vec::<String>::new(), "{}", told.case);
        checked += usize::from(has("duration_seconds") || has("talk_seconds"));
    }
    assert!(checked > 40, "only {checked} events have a length");
}

/// Folds the events of one call, as a consumer would that knows no provider.
fn merged<'a>(events: impl IntoIterator<Item = &'a Told>) -> Map<String, Value> {
    let mut state = Map::new();
    for told in events {
        state.extend(told.data().iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    state
}

/// Returns the events of each call, in the order in which they happened.
fn calls(events: Vec<Told>) -> BTreeMap<String, Vec<Told>> {
    let mut calls = BTreeMap::<String, Vec<Told>>::new();
    for told in events {
        if told.event["subject"].as_str().is_some_and(|subject| subject.starts_with("call/")) {
            let call = format!("{} {}", told.event["source"], told.event["subject"]);
            calls.entry(call).or_default().push(told);
        }
    }
    for events in calls.values_mut() {
        events.sort_by_key(|told| told.event["time"].as_str().unwrap().parse::<Timestamp>().unwrap());
    }
    calls
}

#[test]
fn the_events_of_a_call_in_time_order_merge_without_a_contradiction() {
    let mut lengths = 0;
    for (call, events) in calls(samples()) {
        for count in 1..=events.len() {
            let state = merged(&events[..count]);
            assert_eq!(contradictions(&state), Vec::<String>::new(), "{call}: {}", events[count - 1].case);
            let length = |told: &Told| told.data().get("duration_seconds").cloned();
            let told =
                events[..count].iter().filter(|told| told.family == "call").filter_map(length).next_back();
            assert_eq!(state.get("duration_seconds").cloned(), told, "{call}");
            lengths += usize::from(told.is_some());
        }
    }
    assert!(lengths > 5, "only {lengths} states have a length");
}

#[test]
fn a_merge_of_two_events_of_a_call_never_mixes_meanings() {
    let mut merges = 0;
    for (call, events) in calls(all()) {
        // A length whose ends are not told cannot be checked.
        let is_checked = |told: &&Told| {
            ["duration_seconds", "started_at", "ended_at"]
                .iter()
                .all(|field| told.data().contains_key(*field))
        };
        let Some(end) = events.iter().find(is_checked) else { continue };
        for other in &events {
            let both = merged([end, other]);
            let is_same = |field| other.data().get(field).is_none_or(|at| end.data().get(field) == Some(at));
            if is_same("ended_at") && is_same("started_at") {
                assert_eq!(contradictions(&both), Vec::<String>::new(), "{call}: {}", other.case);
            }
            // Whatever comes after the end, such as a transcript or a bill, leaves its length alone.
            if other.family == "transcript" || other.kind() == "call.cost_reported" {
                assert_eq!(
                    both["duration_seconds"],
                    end.data()["duration_seconds"],
                    "{call}: {}",
                    other.case
                );
            }
            merges += 1;
        }
    }
    assert!(merges > 60, "only {merges} merges");
}

fn normalized(provider: Provider, body: &Value) -> Vec<Told> {
    told("told here", &cases::webhook(provider, Headers::default(), body.to_string()))
}

/// The same call as each provider tells its end: inbound, answered after 8 s, 100 s long.
fn the_same_call(provider: Provider) -> Value {
    let (start, answer, end) = ("2026-03-09T08:15:00Z", "2026-03-09T08:15:08Z", "2026-03-09T08:16:40Z");
    let (from, to) = ("+18005550142", "+18005550117");
    match provider {
        Provider::Allo => json!({ "topic": "call.completed", "version": "2.0", "timestamp": end, "data": {
            "id": "7", "type": "INBOUND", "start_date": start, "answered_at": answer, "ended_at": end,
            "length_in_minutes": 100.0 / 60.0, "result": "ANSWERED", "from_number": from,
            "from_name": "Ada Marsh", "to_number": to, "user_email": "ben@example.com",
            "recording_url": "https://example.com/7",
            "transcriptions": [{ "source": "EXTERNAL", "text": "Hi", "start_seconds": 1.5 }] } }),
        Provider::Morph => json!({ "event": "telephonyCall::created", "data": {
            "object": "resource", "model": "telephonyCall", "id": "7", "createdAt": end, "updatedAt": end,
            "fields": { "direction": "inbound", "status": "completed", "startedAt": start,
                "answeredAt": answer, "endedAt": end, "duration": 100, "externalNumber": from,
                "internalNumber": to, "recordingUrl": "https://example.com/7",
                "users": [{ "model": "genericUser", "id": "u" }],
                "contacts": [{ "model": "genericContact", "id": "c" }] } } }),
        Provider::Salpre => json!({ "event_type": "call_ended", "timestamp_utc": 1_773_044_200, "payload": {
            "call_id": 7, "direction": "inbound", "from": from, "to": to,
            "transcript": [{ "type": "customer", "message": "Hi", "utc_timestamp": "1773044101" }] } }),
        Provider::Varda => json!({ "event": "call.ended", "timestamp": end, "data": {
            "id": 7, "direction": "inbound", "status": "ended", "from_number": from, "to_number": to,
            "started_at": start, "answered_at": answer, "ended_at": end, "duration_seconds": 100,
            "disposition": "completed",
            "contact": { "id": "c", "name": "Ada Marsh", "phone": from } } }),
        Provider::Wavix => json!({ "uuid": "7", "event_type": "completed", "event_time": end,
            "event_payload": null, "from": from, "to": to, "call_started": start, "call_answered": answer,
            "call_completed": end, "machine_detected": false, "tag": "", "direction": "inbound" }),
    }
}

#[test]
fn five_providers_tell_the_same_call_in_the_same_fields() {
    let customer = |person: &Value| person["role"] == "customer" && person["party"] == "from";
    let expected = json!({ "call_id": "7", "direction": "inbound", "status": "ended",
        "end_reason": "completed", "from": "+18005550142", "to": "+18005550117",
        "started_at": "2026-03-09T08:15:00Z", "answered_at": "2026-03-09T08:15:08Z",
        "ended_at": "2026-03-09T08:16:40Z", "duration_seconds": 100.0,
        "recording": "https://example.com/7", "customer": true });
    // What a provider does not say is absent, and nothing else is.
    let unsaid = |provider| match provider {
        Provider::Allo | Provider::Morph => "",
        Provider::Salpre => "end_reason started_at answered_at duration_seconds recording customer",
        Provider::Varda => "recording",
        Provider::Wavix => "duration_seconds recording customer",
    };
    for provider in Provider::ALL {
        let events = normalized(provider, &the_same_call(provider));
        assert_eq!(events[0].kind(), "call.ended", "{provider}");
        let data = events[0].data();
        let mut found = Map::new();
        for (name, value) in expected.as_object().unwrap() {
            let field = match name.as_str() {
                "from" | "to" => data[name].get("e164").cloned(),
                "recording" => data.get("recordings").map(|recordings| recordings[0]["url"].clone()),
                "customer" => {
                    let people = data.get("participants").and_then(Value::as_array);
                    people.map(|people| people.iter().any(customer).into())
                }
                _ => data.get(name).cloned(),
            };
            match field {
                Some(field) => assert_eq!(&field, value, "{provider}: {name}"),
                None => assert!(has_word(unsaid(provider), name), "{provider}: {name} is missing"),
            }
            found.insert(name.clone(), json!(true));
        }
        let lines = events.iter().find(|told| told.kind() == "call.transcript.completed");
        if let Some(lines) = lines {
            let line = &lines.data()["transcript"][0];
            assert_eq!((&line["speaker"], &line["sequence"]), (&json!("customer"), &json!(0)), "{provider}");
            let is_certain = line["at"] == "2026-03-09T08:15:01Z" || line["offset_ms"] == 1_500;
            assert!(is_certain, "{provider}: {line}");
        }
    }
}

#[test]
fn a_word_that_is_not_known_is_absent_beside_the_providers_own_and_drifts() {
    for (provider, pointer, field) in [
        (Provider::Allo, "/data/type", "direction"),
        (Provider::Allo, "/data/result", "end_reason"),
        (Provider::Morph, "/data/fields/direction", "direction"),
        (Provider::Morph, "/data/fields/status", "status"),
        (Provider::Salpre, "/payload/direction", "direction"),
        (Provider::Varda, "/data/direction", "direction"),
        (Provider::Varda, "/data/disposition", "end_reason"),
        (Provider::Wavix, "/direction", "direction"),
    ] {
        let mut body = the_same_call(provider);
        *body.pointer_mut(pointer).unwrap() = json!("zigzag");
        let events = normalized(provider, &body);
        let data = events[0].data();
        assert_eq!(data.get(field), None, "{provider} {pointer}");
        assert_eq!(data.get(&format!("{field}_raw")), Some(&json!("zigzag")), "{provider} {pointer}");
        let kept = format!("/unmapped{pointer}");
        assert_eq!(events[0].event["data"].pointer(&kept), Some(&json!("zigzag")), "{provider} {pointer}");
        let webhook = cases::webhook(provider, Headers::default(), body.to_string());
        assert_eq!(providers::normalize(&webhook).unwrap().drift.len(), 1, "{provider} {pointer}");
    }
}

#[test]
fn a_region_adds_the_e164_form_of_the_numbers_of_people_too() {
    let mut body = the_same_call(Provider::Varda);
    *body.pointer_mut("/data/contact/phone").unwrap() = json!("(800) 555-0142");
    let webhook = cases::webhook(Provider::Varda, Headers::default(), body.to_string());
    let mut normalized = providers::normalize(&webhook).unwrap();
    let e164 = |normalized: &mut providers::Normalized<'_>| {
        let phone = normalized.events[0].data.phones_mut().next().unwrap();
        phone.e164.as_deref().map(ToOwned::to_owned)
    };
    assert_eq!(e164(&mut normalized), None);
    normalized.add_e164("US".parse().unwrap());
    assert_eq!(e164(&mut normalized), Some("+18005550142".to_owned()));
}
