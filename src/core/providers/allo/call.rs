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
        event::{EventType as E, subject_of},
    },
    json::{Object, Raw, Word, present},
    providers::error::NormalizeError,
};

/// Returns the call's event and, if it comes with a transcript, the transcript's event.
pub(super) fn call<'a>(
    stage: Stage,
    edition: Edition,
    data: &mut Object<'a>,
) -> Result<Vec<Fact<'a>>, NormalizeError> {
    let call_id = call_id(stage, data);
    // Only a finished call always has an id; a ringing call has none.
    if call_id.is_none() && stage == Stage::Ended && edition.has_ids {
        data.require_id("id")?;
    }
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
        recordings: Recording::at(any_of(data, names::RECORDING, Object::text)),
        tag: tag(stage, data),
        transfer: transfer(data),
        summary: data.scalar("summary"),
        short_summary: any_of(data, names::ONE_SENTENCE, Object::scalar),
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
    let subject = call.call_id.as_ref().map(|id| subject_of("call", id));
    let transcript = if stage == Stage::Ended { transcript(&call, edition, data) } else { None };
    let mut facts = vec![Fact { kind, subject: subject.clone(), time, data: Data::Call(Box::new(call)) }];
    if let Some(transcript) = transcript {
        let data = Data::Transcript(Box::new(transcript));
        facts.push(Fact { kind: E::TranscriptCompleted, subject, time, data });
    }
    Ok(facts)
}

/// Takes the call's id. A tag or a summary may have an id of its own beside it, which stays.
fn call_id<'a>(stage: Stage, data: &mut Object<'a>) -> Option<Text<'a>> {
    if !stage.may_recur() {
        return any_of(data, names::CALL_ID, Object::id);
    }
    let call_id = any_of(data, names::OTHERS_CALL_ID, Object::id);
    data.leave("id", Raw::id);
    call_id
}

/// Takes the direction: the first known word, or else the first one as it was written. Another word that
/// agrees stays.
fn direction<'a>(data: &mut Object<'a>) -> (Option<Direction>, Option<Text<'a>>) {
    let (mut found, mut first_raw) = (None, None);
    for name in names::CALL_DIRECTION {
        if found.is_some() {
            data.leave(name, |raw| {
                Word::of(raw.text(), DIRECTIONS).known.filter(|known| found == Some(*known))
            });
        } else {
            let (known, raw) = data.word(name, DIRECTIONS).known_or_raw();
            found = known;
            first_raw = first_raw.or(raw);
        }
    }
    (found, first_raw.filter(|_| found.is_none()))
}

/// Takes the call's tag. A removed one is not the call's: it stays.
fn tag<'a>(stage: Stage, data: &mut Object<'a>) -> Option<Text<'a>> {
    if stage != Stage::TagRemoved {
        return any_of(data, names::TAG, Object::scalar);
    }
    for name in names::TAG {
        data.leave(name, Raw::filled_text_or_number);
    }
    None
}

/// Sets the fields that follow from the topic or can be computed.
fn derive(stage: Stage, call: &mut CallData<'_>, data: &mut Object<'_>) {
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
    // Only the written length, in minutes, is exact: it stays. A call that goes on has no length yet.
    let mut minutes = names::MINUTES.iter().filter_map(|name| data.leave(name, |raw| raw.length(60.0)));
    let Some(minutes) = minutes.next().filter(|_| !stage.is_before_the_end()) else { return };
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
