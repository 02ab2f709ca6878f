//! Transcriptions of recorded calls and of uploaded files: the callback that one is done, with or without the
//! transcript.

use super::parts::{Read, call_id};
use crate::core::{
    events::{
        data::{Data, Moment, Segment, Speaker, TranscriptData},
        event::{Event, EventType, subject_of},
        key::IdempotencyKey,
    },
    json::{Object, Raw, Word},
};

const STATUSES: &[(&str, EventType)] =
    &[("completed", EventType::TranscriptCompleted), ("failed", EventType::TranscriptFailed)];

/// The roles of speakers. Others are known by their numbers or channels.
const SPEAKERS: &[(&str, Speaker)] = &[("agent", Speaker::Agent), ("client", Speaker::Customer)];

/// Reads a transcription. One in an unknown state is an update.
pub(super) fn read(mut root: Object<'_>) -> Read<'_> {
    let kind = match root.one_of("status", STATUSES) {
        Some(kind) => kind,
        None if root.peek("status").is_some() => EventType::TranscriptUpdated,
        None => EventType::TranscriptCompleted,
    };
    // A file has no call. Beside a `call_uuid`, `uuid` is the transcription's own id.
    let (call_id, transcript_id) = match (root.id("call_uuid"), root.id("request_id")) {
        (Some(call), own) => (Some(call), own.or_else(|| root.id("uuid"))),
        (None, Some(own)) => (None, Some(own)),
        (None, None) => (Some(call_id(&mut root)?), None),
    };
    let (family, id) = match &call_id {
        Some(call) => ("call", &**call),
        None => ("transcript", transcript_id.as_deref().unwrap_or_default()),
    };
    let key = IdempotencyKey::of_content(&["transcription", id], &root);
    let subject = subject_of(family, id);
    let data = TranscriptData {
        transcript: turns(&mut root),
        transcript_seconds: root.length("duration", 1.0),
        error: root.scalar("error"),
        transcript_id,
        call_id,
        ..TranscriptData::default()
    };
    let event = Event {
        time: root.time("transcription_date"),
        unmapped: root.into_unmapped(),
        ..Event::new(kind, subject, "transcription", Data::Transcript(Box::new(data)))
    };
    Ok((key, event))
}

/// Takes what was said. Start and end are milliseconds into the call.
fn turns<'a>(root: &mut Object<'a>) -> Option<Vec<Segment<'a>>> {
    let mut turns = root.objects("turns")?;
    let segment = |(position, turn): (i64, &mut Object<'a>)| {
        let Some(text) = turn.scalar("text") else {
            leave(turn);
            return None;
        };
        // Otherwise `type` is the speaker's phone number, which is no id of a speaker.
        let mut speaker = turn.word("type", SPEAKERS);
        if speaker.known.is_none()
            && let word @ Word { known: Some(_), .. } = turn.word("speaker", SPEAKERS)
        {
            speaker = word;
        }
        let [start, end] = ["s", "e"].map(|key| Moment::of_milliseconds(turn.id(key)));
        Some(Segment {
            sequence: Some(position),
            speaker: speaker.known,
            speaker_raw: speaker.raw,
            speaker_id: turn.id("speaker"),
            ..Segment::new(text, start, end)
        })
    };
    let segments: Vec<_> = (0..).zip(&mut turns).filter_map(segment).collect();
    root.keep_all("turns", turns);
    (!segments.is_empty()).then_some(segments)
}

/// Reads the parts of a turn without a text, which stay.
fn leave(turn: &mut Object<'_>) {
    for key in ["s", "e", "speaker"] {
        turn.leave(key, Raw::id);
    }
}
