//! The data of `call.transcript.*`.

use super::parts::{Direction, Participant, Party, Text};
use crate::core::json::{json_object, json_words};

json_words! {
    /// The role of a speaker.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Speaker {
        /// A human at the provider's customer.
        Agent = "agent",
        /// The other side.
        Customer = "customer",
        /// A machine at the provider's customer.
        Ai = "ai",
        /// Not sent, or sent in an unknown word.
        Unknown = "unknown",
    }
}

json_object! {
    /// One utterance.
    #[derive(Clone, Debug)]
    pub struct Segment<'a> {
        /// The role of the speaker.
        pub speaker: Speaker,
        /// The spoken text.
        pub text: Text<'a>,
        /// The start, as the provider wrote it: a time, seconds into the call, or a number of unknown unit.
        pub at: Option<Text<'a>>,
        /// The end, likewise.
        pub until: Option<Text<'a>>,
        /// The id of the speaker, where speakers have ids.
        pub speaker_id: Option<Text<'a>>,
    }
}

json_object! {
    /// The data of `call.transcript.*`.
    #[derive(Clone, Debug, Default)]
    pub struct TranscriptData<'a> {
        /// The transcript's own id, where it has one.
        pub transcript_id: Option<Text<'a>>,
        /// The call's id.
        pub call_id: Option<Text<'a>>,
        /// The direction of the call.
        pub direction: Option<Direction>,
        /// The caller.
        pub from: Option<Party<'a>>,
        /// The callee.
        pub to: Option<Party<'a>>,
        /// The utterances, in the provider's order.
        pub transcript: Option<Vec<Segment<'a>>>,
        /// The transcript as one text, where the provider sends it.
        pub full_text: Option<Text<'a>>,
        /// The speakers.
        pub speakers: Vec<Participant<'a>>,
        /// The duration in seconds.
        pub duration_seconds: Option<f64>,
        /// The error, in the provider's words.
        pub error: Option<Text<'a>>,
    }
}
