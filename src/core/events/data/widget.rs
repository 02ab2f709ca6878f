//! The data of `widget.card_view.*`.

use jiff::Timestamp;

use super::{
    parts::{Link, Reference, Text},
    person::Participant,
};
use crate::core::json::json_object;

json_object! {
    /// The data of `widget.card_view.*`.
    #[derive(Clone, Debug, Default)]
    pub struct WidgetData<'a> {
        /// The card view's id at the provider, an opaque string.
        #[holds(Id)]
        pub widget_id: Option<Text<'a>>,
        /// The user who opened the card.
        pub triggered_by: Option<Reference<'a>>,
        /// The people on the card.
        pub participants: Vec<Participant<'a>>,
        /// The objects on the card that are no people, by role: `company`, `opportunity`, `call`, …
        pub links: Vec<Link<'a>>,
        /// The time at which the view was created at the provider, RFC 3339 in UTC.
        pub created_at: Option<Timestamp>,
        /// The time of the view's last change at the provider, RFC 3339 in UTC.
        pub updated_at: Option<Timestamp>,
    }
}
