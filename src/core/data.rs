//! The typed fields of each family of events: the same for every provider.
//!
//! A field that a provider does not send is absent; none is invented. A value that was computed is listed in
//! `derived`. Times are RFC 3339 in UTC.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

/// Text as the provider wrote it.
pub type Text<'a> = Cow<'a, str>;

/// The data of one event, by family.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
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
    Nothing {},
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
            Self::Nothing {} => "plain",
        }
    }
}

/// Which way a call or a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the provider's customer.
    Inbound,
    /// From the provider's customer.
    Outbound,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallStatus {
    /// Meant to happen.
    Planned,
    /// Set up.
    Initiated,
    /// Ringing.
    Ringing,
    /// Talking.
    InProgress,
    /// Over.
    Ended,
    /// Not said, or in a word that we do not know.
    Unknown,
}

/// Why a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words of the event model say it")]
pub enum EndReason {
    Completed,
    Busy,
    Canceled,
    Rejected,
    NoAnswer,
    Missed,
    Voicemail,
    Abandoned,
    Failed,
    Unknown,
}

/// One end of a call or a message.
#[derive(Clone, Debug, Serialize)]
pub struct Party<'a> {
    /// As the provider wrote it: a number, a SIP URI, `anonymous`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Text<'a>>,
    /// The number with `+`, where `raw` is one beyond doubt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e164: Option<String>,
    /// Who that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<'a>>,
}

impl<'a> Party<'a> {
    /// A party by number and name; none if the provider gave neither.
    pub fn new(raw: Option<Text<'a>>, name: Option<Text<'a>>) -> Option<Self> {
        if raw.is_none() && name.is_none() {
            return None;
        }
        let e164 = raw.as_deref().and_then(e164);
        Some(Self { raw, e164, name })
    }
}

/// The E.164 form: of `+` and 7 to 15 digits, or of 11 to 15 digits that do not start with 0; else none.
pub fn e164(raw: &str) -> Option<String> {
    let (digits, least) = raw.strip_prefix('+').map_or((raw, 11), |rest| (rest, 7));
    let valid = (least..=15).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    valid.then(|| format!("+{digits}"))
}

/// A reference to a thing at the provider.
#[derive(Clone, Debug, Serialize)]
pub struct Reference<'a> {
    /// Its id there.
    pub id: Text<'a>,
    /// What it is, in the provider's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Text<'a>>,
}

/// Somebody who takes part.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Participant<'a> {
    /// `internal`, `external` or `unknown`, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// The id at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Text<'a>>,
    /// What the id names, in the provider's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Text<'a>>,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<'a>>,
    /// The e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Text<'a>>,
    /// The phone number as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<Text<'a>>,
}

/// Money: a decimal exactly as written, or minor units; the currency where it is known.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Money<'a> {
    /// A decimal, as a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Text<'a>>,
    /// Cents and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minor_units: Option<i64>,
    /// ISO 4217, or what the provider wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Text<'a>>,
}

/// How a call moved on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Transfer<'a> {
    /// Who transferred, as the provider wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<&'a RawValue>,
    /// To whom, as the provider wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<&'a RawValue>,
    /// The first call of the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_call_id: Option<Text<'a>>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// A human at the provider's customer.
    Agent,
    /// The other side.
    Customer,
    /// A machine at the provider's customer.
    Ai,
    /// Not said.
    Unknown,
}

/// One utterance.
#[derive(Clone, Debug, Serialize)]
pub struct Segment<'a> {
    /// Who.
    pub speaker: Speaker,
    /// What.
    pub text: Text<'a>,
    /// When, as the provider wrote it: a time, seconds into the call, or a number of unknown unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Text<'a>>,
    /// Until when, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Text<'a>>,
    /// Which of the speakers, where they have ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaker_id: Option<Text<'a>>,
}

/// What an agent said came of a call.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome<'a> {
    /// The tag's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Text<'a>>,
    /// `booked`, `spam`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Text<'a>>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<Text<'a>>,
}

/// What a call is worth.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CallValue<'a> {
    /// As estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated: Option<Money<'a>>,
    /// As it came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<Money<'a>>,
    /// What was earned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revenue: Option<Money<'a>>,
}

/// What a call cost.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cost<'a> {
    /// In all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Money<'a>>,
    /// For a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<Money<'a>>,
}

/// The data of `call.*`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CallData<'a> {
    /// The provider's id, opaque. One provider's early events have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<Text<'a>>,
    /// Which way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<CallStatus>,
    /// Why it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReason>,
    /// Who called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Party<'a>>,
    /// Who was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Party<'a>>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How long, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// Where the recording is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording_url: Option<Text<'a>>,
    /// A label that somebody put on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<Text<'a>>,
    /// Whether a machine answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_detected: Option<bool>,
    /// Who took part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub participants: Vec<Participant<'a>>,
    /// How it moved on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer<'a>>,
    /// What it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Text<'a>>,
    /// The same in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_summary: Option<Text<'a>>,
    /// The transcript, where it is kept apart under an id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript_ref: Option<Reference<'a>>,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome<'a>>,
    /// Where the caller came from, whole and as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<&'a RawValue>,
    /// What it is worth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<CallValue<'a>>,
    /// What it cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost<'a>>,
    /// What went wrong, in the provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Text<'a>>,
    /// What was played or asked for during the call, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media: Option<&'a RawValue>,
    /// The keys that were pressed. Sensitive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digits: Option<Text<'a>>,
    /// The fields above that were computed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<&'static str>,
}

/// The data of `call.transcript.*`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TranscriptData<'a> {
    /// The transcript's own id, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript_id: Option<Text<'a>>,
    /// The call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<Text<'a>>,
    /// Which way the call went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Who called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Party<'a>>,
    /// Who was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Party<'a>>,
    /// What was said, in its order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript: Option<Vec<Segment<'a>>>,
    /// The whole as one text, where the provider gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_text: Option<Text<'a>>,
    /// Who speaks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub speakers: Vec<Participant<'a>>,
    /// How long, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
}

/// The data of `message.*`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MessageData<'a> {
    /// The provider's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<Text<'a>>,
    /// The conversation that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Text<'a>>,
    /// Which way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// `SMS`, `MMS`, `text`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Text<'a>>,
    /// `webchat`, `phone`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Text<'a>>,
    /// Who wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Party<'a>>,
    /// To whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Party<'a>>,
    /// What the writer is: `contact`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_kind: Option<Text<'a>>,
    /// The text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Text<'a>>,
    /// When it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// The contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<ContactData<'a>>,
    /// Where the writer came from, whole and as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<&'a RawValue>,
}

/// The data of `conversation.*`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConversationData<'a> {
    /// The provider's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Text<'a>>,
    /// In the provider's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Text<'a>>,
    /// In the provider's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Text<'a>>,
    /// The channel's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<Text<'a>>,
    /// `webchat`, `phone`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Text<'a>>,
    /// The contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<ContactData<'a>>,
    /// Where the contact came from, whole and as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<&'a RawValue>,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

/// The data of `contact.*`, and the contact inside other data.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ContactData<'a> {
    /// The provider's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_id: Option<Text<'a>>,
    /// The whole name, where it comes as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<'a>>,
    /// The first name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<Text<'a>>,
    /// The last name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<Text<'a>>,
    /// The company's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<Text<'a>>,
    /// E-mail addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emails: Option<Vec<Text<'a>>>,
    /// Phone numbers as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phones: Option<Vec<Text<'a>>>,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

/// The data of the CRM's records: companies, users, workspaces, opportunities, pipelines, stages, engagements.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RecordData<'a> {
    /// The provider's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_id: Option<Text<'a>>,
    /// Its name or title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<'a>>,
    /// A user's first name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<Text<'a>>,
    /// A user's last name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<Text<'a>>,
    /// A user's e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Text<'a>>,
    /// An engagement's or a stage's kind, in the provider's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Text<'a>>,
    /// Which way an engagement went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// In the provider's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Text<'a>>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text<'a>>,
    /// An opportunity's amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money<'a>>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How long, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// What it belongs to and what belongs to it: `owner`, `stage`, `contacts`, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link<'a>>,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

/// A reference with the role that it plays.
#[derive(Clone, Debug, Serialize)]
pub struct Link<'a> {
    /// `owner`, `stage`, `contacts`, …
    pub role: &'static str,
    /// The thing.
    #[serde(flatten)]
    pub reference: Reference<'a>,
}

/// The data of `scheduling.*`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SchedulingData<'a> {
    /// The provider's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduling_id: Option<Text<'a>>,
    /// Its name or title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<'a>>,
    /// In the provider's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Text<'a>>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text<'a>>,
    /// When it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// The day of a slot, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<Text<'a>>,
    /// The time zone of a slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<Text<'a>>,
    /// How long, in minutes as the provider gives them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_minutes: Option<f64>,
    /// The lengths that an event type offers, in minutes, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durations: Option<&'a RawValue>,
    /// What is asked for, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub questions: Option<&'a RawValue>,
    /// What was answered, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<&'a RawValue>,
    /// Where one books.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduling_url: Option<Text<'a>>,
    /// What it belongs to and what belongs to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link<'a>>,
    /// Who comes from outside, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_attendees: Option<&'a RawValue>,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

/// The data of `widget.card_view.*`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WidgetData<'a> {
    /// The provider's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub widget_id: Option<Text<'a>>,
    /// Who opened it, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triggered_by: Option<&'a RawValue>,
    /// What it shows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link<'a>>,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
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
