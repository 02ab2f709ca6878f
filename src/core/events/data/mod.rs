//! The typed fields of each family of events: the same for every provider.
//!
//! A field that a provider does not send is absent; none is invented. A computed value is listed in
//! `derived`. Times are RFC 3339 in UTC. "As written" means the provider's JSON, byte for byte.

mod call;
mod contact;
mod invoice;
mod message;
mod money;
mod parts;
mod person;
mod record;
mod scheduling;
mod transcript;
mod widget;

pub use self::{
    call::{CallData, CallOutcome, CallStatus, CallValue, EndReason, OutcomeKind, Recording, Transfer},
    contact::ContactData,
    invoice::{InvoiceData, InvoiceStatus},
    message::{
        Channel, ConversationData, ConversationStatus, MessageData, MessageKind, MessageStatus, Priority,
    },
    money::{Cost, Money},
    parts::{Direction, Link, ObjectKind, Reference, Text},
    person::{Participant, Party, Phone, Role, Side, full_name},
    record::{RecordData, RecordKind, RecordStatus},
    scheduling::SchedulingData,
    transcript::{Moment, Segment, Speaker, TranscriptData},
    widget::WidgetData,
};
use crate::core::json::{
    Fields,
    personal::{Redact, Redactor},
};

/// The data of one event, by family.
#[derive(Clone, Debug)]
pub enum Data<'a> {
    /// `call.*` except transcripts.
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
    /// `invoice.*`
    Invoice(Box<InvoiceData<'a>>),
    /// `scheduling.*`
    Scheduling(Box<SchedulingData<'a>>),
    /// `widget.card_view.*`
    Widget(Box<WidgetData<'a>>),
    /// `source.ping` and `provider.unmapped`: only unmapped data.
    Empty {},
}

impl<'a> Data<'a> {
    /// Returns the ends of a call or a message.
    pub fn parties_mut(&mut self) -> impl Iterator<Item = &mut Party<'a>> {
        let ends = match self {
            Self::Call(data) => [data.from.as_mut(), data.to.as_mut()],
            Self::Transcript(data) => [data.from.as_mut(), data.to.as_mut()],
            Self::Message(data) => [data.from.as_mut(), data.to.as_mut()],
            Self::Conversation(_)
            | Self::Contact(_)
            | Self::Record(_)
            | Self::Invoice(_)
            | Self::Scheduling(_)
            | Self::Widget(_)
            | Self::Empty {} => [None, None],
        };
        ends.into_iter().flatten()
    }

    /// Returns the phone numbers of people and contacts.
    pub fn phones_mut(&mut self) -> impl Iterator<Item = &mut Phone<'a>> {
        let (people, transfer) = match self {
            Self::Call(data) => (&mut data.participants[..], data.transfer.as_mut()),
            Self::Transcript(data) => (&mut data.participants[..], None),
            Self::Message(data) => (&mut data.participants[..], None),
            Self::Conversation(data) => (&mut data.participants[..], None),
            Self::Record(data) => (&mut data.participants[..], None),
            Self::Invoice(data) => (&mut data.participants[..], None),
            Self::Scheduling(data) => (&mut data.participants[..], None),
            Self::Widget(data) => (&mut data.participants[..], None),
            Self::Contact(data) => {
                let phones = data.phones.as_deref_mut().unwrap_or_default();
                return phones.iter_mut().chain(of_people(&mut [], None));
            }
            Self::Empty {} => (&mut [][..], None),
        };
        [].iter_mut().chain(of_people(people, transfer))
    }
}

/// Returns the phone numbers of people, and of those between whom a call was transferred.
fn of_people<'d, 'a>(
    people: &'d mut [Participant<'a>],
    transfer: Option<&'d mut Transfer<'a>>,
) -> impl Iterator<Item = &'d mut Phone<'a>> {
    let transfer = transfer.into_iter().flat_map(|transfer| [&mut transfer.from, &mut transfer.to]);
    people.iter_mut().chain(transfer.flatten()).flat_map(|person| &mut person.phones)
}

impl Redact<()> for Data<'_> {
    fn redact(&mut self, (): (), by: &dyn Redactor) -> bool {
        match self {
            Self::Call(data) => data.redact((), by),
            Self::Transcript(data) => data.redact((), by),
            Self::Message(data) => data.redact((), by),
            Self::Conversation(data) => data.redact((), by),
            Self::Contact(data) => data.redact((), by),
            Self::Record(data) => data.redact((), by),
            Self::Invoice(data) => data.redact((), by),
            Self::Scheduling(data) => data.redact((), by),
            Self::Widget(data) => data.redact((), by),
            Self::Empty {} => true,
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
            Self::Invoice(data) => data.write_fields(out),
            Self::Scheduling(data) => data.write_fields(out),
            Self::Widget(data) => data.write_fields(out),
            Self::Empty {} => {}
        }
    }
}
