//! The data of `message.*` and `conversation.*`.

use jiff::Timestamp;

use super::{
    contact::ContactData,
    parts::{Cost, Direction, Party, Text},
};
use crate::core::json::{Raw, json_object};

json_object! {
    /// The data of `message.*`.
    #[derive(Clone, Debug, Default)]
    pub struct MessageData<'a> {
        /// The provider's id.
        pub message_id: Option<Text<'a>>,
        /// The id of the conversation.
        pub conversation_id: Option<Text<'a>>,
        /// The direction.
        pub direction: Option<Direction>,
        /// `SMS`, `MMS`, `text`, …
        pub kind: Option<Text<'a>>,
        /// `webchat`, `phone`, …
        pub channel: Option<Text<'a>>,
        /// The sender.
        pub from: Option<Party<'a>>,
        /// The recipient.
        pub to: Option<Party<'a>>,
        /// The type of the sender: `contact`, …
        pub sender_kind: Option<Text<'a>>,
        /// The text.
        pub content: Option<Text<'a>>,
        /// The attached media, as written.
        pub media: Option<Raw<'a>>,
        /// The state of the delivery, in the provider's word.
        pub status: Option<Text<'a>>,
        /// The time of sending.
        pub sent_at: Option<Timestamp>,
        /// The time of receipt by the provider.
        pub received_at: Option<Timestamp>,
        /// The time of the last state of the delivery.
        pub delivered_at: Option<Timestamp>,
        /// The cost.
        pub cost: Option<Cost<'a>>,
        /// A label of a group of messages.
        pub tag: Option<Text<'a>>,
        /// The error, in the provider's words.
        pub error: Option<Text<'a>>,
        /// The contact.
        pub contact: Option<ContactData<'a>>,
        /// The marketing attribution of the sender, as written.
        pub attribution: Option<Raw<'a>>,
    }
}

json_object! {
    /// The data of `conversation.*`.
    #[derive(Clone, Debug, Default)]
    pub struct ConversationData<'a> {
        /// The provider's id.
        pub conversation_id: Option<Text<'a>>,
        /// The status, in the provider's word.
        pub status: Option<Text<'a>>,
        /// The priority, in the provider's word.
        pub priority: Option<Text<'a>>,
        /// The channel's id.
        pub channel_id: Option<Text<'a>>,
        /// `webchat`, `phone`, …
        pub channel: Option<Text<'a>>,
        /// The contact.
        pub contact: Option<ContactData<'a>>,
        /// The marketing attribution of the contact, as written.
        pub attribution: Option<Raw<'a>>,
        /// The time of creation.
        pub created_at: Option<Timestamp>,
        /// The time of the last change.
        pub updated_at: Option<Timestamp>,
    }
}
