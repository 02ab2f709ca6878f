//! People and their phone numbers: one shape wherever a provider names a person.

use std::{borrow::Cow, iter};

use super::parts::{Direction, ObjectKind, Reference, Text};
use crate::core::{
    events::phone::is_separator,
    json::{json_object, json_words, present},
};

json_object! {
    /// A phone number of a person.
    #[derive(Clone, Debug)]
    pub struct Phone<'a> {
        /// The number as the provider wrote it.
        #[holds(Number)]
        pub raw: Text<'a>,
        /// The number in E.164 with `+`, where it is certain.
        #[holds(Number)]
        pub e164: Option<Text<'a>>,
    }
}

impl<'a> Phone<'a> {
    /// Creates a phone number. Only one with `+` is read as E.164.
    pub fn new(raw: Text<'a>) -> Self {
        let e164 = e164(&raw);
        Self { raw, e164 }
    }
}

json_object! {
    /// One end of a call or a message.
    #[derive(Clone, Debug)]
    pub struct Party<'a> {
        /// The address as the provider wrote it: a number, a SIP URI, an extension, `anonymous`, …
        #[holds(Number)]
        pub raw: Option<Text<'a>>,
        /// The number in E.164 with `+`, where it is certain.
        #[holds(Number)]
        pub e164: Option<Text<'a>>,
        /// The name that the provider has for the address.
        #[holds(Name)]
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
        let e164 = raw.as_ref().and_then(e164);
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

json_words! {
    /// The part that a person has in a call, a message, a conversation or a record.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Role {
        /// A human at the provider's customer.
        Agent = "agent",
        /// A person at the other side.
        Customer = "customer",
        /// A machine that speaks or writes for the provider's customer.
        Ai = "ai",
        /// The user who is responsible for a record.
        Owner = "owner",
        /// The user who organizes an event.
        Organizer = "organizer",
    }
}

json_words! {
    /// An end of a call or a message.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Side {
        /// The caller or sender.
        From = "from",
        /// The callee or recipient.
        To = "to",
    }
}

impl Side {
    /// Returns the end at which the other side of a call or message is.
    pub fn of_customer(direction: Direction) -> Self {
        match direction {
            Direction::Inbound => Self::From,
            Direction::Outbound => Self::To,
        }
    }

    /// Returns the end at which the provider's customer is.
    pub fn of_agent(direction: Direction) -> Self {
        match direction {
            Direction::Inbound => Self::To,
            Direction::Outbound => Self::From,
        }
    }
}

json_object! {
    /// A person in a call, a transcript, a message, a conversation or a record.
    #[derive(Clone, Debug, Default)]
    pub struct Participant<'a> {
        /// The person's part, absent where the provider does not say it.
        pub role: Option<Role>,
        /// The person's part in the provider's own word.
        #[holds(Id)]
        pub role_raw: Option<Text<'a>>,
        /// The end of the call or message at which the person is, where it is known.
        pub party: Option<Side>,
        /// The person's id among the speakers of this transcript, to which `transcript[].speaker_id` refers.
        #[holds(Id)]
        pub speaker_id: Option<Text<'a>>,
        /// The person's record at the provider.
        pub reference: Option<Reference<'a>>,
        /// The full name.
        #[holds(Name)]
        pub name: Option<Text<'a>>,
        /// E-mail addresses.
        #[holds(Email)]
        pub emails: Vec<Text<'a>>,
        /// Phone numbers.
        pub phones: Vec<Phone<'a>>,
    }
}

impl<'a> Participant<'a> {
    /// Creates a participant that is nothing but a record.
    pub fn of_record(role: Role, party: Option<Side>, reference: Reference<'a>) -> Self {
        Self { role: Some(role), party, reference: Some(reference), ..Self::default() }
    }

    /// Returns a person with a role and an end; none if nothing is known of the person.
    pub fn known(self, role: Option<Role>, party: Option<Side>) -> Option<Self> {
        present(self).map(|person| Self { role, party, ..person })
    }
}

impl<'a> Reference<'a> {
    /// Creates a reference to a contact, for a provider that has no words for kinds of objects.
    pub fn to_contact(id: Text<'a>) -> Self {
        Self { id, kind: Some(ObjectKind::Contact), kind_raw: None }
    }
}

/// Joins the parts of a name; an empty part is none.
pub fn full_name<'a>(first: Option<Text<'a>>, last: Option<Text<'a>>) -> Option<Text<'a>> {
    let is_filled = |part: &Text<'a>| !part.is_empty();
    match (first.filter(is_filled), last.filter(is_filled)) {
        (Some(first), Some(last)) => Some(format!("{first} {last}").into()),
        (first, last) => first.or(last),
    }
}

/// Returns the E.164 form of a number with `+`, without its separators. A `(0)` is dialled only without the
/// `+`, so such a number is not certain.
fn e164<'a>(raw: &Text<'a>) -> Option<Text<'a>> {
    if is_e164(raw) {
        return Some(raw.clone());
    }
    let rest = raw.strip_prefix('+')?;
    if rest.contains("(0)") || !rest.chars().all(|c| c.is_ascii_digit() || is_separator(c)) {
        return None;
    }
    let digits = rest.chars().filter(char::is_ascii_digit);
    Some(Cow::Owned(iter::once('+').chain(digits).collect())).filter(|number: &Text<'a>| is_e164(number))
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
            ("+1 (800) 555-1234", Some("+18005551234")),
            ("+1.800.555.1234", Some("+18005551234")),
            ("+49\u{a0}30/901820", Some("+4930901820")),
            ("+44 (0)20 7946 0958", None),
            ("+44 (0) 20 7946 0958", None),
            ("+1 800 555 1234 ext. 5", None),
            ("+1 (800) 555-FLOW", None),
            ("+1 800 555 123 456 7890", None),
            ("+ (0", None),
            ("1 (800) 555-1234", None),
            ("tel:+18005551234", None),
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
