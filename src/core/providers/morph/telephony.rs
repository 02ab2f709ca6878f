//! Calls and their transcripts.

use std::collections::HashMap;

use jiff::Timestamp;

use super::resource::{Action, Fact, Head, one_reference, references};
use crate::core::{
    events::{
        data::{
            CallData, CallStatus, Data, Direction, EndReason, Moment, Participant, Party, Phone, Recording,
            Role, Segment, Side, Speaker, TranscriptData,
        },
        event::{EventType, subject_of},
    },
    json::{Object, Raw, present},
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

pub(super) const DIRECTIONS: &[(&str, Direction)] =
    &[("inbound", Direction::Inbound), ("outbound", Direction::Outbound)];

const STATUSES: &[(&str, (CallStatus, Option<EndReason>))] = &[
    ("planned", (CallStatus::Scheduled, None)),
    ("inProgress", (CallStatus::InProgress, None)),
    ("completed", (CallStatus::Ended, Some(EndReason::Completed))),
    ("missed", (CallStatus::Ended, Some(EndReason::Missed))),
    ("voicemail", (CallStatus::Ended, Some(EndReason::Voicemail))),
];

pub(super) fn call<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let word = fields.word("status", STATUSES);
    let says_status = fields.peek("status").is_some_and(|raw| !raw.is_empty_text());
    let has_unknown_status = word.known.is_none() && says_status;
    let (status, end_reason) = word.known.unzip();
    let end_reason = end_reason.flatten();
    let (direction, direction_raw) = fields.word("direction", DIRECTIONS).known_or_raw();
    let mut call = CallData {
        call_id: Some(head.id.clone()),
        direction,
        direction_raw,
        end_reason,
        end_reason_raw: end_reason.and_then(|_| word.raw.clone()),
        status_raw: word.raw,
        recordings: Recording::at(fields.text("recordingUrl")),
        transcript_ref: one_reference(fields, "transcript"),
        ..CallData::default()
    };
    if status == Some(CallStatus::Scheduled) {
        call.scheduled_at = fields.time("startedAt");
        // What is planned to follow has no fields.
        fields.leave("answeredAt", Raw::time);
        fields.leave("endedAt", Raw::time);
        fields.leave("duration", |raw| raw.length(1.0));
    } else {
        call.started_at = fields.time("startedAt");
        call.answered_at = fields.time("answeredAt");
        call.ended_at = fields.time("endedAt");
        // The systems behind the API count differently, so what cannot be told stays.
        if call.has_open_length() {
            fields.leave("duration", |raw| raw.length(1.0));
        } else if let Some(seconds) = fields.length("duration", 1.0) {
            call.set_length(seconds);
        }
    }
    set_people(&mut call, fields);
    let kind = kind_of(head.action, status, has_unknown_status, &call);
    call.status = kind.call_status().or(status);
    // The same record is sent with every change, so its end may have been told before.
    let is_over = kind == EventType::CallEnded || call.ended_at.is_some();
    call.snapshot = (is_over && head.action == Action::Updated).then_some(true);
    let time = time_of(kind, head, &call);
    Fact { kind: Some(kind), subject: None, time, data: Data::Call(Box::new(call)) }
}

/// Returns the event type, which is that of the call's state: a record tells how its call stands. Without a
/// status, the times do. A call with an unknown status has neither begun nor ended, so its event is an
/// update.
fn kind_of(
    action: Action,
    status: Option<CallStatus>,
    has_unknown_status: bool,
    call: &CallData<'_>,
) -> EventType {
    let is_answered = call.answered_at.is_some();
    let by_times = || match (call.ended_at, call.answered_at) {
        (Some(_), _) => Some(CallStatus::Ended),
        (None, Some(_)) => Some(CallStatus::InProgress),
        (None, None) if action == Action::Created => Some(CallStatus::Initiated),
        (None, None) => None,
    };
    let status = if has_unknown_status { None } else { status.or_else(by_times) };
    match (action, status) {
        (Action::Deleted, _) => EventType::CallDeleted,
        (_, Some(CallStatus::Ended)) => EventType::CallEnded,
        (_, Some(CallStatus::InProgress)) if is_answered => EventType::CallAnswered,
        (Action::Created, Some(CallStatus::Scheduled)) => EventType::CallScheduled,
        (Action::Created, Some(_)) => EventType::CallInitiated,
        (Action::Created, None) | (Action::Updated, _) => EventType::CallUpdated,
    }
}

/// Returns the event's time. The call's own time takes precedence over that of its record.
fn time_of(kind: EventType, head: &Head<'_>, call: &CallData<'_>) -> Option<Timestamp> {
    match kind.call_status() {
        Some(CallStatus::Ended) => call.ended_at.or_else(|| {
            // A record that was created with the call changed last when the call ended. A time before its
            // answer is not that of its end.
            let recorded = head.updated_at.or_else(|| head.time());
            recorded.filter(|at| call.started_at.max(call.answered_at).is_none_or(|begin| *at >= begin))
        }),
        Some(CallStatus::InProgress) => call.answered_at.or_else(|| head.time()),
        Some(CallStatus::Initiated) => call.started_at.or_else(|| head.time()),
        // A planned call starts in the future.
        Some(CallStatus::Scheduled | CallStatus::Ringing) | None => head.time(),
    }
}

/// Sets the people, and caller and callee by the call's direction. Without a direction, the numbers are those
/// of people.
fn set_people<'a>(call: &mut CallData<'a>, fields: &mut Object<'a>) {
    let sides = [
        (Role::Agent, call.direction.map(Side::of_agent), "users"),
        (Role::Customer, call.direction.map(Side::of_customer), "contacts"),
    ];
    for (role, side, key) in sides {
        let people = references(fields, key).into_iter();
        call.participants.extend(people.map(|reference| Participant::of_record(role, side, reference)));
    }
    let numbers = [(sides[0], fields.id("internalNumber")), (sides[1], fields.id("externalNumber"))];
    for ((role, side, _), number) in numbers {
        match side {
            Some(Side::From) => call.from = Party::new(number, None),
            Some(Side::To) => call.to = Party::new(number, None),
            None => call.participants.extend(number.map(|number| Participant {
                role: Some(role),
                phones: vec![Phone::new(number)],
                ..Participant::default()
            })),
        }
    }
}

pub(super) fn transcript<'a>(head: &Head<'a>, fields: &mut Object<'a>) -> Fact<'a> {
    let call_id = fields.object("call").and_then(|mut call| {
        let id = call.id("id");
        // It is always a call.
        call.leave("model", Raw::id);
        fields.keep("call", call);
        id
    });
    let speakers = speakers(fields);
    let data = TranscriptData {
        transcript_id: Some(head.id.clone()),
        call_id,
        transcript: segments(fields, &speakers),
        transcript_seconds: fields.length("duration", 1.0),
        participants: speakers,
        ..TranscriptData::default()
    };
    let subject = data.call_id.as_ref().map(|id| subject_of("call", id));
    Fact { subject, ..Fact::new(head, Data::Transcript(Box::new(data))) }
}

const ORIGINS: &[(&str, Option<Speaker>)] =
    &[("internal", Some(Speaker::Agent)), ("external", Some(Speaker::Customer)), ("unknown", None)];

fn speakers<'a>(fields: &mut Object<'a>) -> Vec<Participant<'a>> {
    let Some(mut children) = fields.objects("speakers") else { return Vec::new() };
    let speaker = |child: &mut Object<'a>| {
        let origin = child.word("origin", ORIGINS);
        let reference = one_reference(child, "user").or_else(|| one_reference(child, "contact"));
        // A speaker is one record.
        child.leave("contact", |raw| (raw.class() == "object").then_some(()));
        present(Participant {
            role: origin.known.flatten().map(Role::from),
            role_raw: origin.raw,
            party: None,
            speaker_id: child.id("id"),
            reference,
            name: child.text("name"),
            emails: child.text("email").into_iter().collect(),
            phones: child.id("phone").map(Phone::new).into_iter().collect(),
        })
    };
    let speakers = children.iter_mut().filter_map(speaker).collect();
    fields.keep_all("speakers", children);
    speakers
}

/// Takes the segments of a transcript. A segment without a text stays unmapped. The provider does not say in
/// which unit its starts and ends are.
fn segments<'a>(fields: &mut Object<'a>, speakers: &[Participant<'a>]) -> Option<Vec<Segment<'a>>> {
    // The first of two speakers with the same id counts. A search through them for each segment would take
    // the square of the webhook's length.
    let mut known = HashMap::with_capacity(speakers.len());
    for speaker in speakers {
        if let Some(id) = &speaker.speaker_id {
            known.entry(id.as_ref()).or_insert(speaker);
        }
    }
    let mut children = fields.objects("segments")?;
    let segment = |(position, child): (i64, &mut Object<'a>)| {
        let Some(text) = child.scalar("text") else {
            for key in ["speakerId", "start", "end"] {
                child.leave(key, Raw::id);
            }
            return None;
        };
        let speaker_id = child.id("speakerId");
        let speaker = speaker_id.as_deref().and_then(|id| known.get(id));
        let [start, end] = ["start", "end"].map(|key| Moment::unknown(child.id(key)));
        Some(Segment {
            sequence: Some(position),
            speaker: speaker.and_then(|speaker| match speaker.role? {
                Role::Agent => Some(Speaker::Agent),
                Role::Customer => Some(Speaker::Customer),
                Role::Ai | Role::Owner | Role::Organizer => None,
            }),
            speaker_raw: speaker.and_then(|speaker| speaker.role_raw.clone()),
            speaker_id,
            ..Segment::new(text, start, end)
        })
    };
    let segments: Vec<_> = (0..).zip(&mut children).filter_map(segment).collect();
    fields.keep_all("segments", children);
    (!segments.is_empty()).then_some(segments)
}
