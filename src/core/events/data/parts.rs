//! The parts that several families of events share.

use std::borrow::Cow;

use crate::core::json::{
    Fields, Json,
    describe::{Describe, DescribeRecord, Field, Record, Shape},
    json_object, json_words, write_field, write_object,
};

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
    /// Creates a party from an address and a name; none if both are absent. Only a number with `+` is read as
    /// E.164: without it, a national number looks like one of another country.
    pub fn new(raw: Option<Text<'a>>, name: Option<Text<'a>>) -> Option<Self> {
        if raw.is_none() && name.is_none() {
            return None;
        }
        let e164 = raw.as_ref().filter(|raw| is_e164(raw)).cloned();
        Some(Self { raw, e164, name })
    }

    /// Creates a party of a provider that is known to leave out the `+` of an international number.
    pub fn without_plus(raw: Option<Text<'a>>) -> Option<Self> {
        let mut party = Self::new(raw, None)?;
        if party.e164.is_none() {
            party.e164 = party.raw.as_deref().and_then(e164_of_bare_digits).map(Cow::Owned);
        }
        Some(party)
    }
}

/// Returns true for `+` and 7 to 15 digits, the first of which is not 0.
fn is_e164(raw: &str) -> bool {
    let digits = raw.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len()) && is_digits(digits)
}

fn is_digits(text: &str) -> bool {
    !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())
}

/// Returns the E.164 form of an international number without its `+`: 11 to 15 digits. What would be a number
/// of country code 1 must also be one by that numbering plan, where area code and exchange start with 2 to 9:
/// national numbers of other countries start with 1 too.
fn e164_of_bare_digits(raw: &str) -> Option<String> {
    let is_plausible = |digits: &[u8]| match digits {
        [b'1', area, _, _, exchange, ..] => digits.len() == 11 && *area >= b'2' && *exchange >= b'2',
        _ => (11..=15).contains(&digits.len()),
    };
    (is_digits(raw) && is_plausible(raw.as_bytes())).then(|| ["+", raw].concat())
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

impl Describe for Link<'_> {
    fn shape() -> Shape {
        let mut fields = vec![Field::of::<&str>("role", "`owner`, `stage`, `contacts`, …")];
        fields.extend(Reference::record().fields);
        Shape::Record(Record { name: "Link", about: "A reference and its role.", fields })
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

json_object! {
    /// The cost of a call or a message.
    #[derive(Clone, Debug, Default)]
    pub struct Cost<'a> {
        /// The total cost.
        pub total: Option<Money<'a>>,
        /// The cost per minute.
        pub per_minute: Option<Money<'a>>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_with_plus_is_certainly_e164() {
        for (raw, expected) in [
            ("+18005551234", Some("+18005551234")),
            ("17653889567", None),
            ("13800138000", None),
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
            let party = Party::new(Some(raw.into()), None).expect("an address");
            assert_eq!(party.e164.as_deref(), expected, "{raw}");
        }
    }

    #[test]
    fn a_plus_that_is_known_to_be_left_out_is_added() {
        for (raw, expected) in [
            ("+18005551234", Some("+18005551234")),
            ("17653889567", Some("+17653889567")),
            ("447537151866", Some("+447537151866")),
            // Mobile numbers of China and Brazil without their country codes.
            ("13800138000", None),
            ("11987654321", None),
            ("117653889567", None),
            ("5551234567", None),
            ("02079460000", None),
            ("1234567890123456", None),
            ("sip:17653889567", None),
        ] {
            let party = Party::without_plus(Some(raw.into())).expect("an address");
            assert_eq!(party.e164.as_deref(), expected, "{raw}");
        }
    }
}
