//! The names of a source and of a webhook.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The name of one configured endpoint: 1 to 63 of `a-z`, `0-9` and `-`, not starting with `-`.
///
/// It is part of queue names and routing keys, so it holds no dot and no wildcard.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct SourceName(Arc<str>);

impl SourceName {
    /// Returns the name as text.
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

/// A text that is not a [`SourceName`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a source name is 1 to 63 of a-z, 0-9 and -, and does not start with -")]
pub struct InvalidSourceName;

/// The id of one accepted webhook for its whole life: a UUIDv7, assigned by the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(Uuid);

impl DeliveryId {
    /// Wraps an id that the receiver made.
    pub fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// Returns the id as a UUID.
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
}
