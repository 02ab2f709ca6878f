//! Transcriptions of recorded calls and of uploaded files: the callback that one is done, with or without the
//! transcript.

use super::parts::{Read, call_id};
use crate::core::{
    events::{
        data::{Data, Segment, Speaker, TranscriptData},
        event::{Event, EventType},
        key::IdempotencyKey,
    },
    json::Object,
};

const STATUSES: &[(&str, EventType)] =
    &[("completed", EventType::TranscriptCompleted), ("failed", EventType::TranscriptFailed)];

/// The roles of speakers. Others are known by their numbers or channels.
const SPEAKERS: &[(&str, Speaker)] = &[("agent", Speaker::Agent), ("client", Speaker::Customer)];

/// Reads a transcription. One in an unknown state is an update.
pub(super) fn read(mut root: Object<'_>) -> Read<'_> {
    let kind = match root.one_of("status", STATUSES) {
        Some(kind) => kind,
        None if root.has("status") => EventType::TranscriptUpdated,
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
    let subject = format!("{family}/{id}");
    let data = TranscriptData {
        transcript: turns(&mut root),
        duration_seconds: root.float("duration"),
        error: root.text("error"),
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
    let segment = |turn: &mut Object<'a>| {
        let text = turn.text("text")?;
        // Otherwise `type` is a number, which is no id of a speaker.
        let speaker = turn.one_of("type", SPEAKERS).or_else(|| turn.one_of("speaker", SPEAKERS));
        let speaker = speaker.unwrap_or(Speaker::Unknown);
        Some(Segment { speaker, text, at: turn.id("s"), until: turn.id("e"), speaker_id: turn.id("speaker") })
    };
    let segments: Vec<_> = turns.iter_mut().filter_map(segment).collect();
    root.keep_all("turns", turns);
    (!segments.is_empty()).then_some(segments)
}
