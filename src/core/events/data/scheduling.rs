//! The data of `scheduling.*`.

use jiff::Timestamp;

use super::{
    parts::{Link, Text},
    person::Participant,
};
use crate::core::json::{Raw, json_object};

json_object! {
    /// The data of `scheduling.*`.
    #[derive(Clone, Debug, Default)]
    pub struct SchedulingData<'a> {
        /// The object's id at the provider, an opaque string.
        #[holds(Id)]
        pub scheduling_id: Option<Text<'a>>,
        /// The name or title.
        #[holds(Name)]
        pub name: Option<Text<'a>>,
        /// The state in the provider's own word, of which no list is known.
        #[holds(Id)]
        pub status_raw: Option<Text<'a>>,
        /// A free-text description.
        #[holds(Text)]
        pub description: Option<Text<'a>>,
        /// The time of the start, RFC 3339 in UTC.
        pub starts_at: Option<Timestamp>,
        /// The time of the end, RFC 3339 in UTC.
        pub ends_at: Option<Timestamp>,
        /// The day of a slot, as the provider wrote it.
        #[holds(Id)]
        pub date: Option<Text<'a>>,
        /// The time zone of a slot, as the provider wrote it.
        #[holds(Id)]
        pub timezone: Option<Text<'a>>,
        /// The length of an event in minutes.
        pub duration_minutes: Option<f64>,
        /// The lengths in minutes that an event type offers, as the provider wrote them.
        pub durations: Option<Raw<'a>>,
        /// The questions of an event type, as the provider wrote them.
        pub questions: Option<Raw<'a>>,
        /// The answers of a booked event, as the provider wrote them.
        pub answers: Option<Raw<'a>>,
        /// The address of the booking page, a URL.
        #[holds(Text)]
        pub scheduling_url: Option<Text<'a>>,
        /// The people of the object.
        pub participants: Vec<Participant<'a>>,
        /// Related objects that are no people, by role: `event_type`, `slots`.
        pub links: Vec<Link<'a>>,
        /// The time at which the object was created at the provider, RFC 3339 in UTC.
        pub created_at: Option<Timestamp>,
        /// The time of the object's last change at the provider, RFC 3339 in UTC.
        pub updated_at: Option<Timestamp>,
    }
}
