//! Calls.

use jiff::SignedDuration;

use super::{
    fields::{DIRECTIONS, any_of, names, party},
    people::{end_of_transfer, people},
    topic::{Edition, Fact, Stage},
    transcript::transcript,
};
use crate::core::{
    events::{
        data::{CallData, Data, Direction, EndReason, Recording, Text, Transfer},
        event::EventType as E,
    },
    json::{Object, Raw, present},
    providers::error::NormalizeError,
};

/// Returns the call's event and, if it comes with a transcript, the transcript's event.
pub(super) fn call<'a>(
    stage: Stage,
    edition: Edition,
    data: &mut Object<'a>,
) -> Result<Vec<Fact<'a>>, NormalizeError> {
    let call_id = match any_of(data, names::CALL_ID, Object::id) {
        // Only a finished call always has an id; a ringing call has none.
        None if stage == Stage::Ended && edition.has_ids => Some(data.require_id("id")?),
        found => found,
    };
    let (direction, direction_raw) = direction(data);
    let result = data.word("result", RESULTS);
    let mut call = CallData {
        call_id,
        direction,
        direction_raw,
        // A call that goes on has no reason for its end.
        end_reason: result.known.flatten().filter(|_| !stage.is_before_the_end()),
        end_reason_raw: result.raw,
        from: party(data, names::FROM, names::FROM_NAME),
        to: party(data, names::TO, names::TO_NAME),
        started_at: any_of(data, names::STARTED_AT, Object::time),
        answered_at: any_of(data, names::ANSWERED_AT, Object::time),
        ended_at: any_of(data, names::ENDED_AT, Object::time),
        recordings: Recording::at(any_of(data, names::RECORDING, Object::filled_text)),
        // A removed tag is not the call's tag: it stays unmapped.
        tag: if stage == Stage::TagRemoved { None } else { any_of(data, names::TAG, Object::text) },
        transfer: transfer(data),
        summary: data.text("summary"),
        short_summary: any_of(data, names::ONE_SENTENCE, Object::text),
        // The provider sums a call up when it is over.
        snapshot: (stage == Stage::Summarized).then_some(true),
        ..CallData::default()
    };
    derive(stage, &mut call, data);
    call.participants = people(data, call.direction, call.from.as_ref(), call.to.as_ref());
    let (kind, time) = match stage {
        Stage::Ringing => (E::CallRinging, call.started_at),
        Stage::Initiated => (E::CallInitiated, call.started_at),
        Stage::Answered => (E::CallAnswered, call.answered_at),
        Stage::Ended => (E::CallEnded, call.ended_at),
        Stage::TagAdded => (E::CallTagged, None),
        Stage::TagRemoved => (E::CallUntagged, None),
        Stage::Summarized => (E::CallUpdated, None),
    };
    call.status = kind.call_status();
    let subject = call.call_id.as_ref().map(|id| format!("call/{id}"));
    let transcript = if stage == Stage::Ended { transcript(&call, edition, data) } else { None };
    let mut facts = vec![Fact { kind, subject: subject.clone(), time, data: Data::Call(Box::new(call)) }];
    if let Some(transcript) = transcript {
        let data = Data::Transcript(Box::new(transcript));
        facts.push(Fact { kind: E::TranscriptCompleted, subject, time, data });
    }
    Ok(facts)
}

/// Takes the direction: the first known word, or else the first one as it was written.
fn direction<'a>(data: &mut Object<'a>) -> (Option<Direction>, Option<Text<'a>>) {
    let mut first_raw = None;
    for name in names::CALL_DIRECTION {
        let (known, raw) = data.word(name, DIRECTIONS).known_or_raw();
        if known.is_some() {
            return (known, None);
        }
        first_raw = first_raw.or(raw);
    }
    (None, first_raw)
}

/// Sets the fields that follow from the topic or can be computed.
fn derive(stage: Stage, call: &mut CallData<'_>, data: &Object<'_>) {
    let direction = match stage {
        Stage::Ringing => Some(Direction::Inbound),
        Stage::Initiated => Some(Direction::Outbound),
        Stage::Answered | Stage::Ended | Stage::TagAdded | Stage::TagRemoved | Stage::Summarized => None,
    };
    // A direction in an unknown word must not be overruled.
    if call.direction.is_none() && direction.is_some() && !says_direction(data) {
        call.direction = direction;
        call.derived.push("direction");
    }
    // A call that goes on has no length yet.
    let Some(minutes) = minutes(data).filter(|_| !stage.is_before_the_end()) else { return };
    // Fractions of a minute are not exact in seconds; a millisecond is finer than the provider measures.
    let seconds = (minutes * 60_000.0).round() / 1_000.0;
    let field = call.set_length(seconds);
    call.derived.push(field);
    if let (None, Some(started_at)) = (call.ended_at, call.started_at) {
        let length = SignedDuration::try_from_secs_f64(seconds).ok();
        call.ended_at = length.and_then(|length| started_at.checked_add(length).ok());
        if call.ended_at.is_some() {
            call.derived.push("ended_at");
        }
    }
}

/// The results of a call. A transfer says where the call went, not how it ended. A call without a result has
/// no reason: that it is finished does not tell whether it was answered.
const RESULTS: &[(&str, Option<EndReason>)] = &[
    ("ANSWERED", Some(EndReason::Completed)),
    ("COMPLETED", Some(EndReason::Completed)),
    ("VOICEMAIL", Some(EndReason::Voicemail)),
    ("MISSED", Some(EndReason::Missed)),
    ("NO_ANSWER", Some(EndReason::NoAnswer)),
    ("BUSY", Some(EndReason::Busy)),
    ("CANCELED", Some(EndReason::Canceled)),
    ("CANCELLED", Some(EndReason::Canceled)),
    ("REJECTED", Some(EndReason::Rejected)),
    ("BLOCKED", Some(EndReason::Rejected)),
    ("ABANDONED", Some(EndReason::Abandoned)),
    ("FAILED", Some(EndReason::Failed)),
    ("TRANSFERRED", None),
    ("TRANSFERRED_AI", None),
    ("TRANSFERRED_EXTERNAL", None),
];

/// Reads the call's length in minutes without taking it.
pub(super) fn minutes(data: &Object<'_>) -> Option<f64> {
    let minutes = |name: &&str| data.peek(name).and_then(Raw::float);
    names::MINUTES.iter().find_map(minutes).filter(|minutes| *minutes >= 0.0)
}

/// Returns true if the payload has a direction in an unknown word, which must not be overruled by a derived
/// one.
fn says_direction(data: &Object<'_>) -> bool {
    names::CALL_DIRECTION.iter().any(|name| data.peek(name).is_some())
}

fn transfer<'a>(data: &mut Object<'a>) -> Option<Transfer<'a>> {
    present(Transfer {
        from: end_of_transfer(data, names::TRANSFER_FROM),
        to: end_of_transfer(data, names::TRANSFER_TO),
        original_call_id: any_of(data, names::FIRST_CALL, Object::id),
    })
}
