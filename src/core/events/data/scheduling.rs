//! The data of `scheduling.*`.

use jiff::Timestamp;

use super::parts::{Link, Text};
use crate::core::json::{Raw, json_object};

json_object! {
    /// The data of `scheduling.*`.
    #[derive(Clone, Debug, Default)]
    pub struct SchedulingData<'a> {
        /// The provider's id.
        pub scheduling_id: Option<Text<'a>>,
        /// The name or title.
        pub name: Option<Text<'a>>,
        /// The status, in the provider's word.
        pub status: Option<Text<'a>>,
        /// A free-text description.
        pub description: Option<Text<'a>>,
        /// The time of the start.
        pub starts_at: Option<Timestamp>,
        /// The time of the end.
        pub ends_at: Option<Timestamp>,
        /// A slot's day, as the provider wrote it.
        pub date: Option<Text<'a>>,
        /// A slot's time zone.
        pub timezone: Option<Text<'a>>,
        /// The duration in minutes, as the provider sends it.
        pub duration_minutes: Option<f64>,
        /// The durations that an event type offers, in minutes, as written.
        pub durations: Option<Raw<'a>>,
        /// The questions of an event type, as written.
        pub questions: Option<Raw<'a>>,
        /// The answers of a booked event, as written.
        pub answers: Option<Raw<'a>>,
        /// The address of the booking page.
        pub scheduling_url: Option<Text<'a>>,
        /// Related objects by role.
        pub links: Vec<Link<'a>>,
        /// The external attendees, as written.
        pub external_attendees: Option<Raw<'a>>,
        /// The time of creation.
        pub created_at: Option<Timestamp>,
        /// The time of the last change.
        pub updated_at: Option<Timestamp>,
    }
}
