//! The order of the events about one object: a call, a conversation, a record.

use jiff::Timestamp;
use sha1::{Digest, Sha1};

use super::event::EventType;
use crate::core::json::Json;

/// The key in Redis of an object: `s:` and 16 bytes of the SHA-1 of `correlationid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKey([u8; 18]);

impl ObjectKey {
    /// Returns the key of the object that a `correlationid` names.
    pub fn of(correlation_id: &str) -> Self {
        let mut key = *b"s:0123456789abcdef";
        key[2..].copy_from_slice(&Sha1::digest(correlation_id)[..16]);
        Self(key)
    }

    /// Returns the bytes that Redis knows.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns its partition.
    pub(super) fn partition_key(&self) -> PartitionKey {
        let mut digits = [0; 8];
        // Four bytes are eight digits.
        hex::encode_to_slice(&self.0[2..6], &mut digits).ok();
        PartitionKey(digits)
    }
}

/// The attribute `partitionkey`: 32 bits of the SHA-1 of `correlationid`, as 8 hexadecimal digits. Consumers
/// that share the work take the events whose number leaves their remainder; no library is needed to hash
/// alike.
pub(super) struct PartitionKey([u8; 8]);

impl Json for PartitionKey {
    fn write(&self, out: &mut Vec<u8>) {
        write_ascii(&self.0, out);
    }
}

/// The number of an event by which those about one object are sorted: the time in microseconds since 1970,
/// then one digit for the stage of the type. The times are those that the provider tells. They may be of two
/// clocks: Morph tells answers and ends by the call's, and other updates by the record's, which may run
/// behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(u64);

impl Sequence {
    /// Returns the number of an event of this type and time.
    pub(super) fn new(time: Timestamp, kind: EventType) -> Self {
        // 16 digits last until the year 2286; a time before 1970 is none.
        let micros = u64::try_from(time.as_microsecond()).unwrap_or(0).min(9_999_999_999_999_999);
        Self(micros * 10 + u64::from(stage(kind)))
    }

    /// Returns the number as Redis holds it.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

/// Writes the attribute `sequence`: 16 digits, `-`, and the stage. As text they sort alike.
impl Json for Sequence {
    fn write(&self, out: &mut Vec<u8>) {
        let (mut text, mut rest) = (*b"0000000000000000-0", self.0);
        for digit in text.iter_mut().rev().filter(|digit| **digit != b'-') {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        write_ascii(&text, out);
    }
}

impl From<u64> for Sequence {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

/// The place of an event among those about its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The object.
    pub object: ObjectKey,
    /// The number.
    pub sequence: Sequence,
}

impl Place {
    /// Returns true if the other is a later place among the events about the same object.
    pub fn is_before(&self, other: &Self) -> bool {
        self.object == other.object && self.sequence < other.sequence
    }

    /// Returns the last place among those about the same object as the first.
    pub fn last(places: impl Iterator<Item = Self>) -> Option<Self> {
        places.reduce(|last, place| if last.is_before(&place) { place } else { last })
    }
}

/// Writes digits that need no escapes. Formatting them would take ten times as long.
fn write_ascii(digits: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(digits);
    out.push(b'"');
}

/// Returns the stage of a type, from 0 to 9: its place among events of the same instant about one object. The
/// last word of the type decides.
fn stage(kind: EventType) -> u8 {
    match kind.as_str().rsplit('.').next().unwrap_or_default() {
        "scheduled" => 0,
        "initiated" | "created" => 1,
        "ringing" => 2,
        "early_media" => 3,
        "answered" => 4,
        "transferred" | "media" | "input" | "partial" | "received" | "sent" => 5,
        "ended" | "resolved" => 6,
        "updated" => 8,
        "deleted" => 9,
        // What becomes known of something that is over: transcripts, tags, costs, reports, errors.
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use EventType::{CallAnswered, CallDeleted, CallEnded, CallInitiated, TranscriptCompleted};

    use super::*;

    fn at(time: &str, kind: EventType) -> Sequence {
        Sequence::new(time.parse().expect("a time"), kind)
    }

    fn written(value: impl Json) -> String {
        let mut json = Vec::new();
        value.write(&mut json);
        serde_json::from_slice(&json).expect("a string")
    }

    #[test]
    fn a_partition_key_is_the_same_number_everywhere() {
        // The first 4 bytes of `sha1sum`.
        assert_eq!(written(ObjectKey::of("abc").partition_key()), "a9993e36");
    }

    #[test]
    fn sequences_sort_by_time_and_within_an_instant_by_stage() {
        let sorted = [
            at("1969-12-31T23:59:59Z", CallDeleted),
            at("2000-01-01T00:00:00Z", CallInitiated),
            at("2026-01-01T09:05:04Z", CallInitiated),
            at("2026-01-01T09:05:04Z", CallAnswered),
            at("2026-01-01T09:05:04.000001Z", CallInitiated),
            at("2026-01-01T09:12:16.608Z", CallEnded),
            at("2026-01-01T09:12:16.608Z", TranscriptCompleted),
            at("2100-01-01T00:00:00Z", CallInitiated),
        ];
        assert!(sorted.is_sorted_by(|a, b| a < b), "{sorted:?}");
        let texts = sorted.map(written);
        assert!(texts.is_sorted_by(|a, b| a < b), "{texts:?}");
        assert_eq!(texts[5], "1767258736608000-6");
        assert_eq!(sorted[5].as_u64(), 17_672_587_366_080_006);
        assert_eq!(written(Sequence::new(Timestamp::MAX, CallDeleted)), "9999999999999999-9");
    }

    #[test]
    fn places_are_compared_only_about_one_object() {
        let place = |object, time| Place { object: ObjectKey::of(object), sequence: at(time, CallEnded) };
        let [early, late] = ["2026-01-01T09:00:00Z", "2026-01-01T09:00:01Z"].map(|time| place("a", time));
        let other = place("b", "2026-01-01T09:00:02Z");
        assert!(early.is_before(&late) && !late.is_before(&early) && !late.is_before(&late));
        assert!(!early.is_before(&other) && !other.is_before(&late));
        assert_eq!(Place::last([early, other, late].into_iter()), Some(late));
        assert_eq!(Place::last([late, early].into_iter()), Some(late));
        assert_eq!(Place::last([].into_iter()), None);
    }

    #[test]
    fn the_types_of_a_call_are_staged_in_the_order_of_its_life() {
        let mut calls: Vec<_> = EventType::ALL
            .iter()
            .map(|kind| (stage(*kind), kind.as_str()))
            .filter(|(_, kind)| kind.starts_with("call."))
            .collect();
        calls.sort_unstable();
        let of = |stage: u8| {
            calls.iter().filter(|(of, _)| *of == stage).map(|(_, kind)| *kind).collect::<Vec<_>>()
        };
        assert_eq!(of(1), ["call.initiated"]);
        assert_eq!(of(4), ["call.answered"]);
        assert_eq!(of(5), ["call.input", "call.media", "call.transcript.partial", "call.transferred"]);
        assert_eq!(of(6), ["call.ended"]);
        assert!(of(7).contains(&"call.transcript.completed") && of(7).contains(&"call.cost_reported"));
        assert_eq!(of(8), ["call.transcript.updated", "call.updated"]);
        assert_eq!(of(9), ["call.deleted", "call.transcript.deleted"]);
    }
}
