//! How fields are read: by every name that they have had.

use crate::core::{
    events::data::{Direction, Party},
    json::Object,
};

/// Every name that a field has had.
pub(super) mod names {
    pub(in super::super) type Names = &'static [&'static str];

    pub(in super::super) const ID: Names = &["id"];
    pub(in super::super) const CALL_ID: Names = &["id", "call_id", "callId"];
    /// In what is told of a call that has an id beside its own.
    pub(in super::super) const OTHERS_CALL_ID: Names = &["call_id", "callId", "id"];
    pub(in super::super) const STARTED_AT: Names = &["start_date", "startDate", "started_at", "startedAt"];
    pub(in super::super) const ANSWERED_AT: Names = &["answered_at", "answeredAt"];
    pub(in super::super) const ENDED_AT: Names = &["ended_at", "endedAt"];
    pub(in super::super) const SENT_AT: Names = &["sent_at", "sentAt"];
    pub(in super::super) const MINUTES: Names = &["length_in_minutes", "lengthInMinutes"];
    pub(in super::super) const RECORDING: Names = &["recording_url", "recordingUrl"];
    pub(in super::super) const FROM: Names = &["from_number", "fromNumber"];
    pub(in super::super) const FROM_NAME: Names = &["from_name", "fromName"];
    pub(in super::super) const TO: Names = &["to", "to_number", "toNumber"];
    pub(in super::super) const TO_NAME: Names = &["to_name", "toName"];
    pub(in super::super) const ONE_SENTENCE: Names = &["one_sentence_summary", "oneSentenceSummary"];
    pub(in super::super) const FULL_TEXT: Names = &["concatenated_transcript", "concatenatedTranscript"];
    pub(in super::super) const USER_EMAIL: Names = &["user_email", "userEmail"];
    pub(in super::super) const USER_NAME: Names = &["user_name", "userName"];
    pub(in super::super) const TRANSFER_FROM: Names = &["transfer_from", "transferFrom"];
    pub(in super::super) const TRANSFER_TO: Names = &["transfer_to", "transferTo"];
    pub(in super::super) const FIRST_CALL: Names = &["transfer_original_call_id", "transferOriginalCallId"];
    pub(in super::super) const TAG: Names = &["tag", "call_category", "callCategory"];
    pub(in super::super) const START_SECONDS: Names = &["start_seconds", "startSeconds"];
    pub(in super::super) const END_SECONDS: Names = &["end_seconds", "endSeconds"];
    pub(in super::super) const LAST_NAME: Names = &["last_name", "lastName"];
    /// A call's direction is its `type`; a message's `type` is SMS or MMS.
    pub(in super::super) const CALL_DIRECTION: Names = &["type", "direction"];
}

pub(super) const DIRECTIONS: &[(&str, Direction)] =
    &[("INBOUND", Direction::Inbound), ("OUTBOUND", Direction::Outbound)];

/// Takes the first of `names` whose value `read` accepts.
pub(super) fn any_of<'a, T>(
    object: &mut Object<'a>,
    names: &[&str],
    read: impl Fn(&mut Object<'a>, &str) -> Option<T>,
) -> Option<T> {
    names.iter().find_map(|name| read(object, name))
}

pub(super) fn party<'a>(
    data: &mut Object<'a>,
    number: names::Names,
    name: names::Names,
) -> Option<Party<'a>> {
    Party::new(any_of(data, number, Object::id), any_of(data, name, Object::text))
}
