//! The transcript that comes with a call.

use super::{
    fields::{any_of, names},
    topic::Edition,
};
use crate::core::{
    events::data::{CallData, Moment, Segment, Speaker, TranscriptData},
    json::{Object, Raw, Word},
};

/// The speakers of version 1.
const TWO_SPEAKERS: &[(&str, Speaker)] = &[("AGENT", Speaker::Agent), ("USER", Speaker::Customer)];

/// The speakers of version 2, and of every transcript that has one of the third kind: the provider's
/// assistant, its user, and the other side.
const THREE_SPEAKERS: &[(&str, Speaker)] =
    &[("AGENT", Speaker::Ai), ("USER", Speaker::Agent), ("EXTERNAL", Speaker::Customer)];

/// Returns the transcript of `call`, if it has any text.
pub(super) fn transcript<'a>(
    call: &CallData<'a>,
    edition: Edition,
    data: &mut Object<'a>,
) -> Option<TranscriptData<'a>> {
    let mut segments = Vec::new();
    if let Some(mut entries) = data.objects("transcriptions") {
        let is_external = |entry: &Object<'a>| {
            entry.peek("source").and_then(Raw::text).is_some_and(|source| source == "EXTERNAL")
        };
        let speakers = match edition.is_second || entries.iter().any(is_external) {
            true => THREE_SPEAKERS,
            false => TWO_SPEAKERS,
        };
        for (position, entry) in (0..).zip(&mut entries) {
            // An entry without a text stays.
            let Some(text) = entry.scalar("text") else {
                leave(entry, speakers);
                continue;
            };
            let speaker = entry.word("source", speakers);
            let end = Moment::of_seconds(any_of(entry, names::END_SECONDS, Object::id));
            segments.push(Segment {
                sequence: Some(position),
                speaker: speaker.known,
                speaker_raw: speaker.raw,
                ..Segment::new(text, start(entry), end)
            });
        }
        data.keep_all("transcriptions", entries);
    }
    let full_text = any_of(data, names::FULL_TEXT, Object::scalar);
    if segments.is_empty() && full_text.is_none() {
        return None;
    }
    Some(TranscriptData {
        transcript: (!segments.is_empty()).then_some(segments),
        full_text,
        ..TranscriptData::of_call(call)
    })
}

/// Takes the start of an utterance: a time, or else seconds into the call. Seconds beside a time stay, since
/// an utterance has one text of its start; their meaning is certain all the same.
fn start<'a>(entry: &mut Object<'a>) -> Moment<'a> {
    let time = Moment::of_time(entry.id("time"));
    if time.raw.is_none() {
        return Moment::of_seconds(any_of(entry, names::START_SECONDS, Object::id));
    }
    let seconds = names::START_SECONDS.iter().find_map(|name| entry.leave(name, Raw::id));
    Moment { offset_ms: Moment::of_seconds(seconds).offset_ms, ..time }
}

/// Reads the parts of an utterance without a text, which stay.
fn leave(entry: &mut Object<'_>, speakers: &[(&str, Speaker)]) {
    entry.leave("source", |raw| Word::of(raw.text(), speakers).known);
    for name in ["time"].iter().chain(names::START_SECONDS).chain(names::END_SECONDS) {
        entry.leave(name, Raw::id);
    }
}
