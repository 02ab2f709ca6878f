//! Selecting dead letters by source, reason, time, header or body.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use semver::Version;
use serde_json::Value;
use uuid::Uuid;

use super::{fingerprint::Fingerprint, letter::Letter};
use crate::core::{delivery::fault::Reason, json::Document, providers::Provider, webhook::SourceName};

/// Criteria that select dead letters.
///
/// Criteria are ANDed; several values of one criterion are ORed. The default selects every letter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// The letter's source is one of these.
    pub sources: Vec<SourceName>,
    /// The source's provider is one of these.
    pub providers: Vec<Provider>,
    /// The dead-letter reason is one of these.
    pub reasons: Vec<Reason>,
    /// The failure's fingerprint is one of these.
    pub fingerprints: Vec<Fingerprint>,
    /// The delivery id or the letter id is one of these.
    pub ids: Vec<Uuid>,
    /// The letter died at this time or later.
    pub since: Option<Timestamp>,
    /// The letter died before this time.
    pub before: Option<Timestamp>,
    /// This version of hookswitch dead-lettered it.
    pub version: Option<String>,
    /// A version older than this dead-lettered it. Letters from the broker carry no version and never match.
    pub failed_before: Option<Version>,
    /// Captured HTTP headers, names in lower case. All must match, unlike other criteria.
    pub headers: Vec<Condition>,
    /// Values in the body, by JSON pointer (RFC 6901). All must match; a body that is not JSON never does.
    pub pointers: Vec<Condition>,
}

impl Filter {
    /// Returns true if `letter` meets every criterion.
    pub fn matches(&self, letter: &Letter) -> bool {
        let (webhook, history) = (&letter.queued.webhook, &letter.queued.history);
        any(&self.sources, &webhook.source)
            && any(&self.providers, &webhook.provider)
            && (self.reasons.is_empty()
                || history.reason.is_some_and(|reason| self.reasons.contains(&reason)))
            && (self.ids.is_empty()
                || self.ids.contains(&Uuid::from(letter.id))
                || self.ids.contains(&webhook.delivery_id.uuid()))
            && self.since.is_none_or(|since| history.last_failed_at.is_some_and(|at| at >= since))
            && self.before.is_none_or(|before| history.last_failed_at.is_some_and(|at| at < before))
            && self.version.as_ref().is_none_or(|version| history.version.as_ref() == Some(version))
            && self.failed_before.as_ref().is_none_or(|fixed| died_before(history.version.as_deref(), fixed))
            && (self.fingerprints.is_empty() || self.fingerprints.contains(&letter.fingerprint()))
            && self
                .headers
                .iter()
                .all(|c| webhook.headers.iter().any(|(name, value)| name == c.name && value == c.value))
            && self.matches_body(&webhook.body)
    }

    /// Returns the criteria as they are written on a command line. Leaves out the values of headers and
    /// pointers, which may be personal data.
    pub fn as_options(&self) -> String {
        let parts = self.parts();
        if parts.is_empty() {
            return "--all".to_owned();
        }
        let options = parts
            .into_iter()
            .flat_map(|(name, values)| values.into_iter().map(move |value| format!("--{name} {value}")));
        options.collect::<Vec<_>>().join(" ")
    }

    /// Returns the criteria that are set, each with its values.
    fn parts(&self) -> Vec<(&'static str, Vec<String>)> {
        let hidden = |conditions: &[Condition]| conditions.iter().map(|c| format!("{}=…", c.name)).collect();
        let mut parts = vec![
            ("source", texts(&self.sources)),
            ("provider", texts(&self.providers)),
            ("reason", texts(&self.reasons)),
            ("fingerprint", texts(&self.fingerprints)),
            ("id", texts(&self.ids)),
            ("since", texts(self.since.as_slice())),
            ("before", texts(self.before.as_slice())),
            ("version", texts(self.version.as_slice())),
            ("failed-before", texts(self.failed_before.as_slice())),
            ("header", hidden(&self.headers)),
            ("pointer", hidden(&self.pointers)),
        ];
        parts.retain(|(_, values)| !values.is_empty());
        parts
    }

    fn matches_body(&self, body: &[u8]) -> bool {
        if self.pointers.is_empty() {
            return true;
        }
        let Ok(document) = Document::parse(body) else { return false };
        let Ok(body) = serde_json::from_slice::<Value>(&document.readable()) else { return false };
        self.pointers.iter().all(|condition| match body.pointer(&condition.name) {
            Some(Value::String(text)) => *text == condition.value,
            Some(other) => serde_json::from_str::<Value>(&condition.value).is_ok_and(|value| value == *other),
            None => false,
        })
    }
}

fn any<T: PartialEq>(wanted: &[T], value: &T) -> bool {
    wanted.is_empty() || wanted.contains(value)
}

/// Compares by semver precedence, which ignores build metadata (the part after `+`).
fn died_before(version: Option<&str>, fixed: &Version) -> bool {
    let version = version.and_then(|version| Version::parse(version).ok());
    version.is_some_and(|version| version.cmp_precedence(fixed).is_lt())
}

/// The text for the journal. It leaves out the values of headers and pointers, which may be personal data.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        f.write_str(if parts.is_empty() { "all" } else { "" })?;
        for (place, (name, values)) in parts.into_iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            let or = if matches!(name, "header" | "pointer") { " and " } else { " or " };
            write!(f, "{comma}{name} {}", values.join(or))?;
        }
        Ok(())
    }
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(T::to_string).collect()
}

/// A header or body value to match, written `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// A header name or a JSON pointer.
    pub name: String,
    /// The whole value. Numbers, booleans and null are written as in JSON.
    pub value: String,
}

impl FromStr for Condition {
    type Err = InvalidCondition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or(InvalidCondition)?;
        if name.is_empty() {
            return Err(InvalidCondition);
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

/// The error for a text that is not a [`Condition`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected NAME=VALUE")]
pub struct InvalidCondition;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::letters::letter::tests::letter;

    fn only(change: impl FnOnce(&mut Filter)) -> Filter {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    }

    #[test]
    fn each_criterion_matches_its_letter_and_no_other() {
        let letter = letter();
        let webhook = &letter.queued.webhook;
        let at = |text: &str| Some(text.parse().unwrap());
        let condition = |text: &str| vec![text.parse().unwrap()];
        let right = [
            only(|f| f.sources = vec!["wavix-eu".parse().unwrap()]),
            only(|f| f.providers = vec![Provider::Allo, Provider::Wavix]),
            only(|f| f.reasons = vec![Reason::InvalidPayload]),
            only(|f| f.fingerprints = vec![letter.fingerprint()]),
            only(|f| f.ids = vec![webhook.delivery_id.uuid()]),
            only(|f| f.ids = vec![Uuid::from(letter.id)]),
            only(|f| f.since = at("2026-01-02T03:05:06Z")),
            only(|f| f.before = at("2026-01-02T03:05:07Z")),
            only(|f| f.version = Some("0.1.0".into())),
            only(|f| f.failed_before = Some(Version::new(0, 1, 1))),
            only(|f| f.headers = condition("x-event=call")),
            only(|f| f.pointers = condition("/data/id=7")),
            only(|f| f.pointers = condition("/data/name=ann=b")),
        ];
        let wrong = [
            only(|f| f.sources = vec!["wavix-us".parse().unwrap()]),
            only(|f| f.providers = vec![Provider::Allo]),
            only(|f| f.reasons = vec![Reason::MalformedJson]),
            only(|f| f.fingerprints = vec!["00000000".parse().unwrap()]),
            only(|f| f.ids = vec![Uuid::nil()]),
            only(|f| f.since = at("2026-01-02T03:05:07Z")),
            only(|f| f.before = at("2026-01-02T03:05:06Z")),
            only(|f| f.version = Some("0.1.1".into())),
            only(|f| f.failed_before = Some(Version::new(0, 1, 0))),
            only(|f| f.headers = condition("x-event=call2")),
            only(|f| f.pointers = condition("/data/id=8")),
            only(|f| f.pointers = condition("/data/none=7")),
        ];
        for filter in right {
            assert!(filter.matches(&letter), "{filter}");
        }
        for filter in wrong {
            assert!(!filter.matches(&letter), "{filter}");
        }
        assert!(Filter::default().matches(&letter));
    }

    #[test]
    fn a_letter_without_a_version_never_matches_failed_before() {
        let mut letter = letter();
        letter.queued.history.version = None;
        assert!(!only(|f| f.failed_before = Some(Version::new(9, 0, 0))).matches(&letter));
    }

    #[test]
    fn the_journal_text_names_fields_and_not_their_values() {
        let filter = only(|f| {
            f.pointers = vec!["/from=+15550100123".parse().unwrap()];
            f.reasons = vec![Reason::MalformedJson, Reason::InvalidPayload];
        });
        assert_eq!(filter.to_string(), "reason malformed_json or invalid_payload, pointer /from=…");
        assert_eq!(Filter::default().to_string(), "all");
        let options = "--reason malformed_json --reason invalid_payload --pointer /from=…";
        assert_eq!(filter.as_options(), options);
        assert_eq!(Filter::default().as_options(), "--all");
    }
}
