//! The data of `call.*`.

use jiff::Timestamp;

use super::{
    money::{Cost, Money},
    parts::{Direction, Reference, Text},
    person::{Participant, Party},
};
use crate::core::json::{Raw, json_object, json_words};

json_words! {
    /// The state of a call.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum CallStatus {
        /// Planned for later.
        Scheduled = "scheduled",
        /// Set up.
        Initiated = "initiated",
        /// Ringing.
        Ringing = "ringing",
        /// Answered and not yet over.
        InProgress = "in_progress",
        /// Over.
        Ended = "ended",
    }
}

json_words! {
    /// The reason why a call ended.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum EndReason {
        /// Answered, and ended by one of the two sides.
        Completed = "completed",
        /// The callee was busy.
        Busy = "busy",
        /// The caller hung up before the answer.
        Canceled = "canceled",
        /// The callee or a block list refused the call.
        Rejected = "rejected",
        /// The callee did not answer.
        NoAnswer = "no_answer",
        /// The provider's customer missed an inbound call.
        Missed = "missed",
        /// A voicemail answered.
        Voicemail = "voicemail",
        /// The caller gave up while waiting.
        Abandoned = "abandoned",
        /// A technical failure.
        Failed = "failed",
    }
}

json_words! {
    /// The outcome of a call.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum OutcomeKind {
        /// The customer made an appointment or another commitment.
        Booked = "booked",
        /// The customer got a quote.
        Quoted = "quoted",
        /// Another contact is needed.
        FollowUp = "follow_up",
        /// The customer wants nothing.
        NotInterested = "not_interested",
        /// The call was not answered.
        NoAnswer = "no_answer",
        /// An unwanted call.
        Spam = "spam",
        /// The caller wanted another number.
        WrongNumber = "wrong_number",
        /// Another outcome.
        Other = "other",
    }
}

json_object! {
    /// The transfer of a call.
    #[derive(Clone, Debug, Default)]
    pub struct Transfer<'a> {
        /// The person or number that transferred the call.
        pub from: Option<Participant<'a>>,
        /// The person or number that the call was transferred to.
        pub to: Option<Participant<'a>>,
        /// The id of the first call in the chain of transfers.
        #[holds(Id)]
        pub original_call_id: Option<Text<'a>>,
    }
}

json_object! {
    /// The outcome of a call, as an agent tagged it.
    #[derive(Clone, Debug, Default)]
    pub struct CallOutcome<'a> {
        /// The id of the tag.
        #[holds(Id)]
        pub id: Option<Text<'a>>,
        /// The outcome, absent where the provider sends an unknown word.
        pub kind: Option<OutcomeKind>,
        /// The outcome in the provider's own word.
        #[holds(Id)]
        pub kind_raw: Option<Text<'a>>,
        /// The agent's notes, a free text.
        #[holds(Text)]
        pub notes: Option<Text<'a>>,
    }
}

json_object! {
    /// The value of a call for the provider's customer.
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
    /// A recording of a call.
    #[derive(Clone, Debug, Default)]
    pub struct Recording<'a> {
        /// The recording's id at the provider, an opaque string.
        #[holds(Id)]
        pub id: Option<Text<'a>>,
        /// The address of the recording, a URL that may need the provider's credentials.
        #[holds(Text)]
        pub url: Option<Text<'a>>,
        /// The time at which the recording starts, RFC 3339 in UTC.
        pub started_at: Option<Timestamp>,
        /// The length of the recording in seconds.
        pub duration_seconds: Option<f64>,
    }
}

impl<'a> Recording<'a> {
    /// Returns the list of one recording of which only the address is known; empty without an address.
    pub fn at(url: Option<Text<'a>>) -> Vec<Self> {
        url.map(|url| Self { url: Some(url), ..Self::default() }).into_iter().collect()
    }
}

json_object! {
    /// The data of `call.*`.
    #[derive(Clone, Debug, Default)]
    pub struct CallData<'a> {
        /// The call's id at the provider, an opaque string. The first events of one provider have none.
        #[holds(Id)]
        pub call_id: Option<Text<'a>>,
        /// The direction, seen from the provider's customer.
        pub direction: Option<Direction>,
        /// The direction in the provider's word, only where that is unknown.
        #[holds(Id)]
        pub direction_raw: Option<Text<'a>>,
        /// The state of the call: of the event's type where that says one, else as the provider says.
        pub status: Option<CallStatus>,
        /// The state in the provider's own word.
        #[holds(Id)]
        pub status_raw: Option<Text<'a>>,
        /// The reason why the call ended, absent where the provider does not say it.
        pub end_reason: Option<EndReason>,
        /// The reason in the provider's own word.
        #[holds(Id)]
        pub end_reason_raw: Option<Text<'a>>,
        /// The caller.
        pub from: Option<Party<'a>>,
        /// The callee.
        pub to: Option<Party<'a>>,
        /// The time for which the call is planned, RFC 3339 in UTC.
        pub scheduled_at: Option<Timestamp>,
        /// The time at which the call was set up, RFC 3339 in UTC.
        pub started_at: Option<Timestamp>,
        /// The time of the answer, RFC 3339 in UTC.
        pub answered_at: Option<Timestamp>,
        /// The time at which the call ended, RFC 3339 in UTC.
        pub ended_at: Option<Timestamp>,
        /// The length of the call in seconds, from its start to its end.
        pub duration_seconds: Option<f64>,
        /// The length of the conversation in seconds, from the answer to the end.
        pub talk_seconds: Option<f64>,
        /// The length in seconds that the provider bills.
        pub billed_seconds: Option<f64>,
        /// The recordings of the call.
        pub recordings: Vec<Recording<'a>>,
        /// A label that a person or the provider's customer put on the call.
        #[holds(Text)]
        pub tag: Option<Text<'a>>,
        /// True if a machine answered, such as a voicemail.
        pub machine_detected: Option<bool>,
        /// The people in the call.
        pub participants: Vec<Participant<'a>>,
        /// The transfer of the call.
        pub transfer: Option<Transfer<'a>>,
        /// A summary of what was said, a free text.
        #[holds(Text)]
        pub summary: Option<Text<'a>>,
        /// A summary in one sentence.
        #[holds(Text)]
        pub short_summary: Option<Text<'a>>,
        /// The transcript, where it is an object of its own at the provider.
        pub transcript_ref: Option<Reference<'a>>,
        /// The outcome, as an agent tagged it.
        pub outcome: Option<CallOutcome<'a>>,
        /// The marketing attribution of the caller, as the provider wrote it.
        pub attribution: Option<Raw<'a>>,
        /// The value of the call for the provider's customer.
        pub value: Option<CallValue<'a>>,
        /// The cost of the call.
        pub cost: Option<Cost<'a>>,
        /// The error in the provider's words, a free text.
        #[holds(Text)]
        pub error: Option<Text<'a>>,
        /// The media that was played during the call, as the provider wrote it.
        pub media: Option<Raw<'a>>,
        /// The keys that were pressed during the call. They may be a PIN.
        #[holds(Text)]
        pub digits: Option<Text<'a>>,
        /// True if the event states how a call stands that may have been told to be over before.
        pub snapshot: Option<bool>,
        /// The names of the fields of this event that hookswitch computed.
        pub derived: Vec<&'static str>,
    }
}

/// The most seconds by which a length differs from the times of its ends, since either may be rounded.
const ROUNDING_SECONDS: f64 = 1.0;

impl CallData<'_> {
    /// Returns true if a length may count from the start or from the answer: the call was answered, and its
    /// end is not known.
    pub fn has_open_length(&self) -> bool {
        self.answered_at.is_some() && self.ended_at.is_none()
    }

    /// Sets the length of a call of which the provider does not say whether it counts from the start or from
    /// the answer. The times of the call decide; where they do not, it counts from the start. Returns the
    /// name of the field.
    pub fn set_length(&mut self, seconds: f64) -> &'static str {
        let fits = |start: Option<Timestamp>| {
            let length = start.zip(self.ended_at).map(|(start, end)| end.duration_since(start).as_secs_f64());
            length.is_some_and(|length| (length - seconds).abs() <= ROUNDING_SECONDS)
        };
        if fits(self.answered_at) && !fits(self.started_at) {
            self.talk_seconds = Some(seconds);
            return "talk_seconds";
        }
        self.duration_seconds = Some(seconds);
        "duration_seconds"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_counts_from_where_the_times_say() {
        let time = |text: &str| text.parse().ok();
        let call = |answered_at, ended_at| CallData {
            started_at: time("2026-03-09T08:15:02.417Z"),
            answered_at,
            ended_at,
            ..CallData::default()
        };
        let (answer, end) = (time("2026-03-09T08:15:10.902Z"), time("2026-03-09T08:24:51.033Z"));
        for (answered_at, ended_at, seconds, field) in [
            (answer, end, 580.0, "talk_seconds"),
            (answer, end, 588.0, "duration_seconds"),
            (answer, end, 60.0, "duration_seconds"),
            (answer, None, 580.0, "duration_seconds"),
            (None, end, 580.0, "duration_seconds"),
            // Answered at once: both fit.
            (time("2026-03-09T08:15:03Z"), end, 588.0, "duration_seconds"),
        ] {
            assert_eq!(call(answered_at, ended_at).set_length(seconds), field, "{seconds}");
        }
    }
}
