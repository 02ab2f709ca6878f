//! The data of `contact.*`.

use jiff::Timestamp;

use super::parts::Text;
use crate::core::json::json_object;

json_object! {
    /// The data of `contact.*`, and the contact inside other data.
    #[derive(Clone, Debug, Default)]
    pub struct ContactData<'a> {
        /// The provider's id.
        pub contact_id: Option<Text<'a>>,
        /// The full name, where the provider sends it as one.
        pub name: Option<Text<'a>>,
        /// The first name.
        pub first_name: Option<Text<'a>>,
        /// The last name.
        pub last_name: Option<Text<'a>>,
        /// The company's name.
        pub company: Option<Text<'a>>,
        /// E-mail addresses.
        pub emails: Option<Vec<Text<'a>>>,
        /// Phone numbers as written.
        pub phones: Option<Vec<Text<'a>>>,
        /// The time of creation.
        pub created_at: Option<Timestamp>,
        /// The time of the last change.
        pub updated_at: Option<Timestamp>,
    }
}
