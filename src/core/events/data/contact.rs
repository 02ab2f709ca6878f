//! The data of `contact.*`.

use jiff::Timestamp;

use super::{parts::Text, person::Phone};
use crate::core::json::json_object;

json_object! {
    /// The data of `contact.*`.
    #[derive(Clone, Debug, Default)]
    pub struct ContactData<'a> {
        /// The contact's id at the provider, an opaque string.
        #[holds(Id)]
        pub contact_id: Option<Text<'a>>,
        /// The full name, where the provider sends it as one.
        #[holds(Name)]
        pub name: Option<Text<'a>>,
        /// The first name, where the provider sends it by itself.
        #[holds(Name)]
        pub first_name: Option<Text<'a>>,
        /// The last name, where the provider sends it by itself.
        #[holds(Name)]
        pub last_name: Option<Text<'a>>,
        /// The name of the contact's company.
        #[holds(Name)]
        pub company: Option<Text<'a>>,
        /// E-mail addresses; empty if the provider says that there are none.
        #[holds(Email)]
        pub emails: Option<Vec<Text<'a>>>,
        /// Phone numbers; empty if the provider says that there are none.
        pub phones: Option<Vec<Phone<'a>>>,
        /// The time at which the contact was created at the provider, RFC 3339 in UTC.
        pub created_at: Option<Timestamp>,
        /// The time of the contact's last change at the provider, RFC 3339 in UTC.
        pub updated_at: Option<Timestamp>,
    }
}
