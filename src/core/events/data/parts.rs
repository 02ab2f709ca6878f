//! The parts that several families of events share.

use std::borrow::Cow;

use crate::core::json::{Fields, Json, json_object, json_words, write_field, write_object};

/// Text as the provider wrote it.
pub type Text<'a> = Cow<'a, str>;

json_words! {
    /// The direction of a call or a message.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Direction {
        /// To the provider's customer.
        Inbound = "inbound",
        /// From the provider's customer.
        Outbound = "outbound",
    }
}

json_object! {
    /// One end of a call or a message.
    #[derive(Clone, Debug)]
    pub struct Party<'a> {
        /// The address as the provider wrote it: a number, a SIP URI, `anonymous`, …
        pub raw: Option<Text<'a>>,
        /// The number with `+`, if `raw` is unambiguously an E.164 number.
        pub e164: Option<Text<'a>>,
        /// The party's name.
        pub name: Option<Text<'a>>,
    }
}

impl<'a> Party<'a> {
    /// Creates a party from an address and a name; none if both are absent.
    pub fn new(raw: Option<Text<'a>>, name: Option<Text<'a>>) -> Option<Self> {
        if raw.is_none() && name.is_none() {
            return None;
        }
        let e164 = match &raw {
            Some(Cow::Borrowed(raw)) => e164(raw),
            Some(Cow::Owned(raw)) => e164(raw).map(|number| Cow::Owned(number.into_owned())),
            None => None,
        };
        Some(Self { raw, e164, name })
    }
}

/// Returns the E.164 form of `+` and 7 to 15 digits, or of 11 to 15 digits that do not start with 0; else
/// none.
pub fn e164(raw: &str) -> Option<Text<'_>> {
    let (digits, least) = raw.strip_prefix('+').map_or((raw, 11), |rest| (rest, 7));
    let valid = (least..=15).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    valid.then(|| if least == 7 { Cow::Borrowed(raw) } else { Cow::Owned(["+", digits].concat()) })
}

json_object! {
    /// A reference to an object at the provider.
    #[derive(Clone, Debug)]
    pub struct Reference<'a> {
        /// The object's id at the provider.
        pub id: Text<'a>,
        /// The object's type, in the provider's word.
        pub kind: Option<Text<'a>>,
    }
}

/// A reference and its role.
#[derive(Clone, Debug)]
pub struct Link<'a> {
    /// `owner`, `stage`, `contacts`, …
    pub role: &'static str,
    /// The referenced object.
    pub reference: Reference<'a>,
}

impl Json for Link<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        write_object(out, |out| {
            write_field!(out, "role", &self.role);
            self.reference.write_fields(out);
        });
    }
}

json_object! {
    /// A participant of a call or a speaker of a transcript.
    #[derive(Clone, Debug, Default)]
    pub struct Participant<'a> {
        /// `internal`, `external` or `unknown`, where the provider says so.
        pub role: Option<&'static str>,
        /// The id at the provider.
        pub id: Option<Text<'a>>,
        /// The type of object that the id belongs to, in the provider's word.
        pub kind: Option<Text<'a>>,
        /// The name.
        pub name: Option<Text<'a>>,
        /// The e-mail address.
        pub email: Option<Text<'a>>,
        /// The phone number as written.
        pub phone: Option<Text<'a>>,
    }
}

json_object! {
    /// An amount of money: a decimal exactly as written, or minor units, with the currency where it is known.
    #[derive(Clone, Debug, Default)]
    pub struct Money<'a> {
        /// The amount in major units: a decimal, as a string.
        pub amount: Option<Text<'a>>,
        /// The amount in minor units, such as cents.
        pub minor_units: Option<i64>,
        /// The currency: ISO 4217, or as the provider wrote it.
        pub currency: Option<Text<'a>>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unambiguous_number_becomes_e164() {
        for (raw, expected) in [
            ("+18005551234", Some("+18005551234")),
            ("17653889567", Some("+17653889567")),
            ("5551234567", None),
            ("02079460000", None),
            ("+1", None),
            ("+1800555123x", None),
            ("+1800555123456789", None),
            ("sip:a@example.com", None),
            ("anonymous", None),
            ("salprebox:SALPRE_AABBCCDD", None),
            ("+", None),
            ("", None),
        ] {
            assert_eq!(e164(raw).as_deref(), expected, "{raw}");
        }
    }
}
