//! Morph (unified API): `{event: "<model>::<created|updated|deleted>", data: {id, model, fields, …}}`.

mod records;
mod telephony;

use jiff::Timestamp;

use super::{NormalizeError, Normalized, drift_of};
use crate::core::{
    data::{Data, Link, Reference, Text},
    event::{Event, EventType},
    json::Object,
    key::IdempotencyKey,
    webhook::Webhook,
};

/// `x-conector-id` is how the provider's documents spell it.
pub(super) const HEADERS: &[&str] = &["x-conector-id", "x-connector-id", "x-owner-id", "x-idempotency-key"];

/// What stays unmapped by design: the resource as the system behind it gave it, and words that repeat what `event`
/// says.
const CARRIED: &[&str] =
    &["*.object", "data.object", "data.model", "data.rawResource", "data.warnings", "data.createdAt", "data.updatedAt"];

/// What happened to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Created,
    Updated,
    Deleted,
}

/// A resource whose fields are being read.
struct Resource<'a> {
    id: Text<'a>,
    change: Change,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    fields: Object<'a>,
}

/// What a model's reader makes of a resource.
struct Draft<'a> {
    kind: EventType,
    subject: &'static str,
    data: Data<'a>,
    /// Whether `data` holds `created_at` and `updated_at`; else what is not the event's time stays unmapped.
    has_times: bool,
}

pub(super) fn normalize(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    let mut root = Object::root(&webhook.body)?;
    let name = root.require_text("event")?;
    let (model, change) = name.split_once("::").ok_or_else(|| NormalizeError::unsupported("event"))?;
    let change = match change {
        "created" => Change::Created,
        "updated" => Change::Updated,
        "deleted" => Change::Deleted,
        _ => return Err(NormalizeError::unsupported("event")),
    };
    let read = reader(model).ok_or_else(|| NormalizeError::unsupported("event"))?;
    let mut data = root.require_object("data")?;
    let id = data.require_id("id")?;
    let key = key(webhook, &name, &id, &data);
    // A deleted resource may come without its fields.
    let fields = data.object("fields").unwrap_or_else(|| data.absent("fields"));
    let mut times = data.clone();
    let (created_at, updated_at) = (times.time("createdAt"), times.time("updatedAt"));
    let mut resource = Resource { id, change, created_at, updated_at, fields };
    let draft = read(&mut resource);
    let time = match change {
        Change::Created => resource.created_at.or(resource.updated_at),
        Change::Updated | Change::Deleted => resource.updated_at.or(resource.created_at),
    };
    take_times(&mut data, &draft, change);
    data.keep("fields", resource.fields);
    root.keep("data", data);
    let event = Event {
        kind: draft.kind,
        subject: format!("{}/{}", draft.subject, resource.id),
        time,
        provider_event: name,
        test: false,
        tenant: webhook.headers.get("x-owner-id").map(Into::into),
        data: draft.data,
        unmapped: root.into_unmapped(),
    };
    let events = vec![event];
    let drift = drift_of(&events, CARRIED);
    Ok(Normalized { key, events, drift })
}

/// Takes the times that typed fields or the event's own time hold.
fn take_times(data: &mut Object<'_>, draft: &Draft<'_>, change: Change) {
    let (first, second) = match change {
        Change::Created => ("createdAt", "updatedAt"),
        Change::Updated | Change::Deleted => ("updatedAt", "createdAt"),
    };
    let taken = data.time(first).is_some();
    if draft.has_times || !taken {
        data.time(second);
    }
}

/// The connector builds `x-idempotency-key` from event and second alone, so it is no key by itself.
fn key(webhook: &Webhook, name: &str, id: &str, data: &Object<'_>) -> IdempotencyKey {
    let header = |name| webhook.headers.get(name);
    if let Some(given) = header("x-idempotency-key") {
        let connector = header("x-conector-id").or(header("x-connector-id")).unwrap_or_default();
        let owner = header("x-owner-id").unwrap_or_default();
        return IdempotencyKey::from_parts(&["header", connector, owner, name, id, given]);
    }
    match data.peek("updatedAt") {
        Some(updated_at) => IdempotencyKey::from_parts(&["updated", name, id, updated_at.get()]),
        None => IdempotencyKey::of_body(&webhook.body),
    }
}

type Reader = for<'a> fn(&mut Resource<'a>) -> Draft<'a>;

fn reader(model: &str) -> Option<Reader> {
    Some(match model {
        "telephonyCall" => telephony::call,
        "telephonyCallTranscript" => telephony::transcript,
        "genericContact" => records::contact,
        "genericCompany" => records::company,
        "genericUser" => records::user,
        "genericWorkspace" => records::workspace,
        "crmOpportunity" => records::opportunity,
        "crmPipeline" => records::pipeline,
        "crmStage" => records::stage,
        "crmEngagement" => records::engagement,
        "schedulingEventType" => records::scheduling_event_type,
        "schedulingSlot" => records::scheduling_slot,
        "schedulingEvent" => records::scheduling_event,
        "widgetCardView" => records::widget,
        _ => return None,
    })
}

impl Change {
    fn pick(self, created: EventType, updated: EventType, deleted: EventType) -> EventType {
        match self {
            Self::Created => created,
            Self::Updated => updated,
            Self::Deleted => deleted,
        }
    }
}

/// A `{object: "resourceRef", model, id}`; the word `resourceRef` stays behind.
fn reference<'a>(fields: &mut Object<'a>, key: &'static str) -> Option<Reference<'a>> {
    let mut target = fields.object(key)?;
    let id = target.id("id");
    let reference = id.map(|id| Reference { id, kind: target.text("model") });
    fields.keep(key, target);
    reference
}

/// Every reference under `key`: one, or a list.
fn links<'a>(fields: &mut Object<'a>, keys: &[&'static str]) -> Vec<Link<'a>> {
    let mut links = Vec::new();
    for key in keys {
        let is_list = fields.peek(key).is_some_and(|raw| raw.get().starts_with('['));
        if !is_list {
            links.extend(reference(fields, key).map(|reference| Link { role: key, reference }));
            continue;
        }
        // An empty list, or one with something else in it, stays where it is.
        let Some(mut targets) = fields.clone().objects(key).filter(|targets| !targets.is_empty()) else { continue };
        if !targets.iter().all(|target| target.clone().id("id").is_some()) {
            continue;
        }
        fields.any(key);
        for target in &mut targets {
            if let Some(id) = target.id("id") {
                links.push(Link { role: key, reference: Reference { id, kind: target.text("model") } });
            }
        }
        fields.keep_all(key, targets);
    }
    links
}
