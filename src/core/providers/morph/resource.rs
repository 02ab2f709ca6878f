//! A resource of the unified API, and how its fields are read.

use jiff::Timestamp;

use crate::core::{
    events::{
        data::{Data, Link, Reference, Text},
        event::EventType as E,
    },
    json::{Object, Raw},
};

/// The part of an event's name that says what happened to the resource.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Created,
    Updated,
    Deleted,
}

impl Action {
    pub(super) fn of(self, [created, updated, deleted]: [E; 3]) -> E {
        match self {
            Self::Created => created,
            Self::Updated => updated,
            Self::Deleted => deleted,
        }
    }
}

/// The part that every resource has beside its fields.
pub(super) struct Head<'a> {
    pub(super) id: Text<'a>,
    pub(super) action: Action,
    pub(super) created_at: Option<Timestamp>,
    pub(super) updated_at: Option<Timestamp>,
}

impl Head<'_> {
    /// Returns the time of the event. A deletion has none: `updatedAt` is the last change before it.
    pub(super) fn time(&self) -> Option<Timestamp> {
        match self.action {
            Action::Created => self.created_at,
            Action::Updated => self.updated_at,
            Action::Deleted => None,
        }
    }
}

/// The normalized part of a resource, as a model's reader returns it.
pub(super) struct Fact<'a> {
    /// Overrides the event type of the table.
    pub(super) kind: Option<E>,
    /// Overrides the subject made of the type and the resource's id.
    pub(super) subject: Option<String>,
    pub(super) time: Option<Timestamp>,
    pub(super) data: Data<'a>,
}

impl<'a> Fact<'a> {
    pub(super) fn new(head: &Head<'_>, data: Data<'a>) -> Self {
        Self { kind: None, subject: None, time: head.time(), data }
    }
}

/// Takes a word from a closed list as it was written. An unknown word stays unmapped.
pub(super) fn word<'a>(fields: &mut Object<'a>, key: &str, known: &[&str]) -> Option<Text<'a>> {
    let is_known = fields.peek(key).and_then(Raw::text).is_some_and(|word| known.contains(&word.as_ref()));
    if is_known { fields.text(key) } else { None }
}

/// Takes a reference or a list of references. Everything else stays unmapped, and so do an empty list and
/// what an expanded reference has beside model and id.
pub(super) fn references<'a>(fields: &mut Object<'a>, key: &'static str) -> Vec<Reference<'a>> {
    if let Some(mut child) = fields.object(key) {
        let found = reference(&mut child);
        fields.keep(key, child);
        return found.into_iter().collect();
    }
    let Some(mut children) = fields.objects(key) else { return Vec::new() };
    let found = children.iter_mut().filter_map(reference).collect();
    fields.keep_all(key, children);
    found
}

/// Takes the fields of a reference.
pub(super) fn reference<'a>(object: &mut Object<'a>) -> Option<Reference<'a>> {
    let id = object.id("id")?;
    Some(Reference { id, kind: object.text("model") })
}

/// Takes the references under each key of `roles`, which pairs keys with roles.
pub(super) fn links<'a>(fields: &mut Object<'a>, roles: &[(&'static str, &'static str)]) -> Vec<Link<'a>> {
    let mut found = Vec::new();
    for (key, role) in roles {
        found.extend(references(fields, key).into_iter().map(|reference| Link { role, reference }));
    }
    found
}
