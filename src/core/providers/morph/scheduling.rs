//! Event types, slots and booked events; and the widget's card views, which are too small for a file of their
//! own.

use super::resource::{Fact, Head, links, one_reference, people};
use crate::core::{
    events::data::{Data, Participant, Phone, Role, SchedulingData, WidgetData},
    json::{Object, Raw, time},
};

pub(super) const EVENT_TYPE: &[&str] =
    &["name", "status", "durations", "questions", "schedulingUrl", "slots", "owner"];

pub(super) const SLOT: &[&str] = &["eventType", "timezone", "status", "date", "startTime"];

pub(super) const EVENT: &[&str] = &[
    "eventType",
    "title",
    "description",
    "status",
    "startTime",
    "endTime",
    "duration",
    "attendees",
    "externalAttendees",
    "organizer",
    "answers",
];

pub(super) const CARD_VIEW: &[&str] = &[
    "triggeredBy",
    "genericContact",
    "genericCompany",
    "genericUser",
    "genericWorkspace",
    "crmOpportunity",
    "crmEngagement",
    "telephonyCall",
    "contact",
    "company",
    "opportunity",
    "engagement",
    "user",
    "owner",
    "workspace",
    "call",
];

pub(super) fn event_type<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let data = SchedulingData {
        name: fields.text("name"),
        status_raw: fields.text("status"),
        durations: fields.any("durations"),
        questions: fields.any("questions"),
        scheduling_url: fields.text("schedulingUrl"),
        participants: people(fields, &[("owner", Role::Owner)]),
        links: links(fields, &[("slots", "slots")]),
        ..SchedulingData::default()
    };
    scheduling(head, data)
}

pub(super) fn slot<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    // A slot has its own time zone: a start without an offset is local to it and must not be read as UTC.
    let is_absolute = fields
        .peek("startTime")
        .and_then(Raw::text_or_number)
        .is_some_and(|start| time::parse_absolute(&start).is_some());
    let data = SchedulingData {
        status_raw: fields.text("status"),
        starts_at: if is_absolute { fields.time("startTime") } else { None },
        date: fields.text("date"),
        timezone: fields.text("timezone"),
        links: links(fields, &[("eventType", "event_type")]),
        ..SchedulingData::default()
    };
    scheduling(head, data)
}

pub(super) fn event<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let mut participants = people(fields, &[("organizer", Role::Organizer), ("attendees", Role::Agent)]);
    participants.extend(external_attendees(fields));
    let data = SchedulingData {
        name: fields.text("title"),
        status_raw: fields.text("status"),
        description: fields.scalar("description"),
        starts_at: fields.time("startTime"),
        ends_at: fields.time("endTime"),
        duration_minutes: fields.length("duration", 60.0),
        answers: fields.any("answers"),
        participants,
        links: links(fields, &[("eventType", "event_type")]),
        ..SchedulingData::default()
    };
    scheduling(head, data)
}

/// Takes the attendees who are no users: objects with a name and an address, or addresses or names alone.
fn external_attendees<'a>(fields: &mut Object<'a>) -> Vec<Participant<'a>> {
    const KEY: &str = "externalAttendees";
    let Some(mut attendees) = fields.items(KEY) else { return Vec::new() };
    let person = |attendee: &mut Object<'a>| {
        let (name, email) = match attendee.itself() {
            Some(text) if text.contains('@') => (None, Some(text)),
            Some(text) => (Some(text), None),
            None => (attendee.text("name"), attendee.text("email")),
        };
        let person = Participant {
            name,
            emails: email.into_iter().collect(),
            phones: attendee.id("phone").map(Phone::new).into_iter().collect(),
            ..Participant::default()
        };
        person.known(Some(Role::Customer), None)
    };
    let people = attendees.iter_mut().filter_map(person).collect();
    fields.keep_all(KEY, attendees);
    people
}

fn scheduling<'a>(head: &Head<'a>, data: SchedulingData<'a>) -> Fact<'a> {
    let data = SchedulingData {
        scheduling_id: Some(head.id.clone()),
        created_at: head.created_at,
        updated_at: head.updated_at,
        ..data
    };
    Fact::new(head, Data::Scheduling(Box::new(data)))
}

pub(super) fn card_view<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    // Documented by the names of the models, sent by their short names too.
    let people = people(
        fields,
        &[
            ("genericContact", Role::Customer),
            ("contact", Role::Customer),
            ("genericUser", Role::Agent),
            ("user", Role::Agent),
            ("owner", Role::Owner),
        ],
    );
    let roles = [
        ("genericCompany", "company"),
        ("genericWorkspace", "workspace"),
        ("crmOpportunity", "opportunity"),
        ("crmEngagement", "engagement"),
        ("telephonyCall", "call"),
        ("company", "company"),
        ("opportunity", "opportunity"),
        ("engagement", "engagement"),
        ("workspace", "workspace"),
        ("call", "call"),
    ];
    let data = WidgetData {
        widget_id: Some(head.id.clone()),
        triggered_by: one_reference(fields, "triggeredBy"),
        participants: people,
        links: links(fields, &roles),
        created_at: head.created_at,
        updated_at: head.updated_at,
    };
    Fact::new(head, Data::Widget(Box::new(data)))
}
