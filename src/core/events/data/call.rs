//! The data of `call.*`.

use jiff::Timestamp;

use super::parts::{Cost, Direction, Money, Participant, Party, Reference, Text};
use crate::core::json::{Raw, json_object, json_words};

json_words! {
    /// The state of a call.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum CallStatus {
        /// Planned for later.
        Planned = "planned",
        /// Set up.
        Initiated = "initiated",
        /// Ringing.
        Ringing = "ringing",
        /// Answered and not yet over.
        InProgress = "in_progress",
        /// Over.
        Ended = "ended",
        /// Not sent, or sent in an unknown word.
        Unknown = "unknown",
    }
}

json_words! {
    /// The reason why a call ended.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[expect(missing_docs, reason = "the words of the event model are self-explanatory")]
    pub enum EndReason {
        Completed = "completed",
        Busy = "busy",
        Canceled = "canceled",
        Rejected = "rejected",
        NoAnswer = "no_answer",
        Missed = "missed",
        Voicemail = "voicemail",
        Abandoned = "abandoned",
        Failed = "failed",
        Unknown = "unknown",
    }
}

json_object! {
    /// The transfer of a call.
    #[derive(Clone, Debug, Default)]
    pub struct Transfer<'a> {
        /// The transferring party, as written.
        pub from: Option<Raw<'a>>,
        /// The receiving party, as written.
        pub to: Option<Raw<'a>>,
        /// The id of the first call in the chain.
        pub original_call_id: Option<Text<'a>>,
    }
}

json_object! {
    /// The outcome of a call, as an agent tagged it.
    #[derive(Clone, Debug, Default)]
    pub struct CallOutcome<'a> {
        /// The tag's id.
        pub id: Option<Text<'a>>,
        /// `booked`, `spam`, …
        pub kind: Option<Text<'a>>,
        /// Free text.
        pub notes: Option<Text<'a>>,
    }
}

json_object! {
    /// The value of a call.
    #[derive(Clone, Debug, Default)]
    pub struct CallValue<'a> {
        /// The estimated value.
        pub estimated: Option<Money<'a>>,
        /// The actual value.
        pub actual: Option<Money<'a>>,
        /// The revenue.
        pub revenue: Option<Money<'a>>,
    }
}

json_object! {
    /// The data of `call.*`.
    #[derive(Clone, Debug, Default)]
    pub struct CallData<'a> {
        /// The provider's id, opaque. One provider's early events have none.
        pub call_id: Option<Text<'a>>,
        /// The direction.
        pub direction: Option<Direction>,
        /// The state of the call.
        pub status: Option<CallStatus>,
        /// The reason for its end.
        pub end_reason: Option<EndReason>,
        /// The caller.
        pub from: Option<Party<'a>>,
        /// The callee.
        pub to: Option<Party<'a>>,
        /// The time of the start.
        pub started_at: Option<Timestamp>,
        /// The time of the answer.
        pub answered_at: Option<Timestamp>,
        /// The time of the end.
        pub ended_at: Option<Timestamp>,
        /// The duration in seconds.
        pub duration_seconds: Option<f64>,
        /// The address of the recording.
        pub recording_url: Option<Text<'a>>,
        /// A label that a person put on the call.
        pub tag: Option<Text<'a>>,
        /// True if a machine answered.
        pub machine_detected: Option<bool>,
        /// The participants.
        pub participants: Vec<Participant<'a>>,
        /// The transfer.
        pub transfer: Option<Transfer<'a>>,
        /// A summary.
        pub summary: Option<Text<'a>>,
        /// A summary in one sentence.
        pub short_summary: Option<Text<'a>>,
        /// The transcript, where it is a separate object.
        pub transcript_ref: Option<Reference<'a>>,
        /// The outcome.
        pub outcome: Option<CallOutcome<'a>>,
        /// The marketing attribution of the caller, as written.
        pub attribution: Option<Raw<'a>>,
        /// The value.
        pub value: Option<CallValue<'a>>,
        /// The cost.
        pub cost: Option<Cost<'a>>,
        /// The error, in the provider's words.
        pub error: Option<Text<'a>>,
        /// The media that was played during the call, as written.
        pub media: Option<Raw<'a>>,
        /// The keys that were pressed. Sensitive.
        pub digits: Option<Text<'a>>,
        /// The names of the fields above that were computed.
        pub derived: Vec<&'static str>,
    }
}
