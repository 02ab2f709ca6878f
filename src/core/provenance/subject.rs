//! The parts of a webhook that are changed, and what they are changed into.

use std::time::Duration;

use super::{
    origin::Origin,
    places::{Place, canonical, places},
};
use crate::core::{
    json::{Document, ROOT, Raw},
    webhook::{DeliveryId, Headers, Webhook},
};

/// The value of a header that was not sent.
const ADDED: &str = "x";

/// What a key gets at its end so that its field is another, which no adapter knows.
const SUFFIX: &str = "~";

/// A part of a webhook that is changed.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) origin: Origin,
    /// Its JSON; of a value in the body, the form that all its spellings share.
    pub(super) value: String,
    place: Option<Place>,
    /// Its place among the headers.
    header: Option<usize>,
}

/// A changed webhook.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) webhook: Webhook,
    pub(super) change: Change,
}

/// A change of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It has another value, as JSON.
    Value(String),
    /// It was not there and now is.
    Added,
    /// It is not there any more.
    Absence,
}

impl Subject {
    /// Returns all that can be changed. The values of the body come last, and among them the later items of
    /// lists: what is like an earlier item is the first to be left out.
    pub(super) fn all(webhook: &Webhook, document: &Document<'_>) -> Vec<Self> {
        let of = |origin, value: &str| Self { origin, value: quoted(value), place: None, header: None };
        let mut all = vec![
            of(Origin::DeliveryId, &webhook.delivery_id.to_string()),
            of(Origin::ReceivedAt, &webhook.received_at.to_string()),
        ];
        all.extend(webhook.headers.iter().enumerate().map(|(nth, (name, value))| Self {
            header: Some(nth),
            ..of(Origin::Header(name.to_owned()), value)
        }));
        let absent = webhook.provider.headers().iter().filter(|name| webhook.headers.get(name).is_none());
        all.extend(absent.map(|name| of(Origin::AbsentHeader((*name).to_owned()), "")));
        let mut values: Vec<_> = places(document)
            .into_iter()
            .map(|place| Self {
                origin: Origin::Body(place.pointer.clone()),
                // What holds other values is only taken away.
                value: if place.is_leaf { canonical(document, place.node) } else { String::new() },
                header: None,
                place: Some(place),
            })
            .collect();
        values.sort_by_key(|subject| subject.place.as_ref().map(|place| place.index));
        all.extend(values);
        all
    }

    /// Returns the pointer of a value in the body that holds no other.
    pub(super) fn leaf(&self) -> Option<&str> {
        self.place.as_ref().filter(|place| place.is_leaf).map(|place| place.pointer.as_str())
    }

    /// Returns the webhook with the subject changed, in every way that is tried.
    pub(super) fn trials(&self, webhook: &Webhook, document: &Document<'_>) -> Vec<Trial> {
        match &self.origin {
            Origin::Body(_) => self.place.as_ref().map(|place| of_value(webhook, document, place)),
            Origin::Header(_) => self.header.map(|nth| {
                let old = webhook.headers.iter().nth(nth).map(|(_, value)| value).unwrap_or_default();
                let new = other_text(old);
                let header = |(at, (name, old)): (usize, (&str, &str))| {
                    (name.to_owned(), if at == nth { new.clone() } else { old.to_owned() })
                };
                let headers: Headers = webhook.headers.iter().enumerate().map(header).collect();
                vec![trial(Webhook { headers, ..webhook.clone() }, Change::Value(quoted(&new)))]
            }),
            Origin::AbsentHeader(name) => {
                let mut changed = webhook.clone();
                changed.headers.push(name, ADDED);
                Some(vec![trial(changed, Change::Added)])
            }
            Origin::DeliveryId => {
                let id = uuid::Uuid::from_u128(webhook.delivery_id.uuid().as_u128() ^ 1);
                let changed = Webhook { delivery_id: DeliveryId::new(id), ..webhook.clone() };
                Some(vec![trial(changed, Change::Value(quoted(&id.to_string())))])
            }
            Origin::ReceivedAt => webhook.received_at.checked_add(Duration::from_secs(1)).ok().map(|at| {
                let changed = Webhook { received_at: at, ..webhook.clone() };
                vec![trial(changed, Change::Value(quoted(&at.to_string())))]
            }),
            Origin::Key => None,
        }
        .unwrap_or_default()
    }
}

fn trial(webhook: Webhook, change: Change) -> Trial {
    Trial { webhook, change }
}

fn of_value(webhook: &Webhook, document: &Document<'_>, place: &Place) -> Vec<Trial> {
    let with = |body: Vec<u8>| Webhook { body: body.into(), ..webhook.clone() };
    let mut trials = Vec::new();
    if place.is_leaf {
        let other = other_value(document.raw(place.node));
        let changed = document.with_value(place.node, &other);
        trials.push(trial(with(changed), Change::Value(canonical_of(&other))));
    }
    let without = if place.is_field {
        document.with_longer_key(place.node, SUFFIX)
    } else {
        document.with_value(place.node, "null")
    };
    trials.push(trial(with(without), Change::Absence));
    trials
}

fn canonical_of(json: &str) -> String {
    Document::parse(json.as_bytes()).map(|document| canonical(&document, ROOT)).unwrap_or_default()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns a JSON value that is like another, so that a field that takes that one takes this one too.
fn other_value(raw: Raw<'_>) -> String {
    match raw.class() {
        "boolean" => (raw.get() == "false").to_string(),
        "number" => other_number(raw.get()),
        "string" if raw.is_unreadable_text() => {
            let content = raw.get().strip_suffix('"').unwrap_or_default();
            format!("{content}x\"")
        }
        "string" => quoted(&other_text(&raw.text().unwrap_or_default())),
        _ => quoted("x"),
    }
}

/// Returns a number with another last digit, before the exponent.
fn other_number(number: &str) -> String {
    let end = number.find(['e', 'E']).unwrap_or(number.len());
    let last = number[..end].rfind(|c: char| c.is_ascii_digit()).unwrap_or_default();
    replaced(number, last)
}

/// Returns a text with another last letter or digit. A time becomes another time, by a second or more.
fn other_text(text: &str) -> String {
    if let Some(time) = time_of(text) {
        let digits = text.rmatch_indices(|c: char| c.is_ascii_digit()).map(|(at, _)| replaced(text, at));
        let is_other = |text: &String| {
            time_of(text).is_some_and(|other| (time.as_second() - other.as_second()).abs() >= 1)
        };
        if let Some(other) = digits.into_iter().find(is_other) {
            return other;
        }
    }
    match text.rfind(|c: char| c.is_ascii_alphanumeric()) {
        Some(last) => replaced(text, last),
        None => format!("{text}x"),
    }
}

fn time_of(text: &str) -> Option<jiff::Timestamp> {
    crate::core::json::time::parse(text)
}

/// Returns a text with the letter or digit at `at` replaced by its neighbour.
fn replaced(text: &str, at: usize) -> String {
    let other = match text.as_bytes()[at] {
        last @ (b'9' | b'z' | b'Z') => last - 1,
        other => other + 1,
    };
    format!("{}{}{}", &text[..at], char::from(other), &text[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_value_is_like_the_one_before() {
        for (json, other) in [
            ("true", "false"),
            ("420", "421"),
            ("-1.59e3", "-1.58e3"),
            ("null", r#""x""#),
            ("[]", r#""x""#),
            (r#""""#, r#""x""#),
            (r#""‽""#, r#""‽x""#),
            (r#""inbound""#, r#""inboune""#),
            (r#""+1 (804) 555-0158.""#, r#""+1 (804) 555-0159.""#),
            (r#""2026-03-25T18:35:00.250Z""#, r#""2026-03-25T18:35:01.250Z""#),
            (r#""2026-03-25T18:35:00+02:00""#, r#""2026-03-25T18:35:00+02:01""#),
            (r#""1760084505""#, r#""1760084506""#),
            (r#""5 \ud83d""#, r#""5 \ud83dx""#),
        ] {
            let document = Document::parse(json.as_bytes()).expect("JSON");
            assert_eq!(other_value(document.raw(ROOT)), other, "{json}");
        }
    }
}
