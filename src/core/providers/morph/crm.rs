//! Contacts, companies, users, workspaces and the CRM's own records.

use super::{
    accounting::amounts,
    resource::{Fact, Head, links, people},
    telephony,
};
use crate::core::{
    events::data::{ContactData, Data, Phone, RecordData, RecordKind, RecordStatus, Role},
    json::Object,
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
        phones: fields.id("phone").map(|phone| vec![Phone::new(phone)]),
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
        emails: fields.text("email").map(|email| vec![email]),
        ..RecordData::default()
    };
    record(head, data)
}

pub(super) fn opportunity<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let roles = [
        ("stage", "stage"),
        ("pipeline", "pipeline"),
        ("companies", "companies"),
        ("engagements", "engagements"),
    ];
    let [amount] = amounts(fields, ["amount"]);
    let data = RecordData {
        name: fields.text("name"),
        amount,
        participants: people(fields, &[("owner", Role::Owner), ("contacts", Role::Customer)]),
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

/// The types of a stage. One that the provider does not know is no kind.
const STAGES: &[(&str, Option<RecordKind>)] = &[
    ("open", Some(RecordKind::Open)),
    ("won", Some(RecordKind::Won)),
    ("lost", Some(RecordKind::Lost)),
    ("unknown", None),
];

pub(super) fn stage<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let kind = fields.word("type", STAGES);
    let data = RecordData {
        name: fields.text("name"),
        kind: kind.known.flatten(),
        kind_raw: kind.raw,
        links: links(fields, &[("pipeline", "pipeline")]),
        ..RecordData::default()
    };
    record(head, data)
}

const ENGAGEMENTS: &[(&str, RecordKind)] = &[
    ("call", RecordKind::Call),
    ("meeting", RecordKind::Meeting),
    ("email", RecordKind::Email),
    ("task", RecordKind::Task),
    ("note", RecordKind::Note),
];

const STATUSES: &[(&str, RecordStatus)] = &[
    ("planned", RecordStatus::Planned),
    ("inProgress", RecordStatus::InProgress),
    ("completed", RecordStatus::Completed),
    ("canceled", RecordStatus::Canceled),
];

pub(super) fn engagement<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let (kind, status) = (fields.word("type", ENGAGEMENTS), fields.word("status", STATUSES));
    let (direction, direction_raw) = fields.word("direction", telephony::DIRECTIONS).known_or_raw();
    let roles = [("owner", Role::Owner), ("users", Role::Agent), ("contacts", Role::Customer)];
    let data = RecordData {
        name: fields.text("title"),
        kind: kind.known,
        kind_raw: kind.raw,
        direction,
        direction_raw,
        status: status.known,
        status_raw: status.raw,
        description: fields.scalar("description"),
        started_at: fields.time("startedAt"),
        ended_at: fields.time("endedAt"),
        duration_seconds: fields.length("duration", 1.0),
        participants: people(fields, &roles),
        links: links(fields, &[("companies", "companies"), ("opportunities", "opportunities")]),
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
