//! No personal data from any golden case or sample survives redaction.
//!
//! The schemas are checked against words, field names and shapes that are listed here independently, so that
//! a path that is public by mistake is found.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "support/golden.rs"]
mod cases;

use hookswitch::core::{
    contract::family::SCHEMA_BASE,
    events::{
        cloudevent,
        redaction::{Profile, Redaction, Treatment},
    },
    providers::{self, Provider},
    redact,
    webhook::Webhook,
};
use serde_json::Value;

/// Names and topics in the golden cases and samples, and the middle digits of their phone numbers.
const PERSONAL_WORDS: &str = "\
    Ada Marsh Ben Okoye Cleo Ray Jane Doe Sam Acme roof Roof Elm Street Kitchen appointment Monday Greeting \
    Hello example.com google spring CjwKCAjw SALPRE 5550 905555 20000 250000 2500.00";

/// Field names, the last of a path, that hold personal data whichever provider sends them.
const PERSONAL_FIELDS: &str = "\
    from to from_number fromNumber to_number toNumber number numbers numbers[] externalNumber internalNumber \
    original_to_number destination phone email emails[] email[] user_email userEmail address name user_name \
    from_name fromName to_name toName sender_name firstName lastName last_name companyName company title \
    description label text content message notes summary one_sentence_summary oneSentenceSummary \
    concatenated_transcript transcript concatenatedTranscript error_message tag digits recording_url \
    recordingUrl schedulingUrl landing_page gclid campaign budget value amount source sip_trunk \
    original_to_name originalToName originalToNumber medium device_type estimated_value_cents \
    actual_value_cents revenue_cents";

/// The paths where one of [`PERSONAL_FIELDS`] holds only `AGENT`, `USER` or `EXTERNAL`.
const NOT_PERSONAL: &[&str] = &["data.transcriptions[].source", "body.transcriptions[].source"];

/// Returns name and webhook of every golden case and sample.
fn webhooks() -> Vec<(String, Webhook)> {
    let mut found = Vec::new();
    for provider in Provider::ALL {
        for case in cases::of(provider) {
            found.push((case.display().to_string(), cases::read(provider, &case)));
        }
    }
    assert!(found.len() > 150, "only {} cases", found.len());
    for sample in hookswitch::samples::all() {
        let headers = sample.headers.into_iter().collect();
        let name = format!("{} {}", sample.provider, sample.name);
        found.push((name, cases::webhook(sample.provider, headers, sample.body)));
    }
    found
}

/// Returns the events of a webhook as they are published; none if it cannot be normalized.
fn events(webhook: &Webhook) -> Vec<bytes::Bytes> {
    let Ok(normalized) = providers::normalize(webhook) else { return Vec::new() };
    cloudevent::encode(webhook, &normalized.key, &normalized.events).map(|event| event.body).collect()
}

/// Collects path and text of every string and number; a number as serde_json writes it.
fn leaves(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(value, &path, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(item, &format!("{path}[]"), found)),
        Value::String(text) => found.push((path.to_owned(), text.clone())),
        Value::Number(number) => found.push((path.to_owned(), number.to_string())),
        Value::Null | Value::Bool(_) => {}
    }
}

fn leaves_of(json: &[u8]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if let Ok(value) = serde_json::from_slice(json) {
        leaves(&value, "", &mut found);
    }
    found
}

/// Returns the values that are shown unredacted, with their paths.
fn shown_values(shown: &str) -> Vec<(String, String)> {
    leaves_of(shown.as_bytes()).into_iter().filter(|(_, text)| !text.starts_with('‹')).collect()
}

/// Finds personal data in `shown`, by its shape and by the words above.
fn personal_data(shown: &str) -> Option<&str> {
    let is_phone = |rest: &str| rest.bytes().take_while(u8::is_ascii_digit).count() >= 7;
    if shown.contains('@') {
        return Some("@");
    }
    if shown.split('+').skip(1).any(is_phone) {
        return Some("a phone number");
    }
    PERSONAL_WORDS.split(' ').find(|word| shown.contains(*word))
}

#[test]
fn no_private_leaf_survives_redaction() {
    let (mut in_bodies, mut in_events) = (0, 0);
    for (name, webhook) in webhooks() {
        let schema = webhook.provider.schema();
        let (public, hidden): (Vec<_>, Vec<_>) =
            leaves_of(&webhook.body).into_iter().partition(|(path, _)| schema.is_public(path));
        // A word that is public elsewhere in the same webhook is not secret.
        let is_secret =
            |text: &str| text.chars().count() >= 4 && !public.iter().any(|(_, public)| public.contains(text));
        let secrets: Vec<_> = hidden.iter().filter(|(_, text)| is_secret(text)).collect();
        let check = |shown: String| {
            let values = shown_values(&shown);
            for (path, text) in &secrets {
                let survives = values.iter().any(|(_, value)| value.contains(text));
                assert!(!survives, "{name}: {path} = {text} is shown in {shown}");
            }
            let unmapped = values.iter().find(|(path, _)| path.starts_with("data.unmapped"));
            assert_eq!(unmapped, None, "{name}: {shown}");
            secrets.len()
        };
        in_bodies += check(redact::body(webhook.provider, &webhook.body));
        in_events += events(&webhook).iter().map(|event| check(redact::event(event))).sum::<usize>();
    }
    assert!(in_bodies > 1_000 && in_events > 1_000, "{in_bodies} in bodies, {in_events} in events");
}

#[test]
fn no_name_number_address_or_text_survives_redaction() {
    let mut personal = 0;
    for (name, webhook) in webhooks() {
        personal += usize::from(personal_data(&String::from_utf8_lossy(&webhook.body)).is_some());
        let shown = redact::body(webhook.provider, &webhook.body);
        assert_eq!(personal_data(&shown), None, "{name}: {shown}");
        for event in events(&webhook) {
            // The digits of a time may be those of an amount.
            let shown: String =
                redact::event(&event).lines().filter(|line| !line.contains("\"sequence\": ")).collect();
            assert_eq!(personal_data(&shown), None, "{name}: {shown}");
        }
        for (header, value) in webhook.headers.iter() {
            assert_eq!(redact::header(webhook.provider, header, value), value, "{name}: {header}");
        }
    }
    assert!(personal > 150, "only {personal} bodies hold anything personal");
}

/// Replaces every leaf that is private or has a personal field name by a word, or a number by a number.
fn plant(provider: Provider, value: &mut Value, path: &str, planted: &mut usize) {
    let is_personal = || {
        let field = path.rsplit('.').next().unwrap_or_default();
        PERSONAL_FIELDS.split(' ').any(|personal| personal == field) && !NOT_PERSONAL.contains(&path)
    };
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                plant(provider, value, &path, planted);
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| plant(provider, item, &format!("{path}[]"), planted));
        }
        Value::String(_) | Value::Number(_) if is_personal() || !provider.schema().is_public(path) => {
            let number: Value = 8_811_223.into();
            let is_number = value.as_str().is_none_or(|text| text.parse::<f64>().is_ok());
            *value = if is_number { number } else { "Canary".into() };
            *planted += 1;
        }
        Value::String(_) | Value::Number(_) | Value::Null | Value::Bool(_) => {}
    }
}

/// A single word looks like an enum value, so only the schemas keep it from being shown.
#[test]
fn no_single_word_in_a_personal_field_survives_redaction() {
    let (mut planted, mut shown_events) = (0, 0);
    for (name, original) in webhooks() {
        let provider = original.provider;
        let Ok(mut body) = serde_json::from_slice(&original.body) else { continue };
        plant(provider, &mut body, "", &mut planted);
        let webhook = cases::webhook(provider, original.headers, body.to_string());
        let events = events(&webhook);
        shown_events += events.len();
        let events = events.iter().map(|event| redact::event(event));
        for shown in events.chain([redact::body(provider, &webhook.body)]) {
            assert!(!shown.contains("Canary") && !shown.contains("8811223"), "{name}: {shown}");
        }
    }
    assert!(planted > 1_000 && shown_events > 150, "{planted} planted, {shown_events} events");
}

#[test]
fn redaction_keeps_what_an_engineer_needs() {
    let mut shown = String::new();
    for (_, webhook) in webhooks() {
        shown += &redact::body(webhook.provider, &webhook.body);
        events(&webhook).iter().for_each(|event| shown += &redact::event(event));
    }
    for (name, value) in [
        ("event", "telephonyCall::created"),
        ("topic", "CALL_RECEIVED"),
        ("event_type", "call_ended"),
        ("call_id", "8841"),
        ("subject", "call/8841"),
        ("uuid", "5dccb6b0-f35c-488c-867b-86fb012c4415"),
        ("conversation_id", "123"),
        ("endedAt", "yesterday"),
        ("started_at", "2026-01-01T14:30:00Z"),
        ("direction", "sideways"),
        ("type", "call.transcript.completed"),
        ("source", "/hookswitch/varda/varda"),
        ("per_minute", "0.0270000000000000000001"),
    ] {
        let needed = format!("\"{name}\": \"{value}\"");
        assert!(shown.contains(&needed), "{needed} is not shown");
    }
}

/// The fields of events that hold personal data, by the last of their path.
const PERSONAL_FIELDS_OF_EVENTS: &str = "\
    raw e164 name first_name last_name company emails[] content text full_text summary short_summary notes \
    description tag digits error url scheduling_url speaker_raw";

/// The fields that are kept as the provider wrote them.
const AS_WRITTEN: &str =
    "data.unmapped data.media data.attribution data.questions data.answers data.durations";

/// The types whose fields describe no person.
const IMPERSONAL: &str = "source.ping pipeline stage invoice.item scheduling.slot";

/// Returns every event of a webhook with its copy, in which all is treated alike and texts are left out.
fn copies(webhook: &Webhook, treatment: Treatment) -> Vec<(Value, Value)> {
    let Ok(normalized) = providers::normalize(webhook) else { return Vec::new() };
    let profile = Profile { numbers: treatment, emails: treatment, names: treatment, keeps_texts: false };
    let redaction = Redaction { profile, key: Some("0123456789abcdef0123456789abcdef") };
    let (key, events) = (&normalized.key, &normalized.events);
    let plain = cloudevent::encode(webhook, key, events);
    let both = events.iter().zip(plain).map(|(event, plain)| {
        let copy = cloudevent::encode_redacted(SCHEMA_BASE, webhook, key, event, &plain, redaction);
        assert!(copy.is_redacted && !plain.is_redacted);
        (serde_json::from_slice(&plain.body).unwrap(), serde_json::from_slice(&copy.body).unwrap())
    });
    both.collect()
}

/// Paths and texts.
type Leaves = Vec<(String, String)>;

/// Returns whether an event is of a type that describes no person.
fn describes_nobody(event: &Value) -> bool {
    let kind = event["type"].as_str().unwrap();
    IMPERSONAL.split(' ').any(|known| kind.starts_with(known))
}

/// Returns the leaves of an event that hold personal data, and the others.
fn split(event: &Value) -> (Leaves, Leaves) {
    let mut found = Vec::new();
    leaves(event, "", &mut found);
    let describes_nobody = describes_nobody(event);
    found.into_iter().partition(|(path, _)| {
        let field = path.rsplit('.').next().unwrap();
        AS_WRITTEN.split(' ').any(|start| path.starts_with(start))
            || (path.starts_with("data.")
                && !describes_nobody
                && PERSONAL_FIELDS_OF_EVENTS.split(' ').any(|personal| personal == field))
    })
}

#[test]
fn no_number_address_name_or_text_is_in_a_redacted_copy() {
    let mut checked = 0;
    for (name, webhook) in webhooks() {
        for treatment in [Treatment::Mask, Treatment::Hash, Treatment::Drop] {
            for (plain, copy) in copies(&webhook, treatment) {
                let (personal, public) = split(&plain);
                let is_public = |text: &str| public.iter().any(|(_, public)| public.contains(text));
                let (found, mut left) = (copy.to_string(), Vec::new());
                leaves(&copy, "", &mut left);
                left.retain(|(path, _)| path != "redaction");
                for (path, text) in personal.iter().filter(|(_, text)| text.chars().count() >= 4) {
                    let survives = left.iter().any(|(_, left)| left.contains(text.as_str()));
                    assert!(!survives || is_public(text), "{name}: {path} = {text} is in {found}");
                    checked += 1;
                }
                for same in ["type", "source", "time", "sequence", "deliveryid", "dataschema"] {
                    assert_eq!(plain[same], copy[same], "{name}: {same}");
                }
                assert_eq!((copy["data"].get("unmapped"), copy.get("tracestate")), (None, None), "{name}");
                assert_eq!(copy["idempotencykey"], copy["id"], "{name}");
                assert_ne!(copy["id"], plain["id"], "{name}");
                let may_have_token = treatment == Treatment::Hash || found.contains("hmac:");
                let class = match may_have_token && !describes_nobody(&plain) {
                    true => "confidential",
                    false => "internal",
                };
                assert!(copy["dataclassification"] == class, "{name}: {found}");
                assert!(copy["redaction"].as_str().unwrap().starts_with("numbers="), "{found}");
                assert!(!found.contains('@'), "{name}: {found}");
            }
        }
    }
    assert!(checked > 3_000, "{checked}");
}

/// The list of what may be shown and the declarations of what fields hold must not disagree.
#[test]
fn what_a_mask_takes_away_is_not_shown_to_operators_either() {
    let mut taken = 0;
    for (name, webhook) in webhooks() {
        for (plain, copy) in copies(&webhook, Treatment::Drop) {
            let (mut before, mut after) = (Vec::new(), Vec::new());
            leaves(&plain["data"], "data", &mut before);
            leaves(&copy["data"], "data", &mut after);
            let is_as_written = |path: &str| AS_WRITTEN.split(' ').any(|start| path.starts_with(start));
            // A line of a transcript goes with its text, and its times with it.
            let gone = before.into_iter().filter(|leaf| !after.contains(leaf));
            let gone: Vec<_> = gone
                .filter(|(path, _)| !is_as_written(path) && !path.starts_with("data.transcript[]."))
                .filter(|(path, _)| !path.starts_with("data.recordings[]."))
                .collect();
            let shown = shown_values(&redact::event(plain.to_string().as_bytes()));
            for leaf in &gone {
                assert!(!shown.contains(leaf), "{name}: {leaf:?} is shown");
            }
            taken += gone.len();
        }
    }
    assert!(taken > 500, "{taken}");
}
