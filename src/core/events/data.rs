//! The typed fields of each family of events: the same for every provider.
//!
//! A field that a provider does not send is absent; none is invented. A value that was computed is listed in
//! `derived`. Times are RFC 3339 in UTC.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::core::json::{Fields, Json, Raw, json_object, json_words, write_field, write_object};

/// Text as the provider wrote it.
pub type Text<'a> = Cow<'a, str>;

/// The data of one event, by family.
#[derive(Clone, Debug)]
pub enum Data<'a> {
    /// `call.*`, but for transcripts.
    Call(Box<CallData<'a>>),
    /// `call.transcript.*`
    Transcript(Box<TranscriptData<'a>>),
    /// `message.*`
    Message(Box<MessageData<'a>>),
    /// `conversation.*`
    Conversation(Box<ConversationData<'a>>),
    /// `contact.*`
    Contact(Box<ContactData<'a>>),
    /// `company.*`, `user.*`, `workspace.*`, `opportunity.*`, `pipeline.*`, `stage.*`, `engagement.*`
    Record(Box<RecordData<'a>>),
    /// `scheduling.*`
    Scheduling(Box<SchedulingData<'a>>),
    /// `widget.card_view.*`
    Widget(Box<WidgetData<'a>>),
    /// `source.ping` and `provider.unmapped`: nothing but what is unmapped.
    Empty {},
}

impl Data<'_> {
    /// The family's name, the last part of the schema's URN.
    pub fn family(&self) -> &'static str {
        match self {
            Self::Call(_) => "call",
            Self::Transcript(_) => "transcript",
            Self::Message(_) => "message",
            Self::Conversation(_) => "conversation",
            Self::Contact(_) => "contact",
            Self::Record(_) => "record",
            Self::Scheduling(_) => "scheduling",
            Self::Widget(_) => "widget",
            Self::Empty {} => "plain",
        }
    }
}

impl Fields for Data<'_> {
    fn write_fields(&self, out: &mut Vec<u8>) {
        match self {
            Self::Call(data) => data.write_fields(out),
            Self::Transcript(data) => data.write_fields(out),
            Self::Message(data) => data.write_fields(out),
            Self::Conversation(data) => data.write_fields(out),
            Self::Contact(data) => data.write_fields(out),
            Self::Record(data) => data.write_fields(out),
            Self::Scheduling(data) => data.write_fields(out),
            Self::Widget(data) => data.write_fields(out),
            Self::Empty {} => {}
        }
    }
}

json_words! {
    /// Which way a call or a message went.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Direction {
        /// To the provider's customer.
        Inbound = "inbound",
        /// From the provider's customer.
        Outbound = "outbound",
    }
}

json_words! {
    /// Where a call stands.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum CallStatus {
        /// Meant to happen.
        Planned = "planned",
        /// Set up.
        Initiated = "initiated",
        /// Ringing.
        Ringing = "ringing",
        /// Talking.
        InProgress = "in_progress",
        /// Over.
        Ended = "ended",
        /// Not said, or in a word that we do not know.
        Unknown = "unknown",
    }
}

json_words! {
    /// Why a call is over.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[expect(missing_docs, reason = "the words of the event model say it")]
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
    /// One end of a call or a message.
    #[derive(Clone, Debug)]
    pub struct Party<'a> {
        /// As the provider wrote it: a number, a SIP URI, `anonymous`, …
        pub raw: Option<Text<'a>>,
        /// The number with `+`, where `raw` is one beyond doubt.
        pub e164: Option<Text<'a>>,
        /// Who that is.
        pub name: Option<Text<'a>>,
    }
}

impl<'a> Party<'a> {
    /// A party by number and name; none if the provider gave neither.
    pub fn new(raw: Option<Text<'a>>, name: Option<Text<'a>>) -> Option<Self> {
        if raw.is_none() && name.is_none() {
            return None;
        }
        let e164 = match &raw {
            Some(Cow::Borrowed(raw)) => e164(raw),
            Some(Cow::Owned(raw)) => e164(raw).map(|number| Cow::Owned(number.into_owned())),
            None => None,
        };
        Some(Self { raw, e164, name })
    }
}

/// The E.164 form: of `+` and 7 to 15 digits, or of 11 to 15 digits that do not start with 0; else none.
pub fn e164(raw: &str) -> Option<Text<'_>> {
    let (digits, least) = raw.strip_prefix('+').map_or((raw, 11), |rest| (rest, 7));
    let valid = (least..=15).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    valid.then(|| if least == 7 { Cow::Borrowed(raw) } else { Cow::Owned(["+", digits].concat()) })
}

json_object! {
    /// A reference to a thing at the provider.
    #[derive(Clone, Debug)]
    pub struct Reference<'a> {
        /// Its id there.
        pub id: Text<'a>,
        /// What it is, in the provider's word.
        pub kind: Option<Text<'a>>,
    }
}

json_object! {
    /// Somebody who takes part.
    #[derive(Clone, Debug, Default)]
    pub struct Participant<'a> {
        /// `internal`, `external` or `unknown`, where it is known.
        pub role: Option<&'static str>,
        /// The id at the provider.
        pub id: Option<Text<'a>>,
        /// What the id names, in the provider's word.
        pub kind: Option<Text<'a>>,
        /// The name.
        pub name: Option<Text<'a>>,
        /// The e-mail address.
        pub email: Option<Text<'a>>,
        /// The phone number as written.
        pub phone: Option<Text<'a>>,
    }
}

json_object! {
    /// Money: a decimal exactly as written, or minor units; the currency where it is known.
    #[derive(Clone, Debug, Default)]
    pub struct Money<'a> {
        /// A decimal, as a string.
        pub amount: Option<Text<'a>>,
        /// Cents and the like.
        pub minor_units: Option<i64>,
        /// ISO 4217, or what the provider wrote.
        pub currency: Option<Text<'a>>,
    }
}

json_object! {
    /// How a call moved on.
    #[derive(Clone, Debug, Default)]
    pub struct Transfer<'a> {
        /// Who transferred, as the provider wrote it.
        pub from: Option<Raw<'a>>,
        /// To whom, as the provider wrote it.
        pub to: Option<Raw<'a>>,
        /// The first call of the chain.
        pub original_call_id: Option<Text<'a>>,
    }
}

json_words! {
    /// Who speaks.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Speaker {
        /// A human at the provider's customer.
        Agent = "agent",
        /// The other side.
        Customer = "customer",
        /// A machine at the provider's customer.
        Ai = "ai",
        /// Not said.
        Unknown = "unknown",
    }
}

json_object! {
    /// One utterance.
    #[derive(Clone, Debug)]
    pub struct Segment<'a> {
        /// Who.
        pub speaker: Speaker,
        /// What.
        pub text: Text<'a>,
        /// When, as the provider wrote it: a time, seconds into the call, or a number of unknown unit.
        pub at: Option<Text<'a>>,
        /// Until when, likewise.
        pub until: Option<Text<'a>>,
        /// Which of the speakers, where they have ids.
        pub speaker_id: Option<Text<'a>>,
    }
}

json_object! {
    /// What an agent said came of a call.
    #[derive(Clone, Debug, Default)]
    pub struct Outcome<'a> {
        /// The tag's id.
        pub id: Option<Text<'a>>,
        /// `booked`, `spam`, …
        pub kind: Option<Text<'a>>,
        /// In words.
        pub notes: Option<Text<'a>>,
    }
}

json_object! {
    /// What a call is worth.
    #[derive(Clone, Debug, Default)]
    pub struct CallValue<'a> {
        /// As estimated.
        pub estimated: Option<Money<'a>>,
        /// As it came out.
        pub actual: Option<Money<'a>>,
        /// What was earned.
        pub revenue: Option<Money<'a>>,
    }
}

json_object! {
    /// What a call cost.
    #[derive(Clone, Debug, Default)]
    pub struct Cost<'a> {
        /// In all.
        pub total: Option<Money<'a>>,
        /// For a minute.
        pub per_minute: Option<Money<'a>>,
    }
}

json_object! {
    /// The data of `call.*`.
    #[derive(Clone, Debug, Default)]
    pub struct CallData<'a> {
        /// The provider's id, opaque. One provider's early events have none.
        pub call_id: Option<Text<'a>>,
        /// Which way.
        pub direction: Option<Direction>,
        /// Where it stands.
        pub status: Option<CallStatus>,
        /// Why it is over.
        pub end_reason: Option<EndReason>,
        /// Who called.
        pub from: Option<Party<'a>>,
        /// Who was called.
        pub to: Option<Party<'a>>,
        /// When it started.
        pub started_at: Option<Timestamp>,
        /// When it was answered.
        pub answered_at: Option<Timestamp>,
        /// When it ended.
        pub ended_at: Option<Timestamp>,
        /// How long, in seconds.
        pub duration_seconds: Option<f64>,
        /// Where the recording is.
        pub recording_url: Option<Text<'a>>,
        /// A label that somebody put on it.
        pub tag: Option<Text<'a>>,
        /// Whether a machine answered.
        pub machine_detected: Option<bool>,
        /// Who took part.
        pub participants: Vec<Participant<'a>>,
        /// How it moved on.
        pub transfer: Option<Transfer<'a>>,
        /// What it was about.
        pub summary: Option<Text<'a>>,
        /// The same in one sentence.
        pub short_summary: Option<Text<'a>>,
        /// The transcript, where it is kept apart under an id.
        pub transcript_ref: Option<Reference<'a>>,
        /// What came of it.
        pub outcome: Option<Outcome<'a>>,
        /// Where the caller came from, whole and as written.
        pub attribution: Option<Raw<'a>>,
        /// What it is worth.
        pub value: Option<CallValue<'a>>,
        /// What it cost.
        pub cost: Option<Cost<'a>>,
        /// What went wrong, in the provider's words.
        pub error: Option<Text<'a>>,
        /// What was played or asked for during the call, as written.
        pub media: Option<Raw<'a>>,
        /// The keys that were pressed. Sensitive.
        pub digits: Option<Text<'a>>,
        /// The fields above that were computed.
        pub derived: Vec<&'static str>,
    }
}

json_object! {
    /// The data of `call.transcript.*`.
    #[derive(Clone, Debug, Default)]
    pub struct TranscriptData<'a> {
        /// The transcript's own id, where it has one.
        pub transcript_id: Option<Text<'a>>,
        /// The call.
        pub call_id: Option<Text<'a>>,
        /// Which way the call went.
        pub direction: Option<Direction>,
        /// Who called.
        pub from: Option<Party<'a>>,
        /// Who was called.
        pub to: Option<Party<'a>>,
        /// What was said, in its order.
        pub transcript: Option<Vec<Segment<'a>>>,
        /// The whole as one text, where the provider gives it.
        pub full_text: Option<Text<'a>>,
        /// Who speaks.
        pub speakers: Vec<Participant<'a>>,
        /// How long, in seconds.
        pub duration_seconds: Option<f64>,
    }
}

json_object! {
    /// The data of `message.*`.
    #[derive(Clone, Debug, Default)]
    pub struct MessageData<'a> {
        /// The provider's id.
        pub message_id: Option<Text<'a>>,
        /// The conversation that it belongs to.
        pub conversation_id: Option<Text<'a>>,
        /// Which way.
        pub direction: Option<Direction>,
        /// `SMS`, `MMS`, `text`, …
        pub kind: Option<Text<'a>>,
        /// `webchat`, `phone`, …
        pub channel: Option<Text<'a>>,
        /// Who wrote.
        pub from: Option<Party<'a>>,
        /// To whom.
        pub to: Option<Party<'a>>,
        /// What the writer is: `contact`, …
        pub sender_kind: Option<Text<'a>>,
        /// The text.
        pub content: Option<Text<'a>>,
        /// When it was sent.
        pub sent_at: Option<Timestamp>,
        /// The contact.
        pub contact: Option<ContactData<'a>>,
        /// Where the writer came from, whole and as written.
        pub attribution: Option<Raw<'a>>,
    }
}

json_object! {
    /// The data of `conversation.*`.
    #[derive(Clone, Debug, Default)]
    pub struct ConversationData<'a> {
        /// The provider's id.
        pub conversation_id: Option<Text<'a>>,
        /// In the provider's word.
        pub status: Option<Text<'a>>,
        /// In the provider's word.
        pub priority: Option<Text<'a>>,
        /// The channel's id.
        pub channel_id: Option<Text<'a>>,
        /// `webchat`, `phone`, …
        pub channel: Option<Text<'a>>,
        /// The contact.
        pub contact: Option<ContactData<'a>>,
        /// Where the contact came from, whole and as written.
        pub attribution: Option<Raw<'a>>,
        /// When it was created.
        pub created_at: Option<Timestamp>,
        /// When it was last changed.
        pub updated_at: Option<Timestamp>,
    }
}

json_object! {
    /// The data of `contact.*`, and the contact inside other data.
    #[derive(Clone, Debug, Default)]
    pub struct ContactData<'a> {
        /// The provider's id.
        pub contact_id: Option<Text<'a>>,
        /// The whole name, where it comes as one.
        pub name: Option<Text<'a>>,
        /// The first name.
        pub first_name: Option<Text<'a>>,
        /// The last name.
        pub last_name: Option<Text<'a>>,
        /// The company's name.
        pub company: Option<Text<'a>>,
        /// E-mail addresses.
        pub emails: Option<Vec<Text<'a>>>,
        /// Phone numbers as written.
        pub phones: Option<Vec<Text<'a>>>,
        /// When it was created.
        pub created_at: Option<Timestamp>,
        /// When it was last changed.
        pub updated_at: Option<Timestamp>,
    }
}

json_object! {
    /// The data of the CRM's records: companies, users, workspaces, opportunities, pipelines, stages, engagements.
    #[derive(Clone, Debug, Default)]
    pub struct RecordData<'a> {
        /// The provider's id.
        pub record_id: Option<Text<'a>>,
        /// Its name or title.
        pub name: Option<Text<'a>>,
        /// A user's first name.
        pub first_name: Option<Text<'a>>,
        /// A user's last name.
        pub last_name: Option<Text<'a>>,
        /// A user's e-mail address.
        pub email: Option<Text<'a>>,
        /// An engagement's or a stage's kind, in the provider's word.
        pub kind: Option<Text<'a>>,
        /// Which way an engagement went.
        pub direction: Option<Direction>,
        /// In the provider's word.
        pub status: Option<Text<'a>>,
        /// In words.
        pub description: Option<Text<'a>>,
        /// An opportunity's amount.
        pub amount: Option<Money<'a>>,
        /// When it started.
        pub started_at: Option<Timestamp>,
        /// When it ended.
        pub ended_at: Option<Timestamp>,
        /// How long, in seconds.
        pub duration_seconds: Option<f64>,
        /// What it belongs to and what belongs to it: `owner`, `stage`, `contacts`, …
        pub links: Vec<Link<'a>>,
        /// When it was created.
        pub created_at: Option<Timestamp>,
        /// When it was last changed.
        pub updated_at: Option<Timestamp>,
    }
}

/// A reference with the role that it plays.
#[derive(Clone, Debug)]
pub struct Link<'a> {
    /// `owner`, `stage`, `contacts`, …
    pub role: &'static str,
    /// The thing.
    pub reference: Reference<'a>,
}

impl Json for Link<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        write_object(out, |out| {
            write_field!(out, "role", &self.role);
            self.reference.write_fields(out);
        });
    }
}

json_object! {
    /// The data of `scheduling.*`.
    #[derive(Clone, Debug, Default)]
    pub struct SchedulingData<'a> {
        /// The provider's id.
        pub scheduling_id: Option<Text<'a>>,
        /// Its name or title.
        pub name: Option<Text<'a>>,
        /// In the provider's word.
        pub status: Option<Text<'a>>,
        /// In words.
        pub description: Option<Text<'a>>,
        /// When it starts.
        pub starts_at: Option<Timestamp>,
        /// When it ends.
        pub ends_at: Option<Timestamp>,
        /// The day of a slot, as written.
        pub date: Option<Text<'a>>,
        /// The time zone of a slot.
        pub timezone: Option<Text<'a>>,
        /// How long, in minutes as the provider gives them.
        pub duration_minutes: Option<f64>,
        /// The lengths that an event type offers, in minutes, as written.
        pub durations: Option<Raw<'a>>,
        /// What is asked for, as written.
        pub questions: Option<Raw<'a>>,
        /// What was answered, as written.
        pub answers: Option<Raw<'a>>,
        /// Where one books.
        pub scheduling_url: Option<Text<'a>>,
        /// What it belongs to and what belongs to it.
        pub links: Vec<Link<'a>>,
        /// Who comes from outside, as written.
        pub external_attendees: Option<Raw<'a>>,
        /// When it was created.
        pub created_at: Option<Timestamp>,
        /// When it was last changed.
        pub updated_at: Option<Timestamp>,
    }
}

json_object! {
    /// The data of `widget.card_view.*`.
    #[derive(Clone, Debug, Default)]
    pub struct WidgetData<'a> {
        /// The provider's id.
        pub widget_id: Option<Text<'a>>,
        /// Who opened it, as written.
        pub triggered_by: Option<Raw<'a>>,
        /// What it shows.
        pub links: Vec<Link<'a>>,
        /// When it was created.
        pub created_at: Option<Timestamp>,
        /// When it was last changed.
        pub updated_at: Option<Timestamp>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_number_beyond_doubt_becomes_e164() {
        for (raw, expected) in [
            ("+18005551234", Some("+18005551234")),
            ("17653889567", Some("+17653889567")),
            ("5551234567", None),
            ("02079460000", None),
            ("+1", None),
            ("+1800555123x", None),
            ("+1800555123456789", None),
            ("sip:a@example.com", None),
            ("anonymous", None),
            ("salprebox:SALPRE_AABBCCDD", None),
            ("+", None),
            ("", None),
        ] {
            assert_eq!(e164(raw).as_deref(), expected, "{raw}");
        }
    }
}
