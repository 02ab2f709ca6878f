//! Morph: one format over many CRMs, calendars and telephony systems.
//!
//! Every webhook is `{event: "<model>::<action>", data: <resource>}`; the [`MODELS`] table says what each model
//! becomes, and the files beside this one read its fields.

mod crm;
mod scheduling;
mod telephony;

use jiff::Timestamp;

use super::{NormalizeError, Normalized, drift_of};
use crate::core::{
    events::{
        data::{Data, Link, Reference, Text},
        event::{Event, EventType as E},
        key::IdempotencyKey,
    },
    json::{Object, Raw},
    redact::Schema,
    webhook::Webhook,
};

/// The provider's documents spell the first one with a missing `n`; whoever mends that must not cost us the
/// connector.
pub(super) const HEADERS: &[&str] = &["x-conector-id", "x-connector-id", "x-owner-id", "x-idempotency-key"];

/// What stays unmapped on every resource: constants that repeat the event's name, and what is not normalized by
/// the provider either.
const CARRIED: &[&str] = &["data.object", "data.model", "data.rawResource", "data.warnings"];

/// Names, titles, amounts, questions and custom fields are the customers' own. A raw resource comes in the shape of
/// some CRM, which may use an address for a key.
pub(super) const SCHEMA: Schema = Schema {
    public: &[
        "event",
        "data.object|model|id|createdAt|updatedAt",
        "data.fields.direction|status|type|currency|timezone",
        "data.fields.startedAt|answeredAt|endedAt|startTime|endTime|duration|durations[]",
        "data.fields.owner|users[]|user|organizer|attendees[]|triggeredBy.object|model|id",
        "data.fields.contact|contacts[]|company|companies[]|workspace.object|model|id",
        "data.fields.opportunity|opportunities[]|pipeline|stage|stages[]|engagement|engagements[].object|model|id",
        "data.fields.call|transcript|eventType|slots[].object|model|id",
        "data.fields.segments[].start|end|speakerId",
        "data.fields.speakers[].id|origin",
        "data.fields.speakers[].user|contact.object|model|id",
        "data.fields.questions[].id|type",
        "data.fields.answers[].questionId",
    ],
    keyed: &["data.rawResource", "data.warnings"],
};

pub(super) fn normalize(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    let mut root = Object::root(&webhook.body)?;
    let name = root.require_text("event")?;
    let (model, action) = parse_name(&name).ok_or_else(|| NormalizeError::unsupported("event"))?;
    let mut resource = root.require_object("data")?;
    let head = Head {
        id: resource.require_id("id")?,
        action,
        created_at: resource.peek("createdAt").and_then(Raw::time),
        updated_at: resource.peek("updatedAt").and_then(Raw::time),
    };
    let key = key(webhook, &name, &head.id, &resource);
    let mut fields = match resource.peek("fields") {
        Some(_) => resource.require_object("fields")?,
        None => resource.absent(),
    };
    let fact = (model.read)(&head, &mut fields);
    resource.keep("fields", fields);
    if !times_stay(&fact.data) {
        resource.time("createdAt");
        resource.time("updatedAt");
    }
    root.keep("data", resource);
    let kind = fact.kind.unwrap_or_else(|| action.of(model.kinds));
    let event = Event {
        kind,
        subject: fact.subject.unwrap_or_else(|| format!("{}/{}", family(kind), head.id)),
        time: fact.time,
        provider_event: name,
        test: false,
        tenant: webhook.headers.get("x-owner-id").map(Into::into),
        data: fact.data,
        unmapped: root.into_unmapped(),
    };
    let events = vec![event];
    let drift = drift_of(&events, |path| CARRIED.contains(&path) || is_expected(model, path, &events));
    Ok(Normalized { key, events, drift })
}

/// What happened to the resource.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Created,
    Updated,
    Deleted,
}

impl Action {
    fn of(self, [created, updated, deleted]: [E; 3]) -> E {
        match self {
            Self::Created => created,
            Self::Updated => updated,
            Self::Deleted => deleted,
        }
    }
}

/// What every resource has beside its fields.
struct Head<'a> {
    id: Text<'a>,
    action: Action,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
}

impl Head<'_> {
    /// When it happened. Of a deletion nobody knows: `updatedAt` is the last change before it.
    fn time(&self) -> Option<Timestamp> {
        match self.action {
            Action::Created => self.created_at,
            Action::Updated => self.updated_at,
            Action::Deleted => None,
        }
    }
}

/// What a model's reader makes of a resource.
struct Fact<'a> {
    /// Another type than the table says.
    kind: Option<E>,
    /// Another subject than the type and the resource's id.
    subject: Option<String>,
    time: Option<Timestamp>,
    data: Data<'a>,
}

impl<'a> Fact<'a> {
    fn new(head: &Head<'_>, data: Data<'a>) -> Self {
        Self { kind: None, subject: None, time: head.time(), data }
    }
}

/// One model of the unified API.
struct Model {
    name: &'static str,
    /// For created, updated, deleted.
    kinds: [E; 3],
    /// The documented fields. Any other name under `fields` may be a custom field of that customer.
    fields: &'static [&'static str],
    read: for<'a> fn(&Head<'a>, &mut Object<'a>) -> Fact<'a>,
}

const MODELS: &[Model] = &[
    Model {
        name: "genericContact",
        kinds: [E::ContactCreated, E::ContactUpdated, E::ContactDeleted],
        fields: &["firstName", "lastName", "email", "phone", "companyName"],
        read: crm::contact,
    },
    Model {
        name: "genericCompany",
        kinds: [E::CompanyCreated, E::CompanyUpdated, E::CompanyDeleted],
        fields: &["name"],
        read: crm::named,
    },
    Model {
        name: "genericUser",
        kinds: [E::UserCreated, E::UserUpdated, E::UserDeleted],
        fields: &["firstName", "lastName", "email"],
        read: crm::user,
    },
    Model {
        name: "genericWorkspace",
        kinds: [E::WorkspaceCreated, E::WorkspaceUpdated, E::WorkspaceDeleted],
        fields: &["name"],
        read: crm::named,
    },
    Model {
        name: "crmOpportunity",
        kinds: [E::OpportunityCreated, E::OpportunityUpdated, E::OpportunityDeleted],
        fields: crm::OPPORTUNITY,
        read: crm::opportunity,
    },
    Model {
        name: "crmPipeline",
        kinds: [E::PipelineCreated, E::PipelineUpdated, E::PipelineDeleted],
        fields: &["name", "stages"],
        read: crm::pipeline,
    },
    Model {
        name: "crmStage",
        kinds: [E::StageCreated, E::StageUpdated, E::StageDeleted],
        fields: &["name", "type", "pipeline"],
        read: crm::stage,
    },
    Model {
        name: "crmEngagement",
        kinds: [E::EngagementCreated, E::EngagementUpdated, E::EngagementDeleted],
        fields: crm::ENGAGEMENT,
        read: crm::engagement,
    },
    Model {
        name: "schedulingEventType",
        kinds: [E::SchedulingEventTypeCreated, E::SchedulingEventTypeUpdated, E::SchedulingEventTypeDeleted],
        fields: scheduling::EVENT_TYPE,
        read: scheduling::event_type,
    },
    Model {
        name: "schedulingSlot",
        kinds: [E::SchedulingSlotCreated, E::SchedulingSlotUpdated, E::SchedulingSlotDeleted],
        fields: scheduling::SLOT,
        read: scheduling::slot,
    },
    Model {
        name: "schedulingEvent",
        kinds: [E::SchedulingEventCreated, E::SchedulingEventUpdated, E::SchedulingEventDeleted],
        fields: scheduling::EVENT,
        read: scheduling::event,
    },
    Model {
        name: "telephonyCall",
        kinds: [E::CallInitiated, E::CallUpdated, E::CallDeleted],
        fields: telephony::CALL,
        read: telephony::call,
    },
    Model {
        name: "telephonyCallTranscript",
        kinds: [E::TranscriptCompleted, E::TranscriptUpdated, E::TranscriptDeleted],
        fields: telephony::TRANSCRIPT,
        read: telephony::transcript,
    },
    Model {
        name: "widgetCardView",
        kinds: [E::WidgetCardViewCreated, E::WidgetCardViewUpdated, E::WidgetCardViewDeleted],
        fields: scheduling::CARD_VIEW,
        read: scheduling::card_view,
    },
];

/// Reads `<model>::<action>`.
fn parse_name(name: &str) -> Option<(&'static Model, Action)> {
    let (model, action) = name.split_once("::")?;
    let action = match action {
        "created" => Action::Created,
        "updated" => Action::Updated,
        "deleted" => Action::Deleted,
        _ => return None,
    };
    Some((MODELS.iter().find(|known| known.name == model)?, action))
}

/// The header's key is made of event and second alone, so it counts only together with all that says whose and
/// what. Without it the time of the last change stands in, and without that the body.
fn key(webhook: &Webhook, name: &str, id: &str, resource: &Object<'_>) -> IdempotencyKey {
    let header = |name| webhook.headers.get(name);
    let connector = header("x-conector-id").or_else(|| header("x-connector-id"));
    let owner = header("x-owner-id");
    let updated_at = || resource.peek("updatedAt").and_then(Raw::text_or_number).filter(|t| !t.is_empty());
    match (header("x-idempotency-key"), connector, owner, updated_at()) {
        (Some(key), ..) => {
            let (connector, owner) = (connector.unwrap_or_default(), owner.unwrap_or_default());
            IdempotencyKey::from_parts(&[connector, owner, name, id, key])
        }
        (None, None, None, Some(time)) => IdempotencyKey::from_parts(&[name, id, &time]),
        // Two owners of one source may both have a contact 1 that changed in the same second.
        (None, _, _, Some(time)) => {
            let (connector, owner) = (connector.unwrap_or_default(), owner.unwrap_or_default());
            IdempotencyKey::from_parts(&[connector, owner, name, id, &time])
        }
        (None, _, _, None) => IdempotencyKey::of_body(&webhook.body),
    }
}

/// A type's name without what happened: `contact.created` is about a `contact`.
fn family(kind: E) -> &'static str {
    kind.as_str().rsplit_once('.').map_or(kind.as_str(), |(family, _)| family)
}

/// Calls and transcripts have no fields for when their record was made: there it would be taken for the call's
/// own times.
fn times_stay(data: &Data<'_>) -> bool {
    matches!(data, Data::Call(_) | Data::Transcript(_))
}

/// Whether what stays unmapped at `path` is no news.
///
/// A new name directly under `fields` cannot be told from a custom field, which is one customer's own affair: it
/// is carried, but an alarm for each would bury those that matter. A documented name with a value that does not
/// fit is drift as everywhere.
fn is_expected(model: &Model, path: &str, events: &[Event<'_>]) -> bool {
    let Some(path) = path.strip_prefix("data.fields.") else {
        let is_time = matches!(path, "data.createdAt" | "data.updatedAt");
        return is_time && events.iter().any(|event| times_stay(&event.data));
    };
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    // Of a reference, `object` is always `resourceRef`.
    !model.fields.contains(&name)
        || matches!(rest, ".object" | "[].object")
        || telephony::CARRIED.iter().any(|carried| path.strip_prefix(carried).is_some_and(at_a_boundary))
}

fn at_a_boundary(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['.', '['])
}

/// A word out of a list, as written. An unknown one stays where it is.
fn word<'a>(fields: &mut Object<'a>, key: &str, known: &[&str]) -> Option<Text<'a>> {
    let is_known = fields.peek(key).and_then(Raw::text).is_some_and(|word| known.contains(&word.as_ref()));
    if is_known { fields.text(key) } else { None }
}

/// A reference, or a list of them. What is no reference stays, and so does an empty list.
fn references<'a>(fields: &mut Object<'a>, key: &'static str) -> Vec<Reference<'a>> {
    if let Some(mut child) = fields.object(key) {
        let found = reference(&mut child);
        fields.keep(key, child);
        return found.into_iter().collect();
    }
    let Some(mut children) = fields.filled_objects(key) else { return Vec::new() };
    let found = children.iter_mut().filter_map(reference).collect();
    fields.keep_all(key, children);
    found
}

fn reference<'a>(object: &mut Object<'a>) -> Option<Reference<'a>> {
    let id = object.id("id")?;
    Some(Reference { id, kind: object.text("model") })
}

/// The references under each of `roles` that is there.
fn links<'a>(fields: &mut Object<'a>, roles: &[(&'static str, &'static str)]) -> Vec<Link<'a>> {
    let mut found = Vec::new();
    for (key, role) in roles {
        found.extend(references(fields, key).into_iter().map(|reference| Link { role, reference }));
    }
    found
}
