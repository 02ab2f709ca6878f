//! The data of `message.*` and `conversation.*`.

use jiff::Timestamp;

use super::{
    money::Cost,
    parts::{Direction, Text},
    person::{Participant, Party},
};
use crate::core::json::{Raw, json_object, json_words};

json_words! {
    /// The kind of a message.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum MessageKind {
        /// A text message of the phone network.
        Sms = "sms",
        /// A multimedia message of the phone network.
        Mms = "mms",
        /// A WhatsApp message.
        WhatsApp = "whatsapp",
        /// A text in another channel.
        Text = "text",
    }
}

json_words! {
    /// The state of a message's delivery.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum MessageStatus {
        /// Taken by the provider.
        Accepted = "accepted",
        /// Not sent yet.
        Pending = "pending",
        /// Sent, and not known to have arrived.
        Sent = "sent",
        /// Arrived.
        Delivered = "delivered",
        /// Could not be delivered.
        Undelivered = "undelivered",
        /// Not delivered in time, or no report of it came in time.
        Expired = "expired",
        /// Refused by the provider or a carrier.
        Rejected = "rejected",
    }
}

json_words! {
    /// The way by which people exchange messages.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Channel {
        /// A phone number, by calls or text messages.
        Phone = "phone",
        /// Text messages.
        Sms = "sms",
        /// A chat on a web site.
        Webchat = "webchat",
        /// E-mail.
        Email = "email",
        /// WhatsApp.
        WhatsApp = "whatsapp",
    }
}

json_words! {
    /// The state of a conversation.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ConversationStatus {
        /// In work.
        Open = "open",
        /// Waiting.
        Pending = "pending",
        /// Done, and may open again.
        Resolved = "resolved",
        /// Closed.
        Closed = "closed",
    }
}

json_words! {
    /// The priority of a conversation.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[expect(missing_docs, reason = "the words are self-explanatory")]
    pub enum Priority {
        Low = "low",
        Normal = "normal",
        High = "high",
        Urgent = "urgent",
    }
}

json_object! {
    /// The data of `message.*`.
    #[derive(Clone, Debug, Default)]
    pub struct MessageData<'a> {
        /// The message's id at the provider, an opaque string. The oldest edition of one provider has none.
        #[holds(Id)]
        pub message_id: Option<Text<'a>>,
        /// The id of the conversation at the provider, an opaque string.
        #[holds(Id)]
        pub conversation_id: Option<Text<'a>>,
        /// The direction, seen from the provider's customer.
        pub direction: Option<Direction>,
        /// The direction in the provider's word, only where that is unknown.
        #[holds(Id)]
        pub direction_raw: Option<Text<'a>>,
        /// The kind of message.
        pub kind: Option<MessageKind>,
        /// The kind of message in the provider's own word.
        #[holds(Id)]
        pub kind_raw: Option<Text<'a>>,
        /// The channel.
        pub channel: Option<Channel>,
        /// The channel in the provider's own word.
        #[holds(Id)]
        pub channel_raw: Option<Text<'a>>,
        /// The sender.
        pub from: Option<Party<'a>>,
        /// The recipient.
        pub to: Option<Party<'a>>,
        /// The text of the message.
        #[holds(Text)]
        pub content: Option<Text<'a>>,
        /// The attached media, as the provider wrote it.
        pub media: Option<Raw<'a>>,
        /// The state of the delivery.
        pub status: Option<MessageStatus>,
        /// The state of the delivery in the provider's own word.
        #[holds(Id)]
        pub status_raw: Option<Text<'a>>,
        /// The time of sending, RFC 3339 in UTC.
        pub sent_at: Option<Timestamp>,
        /// The time of receipt by the provider, RFC 3339 in UTC.
        pub received_at: Option<Timestamp>,
        /// The time of the last state of the delivery, RFC 3339 in UTC.
        pub delivered_at: Option<Timestamp>,
        /// The cost of the message.
        pub cost: Option<Cost<'a>>,
        /// A label of a group of messages.
        #[holds(Text)]
        pub tag: Option<Text<'a>>,
        /// The error in the provider's words, a free text.
        #[holds(Text)]
        pub error: Option<Text<'a>>,
        /// The people who wrote and got the message.
        pub participants: Vec<Participant<'a>>,
        /// The marketing attribution of the sender, as the provider wrote it.
        pub attribution: Option<Raw<'a>>,
    }
}

json_object! {
    /// The data of `conversation.*`.
    #[derive(Clone, Debug, Default)]
    pub struct ConversationData<'a> {
        /// The conversation's id at the provider, an opaque string.
        #[holds(Id)]
        pub conversation_id: Option<Text<'a>>,
        /// The state of the conversation.
        pub status: Option<ConversationStatus>,
        /// The state of the conversation in the provider's own word.
        #[holds(Id)]
        pub status_raw: Option<Text<'a>>,
        /// The priority.
        pub priority: Option<Priority>,
        /// The priority in the provider's own word.
        #[holds(Id)]
        pub priority_raw: Option<Text<'a>>,
        /// The channel's id at the provider, an opaque string.
        #[holds(Id)]
        pub channel_id: Option<Text<'a>>,
        /// The channel.
        pub channel: Option<Channel>,
        /// The channel in the provider's own word.
        #[holds(Id)]
        pub channel_raw: Option<Text<'a>>,
        /// The people in the conversation.
        pub participants: Vec<Participant<'a>>,
        /// The marketing attribution of the contact, as the provider wrote it.
        pub attribution: Option<Raw<'a>>,
        /// The time at which the conversation began, RFC 3339 in UTC.
        pub created_at: Option<Timestamp>,
        /// The time of the conversation's last change, RFC 3339 in UTC.
        pub updated_at: Option<Timestamp>,
    }
}
