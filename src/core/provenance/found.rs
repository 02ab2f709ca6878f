//! What a webhook yields, and what is found of it.

use super::{key::Making, origin::Origin, rule::Rule};
use crate::core::events::key::IdempotencyKey;

/// What reading a webhook yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The idempotency key.
    pub key: IdempotencyKey,
    /// The JSON of its events.
    pub events: Vec<Vec<u8>>,
}

/// A part of a webhook that a field came from, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The part.
    pub origin: Origin,
    /// How the field follows from it.
    pub rule: Rule,
}

/// A field of an event: a value that holds no other.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its JSON pointer in the event.
    pub pointer: String,
    /// Where it comes from; nothing if no single change of the webhook touches it.
    pub sources: Vec<Source>,
}

/// What a value of the body does, if no field comes from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Silent {
    /// With another value, the webhook cannot be normalized.
    Required,
    /// It decides the types of the events.
    DecidesTypes,
    /// It is read, but no field is there because of it. Another value would change the events.
    Read,
    /// Only the key depends on it.
    InKey,
    /// Nothing depends on it.
    Unread,
}

impl Silent {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::DecidesTypes => "decides_types",
            Self::Read => "read",
            Self::InKey => "in_key",
            Self::Unread => "unread",
        }
    }
}

/// Where everything that a webhook yields comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Provenance {
    /// How the idempotency key is made.
    pub key: Making,
    /// The fields of each event, in their order.
    pub events: Vec<Vec<Field>>,
    /// The values of the body that no field comes from, by their JSON pointers.
    pub silent: Vec<(String, Silent)>,
    /// The number of values of the body that were not tried, since there are too many.
    pub untried: usize,
}
