//! Comparing what two builds make of one webhook.

use std::collections::BTreeMap;

use super::record::Outcome;
use crate::core::json::{Document, ROOT, path};

/// A kind of difference. The gravest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The webhook gave events, and fails now.
    Broken,
    /// It fails in another way.
    FailsOtherwise,
    /// It failed, and gives events now.
    Fixed,
    /// It was not in the newer file.
    OnlyOld,
    /// It was not in the older file.
    OnlyNew,
    /// It has another idempotency key: its events have other ids.
    Key,
    /// An event is not made any more.
    EventGone,
    /// An event is new.
    EventNew,
    /// A field is gone.
    FieldGone,
    /// A field has another type.
    FieldType,
    /// A field has another value.
    FieldValue,
    /// A field is new.
    FieldNew,
    /// The schema does not expect a value that it did.
    DriftNew,
    /// The schema expects a value that it did not.
    DriftGone,
}

impl Change {
    /// Returns the word for machines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::FailsOtherwise => "fails_otherwise",
            Self::Fixed => "fixed",
            Self::OnlyOld => "only_old",
            Self::OnlyNew => "only_new",
            Self::Key => "key",
            Self::EventGone => "event_gone",
            Self::EventNew => "event_new",
            Self::FieldGone => "field_gone",
            Self::FieldType => "field_type",
            Self::FieldValue => "field_value",
            Self::FieldNew => "field_new",
            Self::DriftNew => "drift_new",
            Self::DriftGone => "drift_gone",
        }
    }
}

/// A difference between what two builds make of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The kind of difference.
    pub change: Change,
    /// The type of the event that is concerned.
    pub kind: Option<String>,
    /// The path of a field, or an error. It holds no value of the webhook.
    pub what: String,
    /// The value in the older build, as JSON.
    pub old: Option<String>,
    /// The value in the newer build, as JSON.
    pub new: Option<String>,
}

impl Difference {
    fn of_webhook(change: Change, what: String) -> Self {
        Self { change, kind: None, what, old: None, new: None }
    }
}

/// Compares the outcomes of a webhook in two builds; none where a build did not get it.
pub fn compare(old: Option<&Outcome>, new: Option<&Outcome>) -> Vec<Difference> {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (Some(_), None) => return vec![Difference::of_webhook(Change::OnlyOld, String::new())],
        (None, Some(_)) => return vec![Difference::of_webhook(Change::OnlyNew, String::new())],
        (None, None) => return Vec::new(),
    };
    match (&old.error, &new.error) {
        (None, None) => compare_events(old, new),
        (Some(was), Some(is)) if was == is => Vec::new(),
        (was, Some(is)) => {
            let change = if was.is_some() { Change::FailsOtherwise } else { Change::Broken };
            vec![Difference::of_webhook(change, format!("{}: {}", is.reason, is.text))]
        }
        (Some(was), None) => {
            vec![Difference::of_webhook(Change::Fixed, format!("{}: {}", was.reason, was.text))]
        }
    }
}

fn compare_events(old: &Outcome, new: &Outcome) -> Vec<Difference> {
    let mut found = Vec::new();
    if old.key != new.key {
        let quoted = |key: &Option<String>| key.as_ref().map(|key| format!("\"{key}\""));
        let (old, new) = (quoted(&old.key), quoted(&new.key));
        found.push(Difference { old, new, ..Difference::of_webhook(Change::Key, String::new()) });
    }
    let (was, mut is) = (by_type(old), by_type(new));
    for ((kind, nth), leaves) in was {
        match is.remove(&(kind.clone(), nth)) {
            Some(others) => compare_leaves(&kind, &leaves, &others, &mut found),
            None => found.push(of_event(Change::EventGone, kind)),
        }
    }
    found.extend(is.into_keys().map(|(kind, _)| of_event(Change::EventNew, kind)));
    let drift = |change, these: &Outcome, others: &Outcome| {
        let rest = these.drift.iter().filter(|drift| !others.drift.contains(drift));
        let what = rest.map(|drift| format!("{} ({})", drift.path, drift.class));
        what.map(|what| Difference::of_webhook(change, what)).collect::<Vec<_>>()
    };
    found.extend(drift(Change::DriftNew, new, old));
    found.extend(drift(Change::DriftGone, old, new));
    found
}

fn of_event(change: Change, kind: String) -> Difference {
    Difference { kind: Some(kind), ..Difference::of_webhook(change, String::new()) }
}

/// The leaves of an event by their exact paths.
type Leaves = BTreeMap<String, Leaf>;

/// A value that holds no other.
struct Leaf {
    /// Its path without indices, and without keys that are data.
    shown: String,
    class: &'static str,
    /// The one form that all its spellings share.
    canonical: Vec<u8>,
    written: String,
}

/// Returns the leaves of every event by its type and its place among the events of that type, as ids of
/// events are.
fn by_type(outcome: &Outcome) -> BTreeMap<(String, usize), Leaves> {
    let mut events = BTreeMap::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for event in &outcome.events {
        let mut leaves = Leaves::new();
        if let Ok(document) = Document::parse(event.get().as_bytes()) {
            collect(&document, ROOT, String::new(), &mut String::new(), &mut leaves);
        } else {
            leaves.insert(String::new(), unreadable(event.get()));
        }
        let kind = leaves.get(".type").map(|leaf| leaf.written.trim_matches('"').to_owned());
        let kind = kind.unwrap_or_default();
        let nth = seen.entry(kind.clone()).or_default();
        events.insert((kind, *nth), leaves);
        *nth += 1;
    }
    events
}

/// Returns an event that cannot be parsed, which is compared by its text.
fn unreadable(text: &str) -> Leaf {
    let (shown, canonical, written) = ("(event)".to_owned(), text.as_bytes().to_vec(), text.to_owned());
    Leaf { shown, class: "unreadable", canonical, written }
}

/// Returns a key as a part of an exact path: no two paths are written alike.
fn escaped(key: &str) -> String {
    let mut written = String::with_capacity(key.len());
    for c in key.chars() {
        if matches!(c, '\\' | '.' | '[') {
            written.push('\\');
        }
        written.push(c);
    }
    written
}

fn collect(document: &Document<'_>, node: usize, exact: String, shown: &mut String, found: &mut Leaves) {
    let raw = document.raw(node);
    let class = raw.class();
    let mut children = document.children(node).peekable();
    if children.peek().is_none() {
        let mut canonical = Vec::new();
        document.write_canonical(node, &mut canonical);
        let leaf = Leaf { shown: shown.clone(), class, canonical, written: raw.get().to_owned() };
        found.insert(exact, leaf);
        return;
    }
    let len = shown.len();
    for (index, child) in children.enumerate() {
        let exact = if class == "object" {
            let key = document.key(child);
            path::push_key(shown, &key);
            format!("{exact}.{}", escaped(&key))
        } else {
            shown.push_str("[]");
            format!("{exact}[{index}]")
        };
        collect(document, child, exact, shown, found);
        shown.truncate(len);
    }
}

/// Adds the differences between two events, each field once.
fn compare_leaves(kind: &str, old: &Leaves, new: &Leaves, found: &mut Vec<Difference>) {
    let mut fields: BTreeMap<(Change, String), Difference> = BTreeMap::new();
    let mut add = |change, what: String, was: Option<&Leaf>, is: Option<&Leaf>| {
        let written = |leaf: Option<&Leaf>| leaf.map(|leaf| leaf.written.clone());
        let (kind, old, new) = (Some(kind.to_owned()), written(was), written(is));
        let difference = Difference { change, kind, what: what.clone(), old, new };
        fields.entry((change, what)).or_insert(difference);
    };
    for (exact, was) in old {
        match new.get(exact) {
            None => add(Change::FieldGone, was.shown.clone(), Some(was), None),
            Some(is) if is.class != was.class => {
                let what = format!("{} ({}, was {})", was.shown, is.class, was.class);
                add(Change::FieldType, what, Some(was), Some(is));
            }
            Some(is) if is.canonical != was.canonical => {
                add(Change::FieldValue, was.shown.clone(), Some(was), Some(is));
            }
            Some(_) => {}
        }
    }
    for (exact, is) in new {
        if !old.contains_key(exact) {
            add(Change::FieldNew, is.shown.clone(), None, Some(is));
        }
    }
    found.extend(fields.into_values());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::json::DEPTH_MAX;

    fn outcome(json: &str) -> Outcome {
        serde_json::from_str(json).expect("an outcome")
    }

    fn found(old: &str, new: &str) -> Vec<String> {
        let differences = compare(Some(&outcome(old)), Some(&outcome(new)));
        let shown = |Difference { change, kind, what, old, new }: Difference| {
            let values = [old, new].map(|value| value.unwrap_or_else(|| "-".to_owned())).join(" ");
            format!("{} {} {what} {values}", change.as_str(), kind.unwrap_or_else(|| "-".to_owned()))
        };
        differences.into_iter().map(shown).collect()
    }

    fn events(data: &str) -> String {
        format!(r#"{{"key":"k","events":[{{"type":"call.ended","data":{data}}}]}}"#)
    }

    #[test]
    fn each_kind_of_field_change_is_found_once_per_event() {
        let old = events(r#"{"gone":"x","number":"4","word":"a","list":[{"at":1},{"at":2}],"same":1.50}"#);
        let new = events(r#"{"number":4,"word":"b","list":[{"at":3},{"at":4}],"same": 15e-1,"new":{}}"#);
        assert_eq!(
            found(&old, &new),
            [
                r#"field_gone call.ended data.gone "x" -"#,
                r#"field_type call.ended data.number (number, was string) "4" 4"#,
                "field_value call.ended data.list[].at 1 3",
                r#"field_value call.ended data.word "a" "b""#,
                "field_new call.ended data.new - {}",
            ]
        );
        assert_eq!(found(&old, &old), [""; 0]);
    }

    #[test]
    fn no_key_that_is_data_is_shown_and_two_of_them_stay_two_fields() {
        let old = events(r#"{"unmapped":{"ada@example.com":1,"ben@example.com":2}}"#);
        let new = events(r#"{"unmapped":{"ada@example.com":1,"ben@example.com":3}}"#);
        assert_eq!(found(&old, &new), ["field_value call.ended data.unmapped.‹key› 2 3"]);
    }

    #[test]
    fn keys_that_look_like_paths_hide_no_field() {
        for (old, new) in [
            (r#"{"a.b":1,"a":{"b":2}}"#, r#"{"a.b":3,"a":{"b":2}}"#),
            (r#"{"a[0]":1,"a":[2]}"#, r#"{"a[0]":3,"a":[2]}"#),
            (r#"{"a\\.b":1,"a\\":{"b":2}}"#, r#"{"a\\.b":3,"a\\":{"b":2}}"#),
        ] {
            assert_eq!(found(&events(old), &events(new)), ["field_value call.ended data.‹key› 1 3"], "{old}");
        }
    }

    #[test]
    fn an_event_that_cannot_be_parsed_is_compared_by_its_text() {
        let nested = |n: usize| {
            let depth = DEPTH_MAX + 1;
            let text = format!("{}{n}{}", "[".repeat(depth), "]".repeat(depth));
            format!(r#"{{"key":"k","events":[{text}]}}"#)
        };
        assert_eq!(found(&nested(1), &nested(1)), [""; 0]);
        let differences = found(&nested(1), &nested(2));
        assert!(differences.len() == 1 && differences[0].starts_with("field_value"), "{differences:?}");
    }

    #[test]
    fn events_are_matched_by_type_and_place_among_their_type() {
        let old = r#"{"key":"k","events":[{"type":"a","n":1},{"type":"b"},{"type":"a","n":2}]}"#;
        let new = r#"{"key":"l","events":[{"type":"c"},{"type":"a","n":1},{"type":"a","n":2}],
            "drift":[{"path":"x","class":"string"}]}"#;
        assert_eq!(
            found(old, new),
            [r#"key -  "k" "l""#, "event_gone b  - -", "event_new c  - -", "drift_new - x (string) - -",]
        );
        assert!(found(new, old).contains(&"drift_gone - x (string) - -".to_owned()));
    }

    #[test]
    fn a_failure_is_new_gone_or_another() {
        let failed = |text: &str| format!(r#"{{"error":{{"reason":"invalid_payload","text":"{text}"}}}}"#);
        let fine = events("{}");
        assert_eq!(found(&fine, &failed("x")), ["broken - invalid_payload: x - -"]);
        assert_eq!(found(&failed("x"), &fine), ["fixed - invalid_payload: x - -"]);
        assert_eq!(found(&failed("x"), &failed("y")), ["fails_otherwise - invalid_payload: y - -"]);
        assert_eq!(found(&failed("x"), &failed("x")), [""; 0]);
    }
}
