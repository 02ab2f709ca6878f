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
mod found;
mod key;
mod origin;
mod places;
mod rule;
mod spans;
mod subject;

use self::{evidence::Evidence, subject::Subject};
pub use self::{
    found::{Field, Provenance, Reading, Silent, Source},
    key::{KeyPart, KeyRule, Making},
    origin::Origin,
    rule::Rule,
};
use super::{
    json::{Document, JsonError},
    webhook::Webhook,
};

/// The most bytes of bodies that are read for one webhook. They bound the time that it takes.
const BYTES_MAX: usize = 32 << 20;

/// The work of one reading beside that for its body, in bytes of a body.
const BYTES_PER_READING: usize = 2 << 10;

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
