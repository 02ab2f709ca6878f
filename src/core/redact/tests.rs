#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    page::SHOWN_MAX_BYTES,
    policy::{Document, EVENT},
    *,
};
use crate::core::json::path;

#[test]
fn a_body_is_shown_with_what_is_public_and_the_lengths_of_the_rest() {
    let text = r#"{"event_type":"answered","uuid":"5dccb6b0","from":"+18045550158","to":17655550167,
            "tag":"é","machine_detected":false,"call_completed":null,"mood":[{"score":-0.50}],
            "per_minute":0.0270000000000000000001,
            "empty":{},"none":[],"from":""}"#;
    let shown = r#"{
  "event_type": "answered",
  "uuid": "5dccb6b0",
  "from": "‹text, 12 characters›",
  "to": "‹number, 11 digits›",
  "tag": "‹text, 1 character›",
  "machine_detected": false,
  "call_completed": null,
  "mood": [
    {
      "score": "‹number, 3 digits›"
    }
  ],
  "per_minute": 0.0270000000000000000001,
  "empty": {},
  "none": [],
  "from": "‹text, 0 characters›"
}"#;
    assert_eq!(body(Provider::Wavix, text.as_bytes()), shown);
}

#[test]
fn a_public_path_shows_nothing_that_looks_personal_or_like_prose() {
    for wrong in [
        "\"+18045550158\"",
        "\"18045550158\"",
        "18045550158",
        "\"contact/+5550158\"",
        "\"+1-804-555-0158\"",
        "\"1.804.555.0158\"",
        "\"4111-1111-1111-1111\"",
        "4111111111111111",
        "\"\\u0661\\u0668\\u0660\\u0664\\u0665\\u0665\\u0665\\u0660\\u0661\\u0665\\u0668\"",
        "\"ada@example.com\"",
        "\"ada\\u0040example.com\"",
        "\"Ada Marsh\"",
        "\"https://example.com\"",
        "\"\\u001b[2J\"",
        "\"Zoë\"",
        "[\"answered\"]",
        "{\"uuid\":\"answered\"}",
    ] {
        let shown = body(Provider::Wavix, format!("{{\"event_type\":{wrong}}}").as_bytes());
        assert!(shown.contains('‹'), "{shown}");
        for leaf in ["8045", "804", "4111", "ada", "Ada", "example", "\u{1b}", "Zo", "answered"] {
            assert!(!shown.contains(leaf), "{shown}");
        }
    }
    for right in ["\"call/8841\"", "\"yesterday\"", "9007199254740993", "\"2026-01-01T10:05:04+01:00\""] {
        let shown = body(Provider::Wavix, format!("{{\"event_type\":{right}}}").as_bytes());
        assert_eq!(shown, format!("{{\n  \"event_type\": {right}\n}}"));
    }
}

#[test]
fn a_key_that_is_not_a_field_name_is_hidden_and_forms_no_path() {
    let text = r#"{"ada@example.com":{"mood":1},"0155501":2,"payload.call_id":"Ada",
        "":{"event_type":"Ada"},"Ada Marsh":3}"#;
    let shown = r#"{
  "‹key, 15 characters›": {
    "‹key, 4 characters›": "‹number, 1 digit›"
  },
  "‹key, 7 characters›": "‹number, 1 digit›",
  "‹key, 15 characters›": "‹text, 3 characters›",
  "‹key, 0 characters›": {
    "‹key, 10 characters›": "‹text, 3 characters›"
  },
  "‹key, 9 characters›": "‹number, 1 digit›"
}"#;
    assert_eq!(body(Provider::Salpre, text.as_bytes()), shown);
}

#[test]
fn data_collected_in_a_call_shows_no_keys_in_body_or_event() {
    let inner = r#"{"data":{"data_collected":{"Ada":{"Marsh":true}},"mood":1}}"#;
    let keys = "\"‹key, 3 characters›\": {\n";
    let shown = body(Provider::Allo, inner.as_bytes());
    assert!(shown.contains(keys) && shown.contains("mood") && !shown.contains("Marsh"), "{shown}");
    let shown = event(format!(r#"{{"data":{{"unmapped":{inner}}}}}"#).as_bytes());
    assert!(shown.contains(keys) && shown.contains("mood") && !shown.contains("Marsh"), "{shown}");
}

#[test]
fn an_event_shows_its_subject_but_no_party_and_nothing_unmapped() {
    let text = r#"{"type":"call.ended","source":"/hookswitch/morph/acme","subject":"call/8841",
            "idempotencykey":"call:1","data":{"call_id":"8841","from":{"raw":"204"},"cost":{"total":{"amount":"0.822"}},
            "unmapped":{"type":"x","call_id":7}}}"#;
    let shown = r#"{
  "type": "call.ended",
  "source": "/hookswitch/morph/acme",
  "subject": "call/8841",
  "idempotencykey": "‹text, 6 characters›",
  "data": {
    "call_id": "8841",
    "from": {
      "raw": "‹text, 3 characters›"
    },
    "cost": {
      "total": {
        "amount": "0.822"
      }
    },
    "unmapped": {
      "type": "‹text, 1 character›",
      "call_id": "‹number, 1 digit›"
    }
  }
}"#;
    assert_eq!(event(text.as_bytes()), shown);
    assert!(!event(br#"{"subject":"contact/15550100123"}"#).contains("1555"));
}

#[test]
fn attributes_that_hookswitch_makes_are_shown_though_they_look_like_numbers_and_addresses() {
    let text =
        r#"{"dataschema":"https://schemas.example/events/call.ended/1.json","sequence":"17672255990000003"}"#;
    assert_eq!(event_in_one_line(text.as_bytes()).replace("\": ", "\":"), text);
    for foreign in [r#""ada@example.com""#, r#""Ada Marsh""#, "15550100123", r#""a\"b""#, r#""\u001b[2J""#] {
        let shown = event(format!(r#"{{"sequence":{foreign}}}"#).as_bytes());
        assert!(shown.contains('‹'), "{shown}");
    }
    assert!(event(br#"{"data":{"sequence":"15550100123"}}"#).contains('‹'), "only the attribute is ours");
}

#[test]
fn an_event_in_one_line_is_whole_and_shows_what_its_page_shows() {
    let lines = (0..9_000).map(|n| format!(r#"{{"speaker":"agent","text":"Ada {n}","at":"{n}"}}"#));
    let lines = lines.collect::<Vec<_>>().join(",");
    let text = format!(
        r#"{{"type":"call.ended", "data":{{"name":"Ada\nMarsh","none":[],"transcript":[{lines}]}}}}"#
    );
    let shown = event_in_one_line(text.as_bytes());
    assert!(shown.len() > SHOWN_MAX_BYTES && !shown.contains('\n') && !shown.contains("Ada"));
    let value: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(value["data"]["name"], "‹text, 9 characters›");
    assert_eq!(value["data"]["transcript"].as_array().map(Vec::len), Some(9_000));
    let short =
        br#"{"subject":"call/1","data":{"direction":"inbound","from":{"raw":"204","no name":[1,{}]}}}"#;
    let page: serde_json::Value = serde_json::from_str(&event(short)).expect("JSON");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&event_in_one_line(short)).expect("JSON"), page);
    assert_eq!(event_in_one_line(b"Ada {"), "\"‹text, 5 characters›\"");
}

#[test]
fn invalid_json_is_masked_and_keeps_every_column() {
    let masked = |text: &[u8]| body(Provider::Varda, text);
    assert_eq!(masked(b"{\"to\": +1800,\r\n\t\"caf\xc3\xa9\\n\xff"), "{\"xx\": ?9999,\r\n\t\"xxx??\\x?");
    assert_eq!(masked(b""), "");
    assert_eq!(masked(br#"{"a":"\ud800"}"#), "{\n  \"a\": \"‹text, 1 character›\"\n}");
    let deep = format!("{}1{}", "[".repeat(101), "]".repeat(101));
    assert_eq!(masked(deep.as_bytes()), deep.replace('1', "9"));
    assert_eq!(event(b"Ada"), "xxx");
}

#[test]
fn a_long_body_is_cut_and_reports_how_much_is_left_out() {
    let ones = format!("[{}1]", "1,".repeat(99_999));
    let shown = body(Provider::Varda, ones.as_bytes());
    let (page, rest) = shown.rsplit_once("\n… bytes left out: ").expect("a sentence");
    assert!((SHOWN_MAX_BYTES..SHOWN_MAX_BYTES + 100).contains(&page.len()));
    // Each line but the first shows two bytes.
    assert_eq!((page.lines().count() - 1) * 2 + 1 + rest.parse::<usize>().expect("a number"), ones.len());
    let shown = body(Provider::Varda, "x".repeat(SHOWN_MAX_BYTES + 7).as_bytes());
    assert!(shown.ends_with("x\n… bytes left out: 7"));
}

#[test]
fn a_header_is_shown_only_if_it_is_public_for_that_provider() {
    for (name, value, is_shown) in [
        ("Content-Type", "application/json; charset=utf-8", true),
        ("user-agent", "Hooks/1.0 (+https://example.com)", true),
        ("x-varda-delivery", "d-1007", true),
        ("X-Varda-Event", "call.ended", true),
        ("X-Varda-Event", "ada@example.com", false),
        ("X-Varda-Event", "+18005550123", false),
        ("X-Varda-Event", "4111-1111-1111-1111", false),
        ("user-agent", "Hooks/1.0 (+1-555-010-0123)", false),
        ("user-agent", "Hooks 1.555.010.0123", false),
        ("user-agent", "Hooks (555) 010-0123", false),
        ("user-agent", "Hooks +1 555 010 0123", false),
        ("x-varda-signature", "t=1774463700,v1=aa", false),
        ("webhook-id", "msg_1", false),
        ("authorization", "Bearer abc", false),
        ("x-forwarded-for", "192.0.2.7", false),
    ] {
        let shown = header(Provider::Varda, name, value);
        let expected =
            if is_shown { value.to_owned() } else { format!("‹text, {} characters›", value.len()) };
        assert_eq!(shown, expected, "{name}");
    }
    assert_eq!(header(Provider::Allo, "webhook-signature", "v1"), "‹text, 2 characters›");
}

/// Generates names from the schemas, so that public paths occur, and others.
fn key() -> impl Strategy<Value = String> {
    let lists = Provider::ALL.iter().map(|provider| provider.schema()).chain([&EVENT]);
    let patterns = lists.flat_map(|schema| schema.public.iter().chain(schema.keyed));
    let names = patterns.flat_map(|pattern| pattern.split(['.', '|'])).map(|name| name.replace("[]", ""));
    let mut names: Vec<_> = names.chain(["data", "fields", "name", "unmapped"].map(Into::into)).collect();
    names.sort_unstable();
    names.dedup();
    prop_oneof![8 => select(names), 1 => "Q[a-z]{1,5}[@. ][a-z@. ]{1,5}"]
}

fn document() -> impl Strategy<Value = serde_json::Value> {
    let leaf =
        prop_oneof!["Z[a-z0-9]{6,20}", "Z[a-z]{6} [a-zé\"\\\\+@-]{0,9}"].prop_map(serde_json::Value::from);
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            3 => vec((key(), inner), 1..6).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// Collects every string: the private ones first, then the public ones.
fn sort_leaves(document: Document, value: &serde_json::Value, path: &str, found: &mut [Vec<String>; 2]) {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| sort_leaves(document, value, &join(path, key), found));
        }
        Value::Array(items) => {
            items.iter().for_each(|item| sort_leaves(document, item, &format!("{path}[]"), found));
        }
        Value::String(text) => found[usize::from(document.is_public(path))].push(text.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

proptest! {
    #[test]
    fn text_that_is_not_public_is_never_shown(
        value in document(), provider in select(&Provider::ALL), cut in any::<prop::sample::Index>(),
    ) {
        let text = value.to_string();
        for (document, shown) in [
            (Document::Body(provider), body(provider, text.as_bytes())),
            (Document::Event, event(text.as_bytes())),
        ] {
            let mut found = Default::default();
            sort_leaves(document, &value, "", &mut found);
            let [hidden, public] = found;
            for leaf in hidden.iter().filter(|leaf| !public.contains(leaf)) {
                prop_assert!(!shown.contains(&leaf[..7]), "{leaf} in {shown}");
            }
            prop_assert!(!shown.contains('@') && !shown.contains('Q'), "{shown}");
            prop_assert!(serde_json::from_str::<serde_json::Value>(&shown).is_ok(), "{shown}");
        }
        let cut = cut.index(text.len());
        let masked = body(provider, &text.as_bytes()[..cut]);
        prop_assert!(!masked.contains('Z'), "{masked}");
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200), name in ".{0,9}", value in ".{0,30}") {
        for provider in Provider::ALL {
            body(provider, &bytes);
            header(provider, &name, &value);
        }
        event(&bytes);
    }
}

fn join(path: &str, key: &str) -> String {
    let mut joined = path.to_owned();
    path::push_key(&mut joined, key);
    joined
}

#[test]
fn each_value_is_shown_as_in_the_page_and_no_key_that_is_data_is_in_a_pointer() {
    let text = r#"{"event_type":"answered","from":"+18045550158","mood":[{"score":-0.5}],"none":[ ],
        "transcript":{"18045550158":"hi"},"ada@x.org":1}"#;
    let shown = body_values(Provider::Wavix, text.as_bytes());
    let shown: Vec<_> = shown.iter().map(|value| (&*value.shown_pointer, &*value.shown)).collect();
    assert_eq!(
        shown,
        [
            ("/event_type", "\"answered\""),
            ("/from", "\"‹text, 12 characters›\""),
            ("/mood", "[…]"),
            ("/mood/0", "{…}"),
            ("/mood/0/score", "\"‹number, 2 digits›\""),
            ("/none", "[ ]"),
            ("/transcript", "{…}"),
            ("/transcript/‹key, 11 characters›", "\"‹text, 2 characters›\""),
            ("/‹key, 9 characters›", "\"‹number, 1 digit›\""),
        ]
    );
    let exact = body_values(Provider::Wavix, text.as_bytes());
    assert_eq!((&*exact[7].pointer, &*exact[7].written), ("/transcript/18045550158", "\"hi\""));
    assert_eq!(body_values(Provider::Wavix, b"Ada"), []);
}
