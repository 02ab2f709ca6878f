//! What a webhook is about, and the editions of its format.

use jiff::Timestamp;

use crate::core::events::{data::Data, event::EventType as E};

/// What differs between the editions of the provider's documents.
#[derive(Clone, Copy)]
pub(super) struct Edition {
    /// True for version 2.
    pub(super) is_second: bool,
    /// False for the oldest edition, whose calls and messages have no ids.
    pub(super) has_ids: bool,
}

/// One event without the fields that all events of the webhook share.
pub(super) struct Fact<'a> {
    pub(super) kind: E,
    /// None for a call that has no id yet.
    pub(super) subject: Option<String>,
    pub(super) time: Option<Timestamp>,
    pub(super) data: Data<'a>,
}

/// The subject matter of every webhook except a ping.
#[derive(Clone, Copy)]
pub(super) enum Topic {
    Call(Stage),
    Message(E),
    Contact(E),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Ringing,
    Initiated,
    Answered,
    Ended,
    TagAdded,
    TagRemoved,
    Summarized,
}

impl Stage {
    /// Returns true if the call has not ended.
    pub(super) fn is_before_the_end(self) -> bool {
        matches!(self, Self::Ringing | Self::Initiated | Self::Answered)
    }

    /// Returns true if the same can happen again to a call.
    pub(super) fn may_recur(self) -> bool {
        matches!(self, Self::TagAdded | Self::TagRemoved | Self::Summarized)
    }
}

pub(super) fn parse_topic(topic: &str) -> Option<Topic> {
    Some(match topic {
        "CALL_RECEIVED" | "call.completed" => Topic::Call(Stage::Ended),
        "call.received" => Topic::Call(Stage::Ringing),
        "call.triggered" => Topic::Call(Stage::Initiated),
        "call.answered" => Topic::Call(Stage::Answered),
        "tag.added" => Topic::Call(Stage::TagAdded),
        "tag.removed" => Topic::Call(Stage::TagRemoved),
        "summary.updated" | "SUMMARY_UPDATED" => Topic::Call(Stage::Summarized),
        "SMS_RECEIVED" | "sms.received" => Topic::Message(E::MessageReceived),
        "SMS_SENT" | "sms.sent" => Topic::Message(E::MessageSent),
        "CONTACT_CREATED" | "contact.created" => Topic::Contact(E::ContactCreated),
        "CONTACT_UPDATED" | "contact.updated" => Topic::Contact(E::ContactUpdated),
        _ => return None,
    })
}
