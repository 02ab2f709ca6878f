//! One fact has many spellings, and one spelling can state several facts: what a sender may vary without a
//! new event, and what makes one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "support/golden.rs"]
mod cases;

use std::sync::LazyLock;

use hookswitch::core::{
    events::{cloudevent, key::IdempotencyKey},
    json::{Document, ROOT},
    providers::{self, NormalizeError, Provider},
    webhook::{DeliveryId, Headers, Webhook},
};
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

/// Writes a document with other white space, order of names and escapes; `seed` chooses.
fn respell(document: &Document<'_>, node: usize, seed: u64, out: &mut String) {
    let seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(node as u64);
    let space = ["", " ", "\n", "\r\n\t"][(seed >> 33) as usize % 4];
    let raw = document.raw(node).get();
    out.push_str(space);
    if raw.starts_with(['{', '[']) {
        let mut inside: Vec<_> = document.children(node).collect();
        if raw.starts_with('{') && !inside.is_empty() {
            let by = (seed >> 40) as usize % inside.len();
            inside.rotate_left(by);
        }
        out.push_str(&raw[..1]);
        for (index, child) in inside.into_iter().enumerate() {
            out.push_str(if index == 0 { space } else { "," });
            if raw.starts_with('{') {
                string(&document.key(child), seed >> 35 & 1 == 0, out);
                out.push_str(space);
                out.push(':');
            }
            respell(document, child, seed, out);
        }
        out.push_str(space);
        out.push_str(&raw[raw.len() - 1..]);
    } else {
        match serde_json::from_str(raw) {
            // What some readers refuse keeps its spelling under `unmapped`.
            Ok(Value::String(text)) if !text.contains('\0') => string(&text, seed >> 36 & 1 == 0, out),
            _ => out.push_str(raw),
        }
    }
    out.push_str(space);
}

/// Writes a string, with every character escaped or none that needs not be.
fn string(text: &str, escaped: bool, out: &mut String) {
    if escaped {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
        out.push_str(&format!("\"{}\"", units.collect::<String>()));
    } else {
        out.push_str(&serde_json::to_string(text).unwrap());
    }
}

/// Returns key and events of a webhook.
fn read(webhook: &Webhook) -> Option<(IdempotencyKey, Vec<Value>)> {
    let normalized = providers::normalize(webhook).ok()?;
    let events = cloudevent::encode(webhook, &normalized.key, &normalized.events);
    let events = events.map(|event| serde_json::from_slice(&event.body).unwrap()).collect();
    Some((normalized.key.clone(), events))
}

/// The webhooks of all golden cases.
static GOLDEN: LazyLock<Vec<Webhook>> = LazyLock::new(|| {
    let read = |provider| cases::of(provider).into_iter().map(move |case| cases::read(provider, &case));
    Provider::ALL.into_iter().flat_map(read).collect()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn another_spelling_of_a_body_is_the_same_fact(
        pick in any::<prop::sample::Index>(), seed in any::<u64>(),
    ) {
        let webhook = &GOLDEN[pick.index(GOLDEN.len())];
        let Ok(document) = Document::parse(&webhook.body) else { return Ok(()) };
        let mut body = String::new();
        respell(&document, ROOT, seed, &mut body);
        let respelled = Webhook { body: body.clone().into_bytes().into(), ..webhook.clone() };
        prop_assert_eq!(read(webhook), read(&respelled), "{}", body);
    }
}

#[test]
fn a_second_delivery_of_a_fact_has_its_key_unless_the_fact_cannot_be_known() {
    let (mut same, mut own) = (0, 0);
    for webhook in &*GOLDEN {
        let again = Webhook { delivery_id: DeliveryId::new(Uuid::now_v7()), ..webhook.clone() };
        let Some(((first, _), (second, _))) = read(webhook).zip(read(&again)) else { continue };
        if first.as_str().contains(&webhook.delivery_id.to_string()) {
            own += 1;
        } else {
            assert_eq!(first, second, "{}", String::from_utf8_lossy(&webhook.body));
            same += 1;
        }
    }
    assert!(same > 100 && (1..20).contains(&own), "{same} share their key, {own} do not");
}

/// Returns the key of a webhook that was delivered once more. An unknown event is passed on.
fn key(provider: Provider, headers: &[(&str, &str)], body: &str) -> String {
    let headers: Headers = headers.iter().copied().collect();
    let mut webhook = cases::webhook(provider, headers, body);
    webhook.delivery_id = DeliveryId::new(Uuid::now_v7());
    match providers::normalize(&webhook) {
        Err(NormalizeError::UnsupportedEvent(unknown)) => providers::pass_on(&webhook, *unknown).unwrap().key,
        normalized => normalized.unwrap().key,
    }
    .to_string()
}

#[test]
fn a_change_back_is_a_new_fact() {
    let allo = |name: &str, time: &str| {
        let data = format!("\"data\":{{\"id\":\"con_1\",\"name\":\"{name}\"}}");
        if time.is_empty() {
            return key(Provider::Allo, &[], &format!("{{\"topic\":\"CONTACT_UPDATED\",{data}}}"));
        }
        let head = format!("\"topic\":\"contact.updated\",\"version\":\"2.0\",\"timestamp\":\"{time}\"");
        key(Provider::Allo, &[], &format!("{{{head},{data}}}"))
    };
    let morph = |name: &str, time: &str| {
        let data = format!("{{\"id\":\"1\",\"updatedAt\":\"{time}\",\"fields\":{{\"name\":\"{name}\"}}}}");
        key(Provider::Morph, &[], &format!("{{\"event\":\"genericCompany::updated\",\"data\":{data}}}"))
    };
    let [first, second, third] = ["2026-03-01T10:00:00Z", "2026-03-01T10:00:01Z", "2026-03-01T10:00:02Z"];
    for of in [&allo as &dyn Fn(&str, &str) -> String, &morph] {
        let facts = [of("A", first), of("B", second), of("A", third)];
        assert!(facts[0] != facts[1] && facts[1] != facts[2] && facts[0] != facts[2], "{facts:?}");
        // A redelivery is the same fact where a time says so.
        assert_eq!(facts[0], of("A", first));
        let untimed = [of("A", ""), of("B", ""), of("A", "")];
        assert!(untimed[0] != untimed[1] && untimed[1] != untimed[2] && untimed[0] != untimed[2]);
    }
}

#[test]
fn what_tells_neither_id_nor_time_is_never_merged() {
    let twice = |provider, body| [key(provider, &[], body), key(provider, &[], body)];
    for (provider, body) in [
        (Provider::Morph, r#"{"event":"newModel::updated","data":{"id":"1"}}"#),
        (Provider::Morph, r#"{"event":"newModel::updated","data":{}}"#),
        (Provider::Allo, r#"{"topic":"tag.added","data":{"tag":"VIP"}}"#),
    ] {
        let [first, second] = twice(provider, body);
        assert_ne!(first, second, "{body}");
    }
    // The provider's own key is event and second alone.
    let of = |id| {
        let body = format!(r#"{{"event":"newModel::created","data":{{"name":"{id}"}}}}"#);
        key(Provider::Morph, &[("x-idempotency-key", "newModel::created-1773044692")], &body)
    };
    assert!(of("a") != of("b") && of("a") == of("a"));
}

#[test]
fn connector_and_owner_are_in_every_fallback_key() {
    let body = r#"{"event":"genericContact::deleted","data":{"id":"1"}}"#;
    let of =
        |connector, owner| key(Provider::Morph, &[("x-conector-id", connector), ("x-owner-id", owner)], body);
    let keys = [of("hubspot", "a"), of("hubspot", "b"), of("zoho", "a"), of("a", "hubspot"), of("", "")];
    for (n, one) in keys.iter().enumerate() {
        assert!(keys.iter().skip(n + 1).all(|other| other != one), "{keys:?}");
    }
    assert_eq!(keys[0], of("hubspot", "a"));
}
