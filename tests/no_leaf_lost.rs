//! Normalizing loses no field: every leaf of a payload is mapped onto a typed field or kept under `unmapped`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "support/golden.rs"]
mod cases;

use hookswitch::core::{
    events::cloudevent,
    providers::{self, Provider},
    webhook::{Headers, Webhook},
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Returns the body and headers of every golden case whose body is JSON.
fn bodies() -> Vec<(Provider, String, Headers, Value)> {
    let mut found = Vec::new();
    for provider in Provider::ALL {
        for case in cases::of(provider) {
            let name = case.file_name().unwrap().to_str().unwrap().to_owned();
            let webhook = cases::read(provider, &case);
            let Ok(body) = serde_json::from_slice(&webhook.body) else { continue };
            found.push((provider, name, webhook.headers, body));
        }
    }
    assert!(found.len() > 100, "only {} cases", found.len());
    found
}

fn webhook(provider: Provider, headers: &Headers, body: impl Into<Vec<u8>>) -> Webhook {
    cases::webhook(provider, headers.clone(), body)
}

/// Returns the events without their ids, which follow from the key and so from more than the events show.
fn events(webhook: &Webhook) -> Option<Vec<Value>> {
    let normalized = providers::normalize(webhook).ok()?;
    let as_json = |event: cloudevent::Encoded| {
        let mut event: Value = serde_json::from_slice(&event.body).unwrap();
        for attribute in ["id", "idempotencykey"] {
            event.as_object_mut().unwrap().remove(attribute);
        }
        event
    };
    Some(cloudevent::encode(webhook, &normalized.key, &normalized.events).map(as_json).collect())
}

/// Collects the JSON pointer of every leaf; an empty object or list is a leaf.
fn leaves(value: &Value, path: String, found: &mut Vec<String>) {
    let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(key, value)| leaves(value, format!("{path}/{}", escape(key)), found));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(n, value)| leaves(value, format!("{path}/{n}"), found));
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            found.push(path);
        }
    }
}

/// Returns other values for a leaf: of its own type, so that typed fields accept them, and of another type.
fn others(leaf: &Value) -> Vec<Value> {
    match leaf {
        Value::String(text) => {
            let mut others = vec![json!(format!("{text}x"))];
            if let Some(second) = text.rfind(":").filter(|_| text.contains('T')) {
                // A time one second later.
                let (head, tail) = text.split_at(second + 1);
                let seconds: u32 = tail[..2].parse().unwrap_or(0);
                others.push(json!(format!("{head}{:02}{}", (seconds + 1) % 60, &tail[2..])));
            }
            if text.parse::<f64>().is_ok() {
                others.push(json!(format!("{text}1")));
            }
            others
        }
        Value::Number(number) => {
            number.as_i64().map_or(vec![json!("1x")], |n| vec![json!(n ^ 1), json!("one")])
        }
        Value::Bool(value) => vec![json!(!value)],
        Value::Null | Value::Array(_) | Value::Object(_) => vec![json!("something")],
    }
}

#[test]
fn changing_any_leaf_of_any_golden_case_changes_the_events() {
    let (mut changed, mut refused) = (0, 0);
    for (provider, case, headers, body) in bodies() {
        let Some(before) = events(&webhook(provider, &headers, body.to_string())) else { continue };
        let mut paths = Vec::new();
        leaves(&body, String::new(), &mut paths);
        for path in paths {
            for other in others(body.pointer(&path).unwrap()) {
                let mut mutated = body.clone();
                *mutated.pointer_mut(&path).unwrap() = other.clone();
                match events(&webhook(provider, &headers, mutated.to_string())) {
                    // The event's name or a required field is wrong: the whole webhook becomes a dead letter.
                    None => refused += 1,
                    Some(after) => {
                        assert_ne!(before, after, "{provider} {case}: {path} = {other} is lost");
                        changed += 1;
                    }
                }
            }
        }
    }
    assert!(changed > 10 * refused && changed > 1_000, "{changed} changed, {refused} refused");
}

/// Generates numbers with more digits than a float holds.
fn number() -> impl Strategy<Value = String> {
    ("-?[1-9][0-9]{17,40}", "[0-9]{1,30}").prop_map(|(whole, fraction)| format!("{whole}.{fraction}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_new_field_anywhere_is_found_again_to_the_last_digit(
        pick in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(),
        number in number(), word in "[a-z]{12}",
    ) {
        let all = bodies();
        let (provider, case, headers, body) = &all[pick.index(all.len())];
        let text = body.to_string();
        // After any `{` that opens an object, but not inside a string.
        let (mut opens, mut in_string, mut escaped) = (Vec::new(), false, false);
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'{' if !in_string => opens.push(at),
                _ => {}
            }
        }
        prop_assume!(!opens.is_empty());
        let at = opens[place.index(opens.len())] + 1;
        let comma = if text[at..].trim_start().starts_with('}') { "" } else { "," };
        let field = format!("\"new_{word}\":{{\"deep\":[{number},\"{word}\"]}}{comma}");
        let extended = format!("{}{field}{}", &text[..at], &text[at..]);
        let extended = webhook(*provider, headers, extended);
        if let Ok(normalized) = providers::normalize(&extended) {
            let events: String = cloudevent::encode(&extended, &normalized.key, &normalized.events)
                .map(|event| String::from_utf8(event.body.into()).unwrap())
                .collect();
            let kept = format!("\"new_{word}\":{{\"deep\":[{number},\"{word}\"]}}");
            prop_assert!(events.contains(&kept), "{} {}: {}", provider, case, kept);
        }
    }

    #[test]
    fn no_bytes_make_a_provider_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for provider in Provider::ALL {
            let _ = providers::normalize(&webhook(provider, &Headers::default(), bytes.clone()));
        }
    }

    #[test]
    fn no_wrong_type_anywhere_makes_a_provider_panic(
        pick in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(),
        other in prop::sample::select(vec![
            "null", "true", "[]", "{}", "\"\"", "-1", "1e999", "[[]]", "{\"id\":{}}", "\"\\ud800\"",
            "99999999999999999999",
        ]),
    ) {
        let all = bodies();
        let (provider, _, headers, body) = &all[pick.index(all.len())];
        let mut paths = Vec::new();
        leaves(body, String::new(), &mut paths);
        let mut mutated = body.clone();
        *mutated.pointer_mut(&paths[place.index(paths.len())]).unwrap() = json!("@@");
        let text = mutated.to_string().replace("\"@@\"", other);
        let webhook = webhook(*provider, headers, text);
        if let Ok(normalized) = providers::normalize(&webhook) {
            drop(cloudevent::encode(&webhook, &normalized.key, &normalized.events).collect::<Vec<_>>());
        }
    }
}
