//! Showing a webhook, its headers and its events to people who have no business with personal data.
//!
//! What may be seen is listed: each provider's [`Schema`] names the public paths of its bodies, and this module
//! those of our events. Everything else, above all what is new, is replaced by what it is and how long:
//! `"‹text, 12 characters›"`.

use super::{
    events::data::e164,
    json::{self, ROOT, Raw, extend_path},
    providers::Provider,
};

/// How much is shown of one document, in bytes. What a provider documents is a few thousand.
const SHOWN_MAX_BYTES: usize = 64 * 1024;

/// The longest public value that is shown, in bytes: ids, words and times are shorter.
const VALUE_MAX_BYTES: usize = 200;

/// The longest key that is shown, in bytes.
const KEY_MAX_BYTES: usize = 64;

/// What may be shown of a JSON document.
///
/// A path is as in `data.users[].id`, with `[]` for every index. Between two dots, `|` stands between names that
/// share the rest of the path: `data.fields.owner|users[].model|id`.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Values that cannot hold personal data: names of events, words out of a list, opaque ids, times, lengths, costs.
    pub public: &'static [&'static str],
    /// Objects whose keys are data too, on every level.
    pub keyed: &'static [&'static str],
}

impl Schema {
    /// Whether the value at `path` is public.
    pub fn is_public(&self, path: &str) -> bool {
        self.public.iter().any(|pattern| is_match(pattern, path))
    }

    /// Whether the keys of the object at `path` are data.
    pub fn is_keyed(&self, path: &str) -> bool {
        self.keyed.iter().any(|pattern| is_match(pattern, path))
    }
}

fn is_match(pattern: &str, path: &str) -> bool {
    let mut names = path.split('.');
    let is_next = |known: &str| names.next().is_some_and(|name| known.split('|').any(|known| known == name));
    pattern.split('.').all(is_next) && names.next().is_none()
}

/// What may be shown of our own events. Not the idempotency key: it is made of whatever tells two webhooks apart, and
/// holds hashes of texts so short that they can be guessed. The event's `id` follows from it and says the same.
const EVENT: Schema = Schema {
    public: &[
        "specversion|id|source|type|subject|time|timesource|datacontenttype|dataschema",
        "provider|providerevent|deliveryid|receivedtime|test|tenant|traceparent",
        "data.call_id|transcript_id|message_id|conversation_id|contact_id|record_id|scheduling_id|widget_id",
        "data.direction|status|end_reason|kind|channel|channel_id|sender_kind|priority|machine_detected|derived[]",
        "data.started_at|answered_at|ended_at|sent_at|created_at|updated_at|starts_at|ends_at|timezone",
        "data.duration_seconds|duration_minutes|durations[]",
        "data.participants[]|speakers[]|links[].role|id|kind",
        "data.transfer.original_call_id",
        "data.transcript_ref|outcome.id|kind",
        "data.cost.total|per_minute.amount|minor_units|currency",
        "data.amount.currency",
        "data.media.type",
        "data.media.payload.status|playback_id",
        "data.transcript[].speaker|at|until|speaker_id",
        "data.contact.contact_id|created_at|updated_at",
        "data.questions[].id|type",
        "data.answers[].questionId",
        "data.triggered_by.object|model|id",
    ],
    keyed: &[],
};

/// Headers that say nothing about a person, whoever sends them.
const HEADERS: &[&str] = &["content-encoding", "content-length", "content-type", "traceparent", "user-agent"];

/// A webhook's body, indented, with the keys in their order. What is no JSON is masked letter by letter, so that
/// the line and column that an error names can still be seen.
pub fn body(provider: Provider, body: &[u8]) -> String {
    show(Document::Body(provider), body)
}

/// An event as it was published (a CloudEvent in JSON), indented.
pub fn event(cloud_event: &[u8]) -> String {
    show(Document::Event, cloud_event)
}

/// The value of a captured HTTP header: as it is if it is public, else its length. Signatures and tokens never are.
pub fn header(provider: Provider, name: &str, value: &str) -> String {
    let is_known = |known: &&str| known.eq_ignore_ascii_case(name);
    let is_public = HEADERS.iter().any(is_known) || provider.headers().iter().any(is_known);
    let is_harmless = |c: char| c != '@' && (c == ' ' || c.is_ascii_graphic());
    if is_public && is_made_of(value, is_harmless) { value.to_owned() } else { text_marker(value) }
}

#[derive(Clone, Copy)]
enum Document {
    Body(Provider),
    Event,
}

impl Document {
    fn is_public(self, path: &str) -> bool {
        match self {
            Self::Body(provider) => provider.schema().is_public(path),
            Self::Event => EVENT.is_public(path),
        }
    }

    fn is_keyed(self, path: &str) -> bool {
        match self {
            Self::Body(provider) => provider.schema().is_keyed(path),
            // What was not mapped stands under its own path.
            Self::Event => path
                .strip_prefix("data.unmapped.")
                .is_some_and(|path| Provider::ALL.iter().any(|provider| provider.schema().is_keyed(path))),
        }
    }
}

fn show(document: Document, text: &[u8]) -> String {
    let Ok(json) = json::Document::parse(text) else { return mask(text) };
    let mut page = Page { document, json: &json, text: String::new(), lines_left_out: 0 };
    let shown = page.value(ROOT, Some(""), 0, "", "");
    match (shown, page.lines_left_out) {
        (None, _) => mask(text),
        (Some(()), 0) => page.text,
        (Some(()), lines) => format!("{}\n… lines left out: {lines}", page.text),
    }
}

/// Keeps the bytes that JSON is built of, and says of the others only what they are. One byte stays one column.
fn mask(text: &[u8]) -> String {
    let shown = &text[..text.len().min(SHOWN_MAX_BYTES)];
    let mut masked: String = shown
        .iter()
        .map(|byte| match byte {
            b'{' | b'}' | b'[' | b']' | b':' | b',' | b'"' | b'\\' | b' ' | b'\t' | b'\r' | b'\n' => {
                char::from(*byte)
            }
            byte if byte.is_ascii_alphabetic() => 'x',
            byte if byte.is_ascii_digit() => '9',
            _ => '?',
        })
        .collect();
    if shown.len() < text.len() {
        masked.push_str(&format!("\n… bytes left out: {}", text.len() - shown.len()));
    }
    masked
}

/// A document as it is written down.
struct Page<'a> {
    document: Document,
    json: &'a json::Document<'a>,
    text: String,
    lines_left_out: usize,
}

impl Page<'_> {
    /// Writes the value at `place`, whose path is `path`, between `label` and `end`. Where a value has no path, nobody
    /// knows what it is: it is not shown, and neither are the keys in it. None if it cannot be read, as with half a
    /// surrogate pair.
    fn value(
        &mut self,
        place: usize,
        path: Option<&str>,
        depth: usize,
        label: &str,
        end: &str,
    ) -> Option<()> {
        let json = self.json;
        let raw = json.raw(place);
        match raw.class() {
            "object" => {
                let path = path.filter(|path| !self.document.is_keyed(path));
                let field = |place| {
                    let key = json.key(place)?;
                    let path = path.filter(|_| is_name(&key)).map(|path| join(path, &key));
                    let key = if path.is_some() { key } else { marker("key", &key, "character").into() };
                    Some((format!("\"{key}\": "), path, place))
                };
                let fields = json.children(place).map(field).collect::<Option<Vec<_>>>()?;
                self.nested(fields, "{}", depth, label, end)?;
            }
            "array" => {
                let path = path.map(|path| format!("{path}[]"));
                let items = json.children(place).map(|place| (String::new(), path.clone(), place)).collect();
                self.nested(items, "[]", depth, label, end)?;
            }
            class => {
                let is_public = path.is_some_and(|path| self.document.is_public(path));
                self.line(depth, &[label, &leaf(raw, class, is_public)?, end]);
            }
        }
        Some(())
    }

    /// Writes what is between `brackets`: label, path and place of each.
    fn nested(
        &mut self,
        children: Vec<(String, Option<String>, usize)>,
        brackets: &str,
        depth: usize,
        label: &str,
        end: &str,
    ) -> Option<()> {
        let (open, close) = brackets.split_at(1);
        let Some(last) = children.len().checked_sub(1) else {
            self.line(depth, &[label, brackets, end]);
            return Some(());
        };
        self.line(depth, &[label, open]);
        for (index, (label, path, place)) in children.into_iter().enumerate() {
            let end = if index == last { "" } else { "," };
            self.value(place, path.as_deref(), depth + 1, &label, end)?;
        }
        self.line(depth, &[close, end]);
        Some(())
    }

    fn line(&mut self, depth: usize, parts: &[&str]) {
        if self.text.len() > SHOWN_MAX_BYTES {
            self.lines_left_out += 1;
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&"  ".repeat(depth));
        self.text.extend(parts.iter().copied());
    }
}

fn join(path: &str, key: &str) -> String {
    let mut joined = path.to_owned();
    extend_path(&mut joined, key);
    joined
}

/// A value that is neither object nor array, as JSON: as it was written, or what it is.
fn leaf(raw: Raw<'_>, class: &str, is_public: bool) -> Option<String> {
    Some(match class {
        "string" => {
            let text = raw.text()?;
            // Quotes are enough: what is plain needs no escape.
            format!(
                "\"{}\"",
                if is_public && is_plain(&text) { text.into_owned() } else { text_marker(&text) }
            )
        }
        "number" if is_public && is_plain(raw.get()) => raw.get().to_owned(),
        "number" => {
            let digits: String = raw.get().chars().filter(char::is_ascii_digit).collect();
            format!("\"{}\"", marker("number", &digits, "digit"))
        }
        _ => raw.get().to_owned(),
    })
}

fn text_marker(text: &str) -> String {
    marker("text", text, "character")
}

fn marker(what: &str, text: &str, unit: &str) -> String {
    let length = text.chars().count();
    let plural = if length == 1 { "" } else { "s" };
    format!("‹{what}, {length} {unit}{plural}›")
}

/// Whether a key is the name of a field, and no datum. One that is empty or has a dot could make a false path.
fn is_name(key: &str) -> bool {
    (1..=KEY_MAX_BYTES).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        && key.bytes().filter(u8::is_ascii_digit).count() < 5
}

/// Whether a public value looks like an id, a word, a time or a number. The values of a dead letter often are
/// where they do not belong, and some systems name a contact by its phone number or e-mail address.
fn is_plain(text: &str) -> bool {
    is_made_of(text, |c| c.is_ascii_alphanumeric() || "-_.:+/".contains(c)) && !text.contains("//")
}

/// Whether `text` is short, of `allowed` characters, and holds no phone number, as in `contact/15550100123`.
fn is_made_of(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    let starts_as_phone = |part: &str| part.len() >= 7 && part.bytes().take(7).all(|b| b.is_ascii_digit());
    text.len() <= VALUE_MAX_BYTES
        && text.chars().all(allowed)
        && !text.split('/').any(|part| e164(part).is_some())
        && !text.split('+').skip(1).any(starts_as_phone)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    #[test]
    fn a_body_is_shown_with_what_is_public_and_the_lengths_of_the_rest() {
        let text = r#"{"event_type":"answered","uuid":"5dccb6b0","from":"+18045550158","to":17655550167,
            "tag":"é","machine_detected":false,"call_completed":null,"mood":[{"score":-0.50}],"per_minute":0.0270000000000000000001,
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
    fn a_public_place_shows_nothing_that_looks_personal_or_like_prose() {
        for wrong in [
            "\"+18045550158\"",
            "\"18045550158\"",
            "18045550158",
            "\"contact/+5550158\"",
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
            for leaf in ["8045", "ada", "Ada", "example", "\u{1b}", "Zo", "answered"] {
                assert!(!shown.contains(leaf), "{shown}");
            }
        }
        for right in ["\"call/8841\"", "\"yesterday\"", "9007199254740993", "\"2026-01-01T10:05:04+01:00\""] {
            let shown = body(Provider::Wavix, format!("{{\"event_type\":{right}}}").as_bytes());
            assert_eq!(shown, format!("{{\n  \"event_type\": {right}\n}}"));
        }
    }

    #[test]
    fn a_key_that_is_no_field_name_is_not_shown_and_makes_no_path() {
        let text = r#"{"ada@example.com":{"mood":1},"0155501":2,"payload.call_id":"Ada","":{"event_type":"Ada"},"Ada Marsh":3}"#;
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
    fn what_was_collected_in_a_call_shows_no_keys_in_the_body_and_in_the_event() {
        let inner = r#"{"data":{"data_collected":{"Ada":{"Marsh":true}},"mood":1}}"#;
        let keys = "\"‹key, 3 characters›\": {\n";
        let shown = body(Provider::Allo, inner.as_bytes());
        assert!(shown.contains(keys) && shown.contains("mood") && !shown.contains("Marsh"), "{shown}");
        let shown = event(format!(r#"{{"data":{{"unmapped":{inner}}}}}"#).as_bytes());
        assert!(shown.contains(keys) && shown.contains("mood") && !shown.contains("Marsh"), "{shown}");
    }

    #[test]
    fn an_event_shows_whose_it_is_but_no_party_and_nothing_that_is_unmapped() {
        let text = r#"{"type":"call.ended","source":"/hookswitch/morph/acme","subject":"call/8841","idempotencykey":"call:1",
            "data":{"call_id":"8841","from":{"raw":"204"},"cost":{"total":{"amount":"0.822"}},"unmapped":{"type":"x","call_id":7}}}"#;
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
    fn what_is_no_json_is_masked_so_that_every_column_stays_where_it_was() {
        let masked = |text: &[u8]| body(Provider::Varda, text);
        assert_eq!(masked(b"{\"to\": +1800,\r\n\t\"caf\xc3\xa9\\n\xff"), "{\"xx\": ?9999,\r\n\t\"xxx??\\x?");
        assert_eq!(masked(b""), "");
        assert_eq!(masked(br#"{"a":"\ud800"}"#), r#"{"x":"\xx999"}"#);
        let deep = format!("{}1{}", "[".repeat(101), "]".repeat(101));
        assert_eq!(masked(deep.as_bytes()), deep.replace('1', "9"));
        assert_eq!(event(b"Ada"), "xxx");
    }

    #[test]
    fn a_long_body_is_cut_and_says_by_how_much() {
        let ones = format!("[{}1]", "1,".repeat(99_999));
        let shown = body(Provider::Varda, ones.as_bytes());
        let (page, rest) = shown.rsplit_once("\n… lines left out: ").expect("a sentence");
        assert!(page.len() < SHOWN_MAX_BYTES + 100);
        assert_eq!(page.lines().count() + rest.parse::<usize>().expect("a number"), 100_002);
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

    /// Names out of the lists, so that public places are met, and others.
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
        let leaf = prop_oneof!["Z[a-z0-9]{6,20}", "Z[a-z]{6} [a-zé\"\\\\+@-]{0,9}"]
            .prop_map(serde_json::Value::from);
        leaf.prop_recursive(6, 60, 6, |inner| {
            prop_oneof![
                1 => vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                3 => vec((key(), inner), 1..6).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    /// Every string that is not public, and every string that is.
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
        fn no_text_that_is_not_public_is_ever_shown(
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
}
