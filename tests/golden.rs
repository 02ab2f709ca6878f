//! Every provider's contract as a table of files: `tests/golden/<provider>/<case>/{body.json, headers.txt,
//! expected.json}`.
//!
//! `HOOKSWITCH_BLESS=1 cargo test --test golden` rewrites the expected files; then read the diff.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "support/golden.rs"]
mod cases;
#[path = "support/pretty.rs"]
mod pretty;

use std::fs;

use hookswitch::core::{
    events::cloudevent,
    providers::{self, NormalizeError, Provider},
    webhook::{Headers, Webhook},
};
use pretty::pretty;
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Expected {
    key: String,
    /// The events as they were written, so that every digit of a number is compared.
    events: Vec<Box<RawValue>>,
    drift: Vec<Drift>,
}

#[derive(Serialize)]
struct Drift {
    path: String,
    class: &'static str,
}

#[derive(Serialize)]
struct Failed {
    error: Error,
}

#[derive(Serialize)]
struct Error {
    reason: &'static str,
    text: String,
}

/// Returns the content of a webhook's `expected.json`.
fn outcome(webhook: &Webhook) -> String {
    let json = match providers::normalize(webhook) {
        Ok(normalized) => {
            let encoded = cloudevent::encode(webhook, &normalized.key, &normalized.events);
            let events = encoded.map(|event| serde_json::from_slice(&event.body).unwrap()).collect();
            let drift =
                normalized.drift.into_iter().map(|d| Drift { path: d.path, class: d.class }).collect();
            serde_json::to_string(&Expected { key: normalized.key.to_string(), events, drift })
        }
        Err(error) => {
            let error = Error { reason: error.reason().as_str(), text: error.to_string() };
            serde_json::to_string(&Failed { error })
        }
    };
    pretty(&json.unwrap())
}

#[test]
fn every_golden_case_gives_what_is_expected() {
    let bless = std::env::var_os("HOOKSWITCH_BLESS").is_some();
    let mut wrong = Vec::new();
    for provider in Provider::ALL {
        for case in cases::of(provider) {
            let outcome = outcome(&cases::read(provider, &case));
            let file = case.join("expected.json");
            if bless {
                fs::write(&file, &outcome).unwrap();
            } else if fs::read_to_string(&file).ok().as_deref() != Some(outcome.as_str()) {
                wrong.push(format!("{}\n{outcome}", case.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_provider_has_cases_that_succeed_and_cases_of_each_failure() {
    for provider in Provider::ALL {
        let outcomes: Vec<_> =
            cases::of(provider).iter().map(|case| outcome(&cases::read(provider, case))).collect();
        for word in ["\"events\"", "malformed_json", "invalid_payload", "unsupported_event", "\"drift\": [\n"]
        {
            assert!(
                outcomes.iter().any(|outcome| outcome.contains(word)),
                "{provider} has no case with {word}"
            );
        }
    }
}

#[test]
fn an_unknown_event_that_is_passed_on_keeps_its_name_and_the_adapters_key() {
    let passed_on = |provider, headers: &[(&str, &str)], body: &str| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let webhook = cases::webhook(provider, headers.collect(), body);
        let Err(NormalizeError::UnsupportedEvent(unknown)) = providers::normalize(&webhook) else {
            panic!("{provider}: the event is known");
        };
        let normalized = providers::pass_on(&webhook, *unknown).unwrap();
        let event = cloudevent::encode(&webhook, &normalized.key, &normalized.events).next().unwrap();
        let event: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
        assert_eq!(event["type"], "provider.unmapped");
        assert!(event["data"]["unmapped"].is_object(), "{event}");
        (normalized.key.to_string(), event)
    };
    let (key, event) = passed_on(
        Provider::Varda,
        &[("x-varda-delivery", "d-1")],
        r#"{"event":"agent.slept","timestamp":"2026-03-25T18:35:00Z"}"#,
    );
    assert_eq!(key, "delivery:d-1");
    assert_eq!(event["providerevent"], "agent.slept");
    assert_eq!(event["time"], "2026-03-25T18:35:00Z");
    assert_eq!(event["subject"], "webhook/delivery:d-1");
    let (key, event) = passed_on(
        Provider::Morph,
        &[("x-conector-id", "aircall"), ("x-owner-id", "o"), ("x-idempotency-key", "k")],
        r#"{"event":"telephonyCall::merged","data":{"id":7}}"#,
    );
    assert_eq!(key, "aircall:o:telephonyCall%3A%3Amerged:7:k");
    assert_eq!((&event["tenant"], &event["connector"]), (&"o".into(), &"aircall".into()));
    let (key, event) =
        passed_on(Provider::Allo, &[("webhook-id", "msg_1")], r#"{"topic":"call.paused","data":{}}"#);
    assert_eq!((key.as_str(), &event["providerevent"]), ("msg_1", &"call.paused".into()));
    let wavix = r#"{"uuid":"u","event_type":"paused","event_time":"2026-03-25T18:35:00Z"}"#;
    let (key, event) = passed_on(Provider::Wavix, &[], wavix);
    assert!(key.starts_with("u:paused:2026-03-25T18%3A35%3A00Z:"), "{key}");
    assert_eq!(event["providerevent"], "paused");
    let salpre = r#"{"event_type":"call_paused","timestamp_utc":1760084505,"is_test":true}"#;
    let (key, event) = passed_on(Provider::Salpre, &[], salpre);
    assert_eq!(key, "test:01900000-0000-7000-8000-000000000001");
    assert_eq!((&event["providerevent"], &event["test"]), (&"call_paused".into(), &true.into()));
}

#[test]
fn a_region_adds_the_e164_form_of_its_national_numbers_only() {
    let body = r#"{"event":"call.started","timestamp":"2026-03-25T18:35:00Z","data":{"id":1,
        "from_number":"13800138000","to_number":"+18005551234"}}"#;
    let webhook = cases::webhook(Provider::Varda, Headers::default(), body);
    let e164 = |region: Option<&str>| {
        let mut normalized = providers::normalize(&webhook).unwrap();
        if let Some(region) = region {
            normalized.add_e164(region.parse().unwrap());
        }
        let parties = normalized.events[0].data.parties_mut();
        parties.map(|party| party.e164.as_deref().map(ToOwned::to_owned)).collect::<Vec<_>>()
    };
    let international = Some("+18005551234".to_owned());
    assert_eq!(e164(None), [None, international.clone()]);
    assert_eq!(e164(Some("CN")), [Some("+8613800138000".to_owned()), international.clone()]);
    assert_eq!(e164(Some("US")), [None, international]);
}

#[test]
fn equal_keys_give_equal_ids_and_subjects() {
    let body = r#"{"topic":"call.received","version":"2.0","data":{"from_number":"+15550100123"}}"#;
    let again = r#"{"version":"2.0","topic":"call.received","data":{ "from_number": "+15550100123" }}"#;
    let subject = |body: &str, delivery: &str| {
        let mut webhook = cases::webhook(Provider::Allo, Headers::default(), body);
        webhook.delivery_id = delivery.parse().unwrap();
        let normalized = providers::normalize(&webhook).unwrap();
        let event = &normalized.events[0];
        (normalized.key.event_id(&webhook.source, event.kind, 0), event.subject.clone())
    };
    let first = subject(body, "01900000-0000-7000-8000-000000000001");
    assert_eq!(first, subject(again, "01900000-0000-7000-8000-000000000002"));
}

#[test]
fn every_sample_can_be_normalized_and_has_no_drift() {
    for sample in hookswitch::samples::all() {
        let webhook = Webhook {
            delivery_id: "01900000-0000-7000-8000-000000000001".parse().unwrap(),
            source: sample.provider.as_str().parse().unwrap(),
            provider: sample.provider,
            received_at: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            headers: sample.headers.iter().map(|(name, value)| (name, value.as_str())).collect(),
            body: sample.body,
        };
        let normalized = providers::normalize(&webhook);
        let drift = normalized.as_ref().map(|normalized| normalized.drift.clone());
        assert_eq!(drift, Ok(Vec::new()), "{} {}", sample.provider, sample.name);
    }
    for provider in Provider::ALL {
        assert!(hookswitch::samples::all().iter().any(|sample| sample.provider == provider), "{provider}");
    }
}
