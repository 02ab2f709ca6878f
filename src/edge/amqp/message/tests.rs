use super::*;
use crate::core::{
    delivery::{fault::Attempt, queued::Death},
    ledger::{Entry, Run},
    providers::Provider,
};

fn queued() -> QueuedWebhook {
    let webhook = Webhook {
        delivery_id: "01900000-0000-7000-8000-000000000001".parse().expect("a uuid"),
        source: "wavix-eu".parse().expect("a name"),
        provider: Provider::Wavix,
        received_at: "2026-01-02T03:04:05.678Z".parse().expect("a time"),
        headers: Headers::from_iter([("traceparent", "00-ab-cd-01"), ("x-long", "é"), ("x-long", "")]),
        body: Bytes::from_static(b"\xff\x00{"),
    };
    let history = History {
        attempt: Attempt(3),
        error: Some("data.id: is missing".into()),
        first_failed_at: Some("2026-01-02T03:04:06Z".parse().expect("a time")),
        last_failed_at: Some("2026-01-02T03:05:06Z".parse().expect("a time")),
        reason: Some(Reason::InvalidPayload),
        version: Some("0.1.0".into()),
        replays: 2,
        past: vec![Death {
            at: Some("2026-01-02T03:00:00Z".parse().expect("a time")),
            reason: Some(Reason::UnsupportedEvent),
            version: Some("0.0.9".into()),
            error: "event_type: no event".into(),
        }],
        wave: Some("w/1".into()),
    };
    let entry = Some(Entry { run: Run { began: 1_763_700_000_000, nonce: 7 }, number: 3 });
    let content_type = Some("application/json".into());
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok();
    QueuedWebhook { webhook, content_type, entry, shard: Shard::FIRST, trace, history }
}

#[test]
fn a_webhook_comes_out_of_its_message_as_it_went_in() {
    let before = queued();
    let after = decode(&properties(&before), before.webhook.body.to_vec());
    assert_eq!(after, Ok(before));
}

#[test]
fn a_message_has_one_header() {
    let names = |properties: &BasicProperties| properties.headers().clone().unwrap_or_default();
    let letter = LetterId::new(Uuid::nil());
    for properties in [properties(&queued()), letter_properties(letter, &queued())] {
        assert_eq!(names(&properties).inner().keys().map(|name| name.as_str()).collect::<Vec<_>>(), [HEAD]);
    }
    assert_eq!(decode_letter(&letter_properties(letter, &queued()), Vec::new()).0, Some(letter));
    assert_eq!(decode_letter(&properties(&queued()), Vec::new()).0, None);
}

/// The properties that the first version gave the message of [`queued`] as a letter.
fn old_properties() -> BasicProperties {
    let texts = [
        ("hookswitch-source", "wavix-eu"),
        ("hookswitch-provider", "wavix"),
        ("hookswitch-received-at", "2026-01-02T03:04:05.678Z"),
        ("hookswitch-reason", "invalid_payload"),
        ("hookswitch-error", "data.id: is missing"),
        ("hookswitch-first-failed-at", "2026-01-02T03:04:06Z"),
        ("hookswitch-last-failed-at", "2026-01-02T03:05:06Z"),
        ("hookswitch-version", "0.1.0"),
        (
            "hookswitch-past",
            r#"[{"at":"2026-01-02T03:00:00Z","reason":"unsupported_event","version":"0.0.9","error":"event_type: no event"}]"#,
        ),
        ("hookswitch-wave", "w/1"),
        ("hookswitch-entry", "19aa4b64500-7:3"),
        ("hookswitch-letter", "01900000-0000-7000-8000-000000000002"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("http-traceparent", "00-ab-cd-01"),
    ];
    let mut headers = FieldTable::default();
    for (name, text) in texts {
        headers.insert(name.into(), long(text));
    }
    headers.insert("hookswitch-attempt".into(), AMQPValue::LongInt(3));
    headers.insert("hookswitch-replays".into(), AMQPValue::LongInt(2));
    headers.insert("http-x-long".into(), AMQPValue::FieldArray(vec![long("é"), long("")].into()));
    properties(&queued()).with_headers(headers)
}

#[test]
fn a_message_of_the_first_version_is_read() {
    let before = queued();
    let letter = "01900000-0000-7000-8000-000000000002".parse().ok();
    assert_eq!(
        (
            decode(&old_properties(), before.webhook.body.to_vec()),
            decode_letter(&old_properties(), Vec::new()).0
        ),
        (Ok(before), letter)
    );
}

#[test]
fn a_message_of_another_publisher_is_told_by_what_it_lacks() {
    let error = decode(&BasicProperties::default(), b"{}".to_vec());
    assert_eq!(error, Err((InvalidMessage::Lacks("message_id"), b"{}".to_vec())));
}

#[test]
fn headers_of_the_broker_are_not_carried_on() {
    let before = queued();
    let mut headers = properties(&before).headers().clone().unwrap_or_default();
    headers.insert("x-death".into(), AMQPValue::LongInt(1));
    let received = properties(&before).with_headers(headers);
    let queued = decode(&received, Vec::new()).expect("a message of hookswitch");
    let again = properties(&queued);
    let names: Vec<_> = again.headers().iter().flat_map(|h| h.inner().keys()).cloned().collect();
    assert!(!names.iter().any(|name| name.as_str().starts_with("x-")), "{names:?}");
}

fn died(deaths: &[(&str, &str)]) -> BasicProperties {
    let death = |(queue, reason): &(&str, &str)| {
        let mut death = FieldTable::default();
        death.insert("queue".into(), long(queue));
        death.insert("reason".into(), long(reason));
        AMQPValue::FieldTable(death)
    };
    let mut before = queued();
    before.history.reason = None;
    let mut headers = properties(&before).headers().clone().unwrap_or_default();
    let deaths: Vec<_> = deaths.iter().map(death).collect();
    headers.insert("x-death".into(), AMQPValue::FieldArray(deaths.into()));
    properties(&before).with_headers(headers)
}

#[test]
fn the_reason_of_the_broker_is_told_apart_from_the_end_of_a_delay() {
    let reason = |deaths: &[(&str, &str)]| {
        let reason = decode(&died(deaths), Vec::new()).expect("a message of hookswitch").history.reason;
        reason.map(Reason::as_str)
    };
    assert_eq!(reason(&[("retry.5s", "expired")]), None);
    for word in ["expired", "maxlen", "rejected", "delivery_limit"] {
        assert_eq!(reason(&[("raw.wavix-eu", word), ("retry.5s", "expired")]), Some(word));
        assert_eq!(reason(&[("retry.5s", "expired"), ("raw.wavix-eu", word)]), Some(word));
    }
    assert_eq!(reason(&[("raw.wavix-eu", "moon_landing")]), None);
}

#[test]
fn an_unreadable_message_keeps_what_can_be_read_and_names_the_cause() {
    let before = queued();
    let mut headers = properties(&before).headers().clone().unwrap_or_default();
    headers.insert(UNREADABLE.into(), long("it is too deep"));
    let received = properties(&before).with_headers(headers);
    let (error, body) = decode(&received, b"{}".to_vec()).expect_err("it is unreadable");
    assert_eq!(error.reason(), Reason::UnreadableHeaders);
    assert!(error.to_string().contains("it is too deep"), "{error}");
    let source = "other".parse().expect("a name");
    let salvaged = salvage(&received, body, &source, Provider::Allo, Timestamp::UNIX_EPOCH);
    assert_eq!((salvaged.webhook.delivery_id, salvaged.entry), (before.webhook.delivery_id, before.entry));
    assert_eq!(salvaged.webhook.headers, before.webhook.headers);
}
