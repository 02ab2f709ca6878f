//! Calls and their transcripts.

use super::{Change, Draft, Resource, reference};
use crate::core::{
    data::{CallData, CallStatus, Data, Direction, EndReason, Participant, Party, Segment, Speaker, TranscriptData},
    event::EventType,
    json::{Object, items},
};

const DIRECTIONS: &[(&str, Direction)] = &[("inbound", Direction::Inbound), ("outbound", Direction::Outbound)];

/// The status says at once where a call stands and, where it is over, why.
const STATUSES: &[(&str, (CallStatus, Option<EndReason>))] = &[
    ("planned", (CallStatus::Planned, None)),
    ("inProgress", (CallStatus::InProgress, None)),
    ("completed", (CallStatus::Ended, Some(EndReason::Completed))),
    ("missed", (CallStatus::Ended, Some(EndReason::Missed))),
    ("voicemail", (CallStatus::Ended, Some(EndReason::Voicemail))),
];

pub(super) fn call<'a>(resource: &mut Resource<'a>) -> Draft<'a> {
    let fields = &mut resource.fields;
    let (status, end_reason) = fields.one_of("status", STATUSES).unwrap_or((CallStatus::Unknown, None));
    let direction = fields.one_of("direction", DIRECTIONS);
    let (from, to) = parties(fields, direction);
    let mut participants = people(fields, "users", "internal");
    participants.extend(people(fields, "contacts", "external"));
    let data = CallData {
        call_id: Some(resource.id.clone()),
        direction,
        status: Some(status),
        end_reason,
        from,
        to,
        started_at: fields.time("startedAt"),
        answered_at: fields.time("answeredAt"),
        ended_at: fields.time("endedAt"),
        duration_seconds: fields.float("duration"),
        recording_url: fields.text("recordingUrl"),
        participants,
        transcript_ref: reference(fields, "transcript"),
        ..CallData::default()
    };
    let kind = match resource.change {
        Change::Deleted => EventType::CallDeleted,
        Change::Created | Change::Updated if status == CallStatus::Ended => EventType::CallEnded,
        Change::Created => EventType::CallInitiated,
        Change::Updated if status == CallStatus::InProgress && data.answered_at.is_some() => EventType::CallAnswered,
        Change::Updated => EventType::CallUpdated,
    };
    Draft { kind, subject: "call", data: Data::Call(Box::new(data)), has_times: false }
}

/// Who calls whom follows from the direction; where that is not known, the numbers stay where they are.
fn parties<'a>(
    fields: &mut Object<'a>,
    direction: Option<Direction>,
) -> (Option<Party<'a>>, Option<Party<'a>>) {
    let mut party = |key| Party::new(fields.scalar(key), None);
    match direction {
        Some(Direction::Inbound) => (party("externalNumber"), party("internalNumber")),
        Some(Direction::Outbound) => (party("internalNumber"), party("externalNumber")),
        None => (None, None),
    }
}

fn people<'a>(fields: &mut Object<'a>, key: &'static str, role: &'static str) -> Vec<Participant<'a>> {
    let links = super::links(fields, &[key]);
    let person = |link: crate::core::data::Link<'a>| Participant {
        role: Some(role),
        id: Some(link.reference.id),
        kind: link.reference.kind,
        ..Participant::default()
    };
    links.into_iter().map(person).collect()
}

pub(super) fn transcript<'a>(resource: &mut Resource<'a>) -> Draft<'a> {
    let fields = &mut resource.fields;
    let call = reference(fields, "call");
    let speakers = speakers(fields);
    let segments = segments(fields, &speakers);
    let data = TranscriptData {
        transcript_id: Some(resource.id.clone()),
        call_id: call.map(|call| call.id),
        transcript: segments,
        speakers,
        duration_seconds: fields.float("duration"),
        ..TranscriptData::default()
    };
    let kind = resource.change.pick(
        EventType::TranscriptCompleted,
        EventType::TranscriptUpdated,
        EventType::TranscriptDeleted,
    );
    Draft { kind, subject: "transcript", data: Data::Transcript(Box::new(data)), has_times: false }
}

/// The objects of a list that is not empty.
fn objects<'a>(fields: &mut Object<'a>, key: &'static str) -> Option<Vec<Object<'a>>> {
    items(fields.peek(key)?).filter(|items| !items.is_empty())?;
    fields.objects(key)
}

fn speakers<'a>(fields: &mut Object<'a>) -> Vec<Participant<'a>> {
    let roles = [("internal", "internal"), ("external", "external"), ("unknown", "unknown")];
    let Some(mut list) = objects(fields, "speakers") else { return Vec::new() };
    let speakers = list
        .iter_mut()
        .map(|speaker| Participant {
            role: speaker.one_of("origin", &roles),
            id: speaker.id("id"),
            kind: None,
            name: speaker.text("name"),
            email: speaker.text("email"),
            phone: speaker.scalar("phone"),
        })
        .collect();
    fields.keep_all("speakers", list);
    speakers
}

fn segments<'a>(fields: &mut Object<'a>, speakers: &[Participant<'a>]) -> Option<Vec<Segment<'a>>> {
    let mut list = objects(fields, "segments")?;
    let segments = list.iter_mut().map(|segment| self::segment(segment, speakers)).collect();
    fields.keep_all("segments", list);
    Some(segments)
}

fn segment<'a>(segment: &mut Object<'a>, speakers: &[Participant<'a>]) -> Segment<'a> {
    let speaker_id = segment.id("speakerId");
    let role = speakers.iter().find(|speaker| speaker.id.is_some() && speaker.id == speaker_id).and_then(|s| s.role);
    Segment {
        speaker: match role {
            Some("internal") => Speaker::Agent,
            Some("external") => Speaker::Customer,
            _ => Speaker::Unknown,
        },
        text: segment.text("text").unwrap_or_default(),
        at: segment.scalar("start"),
        until: segment.scalar("end"),
        speaker_id,
    }
}
