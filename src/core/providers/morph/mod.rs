//! Morph: one format over many CRMs, calendars and telephony systems.
//!
//! The body is `{event: "<model>::<action>", data: <resource>}`. The table in [`models`] says what each model
//! becomes; the other files read the models' fields.

mod accounting;
mod crm;
mod models;
mod resource;
mod scheduling;
mod telephony;

use self::{
    models::{Model, parse_name},
    resource::Head,
};
use super::{
    adapter::{Adapter, Input, Normalized},
    drift,
    error::{NormalizeError, UnknownEvent},
    schema::Schema,
};
use crate::core::{
    events::{
        data::{Data, Text},
        event::{Event, EventType as E, subject_of},
        key::IdempotencyKey,
    },
    json::{Object, Raw},
};

pub(super) const ADAPTER: Adapter = Adapter {
    name: "morph",
    // The provider's documents misspell the first one. Both spellings are read, so that a corrected one keeps
    // its connector.
    headers: &["x-conector-id", "x-connector-id", "x-owner-id", "x-idempotency-key"],
    // Names, titles, amounts, questions and custom fields belong to the customers. A raw resource has the
    // shape of some CRM, which may use an e-mail address as a key.
    schema: Schema {
        public: &[
            "event",
            "data.object|model|id|createdAt|updatedAt",
            "data.fields.direction|status|type|currency|timezone",
            "data.fields.startedAt|answeredAt|endedAt|startTime|endTime|duration|durations[]",
            "data.fields.owner|users[]|user|organizer|attendees[]|triggeredBy.object|model|id",
            "data.fields.contact|contacts[]|company|companies[]|workspace.object|model|id",
            "data.fields.opportunity|opportunities[]|pipeline|stage|stages[].object|model|id",
            "data.fields.engagement|engagements[].object|model|id",
            "data.fields.call|transcript|eventType|slots[].object|model|id",
            "data.fields.genericContact|genericCompany|crmOpportunity.object|model|id",
            "data.fields.customerContact|customerCompany|invoice|item|lineItems[].object|model|id",
            "data.fields.issuedAt|dueAt|paidAt|inclusiveOfTax",
            "data.fields.segments[].start|end|speakerId",
            "data.fields.speakers[].id|origin",
            "data.fields.speakers[].user|contact.object|model|id",
            "data.fields.questions[].id|type",
            "data.fields.answers[].questionId",
        ],
        keyed: &["data.rawResource", "data.warnings"],
    },
    normalize,
};

/// Paths that stay unmapped on every resource and are no drift: constants that repeat the event's name, and
/// data that the provider does not normalize either.
const CARRIED: &[&str] = &["data.object", "data.model", "data.rawResource", "data.remote", "data.warnings"];

/// The parts of a reference that are carried: the constant `resourceRef`, and what an expanded one has beside
/// model and id.
const CARRIED_OF_REFERENCE: &[&str] =
    &[".object", ".fields", ".rawResource", ".remote", ".createdAt", ".updatedAt", ".warnings"];

fn normalize(input: Input<'_>) -> Result<Normalized<'_>, NormalizeError> {
    let mut root = Object::root(input.body)?;
    let name = root.require_text("event")?;
    let Some((model, action)) = parse_name(&name) else {
        return Err(unknown(input, &mut root, &name).into());
    };
    let mut resource = root.require_object("data")?;
    let head = Head {
        id: resource.require_id("id")?,
        action,
        created_at: resource.peek("createdAt").and_then(Raw::time),
        updated_at: resource.peek("updatedAt").and_then(Raw::time),
    };
    let updated_at = resource.peek("updatedAt").and_then(Raw::id);
    let key = key(input, &name, Some(&head.id), updated_at, &root);
    let mut fields = match resource.peek("fields") {
        Some(_) => resource.require_object("fields")?,
        None => resource.absent(),
    };
    let fact = (model.read)(&head, &mut fields);
    resource.keep("fields", fields);
    // Calls and transcripts have no fields for their record's times, which would be mistaken for the call's
    // own times.
    let times_stay = matches!(fact.data, Data::Call(_) | Data::Transcript(_));
    for (key, time) in [("createdAt", head.created_at), ("updatedAt", head.updated_at)] {
        if times_stay {
            resource.leave(key, |_| time);
        } else if time.is_some() {
            resource.any(key);
        }
    }
    root.keep("data", resource);
    let kind = fact.kind.unwrap_or_else(|| action.of(model.kinds));
    let subject = fact.subject.unwrap_or_else(|| subject_of(family(kind), &head.id));
    let event = Event {
        time: fact.time,
        tenant: owner(input).map(Into::into),
        connector: connector(input).map(Into::into),
        unmapped: root.into_unmapped(),
        ..Event::new(kind, subject, name, fact.data)
    };
    let events = vec![event];
    let drift = drift::find(&events, |path| CARRIED.contains(&path) || is_expected(model, path));
    Ok(Normalized { key, events, drift })
}

fn unknown(input: Input<'_>, root: &mut Object<'_>, name: &str) -> UnknownEvent {
    let resource = root.object("data");
    let peek = |field| resource.as_ref().and_then(|resource| resource.peek(field)).and_then(Raw::id);
    let key = key(input, name, peek("id").as_deref(), peek("updatedAt"), root);
    let [connector, tenant] = [connector(input), owner(input)].map(|name| name.map(ToOwned::to_owned));
    UnknownEvent { tenant, connector, ..UnknownEvent::new("event", name, key) }
}

/// Returns the key. The provider's own key consists of event and second alone, so it needs connector, owner,
/// name and id beside it. The time of the last change replaces a missing key, and the content whatever else
/// is missing.
fn key(
    input: Input<'_>,
    name: &str,
    id: Option<&str>,
    updated_at: Option<Text<'_>>,
    root: &Object<'_>,
) -> IdempotencyKey {
    // Two owners of one source can each have a contact 1 that changed in the same second.
    let (connector, owner) = (connector(input), owner(input));
    let has_origin = connector.is_some() || owner.is_some();
    let [connector, owner] = [connector, owner].map(Option::unwrap_or_default);
    match (input.headers.get("x-idempotency-key"), id, updated_at) {
        (Some(key), Some(id), _) => IdempotencyKey::from_parts(&[connector, owner, name, id, key]),
        (None, Some(id), Some(time)) if has_origin => {
            IdempotencyKey::from_parts(&[connector, owner, name, id, &time])
        }
        (None, Some(id), Some(time)) => IdempotencyKey::from_parts(&[name, id, &time]),
        // A change back cannot be told from a redelivery of the first change.
        (None, _, None) if name.ends_with("::updated") => {
            IdempotencyKey::of_content(&[connector, owner, &input.delivery_id.to_string()], root)
        }
        (key, ..) => IdempotencyKey::of_content(&[connector, owner, key.unwrap_or_default()], root),
    }
}

/// Returns the customer that the resource belongs to.
fn owner(input: Input<'_>) -> Option<&str> {
    input.headers.get("x-owner-id")
}

/// Returns the system behind the API that the resource is from.
fn connector(input: Input<'_>) -> Option<&str> {
    input.headers.get("x-conector-id").or_else(|| input.headers.get("x-connector-id"))
}

/// Returns a type's name without its last part: `contact` for `contact.created`.
fn family(kind: E) -> &'static str {
    kind.as_str().rsplit_once('.').map_or(kind.as_str(), |(family, _)| family)
}

/// Returns true if an unmapped value at `path` is no drift.
///
/// A new key directly under `fields` cannot be told from a customer's custom field. It is carried, but an
/// alarm for each would bury those that matter. A documented key with a value that does not fit is drift, as
/// everywhere.
fn is_expected(model: &Model, path: &str) -> bool {
    let Some(path) = path.strip_prefix("data.fields.") else { return false };
    let (name, rest) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
    let rest = rest.strip_prefix("[]").unwrap_or(rest);
    let of_speaker = || [".user", ".contact"].iter().find_map(|key| rest.strip_prefix(key));
    let of_reference = if name == "speakers" { of_speaker() } else { Some(rest) };
    !model.fields.contains(&name) || of_reference.is_some_and(|part| CARRIED_OF_REFERENCE.contains(&part))
}
