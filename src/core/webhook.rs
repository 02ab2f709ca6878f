//! One HTTP POST as it came, and the names that identify it.

use std::{fmt, str::FromStr, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::providers::Provider;

/// The name of one configured endpoint: 1 to 63 of `a-z`, `0-9` and `-`, not starting with `-`.
///
/// It is part of queue names and routing keys, so it holds no dot and no wildcard.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct SourceName(Arc<str>);

impl SourceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SourceName {
    type Error = InvalidSourceName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for SourceName {
    type Err = InvalidSourceName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let valid = (1..=63).contains(&text.len()) && !text.starts_with('-') && text.chars().all(allowed);
        if valid { Ok(Self(text.into())) } else { Err(InvalidSourceName) }
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no [`SourceName`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a source name is 1 to 63 of a-z, 0-9 and -, and does not start with -")]
pub struct InvalidSourceName;

/// Names one accepted webhook for its whole life: a UUIDv7, given by the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(Uuid);

impl DeliveryId {
    /// Wraps an id that the receiver made.
    pub fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// The id itself.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl FromStr for DeliveryId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The captured HTTP headers: names in lower case, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Adds one header; its name is put in lower case.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_ascii_lowercase(), value.into()));
    }

    /// The first value of `name` (given in lower case) that is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, v)| *n == name && !v.is_empty()).map(|(_, v)| v)
    }

    /// All headers, name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: AsRef<str>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(pairs: T) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.push(name.as_ref(), value);
        }
        headers
    }
}

/// One HTTP POST as it came: the body's bytes are never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Given by the receiver when it took the webhook.
    pub delivery_id: DeliveryId,
    /// The endpoint that it came to.
    pub source: SourceName,
    /// The format that the endpoint speaks.
    pub provider: Provider,
    /// When the receiver had read it whole.
    pub received_at: Timestamp,
    /// The headers that the provider's contract names and those of the source's allowlist.
    pub headers: Headers,
    /// The body, byte for byte.
    pub body: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_name_fits_into_queue_names_and_routing_keys() {
        for good in ["a", "wavix-eu", "0", &"x".repeat(63)] {
            assert!(good.parse::<SourceName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a.b", "a*", "a b", "é", &"x".repeat(64)] {
            assert!(bad.parse::<SourceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_are_found_whatever_the_case_of_their_name() {
        let headers = Headers::from_iter([("X-Varda-Delivery", ""), ("x-varda-delivery", "d1")]);
        assert_eq!(headers.get("x-varda-delivery"), Some("d1"));
    }
}
