//! The data of `call.transcript.*`.

use jiff::Timestamp;

use super::{
    call::CallData,
    parts::{Direction, Text},
    person::{Participant, Party, Role},
};
use crate::core::json::{json_object, json_words, time};

json_words! {
    /// The role of a speaker.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Speaker {
        /// A human at the provider's customer.
        Agent = "agent",
        /// The other side.
        Customer = "customer",
        /// A machine that speaks for the provider's customer.
        Ai = "ai",
    }
}

impl From<Speaker> for Role {
    fn from(speaker: Speaker) -> Self {
        match speaker {
            Speaker::Agent => Self::Agent,
            Speaker::Customer => Self::Customer,
            Speaker::Ai => Self::Ai,
        }
    }
}

/// A moment of a call: its time, or its distance from the start of the call, or only the provider's text.
#[derive(Clone, Debug, Default)]
pub struct Moment<'a> {
    /// The time, if it is certain.
    pub at: Option<Timestamp>,
    /// The milliseconds since the start of the call, if they are certain.
    pub offset_ms: Option<i64>,
    /// The provider's own text.
    pub raw: Option<Text<'a>>,
}

impl<'a> Moment<'a> {
    /// Reads a time. Another text is only kept.
    pub fn of_time(raw: Option<Text<'a>>) -> Self {
        Self { at: raw.as_deref().and_then(time::parse), offset_ms: None, raw }
    }

    /// Reads seconds since the start of the call. Another text is only kept.
    pub fn of_seconds(raw: Option<Text<'a>>) -> Self {
        Self { at: None, offset_ms: raw.as_deref().and_then(|raw| milliseconds(raw, 1_000.0)), raw }
    }

    /// Reads milliseconds since the start of the call. Another text is only kept.
    pub fn of_milliseconds(raw: Option<Text<'a>>) -> Self {
        Self { at: None, offset_ms: raw.as_deref().and_then(|raw| milliseconds(raw, 1.0)), raw }
    }

    /// Keeps a text whose unit is not known.
    pub fn unknown(raw: Option<Text<'a>>) -> Self {
        Self { at: None, offset_ms: None, raw }
    }
}

/// Returns a number of `unit` milliseconds as whole milliseconds, from 0 to a year.
fn milliseconds(number: &str, unit: f64) -> Option<i64> {
    /// The milliseconds of a year: what is longer is no call.
    const MAX: f64 = 366.0 * 24.0 * 3_600.0 * 1_000.0;
    let milliseconds = (number.parse::<f64>().ok()? * unit).round();
    (0.0..=MAX).contains(&milliseconds).then_some(milliseconds as i64)
}

json_object! {
    /// One utterance.
    #[derive(Clone, Debug)]
    pub struct Segment<'a> {
        /// The utterance's position in the provider's list, from 0. Absent in a partial transcript.
        pub sequence: Option<i64>,
        /// The role of the speaker, absent where the provider does not say it.
        pub speaker: Option<Speaker>,
        /// The speaker in the provider's own word.
        #[holds(Name)]
        pub speaker_raw: Option<Text<'a>>,
        /// The speaker's id, where speakers have ids: see `participants[].speaker_id`.
        #[holds(Id)]
        pub speaker_id: Option<Text<'a>>,
        /// The spoken text.
        #[holds(Text)]
        pub text: Text<'a>,
        /// The time of the utterance's start, RFC 3339 in UTC, where it is certain.
        pub at: Option<Timestamp>,
        /// The utterance's start in whole milliseconds since the start of the call, where it is certain.
        pub offset_ms: Option<i64>,
        /// The utterance's start in the provider's own text.
        #[holds(Id)]
        pub at_raw: Option<Text<'a>>,
        /// The time of the utterance's end, RFC 3339 in UTC, where it is certain.
        pub until: Option<Timestamp>,
        /// The utterance's end in whole milliseconds since the start of the call, where it is certain.
        pub until_offset_ms: Option<i64>,
        /// The utterance's end in the provider's own text.
        #[holds(Id)]
        pub until_raw: Option<Text<'a>>,
    }
}

impl<'a> Segment<'a> {
    /// Creates an utterance that has a text, with what is known of its start and its end. Its position and
    /// its speaker are set apart.
    pub fn new(text: Text<'a>, start: Moment<'a>, end: Moment<'a>) -> Self {
        Self {
            sequence: None,
            speaker: None,
            speaker_raw: None,
            speaker_id: None,
            text,
            at: start.at,
            offset_ms: start.offset_ms,
            at_raw: start.raw,
            until: end.at,
            until_offset_ms: end.offset_ms,
            until_raw: end.raw,
        }
    }
}

json_object! {
    /// The data of `call.transcript.*`.
    #[derive(Clone, Debug, Default)]
    pub struct TranscriptData<'a> {
        /// The transcript's own id at the provider, an opaque string, where it has one.
        #[holds(Id)]
        pub transcript_id: Option<Text<'a>>,
        /// The call's id at the provider, an opaque string. A transcript of a file has none.
        #[holds(Id)]
        pub call_id: Option<Text<'a>>,
        /// The direction of the call, seen from the provider's customer.
        pub direction: Option<Direction>,
        /// The direction in the provider's word, only where that is unknown.
        #[holds(Id)]
        pub direction_raw: Option<Text<'a>>,
        /// The caller.
        pub from: Option<Party<'a>>,
        /// The callee.
        pub to: Option<Party<'a>>,
        /// The utterances in the provider's order. One utterance in a partial transcript.
        pub transcript: Option<Vec<Segment<'a>>>,
        /// The whole transcript as one text, where the provider sends it.
        #[holds(Text)]
        pub full_text: Option<Text<'a>>,
        /// The speakers.
        pub participants: Vec<Participant<'a>>,
        /// The length in seconds of what was transcribed, which need not be that of the call.
        pub transcript_seconds: Option<f64>,
        /// The error in the provider's words, a free text.
        #[holds(Text)]
        pub error: Option<Text<'a>>,
    }
}

impl<'a> TranscriptData<'a> {
    /// Creates the data of a transcript that comes with its call.
    pub fn of_call(call: &CallData<'a>) -> Self {
        Self {
            call_id: call.call_id.clone(),
            direction: call.direction,
            direction_raw: call.direction_raw.clone(),
            from: call.from.clone(),
            to: call.to.clone(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certain_is_a_time_or_an_offset() {
        let seconds = |raw: &'static str| Moment::of_seconds(Some(raw.into())).offset_ms;
        let milliseconds = |raw: &'static str| Moment::of_milliseconds(Some(raw.into())).offset_ms;
        let time = |raw: &'static str| Moment::of_time(Some(raw.into())).at;
        assert_eq!([seconds("1.5"), seconds("0"), seconds("3.2")], [Some(1_500), Some(0), Some(3_200)]);
        for bad in ["-1", "1e999", "NaN", "0:05", "", "1760084622"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
        assert_eq!([milliseconds("160"), milliseconds("160.4")], [Some(160), Some(160)]);
        assert_eq!(time("2026-01-01T14:30:02+01:00"), "2026-01-01T13:30:02Z".parse().ok());
        assert_eq!(time("1760084622"), "2025-10-10T08:23:42Z".parse().ok());
        for bad in ["111111", "0:05", "14:30:02", "2.5"] {
            assert_eq!(time(bad), None, "{bad}");
            assert_eq!(Moment::of_time(Some(bad.into())).raw.as_deref(), Some(bad));
        }
    }
}
