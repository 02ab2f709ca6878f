//! Contacts, companies, users, workspaces and the CRM's own records.

use super::{
    resource::{Fact, Head, links, word},
    telephony,
};
use crate::core::{
    events::data::{ContactData, Data, Money, RecordData},
    json::{Object, present},
};

pub(super) const OPPORTUNITY: &[&str] =
    &["name", "amount", "currency", "stage", "pipeline", "owner", "contacts", "companies", "engagements"];

pub(super) const ENGAGEMENT: &[&str] = &[
    "type",
    "direction",
    "status",
    "title",
    "description",
    "startedAt",
    "endedAt",
    "duration",
    "owner",
    "users",
    "companies",
    "contacts",
    "opportunities",
];

pub(super) fn contact<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let data = ContactData {
        contact_id: Some(head.id.clone()),
        first_name: fields.text("firstName"),
        last_name: fields.text("lastName"),
        company: fields.text("companyName"),
        emails: fields.text("email").map(|email| vec![email]),
        phones: fields.id("phone").map(|phone| vec![phone]),
        created_at: head.created_at,
        updated_at: head.updated_at,
        ..ContactData::default()
    };
    Fact::new(head, Data::Contact(Box::new(data)))
}

/// Reads a resource that has only a name: a company or a workspace.
pub(super) fn named<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let name = fields.text("name");
    record(head, RecordData { name, ..RecordData::default() })
}

pub(super) fn user<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let data = RecordData {
        first_name: fields.text("firstName"),
        last_name: fields.text("lastName"),
        email: fields.text("email"),
        ..RecordData::default()
    };
    record(head, data)
}

pub(super) fn opportunity<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let roles = [
        ("stage", "stage"),
        ("pipeline", "pipeline"),
        ("owner", "owner"),
        ("contacts", "contacts"),
        ("companies", "companies"),
        ("engagements", "engagements"),
    ];
    let (amount, currency) = (fields.decimal("amount"), fields.text("currency"));
    let data = RecordData {
        name: fields.text("name"),
        amount: present(Money { amount, minor_units: None, currency }),
        links: links(fields, &roles),
        ..RecordData::default()
    };
    record(head, data)
}

pub(super) fn pipeline<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let name = fields.text("name");
    let links = links(fields, &[("stages", "stages")]);
    record(head, RecordData { name, links, ..RecordData::default() })
}

pub(super) fn stage<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let data = RecordData {
        name: fields.text("name"),
        kind: word(fields, "type", &["open", "won", "lost", "unknown"]),
        links: links(fields, &[("pipeline", "pipeline")]),
        ..RecordData::default()
    };
    record(head, data)
}

pub(super) fn engagement<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let roles = [
        ("owner", "owner"),
        ("users", "users"),
        ("companies", "companies"),
        ("contacts", "contacts"),
        ("opportunities", "opportunities"),
    ];
    let data = RecordData {
        name: fields.text("title"),
        kind: word(fields, "type", &["call", "meeting", "email", "task", "note"]),
        direction: fields.one_of("direction", telephony::DIRECTIONS),
        status: word(fields, "status", &["planned", "inProgress", "completed", "canceled"]),
        description: fields.text("description"),
        started_at: fields.time("startedAt"),
        ended_at: fields.time("endedAt"),
        duration_seconds: fields.float("duration"),
        links: links(fields, &roles),
        ..RecordData::default()
    };
    record(head, data)
}

fn record<'a>(head: &Head<'a>, data: RecordData<'a>) -> Fact<'a> {
    let data = RecordData {
        record_id: Some(head.id.clone()),
        created_at: head.created_at,
        updated_at: head.updated_at,
        ..data
    };
    Fact::new(head, Data::Record(Box::new(data)))
}
