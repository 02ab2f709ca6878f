//! The data of `widget.card_view.*`.

use jiff::Timestamp;

use super::parts::{Link, Text};
use crate::core::json::{Raw, json_object};

json_object! {
    /// The data of `widget.card_view.*`.
    #[derive(Clone, Debug, Default)]
    pub struct WidgetData<'a> {
        /// The provider's id.
        pub widget_id: Option<Text<'a>>,
        /// The user who opened the card, as written.
        pub triggered_by: Option<Raw<'a>>,
        /// The objects on the card, by role.
        pub links: Vec<Link<'a>>,
        /// The time of creation.
        pub created_at: Option<Timestamp>,
        /// The time of the last change.
        pub updated_at: Option<Timestamp>,
    }
}
