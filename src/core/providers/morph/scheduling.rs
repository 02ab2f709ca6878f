//! Event types, slots and booked events; and the widget's card views, which are too small for a file of their
//! own.

use super::resource::{Fact, Head, links};
use crate::core::{
    events::data::{Data, SchedulingData, WidgetData},
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
        status: fields.text("status"),
        durations: fields.any("durations"),
        questions: fields.any("questions"),
        scheduling_url: fields.text("schedulingUrl"),
        links: links(fields, &[("slots", "slots"), ("owner", "owner")]),
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
        status: fields.text("status"),
        starts_at: if is_absolute { fields.time("startTime") } else { None },
        date: fields.text("date"),
        timezone: fields.text("timezone"),
        links: links(fields, &[("eventType", "event_type")]),
        ..SchedulingData::default()
    };
    scheduling(head, data)
}

pub(super) fn event<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let roles = [("eventType", "event_type"), ("attendees", "attendees"), ("organizer", "organizer")];
    let data = SchedulingData {
        name: fields.text("title"),
        status: fields.text("status"),
        description: fields.text("description"),
        starts_at: fields.time("startTime"),
        ends_at: fields.time("endTime"),
        duration_minutes: fields.float("duration"),
        answers: fields.any("answers"),
        links: links(fields, &roles),
        external_attendees: fields.any("externalAttendees"),
        ..SchedulingData::default()
    };
    scheduling(head, data)
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
    let roles = [
        ("genericContact", "contact"),
        ("genericCompany", "company"),
        ("genericUser", "user"),
        ("genericWorkspace", "workspace"),
        ("crmOpportunity", "opportunity"),
        ("crmEngagement", "engagement"),
        ("telephonyCall", "call"),
        ("contact", "contact"),
        ("company", "company"),
        ("opportunity", "opportunity"),
        ("engagement", "engagement"),
        ("user", "user"),
        ("owner", "owner"),
        ("workspace", "workspace"),
        ("call", "call"),
    ];
    let data = WidgetData {
        widget_id: Some(head.id.clone()),
        triggered_by: fields.any("triggeredBy"),
        links: links(fields, &roles),
        created_at: head.created_at,
        updated_at: head.updated_at,
    };
    Fact::new(head, Data::Widget(Box::new(data)))
}
