//! Redaction profiles: copies of events without the personal data that a consumer does not need.
//!
//! The declaration of each field says what it holds ([`Holds`]); a profile says what becomes of that. What no
//! declaration describes, above all `unmapped`, is never in a copy.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

use super::{
    attributes::OF_NO_OBJECT,
    classification::{DataClassification, is_impersonal},
    event::Event,
};
use crate::core::{
    json::{
        Value,
        personal::{Holds, Redact as _, Redactor, Treated},
    },
    redact::phone,
};

/// Stands for a text that is masked.
pub(super) const MASK: &str = "***";

/// The start of a token.
const TOKEN: &str = "hmac:";

/// The bytes of a token: of a billion numbers, two have the same with a probability of 10^-21. Half of them
/// would make it 3 %.
const TOKEN_BYTES: usize = 16;

/// The fewest digits of a number of which a mask leaves the last two: shorter ones are extensions.
const DIGITS_MIN: usize = 7;

/// What becomes of numbers, addresses or names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// They stay.
    Keep,
    /// `***` takes their place, with the last two digits of a phone number.
    Mask,
    /// A token takes their place: the same for the same value, and with the key alone it could be computed.
    Hash,
    /// They are left out.
    Drop,
}

impl Treatment {
    /// Every treatment, with its word.
    pub const ALL: [(&'static str, Self); 4] =
        [("keep", Self::Keep), ("mask", Self::Mask), ("hash", Self::Hash), ("drop", Self::Drop)];

    fn word(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, known)| *known == self).map_or("", |(word, _)| word)
    }
}

/// What becomes of each kind of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Phone numbers and other addresses of calls and messages.
    pub numbers: Treatment,
    /// E-mail addresses.
    pub emails: Treatment,
    /// Names.
    pub names: Treatment,
    /// True if what was said or written stays: transcripts, summaries, messages, notes, recordings.
    pub keeps_texts: bool,
}

impl Profile {
    /// Returns true if it cannot be applied without a key.
    pub fn hashes(&self) -> bool {
        self.treatments().contains(&Treatment::Hash)
    }

    fn treatments(&self) -> [Treatment; 3] {
        [self.numbers, self.emails, self.names]
    }

    /// Classifies what is left of an event about people. A token still stands for one person.
    fn class(&self) -> DataClassification {
        let is_gone = |treatment| matches!(treatment, Treatment::Mask | Treatment::Drop);
        match !self.keeps_texts && self.treatments().into_iter().all(is_gone) {
            true => DataClassification::Internal,
            false => DataClassification::Confidential,
        }
    }
}

/// As in the attribute `redaction` of a copy.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [numbers, emails, names] = self.treatments().map(Treatment::word);
        let texts = if self.keeps_texts { "keep" } else { "drop" };
        write!(f, "numbers={numbers} emails={emails} names={names} texts={texts}")
    }
}

/// A profile with the deployment's key.
#[derive(Clone, Copy)]
pub struct Redaction<'k> {
    /// The profile.
    pub profile: Profile,
    /// The key of the tokens; none if the profile needs none.
    pub key: Option<&'k str>,
}

impl Redaction<'_> {
    /// Returns a copy of an event with the id `id`, without what the profile takes away.
    pub(super) fn copy<'e>(&self, event: &Event<'e>, id: Uuid) -> Event<'e> {
        let mut copy = Event { unmapped: Value::default(), ..event.clone() };
        copy.subject = self.subject(&event.subject, id);
        for text in [Some(&mut copy.provider_event), copy.tenant.as_mut(), copy.connector.as_mut()] {
            text.map(|text| text.redact(Holds::Id, self));
        }
        if !is_impersonal(event.kind) {
            self.join_numbers(&mut copy);
            copy.data.redact((), self);
        }
        copy
    }

    /// Returns the class of the copy of an event.
    pub(super) fn class(&self, event: &Event<'_>) -> DataClassification {
        if is_impersonal(event.kind) { DataClassification::Internal } else { self.profile.class() }
    }

    /// Returns a subject. One that holds the idempotency key, which is made of whatever tells two webhooks
    /// apart, gets the event's id in its place.
    fn subject(&self, subject: &str, id: Uuid) -> String {
        if subject.starts_with(OF_NO_OBJECT) {
            return format!("{OF_NO_OBJECT}{id}");
        }
        let Some((family, id)) = subject.split_once('/') else { return subject.to_owned() };
        match self.treat(Holds::Id, id) {
            Treated::Replaced(id) => format!("{family}/{id}"),
            Treated::Kept | Treated::Dropped => subject.to_owned(),
        }
    }

    /// Moves each number's E.164 form to where the number as written was, so that one person has one token
    /// however a provider writes the number.
    fn join_numbers(&self, event: &mut Event<'_>) {
        if self.profile.numbers == Treatment::Keep {
            return;
        }
        for party in event.data.parties_mut() {
            party.raw = party.e164.take().or(party.raw.take());
        }
        for phone in event.data.phones_mut() {
            if let Some(e164) = phone.e164.take() {
                phone.raw = e164;
            }
        }
    }

    fn treat_as(&self, treatment: Treatment, holds: Holds, text: &str) -> Treated {
        match (treatment, self.key) {
            (Treatment::Keep, _) => Treated::Kept,
            (Treatment::Drop, _) => Treated::Dropped,
            (Treatment::Hash, Some(key)) => Treated::Replaced(token(key, holds, text)),
            // The configuration demands a key where a profile hashes.
            (Treatment::Mask | Treatment::Hash, _) => {
                Treated::Replaced(if holds == Holds::Number { masked(text) } else { MASK.to_owned() })
            }
        }
    }

    /// Treats an id or a word. One that looks like a number or an address cannot be left out, and events must
    /// not be taken to be about one thing because of a mask: so it becomes a token if there is a key. It stays
    /// only if all that it looks like is kept: `15550100123@s.whatsapp.net` is both.
    fn treat_id(&self, text: &str) -> Treated {
        let (is_number, is_address) = (phone::is_in(text), text.contains('@'));
        let goes = |is_found, treatment| is_found && treatment != Treatment::Keep;
        if !goes(is_number, self.profile.numbers) && !goes(is_address, self.profile.emails) {
            return Treated::Kept;
        }
        let holds = if is_address { Holds::Email } else { Holds::Number };
        Treated::Replaced(self.key.map_or_else(|| MASK.to_owned(), |key| token(key, holds, text)))
    }
}

impl Redactor for Redaction<'_> {
    fn treat(&self, holds: Holds, text: &str) -> Treated {
        let Profile { numbers, emails, names, keeps_texts } = self.profile;
        match holds {
            _ if text.is_empty() => Treated::Kept,
            Holds::Figure => Treated::Kept,
            Holds::Text => {
                if keeps_texts {
                    Treated::Kept
                } else {
                    Treated::Dropped
                }
            }
            // Messages come from numbers and from e-mail addresses, and some addresses are made of a number.
            Holds::Number if numbers == Treatment::Keep && is_email(text) => {
                self.treat_as(emails, Holds::Email, text)
            }
            Holds::Email if emails == Treatment::Keep && phone::is_in(text) => {
                self.treat_as(numbers, Holds::Number, text)
            }
            Holds::Number => self.treat_as(numbers, holds, text),
            Holds::Email => self.treat_as(emails, holds, text),
            Holds::Name if names != Treatment::Keep => self.treat_as(names, holds, text),
            // Some phone systems know a caller by the number alone.
            Holds::Name | Holds::Id => self.treat_id(text),
        }
    }
}

/// Returns the token of a value: the start of its HMAC-SHA-256. The same text is another value as a name and
/// as a number.
fn token(key: &str, holds: Holds, text: &str) -> String {
    let text = text.trim();
    let (kind, text) = match holds {
        Holds::Email => ("email", text.to_lowercase()),
        Holds::Name => ("name", text.to_owned()),
        Holds::Figure | Holds::Id | Holds::Number | Holds::Text => ("number", text.to_owned()),
    };
    // HMAC takes a key of any length.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else { return MASK.to_owned() };
    let code = mac.chain_update(kind).chain_update([0]).chain_update(text).finalize().into_bytes();
    [TOKEN, &hex::encode(&code[..TOKEN_BYTES])].concat()
}

/// Returns true if the text of a number is an e-mail address, and not that of a phone or a SIP account.
fn is_email(text: &str) -> bool {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme.trim());
    text.contains('@') && !["sip", "sips", "tel"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Returns a mask with the last two digits of a phone number.
fn masked(number: &str) -> String {
    let is_written_as_number = |c: char| c.is_ascii_digit() || "+-. ()/".contains(c);
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    match number.chars().all(is_written_as_number) && digits.len() >= DIGITS_MIN {
        true => [MASK, &digits[digits.len() - 2..]].concat(),
        false => MASK.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::events::{
        data::{CallData, ContactData, Data, Party, Phone, Segment, TranscriptData},
        event::EventType,
    };

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn all(treatment: Treatment, key: Option<&'static str>) -> Redaction<'static> {
        let profile = Profile { numbers: treatment, emails: treatment, names: treatment, keeps_texts: false };
        Redaction { profile, key }
    }

    /// Returns the caller of the copy of a call from `raw`, with its E.164 form if `e164` is given.
    fn caller(raw: &str, e164: Option<&str>, redaction: Redaction<'_>) -> Option<String> {
        let mut from = Party::new(Some(raw.to_owned().into()), None).expect("a party");
        from.e164 = e164.map(|e164| e164.to_owned().into());
        let call = CallData { from: Some(from), ..CallData::default() };
        let event = Event::new(EventType::CallEnded, "call/1".into(), "x", Data::Call(Box::new(call)));
        let Data::Call(call) = redaction.copy(&event, Uuid::nil()).data else { panic!("a call") };
        let from = call.from?;
        assert_eq!(from.e164, None, "what is no number is not under e164");
        from.raw.map(Into::into)
    }

    #[test]
    fn a_number_has_one_token_however_it_is_written() {
        let hash = all(Treatment::Hash, Some(KEY));
        // printf 'number\0+15550100123' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let token = Some("hmac:b2c547a8122bab6cadc0f0c889b6fab6".to_owned());
        assert_eq!(caller("+15550100123", Some("+15550100123"), hash), token);
        assert_eq!(caller("(555) 010-0123", Some("+15550100123"), hash), token);
        assert_ne!(caller("(555) 010-0123", None, hash), token, "its country is not known");
        assert_ne!(caller("+15550100123", None, all(Treatment::Hash, Some("another"))), token);
    }

    #[test]
    fn a_mask_leaves_two_digits_of_a_number() {
        let mask = all(Treatment::Mask, None);
        for (raw, masked) in [
            ("+15550100123", "***23"),
            ("030 / 1234-567", "***67"),
            ("1042", "***"),
            ("sip:+15550100123@example.com", "***"),
            ("anonymous", "***"),
            ("", ""),
        ] {
            assert_eq!(caller(raw, None, mask).as_deref(), Some(masked), "{raw}");
        }
        assert_eq!(caller("+15550100123", None, all(Treatment::Drop, None)), None);
    }

    #[test]
    fn the_same_text_is_another_value_as_a_name_and_an_address_has_no_case() {
        let of = |holds, text| token(KEY, holds, text);
        assert_ne!(of(Holds::Name, "1042"), of(Holds::Number, "1042"));
        assert_eq!(of(Holds::Email, " Ada@Example.com"), of(Holds::Email, "ada@example.com"));
    }

    fn contact(id: &str) -> Event<'static> {
        let contact = ContactData {
            contact_id: Some(id.to_owned().into()),
            company: Some("+1 555 010 0123".into()),
            phones: Some(vec![Phone::new("+15550100123".into())]),
            emails: Some(Vec::new()),
            ..ContactData::default()
        };
        Event::new(EventType::ContactUpdated, format!("contact/{id}"), "x", Data::Contact(Box::new(contact)))
    }

    #[test]
    fn an_id_that_is_a_number_or_an_address_does_not_stay() {
        let subject = |id: &str, redaction: Redaction<'_>| redaction.copy(&contact(id), Uuid::nil()).subject;
        for id in ["+15550100123", "15550100123", "ada@example.com"] {
            assert_eq!(subject(id, all(Treatment::Mask, None)), "contact/***");
            let token = subject(id, all(Treatment::Hash, Some(KEY)));
            assert!(token.starts_with("contact/hmac:"), "{token}");
            // With a key, events about one contact still have that in common.
            assert_eq!(subject(id, all(Treatment::Mask, Some(KEY))), token);
            assert_eq!(subject(id, all(Treatment::Keep, None)), format!("contact/{id}"));
        }
        assert_eq!(subject("con_5M", all(Treatment::Mask, None)), "contact/con_5M");
        let ping = Event::new(EventType::SourcePing, "webhook/body:1f".into(), "x", Data::Empty {});
        let copy = all(Treatment::Drop, None).copy(&ping, Uuid::nil());
        assert_eq!(copy.subject, format!("webhook/{}", Uuid::nil()));
    }

    #[test]
    fn a_list_that_was_empty_stays_and_one_of_which_nothing_is_left_goes() {
        let copy = all(Treatment::Drop, None).copy(&contact("1"), Uuid::nil());
        let Data::Contact(contact) = copy.data else { panic!("a contact") };
        assert_eq!((contact.emails, contact.phones.map(|phones| phones.len())), (Some(Vec::new()), None));
        assert_eq!(contact.company, None);
    }

    #[test]
    fn kept_names_do_not_keep_numbers() {
        let profile = Profile { names: Treatment::Keep, ..all(Treatment::Mask, None).profile };
        let Data::Contact(contact) = (Redaction { profile, key: None }).copy(&contact("1"), Uuid::nil()).data
        else {
            panic!("a contact")
        };
        assert_eq!(contact.company.as_deref(), Some(MASK));
    }

    #[test]
    fn what_is_a_number_and_an_address_stays_only_if_both_are_kept() {
        use Treatment::{Drop, Keep, Mask};
        let of = |numbers, emails| Redaction {
            profile: Profile { numbers, emails, names: Keep, keeps_texts: false },
            key: None,
        };
        let (both, masked) = ("15550100123@s.whatsapp.net", Treated::Replaced(MASK.to_owned()));
        for holds in [Holds::Id, Holds::Name] {
            for (numbers, emails) in [(Mask, Keep), (Keep, Mask), (Drop, Keep), (Keep, Drop)] {
                assert_eq!(of(numbers, emails).treat(holds, both), masked, "{holds:?}");
            }
            assert_eq!(of(Keep, Keep).treat(holds, both), Treated::Kept);
            assert_eq!(of(Mask, Keep).treat(holds, "ada@example.com"), Treated::Kept);
            assert_eq!(of(Keep, Mask).treat(holds, "+15550100123"), Treated::Kept);
        }
        assert_eq!(of(Mask, Keep).copy(&contact(both), Uuid::nil()).subject, "contact/***");
        assert_eq!(of(Keep, Drop).treat(Holds::Number, "ada@example.com"), Treated::Dropped);
        for uri in ["sip:1042@pbx.example.com", "SIPS:1042@pbx.example.com", "tel:+15550100123"] {
            assert_eq!(of(Keep, Drop).treat(Holds::Number, uri), Treated::Kept);
        }
        assert_eq!(of(Drop, Keep).treat(Holds::Email, both), Treated::Dropped);
        assert_eq!(of(Drop, Keep).treat(Holds::Email, "ada@example.com"), Treated::Kept);
    }

    #[test]
    fn a_transcript_goes_with_its_lines_unless_texts_are_kept() {
        let segment = Segment::new("hello".into(), Default::default(), Default::default());
        let transcript = TranscriptData { transcript: Some(vec![segment]), ..TranscriptData::default() };
        let data = Data::Transcript(Box::new(transcript));
        let event = Event::new(EventType::TranscriptCompleted, "call/1".into(), "x", data);
        let lines = |keeps_texts| {
            let profile = Profile { keeps_texts, ..all(Treatment::Drop, None).profile };
            let Data::Transcript(data) = (Redaction { profile, key: None }).copy(&event, Uuid::nil()).data
            else {
                panic!("a transcript")
            };
            data.transcript.map(|lines| lines.len())
        };
        assert_eq!((lines(true), lines(false)), (Some(1), None));
    }

    #[test]
    fn a_profile_says_what_is_left() {
        let profile = |treatment| all(treatment, None).profile;
        assert_eq!(profile(Treatment::Mask).to_string(), "numbers=mask emails=mask names=mask texts=drop");
        assert_eq!(profile(Treatment::Mask).class(), DataClassification::Internal);
        assert_eq!(profile(Treatment::Hash).class(), DataClassification::Confidential);
        let texts = Profile { keeps_texts: true, ..profile(Treatment::Drop) };
        assert_eq!(texts.class(), DataClassification::Confidential);
        assert!(profile(Treatment::Hash).hashes() && !texts.hashes());
    }
}
