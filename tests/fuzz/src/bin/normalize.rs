//! Any bytes as a webhook of each provider: refused, or turned into events as the schemas promise them.
//!
//! The input is lines of headers, an empty line, and the body. Without an empty line, all of it is the body.
#![no_main]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use hookswitch::core::{
    contract::{Schemas, Unknown, family::SCHEMA_BASE},
    events::{
        cloudevent::{self, Encoded},
        event::EventType,
        redaction::{Profile, Redaction, Treatment},
    },
    providers::{self, NormalizeError, Normalized, Provider},
    webhook::{Headers, Webhook, text_of_value},
};
use jsonschema::Validator;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// The most leaves that are reported as drift, and the most characters of the path of one.
const DRIFT_MAX: (usize, usize) = (100, 200);

/// The schemas, which refuse unknown fields here.
static VALIDATORS: LazyLock<BTreeMap<&str, Validator>> = LazyLock::new(|| {
    let schemas = Schemas::new(SCHEMA_BASE, Unknown::Refused);
    let validator = |kind| {
        let schema = serde_json::to_value(schemas.bundle(kind)).expect("JSON");
        jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema")
    };
    EventType::ALL.iter().map(|kind| (kind.as_str(), validator(*kind))).collect()
});

/// The copies of events that are made: one without most of the personal data, one with tokens for it.
const REDACTIONS: [Redaction<'_>; 2] = [
    Redaction {
        profile: Profile {
            numbers: Treatment::Mask,
            emails: Treatment::Drop,
            names: Treatment::Drop,
            keeps_texts: false,
        },
        key: None,
    },
    Redaction {
        profile: Profile {
            numbers: Treatment::Hash,
            emails: Treatment::Mask,
            names: Treatment::Keep,
            keeps_texts: true,
        },
        key: Some("k"),
    },
];

fn headers(lines: &[u8]) -> Headers {
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(&line[..colon]).ok()?;
        Some((name.to_owned(), text_of_value(line[colon + 1..].trim_ascii())))
    };
    lines.split(|byte| *byte == b'\n').filter_map(header).collect()
}

/// Returns what a webhook becomes; one with an event of unknown type is passed on.
fn normalize(webhook: &Webhook) -> Option<Normalized<'_>> {
    match providers::normalize(webhook) {
        Ok(normalized) => Some(normalized),
        Err(NormalizeError::UnsupportedEvent(unknown)) => {
            Some(providers::pass_on(webhook, *unknown).expect("its body is an object"))
        }
        Err(NormalizeError::MalformedJson { .. } | NormalizeError::InvalidPayload { .. }) => None,
    }
}

fn encode(webhook: &Webhook, normalized: &Normalized<'_>) -> Vec<Encoded> {
    cloudevent::encode(webhook, &normalized.key, &normalized.events).collect()
}

/// Checks that an event is JSON and valid under its schema.
fn check(encoded: &Encoded) {
    let event: Value = serde_json::from_slice(&encoded.body).expect("every strict reader takes it");
    if let Err(error) = VALIDATORS[encoded.kind].validate(&event) {
        panic!("{} at {}: {error}\n{event}", encoded.kind, error.instance_path());
    }
    assert_eq!(cloudevent::routing_key_of(&encoded.body).as_ref(), Some(&encoded.routing_key));
    if encoded.place.is_some() {
        assert_eq!(encoded.late_body().len(), encoded.bytes_max());
    }
}

fn check_webhook(webhook: &Webhook) {
    let Some(mut normalized) = normalize(webhook) else { return };
    let encoded = encode(webhook, &normalized);
    let ids: BTreeSet<_> = encoded.iter().map(|event| event.id).collect();
    assert!(!encoded.is_empty() && ids.len() == encoded.len(), "at least one event, and an id for each");
    encoded.iter().for_each(check);
    let again = normalize(webhook).expect("as before");
    assert!(encode(webhook, &again) == encoded, "the same webhook gives the same bytes");

    for redaction in REDACTIONS {
        for (event, encoded) in normalized.events.iter().zip(&encoded) {
            let key = &normalized.key;
            check(&cloudevent::encode_redacted(SCHEMA_BASE, webhook, key, event, encoded, redaction));
        }
    }
    let (drifts_max, path_max) = DRIFT_MAX;
    assert!(normalized.drift.len() <= drifts_max);
    assert!(normalized.drift.iter().all(|drift| drift.path.chars().count() <= path_max));

    normalized.add_e164("US".parse().expect("a region"));
    encode(webhook, &normalized).iter().for_each(check);
}

fuzz_target!(init: LazyLock::force(&VALIDATORS), |input: &[u8]| {
    let split = input.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = match (input.strip_prefix(b"\n"), split) {
        (Some(body), _) => (&input[..0], body),
        (None, Some(at)) => (&input[..at], &input[at + 2..]),
        (None, None) => (&input[..0], input),
    };
    let (headers, body) = (headers(head), body.to_vec());
    for provider in Provider::ALL {
        check_webhook(&Webhook {
            delivery_id: "01900000-0000-7000-8000-000000000001".parse().expect("an id"),
            source: provider.as_str().parse().expect("a name"),
            provider,
            received_at: "2026-01-02T03:04:05.678Z".parse().expect("a time"),
            headers: headers.clone(),
            body: body.clone().into(),
        });
    }
});
