//! The data of CRM records.

use jiff::Timestamp;

use super::parts::{Direction, Link, Money, Text};
use crate::core::json::json_object;

json_object! {
    /// The data of CRM records: companies, users, workspaces, opportunities, pipelines, stages, engagements.
    #[derive(Clone, Debug, Default)]
    pub struct RecordData<'a> {
        /// The provider's id.
        pub record_id: Option<Text<'a>>,
        /// The name or title.
        pub name: Option<Text<'a>>,
        /// A user's first name.
        pub first_name: Option<Text<'a>>,
        /// A user's last name.
        pub last_name: Option<Text<'a>>,
        /// A user's e-mail address.
        pub email: Option<Text<'a>>,
        /// The kind of an engagement or a stage, in the provider's word.
        pub kind: Option<Text<'a>>,
        /// The direction of an engagement.
        pub direction: Option<Direction>,
        /// The status, in the provider's word.
        pub status: Option<Text<'a>>,
        /// A free-text description.
        pub description: Option<Text<'a>>,
        /// An opportunity's amount.
        pub amount: Option<Money<'a>>,
        /// The time of the start.
        pub started_at: Option<Timestamp>,
        /// The time of the end.
        pub ended_at: Option<Timestamp>,
        /// The duration in seconds.
        pub duration_seconds: Option<f64>,
        /// Related objects by role: `owner`, `stage`, `contacts`, …
        pub links: Vec<Link<'a>>,
        /// The time of creation.
        pub created_at: Option<Timestamp>,
        /// The time of the last change.
        pub updated_at: Option<Timestamp>,
    }
}
