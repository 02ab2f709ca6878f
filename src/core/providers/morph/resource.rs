//! A resource of the unified API, and how its fields are read.

use jiff::Timestamp;

use crate::core::{
    events::{
        data::{Data, Link, ObjectKind, Participant, Reference, Role, Text},
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

/// The models by which references name the kind of an object: those of the API, and the short names that some
/// systems behind it use.
const KINDS: &[(&str, ObjectKind)] = &[
    ("genericContact", ObjectKind::Contact),
    ("genericUser", ObjectKind::User),
    ("genericCompany", ObjectKind::Company),
    ("contact", ObjectKind::Contact),
    ("user", ObjectKind::User),
    ("company", ObjectKind::Company),
    ("genericWorkspace", ObjectKind::Workspace),
    ("workspace", ObjectKind::Workspace),
    ("crmOpportunity", ObjectKind::Opportunity),
    ("opportunity", ObjectKind::Opportunity),
    ("crmPipeline", ObjectKind::Pipeline),
    ("crmStage", ObjectKind::Stage),
    ("crmEngagement", ObjectKind::Engagement),
    ("engagement", ObjectKind::Engagement),
    ("telephonyCall", ObjectKind::Call),
    ("call", ObjectKind::Call),
    ("telephonyCallTranscript", ObjectKind::Transcript),
    ("accountingInvoice", ObjectKind::Invoice),
    ("accountingInvoiceItem", ObjectKind::InvoiceItem),
    ("accountingInvoiceLineItem", ObjectKind::InvoiceLineItem),
    ("schedulingEventType", ObjectKind::EventType),
    ("schedulingSlot", ObjectKind::Slot),
    ("schedulingEvent", ObjectKind::BookedEvent),
];

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

/// Takes the fields of a reference. One without an id leads nowhere and stays.
pub(super) fn reference<'a>(object: &mut Object<'a>) -> Option<Reference<'a>> {
    let Some(id) = object.id("id") else {
        object.leave("model", Raw::id);
        return None;
    };
    let kind = object.open_word("model", KINDS);
    Some(Reference { id, kind: kind.known, kind_raw: kind.raw })
}

/// Takes a single reference. A list of references stays unmapped.
pub(super) fn one_reference<'a>(fields: &mut Object<'a>, key: &'static str) -> Option<Reference<'a>> {
    let mut child = fields.object(key)?;
    let found = reference(&mut child);
    fields.keep(key, child);
    found
}

/// Takes the references under each key of `roles`, which pairs keys with the roles of people.
pub(super) fn people<'a>(fields: &mut Object<'a>, roles: &[(&'static str, Role)]) -> Vec<Participant<'a>> {
    let mut found = Vec::new();
    for (key, role) in roles {
        let people = references(fields, key).into_iter();
        found.extend(people.map(|reference| Participant::of_record(*role, None, reference)));
    }
    found
}

/// Takes the references under each key of `roles`, which pairs keys with roles.
pub(super) fn links<'a>(fields: &mut Object<'a>, roles: &[(&'static str, &'static str)]) -> Vec<Link<'a>> {
    let mut found = Vec::new();
    for (key, role) in roles {
        found.extend(references(fields, key).into_iter().map(|reference| Link { role, reference }));
    }
    found
}
