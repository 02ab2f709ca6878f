//! Calls and their transcripts.

use std::collections::HashMap;

use jiff::Timestamp;

use super::resource::{Action, Fact, Head, reference, references};
use crate::core::{
    events::{
        data::{
            CallData, CallStatus, Data, Direction, EndReason, Participant, Party, Reference, Segment,
            Speaker, Text, TranscriptData,
        },
        event::EventType,
    },
    json::{Object, present},
};

pub(super) const CALL: &[&str] = &[
    "direction",
    "status",
    "startedAt",
    "endedAt",
    "answeredAt",
    "duration",
    "recordingUrl",
    "users",
    "contacts",
    "externalNumber",
    "internalNumber",
    "transcript",
];

pub(super) const TRANSCRIPT: &[&str] = &["call", "duration", "segments", "speakers"];

/// Documented paths under `fields` that stay unmapped and are no drift: a transcript's call is always a call,
/// and a speaker is identified by the transcript's own id rather than by their record.
pub(super) const CARRIED: &[&str] = &["call.model", "speakers[].user", "speakers[].contact"];

pub(super) const DIRECTIONS: &[(&str, Direction)] =
    &[("inbound", Direction::Inbound), ("outbound", Direction::Outbound)];

const STATUSES: &[(&str, (CallStatus, Option<EndReason>))] = &[
    ("planned", (CallStatus::Planned, None)),
    ("inProgress", (CallStatus::InProgress, None)),
    ("completed", (CallStatus::Ended, Some(EndReason::Completed))),
    ("missed", (CallStatus::Ended, Some(EndReason::Missed))),
    ("voicemail", (CallStatus::Ended, Some(EndReason::Voicemail))),
];

pub(super) fn call<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let known_status = fields.one_of("status", STATUSES);
    let has_unknown_status = fields.peek("status").is_some();
    let mut call = CallData {
        call_id: Some(head.id.clone()),
        direction: fields.one_of("direction", DIRECTIONS),
        status: known_status
            .map(|(status, _)| status)
            .or_else(|| has_unknown_status.then_some(CallStatus::Unknown)),
        end_reason: known_status.and_then(|(_, reason)| reason),
        started_at: fields.time("startedAt"),
        answered_at: fields.time("answeredAt"),
        ended_at: fields.time("endedAt"),
        duration_seconds: fields.float("duration"),
        recording_url: fields.text("recordingUrl"),
        participants: participants(fields, "users", "internal"),
        transcript_ref: one_reference(fields, "transcript"),
        ..CallData::default()
    };
    call.participants.extend(participants(fields, "contacts", "external"));
    set_numbers(&mut call, fields.id("externalNumber"), fields.id("internalNumber"));
    let kind = kind_of(head.action, &call);
    let time = time_of(kind, head, &call);
    Fact { kind: Some(kind), subject: None, time, data: Data::Call(Box::new(call)) }
}

/// Returns the event type. A call with an unknown status has neither begun nor ended, so its event is an
/// update.
fn kind_of(action: Action, call: &CallData<'_>) -> EventType {
    match (action, call.status) {
        (Action::Deleted, _) => EventType::CallDeleted,
        (_, Some(CallStatus::Ended)) => EventType::CallEnded,
        (Action::Created, None | Some(CallStatus::Planned | CallStatus::InProgress)) => {
            EventType::CallInitiated
        }
        (Action::Updated, Some(CallStatus::InProgress)) if call.answered_at.is_some() => {
            EventType::CallAnswered
        }
        _ => EventType::CallUpdated,
    }
}

/// Returns the event's time. The call's own time takes precedence over that of its record.
fn time_of(kind: EventType, head: &Head<'_>, call: &CallData<'_>) -> Option<Timestamp> {
    let own = match (kind, call.status) {
        (EventType::CallEnded, _) => call.ended_at,
        (EventType::CallAnswered, _) => call.answered_at,
        // A planned call starts in the future.
        (EventType::CallInitiated, Some(CallStatus::InProgress)) => call.started_at,
        _ => None,
    };
    own.or_else(|| head.time())
}

/// Sets caller and callee by the call's direction. Without a direction, the numbers become participants.
fn set_numbers<'a>(call: &mut CallData<'a>, external: Option<Text<'a>>, internal: Option<Text<'a>>) {
    let (external_party, internal_party) = match call.direction {
        Some(Direction::Inbound) => (&mut call.from, &mut call.to),
        Some(Direction::Outbound) => (&mut call.to, &mut call.from),
        None => {
            for (role, phone) in [("internal", internal), ("external", external)] {
                if phone.is_some() {
                    let role = Some(role);
                    call.participants.push(Participant { role, phone, ..Participant::default() });
                }
            }
            return;
        }
    };
    *external_party = Party::new(external, None);
    *internal_party = Party::new(internal, None);
}

/// Takes a single reference. A list of references stays unmapped.
fn one_reference<'a>(fields: &mut Object<'a>, key: &'static str) -> Option<Reference<'a>> {
    let mut child = fields.object(key)?;
    let found = reference(&mut child);
    fields.keep(key, child);
    found
}

fn participants<'a>(fields: &mut Object<'a>, key: &'static str, role: &'static str) -> Vec<Participant<'a>> {
    let participant = |reference: Reference<'a>| Participant {
        role: Some(role),
        id: Some(reference.id),
        kind: reference.kind,
        ..Participant::default()
    };
    references(fields, key).into_iter().map(participant).collect()
}

pub(super) fn transcript<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let call_id = fields.object("call").and_then(|mut call| {
        let id = call.id("id");
        fields.keep("call", call);
        id
    });
    let speakers = speakers(fields);
    let data = TranscriptData {
        transcript_id: Some(head.id.clone()),
        call_id,
        transcript: segments(fields, &speakers),
        duration_seconds: fields.float("duration"),
        speakers,
        ..TranscriptData::default()
    };
    let subject = data.call_id.as_ref().map(|id| format!("call/{id}"));
    Fact { subject, ..Fact::new(head, Data::Transcript(Box::new(data))) }
}

const ORIGINS: &[(&str, &str)] =
    &[("internal", "internal"), ("external", "external"), ("unknown", "unknown")];

fn speakers<'a>(fields: &mut Object<'a>) -> Vec<Participant<'a>> {
    let Some(mut children) = fields.objects("speakers") else { return Vec::new() };
    let speaker = |child: &mut Object<'a>| {
        present(Participant {
            role: child.one_of("origin", ORIGINS),
            id: child.id("id"),
            kind: None,
            name: child.text("name"),
            email: child.text("email"),
            phone: child.id("phone"),
        })
    };
    let speakers = children.iter_mut().filter_map(speaker).collect();
    fields.keep_all("speakers", children);
    speakers
}

/// Takes the segments of a transcript. A segment without a text stays unmapped.
fn segments<'a>(fields: &mut Object<'a>, speakers: &[Participant<'a>]) -> Option<Vec<Segment<'a>>> {
    // The first of two speakers with the same id counts. A search through them for each segment would take
    // the square of the webhook's length.
    let mut roles = HashMap::with_capacity(speakers.len());
    for Participant { id, role, .. } in speakers {
        if let Some(id) = id {
            roles.entry(id.as_ref()).or_insert(*role);
        }
    }
    let mut children = fields.objects("segments")?;
    let segment = |child: &mut Object<'a>| {
        let text = child.text("text")?;
        let speaker_id = child.id("speakerId");
        let known = speaker_id.as_deref().and_then(|id| roles.get(id));
        let speaker = match known.copied().flatten() {
            Some("internal") => Speaker::Agent,
            Some("external") => Speaker::Customer,
            _ => Speaker::Unknown,
        };
        Some(Segment { speaker, text, at: child.id("start"), until: child.id("end"), speaker_id })
    };
    let segments: Vec<_> = children.iter_mut().filter_map(segment).collect();
    fields.keep_all("segments", children);
    (!segments.is_empty()).then_some(segments)
}
