//! Where the fields of events come from, over every golden case.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "support/golden.rs"]
mod cases;

use std::collections::{BTreeMap, BTreeSet};

use hookswitch::core::{
    events::cloudevent,
    provenance::{self, KeyPart, Origin, Provenance, Reading, Rule, Silent},
    providers::{self, NormalizeError, Normalized, Provider},
    webhook::{Headers, Webhook},
};
use serde_json::Value;

fn normalize(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    match providers::normalize(webhook) {
        Err(NormalizeError::UnsupportedEvent(unknown)) => providers::pass_on(webhook, *unknown),
        normalized => normalized,
    }
}

fn read(webhook: &Webhook) -> Option<Reading> {
    let normalized = normalize(webhook).ok()?;
    let events = cloudevent::encode(webhook, &normalized.key, &normalized.events);
    let events = events.map(|event| event.body.to_vec()).collect();
    Some(Reading { events, key: normalized.key })
}

/// Returns every case that can be normalized, and where everything that it yields comes from.
fn traced(provider: Provider) -> BTreeMap<String, (Webhook, Provenance)> {
    let mut traced = BTreeMap::new();
    for case in cases::of(provider) {
        let webhook = cases::read(provider, &case);
        if providers::normalize(&webhook).is_ok() {
            let name = case.file_name().unwrap().to_str().unwrap().to_owned();
            let provenance = provenance::trace(&webhook, &read(&webhook).unwrap(), &read).unwrap();
            traced.insert(name, (webhook, provenance));
        }
    }
    traced
}

/// The attributes that no value of a webhook changes.
const CONSTANT: &[&str] =
    &["/dataclassification", "/datacontenttype", "/provider", "/source", "/specversion", "/test"];

/// Checks every case of a provider: every field but the constants, and `fixed`, has a source, and every
/// source is in the body. Returns the cases.
fn checked(provider: Provider, fixed: &[&str]) -> BTreeMap<String, (Webhook, Provenance)> {
    let traced = traced(provider);
    let mut without_source = BTreeSet::new();
    for (name, (webhook, provenance)) in &traced {
        // A body may begin with a byte order mark, or hold what serde_json refuses.
        let body: Option<Value> = serde_json::from_slice(&webhook.body).ok();
        let fields = provenance.events.iter().flatten();
        for field in fields {
            if field.sources.is_empty() {
                without_source.insert(field.pointer.as_str());
            }
            for pointer in field.sources.iter().filter_map(|source| source.origin.pointer()) {
                let is_there = body.as_ref().is_none_or(|body| body.pointer(pointer).is_some());
                assert!(is_there, "{provider} {name}: {} <- {pointer}", field.pointer);
            }
        }
        assert_eq!(provenance.untried, 0, "{provider} {name}");
        assert!(!provenance.key.parts.contains(&KeyPart::Unknown), "{provider} {name}: {:?}", provenance.key);
        let unread = provenance.silent.iter().filter(|(_, why)| *why == Silent::Unread);
        assert_eq!(unread.count(), 0, "{provider} {name}: {:?}", provenance.silent);
    }
    let expected: BTreeSet<_> = CONSTANT.iter().chain(fixed).copied().collect();
    assert_eq!(without_source, expected, "{provider}");
    traced
}

/// Returns the sources of a field of a case, as in `/payload/from e164`.
fn sources(
    traced: &BTreeMap<String, (Webhook, Provenance)>,
    case: &str,
    event: usize,
    pointer: &str,
) -> String {
    let fields = &traced[case].1.events[event];
    let field = fields.iter().find(|field| field.pointer == pointer).expect("a field");
    let sources = field.sources.iter().map(|source| {
        let origin = source.origin.pointer().map(str::to_owned);
        let origin = origin.unwrap_or_else(|| format!("{:?}", source.origin));
        format!("{origin} {}", source.rule.as_str())
    });
    sources.collect::<Vec<_>>().join(", ")
}

/// Returns how a case's key is made, as in `event + /data/id copied`.
fn key(traced: &BTreeMap<String, (Webhook, Provenance)>, case: &str) -> String {
    let part = |part: &KeyPart| match part {
        KeyPart::Word(word) => word.clone(),
        KeyPart::From { origins, rule } => {
            let origins: Vec<_> = origins.iter().map(|origin| format!("{origin:?}")).collect();
            format!("{} {}", origins.join(" "), rule.as_str())
        }
        other @ (KeyPart::HashOfNothing | KeyPart::Unknown) => format!("{other:?}"),
    };
    traced[case].1.key.parts.iter().map(part).collect::<Vec<_>>().join(" + ")
}

#[test]
fn the_fields_of_morph_have_sources() {
    let traced = checked(Provider::Morph, &["/timesource"]);
    let case = "call-with-another-time-zone-and-no-fraction";
    for (pointer, expected) in [
        ("/tenant", "Header(\"x-owner-id\") copied"),
        ("/data/direction", "/data/fields/direction word"),
        ("/data/started_at", "/data/fields/startedAt time"),
        ("/data/participants/0/reference/kind", "/data/fields/users/0/model word"),
        ("/data/participants/1/role", "/data/fields presence"),
        ("/data/unmapped/data/warnings", "/data/warnings copied"),
    ] {
        assert_eq!(sources(&traced, case, 0, pointer), expected, "{pointer}");
    }
    assert_eq!(
        key(&traced, case),
        "Header(\"x-conector-id\") copied + Header(\"x-owner-id\") copied + Body(\"/event\") copied + \
         Body(\"/data/id\") copied + Header(\"x-idempotency-key\") copied"
    );
}

#[test]
fn the_fields_of_allo_have_sources() {
    // The oldest edition has no ids: such a call has no subject of its own.
    let traced = checked(Provider::Allo, &["/timesource", "/dataschema"]);
    let (length, speaker) =
        ("call-received-with-a-transfer-keeps-it-whole", "call-received-with-an-external-speaker");
    for (case, event, pointer, expected) in [
        (length, 0, "/id", "Key derived"),
        (length, 0, "/data/duration_seconds", "/data/length_in_minutes scaled"),
        (length, 0, "/data/ended_at", "/data/start_date derived, /data/length_in_minutes derived"),
        (speaker, 1, "/data/transcript/0/offset_ms", "/data/transcriptions/0/start_seconds scaled"),
        (speaker, 1, "/providerevent", "/topic copied"),
        (speaker, 1, "/type", "/topic of_type, /data/transcriptions/0/text of_type"),
    ] {
        assert_eq!(sources(&traced, case, event, pointer), expected, "{pointer}");
    }
    assert_eq!(key(&traced, "ping-again-with-the-same-webhook-id"), "Header(\"webhook-id\") copied");
    assert_eq!(
        traced["v2-call-completed-answered-is-completed"].1.key.otherwise,
        [Origin::AbsentHeader("webhook-id".to_owned())]
    );
}

#[test]
fn the_fields_of_wavix_have_sources() {
    // Only call events have a name; the others are recognized by the fields that they have.
    let by_shape = ["/timesource", "/type", "/dataschema", "/providerevent", "/data/direction"];
    let traced = checked(Provider::Wavix, &by_shape);
    let case = "transcription-with-its-turns";
    for (pointer, expected) in [
        ("/data/transcript/1/speaker", "/turns/1/type word"),
        ("/data/transcript/2/text", "/turns/3/text copied"),
        ("/data/transcript/2/sequence", "/turns presence"),
        ("/data/transcript/0/at_raw", "/turns/0/s as_text"),
        ("/data/unmapped/transcript/16572026750", "/transcript/16572026750 copied"),
    ] {
        assert_eq!(sources(&traced, case, 0, pointer), expected, "{pointer}");
    }
    assert_eq!(sources(&traced, "a-new-field-is-carried-and-drifts", 0, "/data/to/e164"), "/to e164");
    assert_eq!(key(&traced, case), "body + transcription + Body(\"/call_uuid\") copied + Body(\"\") hash");
    let (_, equal) = &traced["id-beside-an-equal-uuid"];
    assert_eq!(equal.silent, [("/id".to_owned(), Silent::Read)]);
}

#[test]
fn the_fields_of_salpre_have_sources() {
    let traced = checked(Provider::Salpre, &[]);
    for (event, pointer, expected) in [
        (0, "/type", "/event_type of_type"),
        (0, "/subject", "/payload/call_id in_text"),
        (0, "/data/ended_at", "/timestamp_utc time"),
        (0, "/data/call_id", "/payload/call_id as_text"),
        (0, "/test", "/is_test copied"),
        (1, "/type", "/event_type of_type, /payload/transcript of_type"),
    ] {
        assert_eq!(sources(&traced, "call-ended", event, pointer), expected, "{pointer}");
    }
    assert_eq!(key(&traced, "call-ended"), "test + DeliveryId copied");
    assert_eq!(
        key(&traced, "call-id-is-a-string-and-it-is-no-test"),
        "live + Body(\"/event_type\") copied + Body(\"/payload/call_id\") copied + \
         Body(\"/timestamp_utc\") copied"
    );
}

#[test]
fn the_fields_of_varda_have_sources() {
    let traced = checked(Provider::Varda, &[]);
    for (pointer, expected) in [
        ("/time", "/timestamp copied"),
        ("/deliveryid", "DeliveryId copied"),
        ("/recordedtime", "ReceivedAt copied"),
        ("/data/status", "/event of_type"),
        ("/data/end_reason", "/data/disposition word"),
        ("/data/participants/0/role", "/data/contact presence"),
        ("/data/participants/0/party", "/data/direction word"),
    ] {
        assert_eq!(sources(&traced, "call-ended", 0, pointer), expected, "{pointer}");
    }
    assert_eq!(key(&traced, "call-ended"), "delivery + Header(\"x-varda-delivery\") copied");
}

#[test]
fn what_is_too_large_is_tried_in_part_and_says_so() {
    let text = "so much to say ".repeat(20);
    let lines: Vec<_> = (0..2_000).map(|n| serde_json::json!({ "message": format!("{text}{n}") })).collect();
    let body = serde_json::json!({ "event_type": "call_ended", "timestamp_utc": 1760084597,
        "payload": { "call_id": 7, "transcript": lines } });
    let webhook = cases::webhook(Provider::Salpre, Headers::default(), body.to_string());
    let provenance = provenance::trace(&webhook, &read(&webhook).unwrap(), &read).unwrap();
    assert!((1..2_000).contains(&provenance.untried), "{}", provenance.untried);
    let is_copied = |event: usize, pointer: &str| {
        let field = provenance.events[event].iter().find(|field| field.pointer == pointer).unwrap();
        field.sources.iter().any(|source| source.rule == Rule::Copied)
    };
    // What is no item of a list comes first, then the first items.
    assert!(is_copied(0, "/providerevent") && is_copied(1, "/data/transcript/0/text"));
    assert!(!is_copied(1, "/data/transcript/1999/text"));
}
