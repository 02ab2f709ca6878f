//! The data of CRM records.

use jiff::Timestamp;

use super::{
    money::Money,
    parts::{Direction, Link, Text},
    person::Participant,
};
use crate::core::json::{json_object, json_words};

json_words! {
    /// The kind of an engagement or a stage.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum RecordKind {
        /// A call.
        Call = "call",
        /// A meeting.
        Meeting = "meeting",
        /// An e-mail.
        Email = "email",
        /// A task.
        Task = "task",
        /// A note.
        Note = "note",
        /// A stage in which an opportunity is open.
        Open = "open",
        /// A stage in which an opportunity is won.
        Won = "won",
        /// A stage in which an opportunity is lost.
        Lost = "lost",
    }
}

json_words! {
    /// The state of an engagement.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum RecordStatus {
        /// Planned.
        Planned = "planned",
        /// Going on.
        InProgress = "in_progress",
        /// Done.
        Completed = "completed",
        /// Canceled.
        Canceled = "canceled",
    }
}

json_object! {
    /// The data of CRM records: companies, users, workspaces, opportunities, pipelines, stages, engagements.
    #[derive(Clone, Debug, Default)]
    pub struct RecordData<'a> {
        /// The record's id at the provider, an opaque string.
        #[holds(Id)]
        pub record_id: Option<Text<'a>>,
        /// The name or title.
        #[holds(Name)]
        pub name: Option<Text<'a>>,
        /// A user's first name.
        #[holds(Name)]
        pub first_name: Option<Text<'a>>,
        /// A user's last name.
        #[holds(Name)]
        pub last_name: Option<Text<'a>>,
        /// A user's e-mail addresses.
        #[holds(Email)]
        pub emails: Option<Vec<Text<'a>>>,
        /// The kind of an engagement or a stage.
        pub kind: Option<RecordKind>,
        /// The kind in the provider's own word.
        #[holds(Id)]
        pub kind_raw: Option<Text<'a>>,
        /// The direction of an engagement, seen from the provider's customer.
        pub direction: Option<Direction>,
        /// The direction in the provider's word, only where that is unknown.
        #[holds(Id)]
        pub direction_raw: Option<Text<'a>>,
        /// The state of an engagement.
        pub status: Option<RecordStatus>,
        /// The state in the provider's own word.
        #[holds(Id)]
        pub status_raw: Option<Text<'a>>,
        /// A free-text description.
        #[holds(Text)]
        pub description: Option<Text<'a>>,
        /// An opportunity's amount.
        pub amount: Option<Money<'a>>,
        /// The time at which an engagement starts, RFC 3339 in UTC.
        pub started_at: Option<Timestamp>,
        /// The time at which an engagement ends, RFC 3339 in UTC.
        pub ended_at: Option<Timestamp>,
        /// The length of an engagement in seconds.
        pub duration_seconds: Option<f64>,
        /// The people of the record.
        pub participants: Vec<Participant<'a>>,
        /// Related objects that are no people, by role: `stage`, `pipeline`, `companies`, …
        pub links: Vec<Link<'a>>,
        /// The time at which the record was created at the provider, RFC 3339 in UTC.
        pub created_at: Option<Timestamp>,
        /// The time of the record's last change at the provider, RFC 3339 in UTC.
        pub updated_at: Option<Timestamp>,
    }
}
