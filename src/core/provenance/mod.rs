//! Where the fields of events and the parts of idempotency keys come from.
//!
//! No adapter says so. It is found by trial: one value of the webhook is changed at a time, the webhook is
//! read again, and what becomes different came from that value. So it is what the adapters do, and cannot
//! differ from it; normalizing pays nothing for it.
//!
//! - A field that takes over each change of a value was read from it: [`Rule::Copied`], [`Rule::Time`], …
//! - A field that changes otherwise, or vanishes, was derived from it: a word of a closed list, say.
//! - A field that nothing else explains may depend on which values there are, or follow from a value that
//!   decides the types of the events, such as the event's name.
//! - A field that no change touches is fixed.
//!
//! The strongest of these is told, so that a name of an event is not the source of every field.

mod evidence;
mod key;
mod places;
mod rule;
mod spans;
mod subject;

use self::{evidence::Evidence, subject::Subject};
pub use self::{
    key::{KeyPart, KeyRule, Making},
    rule::Rule,
};
use super::{
    events::key::IdempotencyKey,
    json::{Document, JsonError},
    webhook::Webhook,
};

/// The most bytes of bodies that are read for one webhook: a second or two.
const BYTES_MAX: usize = 32 << 20;

/// The work of one reading beside that for its body, in bytes of a body.
const BYTES_PER_READING: usize = 2 << 10;

/// What reading a webhook yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The idempotency key.
    pub key: IdempotencyKey,
    /// The JSON of its events.
    pub events: Vec<Vec<u8>>,
}

/// A part of a webhook that an adapter may read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A value in the body, by its JSON pointer; the empty one is the whole body.
    Body(String),
    /// A captured header.
    Header(String),
    /// A header of the provider's contract that was not sent.
    AbsentHeader(String),
    /// The delivery id.
    DeliveryId,
    /// The time of receipt.
    ReceivedAt,
    /// The idempotency key, which has origins of its own.
    Key,
}

impl Origin {
    /// Returns the pointer of a value in the body.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Body(pointer) => Some(pointer),
            Self::Header(_) | Self::AbsentHeader(_) | Self::DeliveryId | Self::ReceivedAt | Self::Key => None,
        }
    }
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

/// Finds where everything comes from that a webhook yields, given what it yields and how others are read.
///
/// `read` should pass on what it does not support: that shows more of the value that names the event. None is
/// for a webhook that it refuses.
///
/// # Errors
/// [`JsonError`] if the body is not JSON.
pub fn trace(
    webhook: &Webhook,
    yields: &Reading,
    read: &dyn Fn(&Webhook) -> Option<Reading>,
) -> Result<Provenance, JsonError> {
    let document = Document::parse(&webhook.body)?;
    let mut evidence = Evidence::of(yields);
    let cost = webhook.body.len() + BYTES_PER_READING;
    let mut left = BYTES_MAX;
    let subjects = Subject::all(webhook, &document);
    let mut tried = Vec::with_capacity(subjects.len());
    for subject in &subjects {
        if left == 0 {
            break;
        }
        for trial in subject.trials(webhook, &document) {
            left = left.saturating_sub(cost);
            evidence.note(subject, &trial.change, read(&trial.webhook).as_ref());
        }
        tried.push(subject);
    }
    Ok(evidence.conclude(&subjects, &tried))
}
