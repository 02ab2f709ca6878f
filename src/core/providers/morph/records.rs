//! Contacts, CRM records, scheduling and widgets: one function a model, all of the same kind.

use super::{Draft, Resource, links};
use crate::core::{
    data::{ContactData, Data, Direction, Money, RecordData, SchedulingData, WidgetData},
    event::EventType,
};

const DIRECTIONS: &[(&str, Direction)] = &[("inbound", Direction::Inbound), ("outbound", Direction::Outbound)];

pub(super) fn contact<'a>(resource: &mut Resource<'a>) -> Draft<'a> {
    let fields = &mut resource.fields;
    let data = ContactData {
        contact_id: Some(resource.id.clone()),
        name: fields.text("name"),
        first_name: fields.text("firstName"),
        last_name: fields.text("lastName"),
        company: fields.text("companyName"),
        emails: fields.text("email").map(|email| vec![email]),
        phones: fields.scalar("phone").map(|phone| vec![phone]),
        created_at: resource.created_at,
        updated_at: resource.updated_at,
    };
    let kind =
        resource.change.pick(EventType::ContactCreated, EventType::ContactUpdated, EventType::ContactDeleted);
    Draft { kind, subject: "contact", data: Data::Contact(Box::new(data)), has_times: true }
}

/// What every record of the CRM may have; a model that has no such field sends none.
fn record<'a>(resource: &mut Resource<'a>) -> RecordData<'a> {
    let fields = &mut resource.fields;
    RecordData {
        record_id: Some(resource.id.clone()),
        name: fields.text("name").or_else(|| fields.text("title")),
        description: fields.text("description"),
        status: fields.text("status"),
        links: links(
            fields,
            &["owner", "stage", "pipeline", "stages", "contacts", "companies", "users", "engagements", "opportunities"],
        ),
        created_at: resource.created_at,
        updated_at: resource.updated_at,
        ..RecordData::default()
    }
}

fn draft<'a>(kind: EventType, subject: &'static str, data: RecordData<'a>) -> Draft<'a> {
    Draft { kind, subject, data: Data::Record(Box::new(data)), has_times: true }
}

pub(super) fn company<'a>(resource: &mut Resource<'a>) -> Draft<'a> {
    let kind =
        resource.change.pick(EventType::CompanyCreated, EventType::CompanyUpdated, EventType::CompanyDeleted);
    draft(kind, "company", record(resource))
}

pub(super) fn user<'a>(resource: &mut Resource<'a>) -> Draft<'a> {
    let kind = resource.change.pick(EventType::UserCreated, EventType::UserUpdated, EventType::UserDeleted);
    let fields = &mut resource.fields;
    let (first_name, last_name, email) = (fields.text("firstName"), fields.text("lastName"), fields.text("email"));
    draft(kind, "user", RecordData { first_name, last_name, email, ..record(resource) })
}

pub(super) fn workspace<'a>(resource: &mut Resource<'a>) -> Draft<'a> {
    let kind = resource.change.pick(
        EventType::WorkspaceCreated,
        EventType::WorkspaceUpdated,
        EventType::WorkspaceDeleted,
    );
    draft(kind, "workspace", record(resource))
}

pub(super) fn opportunity<'a>(resource: &mut Resource<'a>) -> Draft<'a> {
    let kind = resource.change.pick(
        EventType::OpportunityCreated,
        EventType::OpportunityUpdated,
        EventType::OpportunityDeleted,
    );
    let fields = &mut resource.fields;
    let amount = Money { amount: fields.decimal("amount"), currency: fields.text("currency"), ..Money::default() };
    let known = amount.amount.is_some() || amount.currency.is_some();
    draft(kind, "opportunity", RecordData { amount: known.then_some(amount), ..record(resource) })
}

pub(super) fn pipeline<'a>(resource: &mut Resource<'a>) -> Draft<'a> {
    let kind =
        resource.change.pick(EventType::PipelineCreated, EventType::PipelineUpdated, EventType::PipelineDeleted);
    draft(kind, "pipeline", record(resource))
}

pub(super) fn stage<'a>(resource: &mut Resource<'a>) -> Draft<'a> {
    let kind = resource.change.pick(EventType::StageCreated, EventType::StageUpdated, EventType::StageDeleted);
    let stage_kind = resource.fields.text("type");
    draft(kind, "stage", RecordData { kind: stage_kind, ..record(resource) })
}

pub(super) fn engagement<'a>(resource: &mut Resource<'a>) -> Draft<'a> {
    let kind = resource.change.pick(
        EventType::EngagementCreated,
        EventType::EngagementUpdated,
        EventType::EngagementDeleted,
    );
    let fields = &mut resource.fields;
    let (engagement_kind, direction) = (fields.text("type"), fields.one_of("direction", DIRECTIONS));
    let (started_at, ended_at) = (fields.time("startedAt"), fields.time("endedAt"));
    // Seconds, unlike a scheduling event's.
    let duration_seconds = fields.float("duration");
    let data = RecordData {
        kind: engagement_kind,
        direction,
        started_at,
        ended_at,
        duration_seconds,
        ..record(resource)
    };
    draft(kind, "engagement", data)
}

/// What every model of scheduling may have.
fn scheduling<'a>(kind: EventType, subject: &'static str, resource: &mut Resource<'a>) -> Draft<'a> {
    let fields = &mut resource.fields;
    let data = SchedulingData {
        scheduling_id: Some(resource.id.clone()),
        name: fields.text("name").or_else(|| fields.text("title")),
        status: fields.text("status"),
        description: fields.text("description"),
        starts_at: fields.time("startTime"),
        ends_at: fields.time("endTime"),
        date: fields.text("date"),
        timezone: fields.text("timezone"),
        // Minutes, unlike an engagement's.
        duration_minutes: fields.float("duration"),
        durations: fields.any("durations"),
        questions: fields.any("questions"),
        answers: fields.any("answers"),
        scheduling_url: fields.text("schedulingUrl"),
        links: links(fields, &["owner", "organizer", "eventType", "slots", "attendees"]),
        external_attendees: fields.any("externalAttendees"),
        created_at: resource.created_at,
        updated_at: resource.updated_at,
    };
    Draft { kind, subject, data: Data::Scheduling(Box::new(data)), has_times: true }
}

pub(super) fn scheduling_event_type<'a>(resource: &mut Resource<'a>) -> Draft<'a> {
    let kind = resource.change.pick(
        EventType::SchedulingEventTypeCreated,
        EventType::SchedulingEventTypeUpdated,
        EventType::SchedulingEventTypeDeleted,
    );
    scheduling(kind, "event_type", resource)
}

pub(super) fn scheduling_slot<'a>(resource: &mut Resource<'a>) -> Draft<'a> {
    let kind = resource.change.pick(
        EventType::SchedulingSlotCreated,
        EventType::SchedulingSlotUpdated,
        EventType::SchedulingSlotDeleted,
    );
    scheduling(kind, "slot", resource)
}

pub(super) fn scheduling_event<'a>(resource: &mut Resource<'a>) -> Draft<'a> {
    let kind = resource.change.pick(
        EventType::SchedulingEventCreated,
        EventType::SchedulingEventUpdated,
        EventType::SchedulingEventDeleted,
    );
    scheduling(kind, "scheduling_event", resource)
}

pub(super) fn widget<'a>(resource: &mut Resource<'a>) -> Draft<'a> {
    let kind = resource.change.pick(
        EventType::WidgetCardViewCreated,
        EventType::WidgetCardViewUpdated,
        EventType::WidgetCardViewDeleted,
    );
    let fields = &mut resource.fields;
    let data = WidgetData {
        widget_id: Some(resource.id.clone()),
        triggered_by: fields.any("triggeredBy"),
        links: links(fields, &["contact", "company", "opportunity", "call", "contacts", "companies", "opportunities"]),
        created_at: resource.created_at,
        updated_at: resource.updated_at,
    };
    Draft { kind, subject: "card_view", data: Data::Widget(Box::new(data)), has_times: true }
}
