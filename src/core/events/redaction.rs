//! Redaction profiles: copies of events without the personal data that a consumer does not need.
//!
//! The declaration of each field says what it holds ([`Holds`]); a profile says what becomes of that. What no
//! declaration describes, above all `unmapped`, is never in a copy.

use std::{cell::Cell, fmt};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use uuid::{Builder, Uuid};

use super::{
    attributes::OF_NO_OBJECT,
    classification::{DataClassification, is_impersonal},
    event::Event,
};
use crate::core::{
    auth::mac,
    json::{
        Value,
        personal::{Holds, Redact as _, Redactor, Treated},
    },
    redact::phone,
    trace::{TRACE_PARENT, TraceParent},
    webhook::Headers,
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

    /// Returns true if it leaves nothing that is of one person, or stands for one.
    fn is_thorough(&self) -> bool {
        let is_gone = |treatment| matches!(treatment, Treatment::Mask | Treatment::Drop);
        !self.keeps_texts && self.treatments().into_iter().all(is_gone)
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
    /// The key of the tokens and of the copies' ids; none if there is none, and the profile needs none.
    pub key: Option<&'k str>,
}

/// A copy of an event without what a profile takes away.
pub(super) struct RedactedCopy<'e> {
    /// The id of all copies of the event.
    pub(super) id: Uuid,
    pub(super) event: Event<'e>,
    pub(super) class: DataClassification,
    pub(super) profile: Profile,
}

impl Redaction<'_> {
    /// Returns a copy of the event whose id is `id`.
    pub(super) fn copy<'e>(&self, event: &Event<'e>, id: Uuid) -> RedactedCopy<'e> {
        let (id, pass) = (self.id(id), Pass { redaction: self, has_token: Cell::new(false) });
        let mut copy = Event { unmapped: Value::default(), ..event.clone() };
        copy.subject = subject(&event.subject, id, &pass);
        for text in [Some(&mut copy.provider_event), copy.tenant.as_mut(), copy.connector.as_mut()] {
            text.map(|text| text.redact(Holds::Id, &pass));
        }
        if !is_impersonal(event.kind) {
            self.join_numbers(&mut copy);
            copy.data.redact((), &pass);
        }
        // Without a key the id may tell a number to whoever tries all. A token still stands for one person.
        let names_nobody = self.key.is_some() && self.profile.is_thorough() && !pass.has_token.get();
        let class = match is_impersonal(event.kind) || names_nobody {
            true => DataClassification::Internal,
            false => DataClassification::Confidential,
        };
        RedactedCopy { id, event: copy, class, profile: self.profile }
    }

    /// Returns the id of the copies of the event with the id `id`, in the shape of a UUID. The event's own is
    /// a hash of what its webhook is known by: where that is a number, it could be found by trying.
    fn id(&self, id: Uuid) -> Uuid {
        let Some(key) = self.key else { return id };
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&code(key, "event", id.as_bytes())[..16]);
        Builder::from_custom_bytes(bytes).into_uuid()
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
    /// not be taken to be about one thing because of a mask: so it becomes a token if there is a key. It
    /// stays only if all that it looks like is kept: `15550100123@s.whatsapp.net` is both.
    fn treat_id(&self, text: &str) -> Treated {
        let (is_number, is_address) = (phone::is_in(text), text.contains('@'));
        let goes = |is_found, treatment| is_found && treatment != Treatment::Keep;
        if !goes(is_number, self.profile.numbers) && !goes(is_address, self.profile.emails) {
            return Treated::Kept;
        }
        let holds = if is_address { Holds::Email } else { Holds::Number };
        Treated::Replaced(self.key.map_or_else(|| MASK.to_owned(), |key| token(key, holds, text)))
    }

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

/// The making of one copy.
struct Pass<'r> {
    redaction: &'r Redaction<'r>,
    /// Set once a token has taken the place of a text.
    has_token: Cell<bool>,
}

impl Redactor for Pass<'_> {
    fn treat(&self, holds: Holds, text: &str) -> Treated {
        let treated = self.redaction.treat(holds, text);
        if matches!(&treated, Treated::Replaced(text) if text.starts_with(TOKEN)) {
            self.has_token.set(true);
        }
        treated
    }
}

/// Returns the subject of a copy. One that holds the idempotency key, which is made of whatever tells two
/// webhooks apart, gets the copy's id in its place.
fn subject(subject: &str, copy: Uuid, by: &dyn Redactor) -> String {
    if subject.starts_with(OF_NO_OBJECT) {
        return format!("{OF_NO_OBJECT}{copy}");
    }
    let Some((family, id)) = subject.split_once('/') else { return subject.to_owned() };
    match by.treat(Holds::Id, id) {
        Treated::Replaced(id) => format!("{family}/{id}"),
        Treated::Kept | Treated::Dropped => subject.to_owned(),
    }
}

/// Returns the `traceparent` of a webhook, if it has the form that W3C Trace Context demands: senders can
/// write into it what they like.
pub fn trace_parent(headers: &Headers) -> Option<&str> {
    headers.get(TRACE_PARENT).filter(|parent| parent.parse::<TraceParent>().is_ok())
}

/// Returns a short code by which two keys can be compared, and that tells nothing of them.
pub fn fingerprint(key: &str) -> String {
    hex::encode(&code(key, "fingerprint", &[])[..4])
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
    [TOKEN, &hex::encode(&code(key, kind, text.as_bytes())[..TOKEN_BYTES])].concat()
}

/// Returns the HMAC-SHA-256 of a value. The same bytes are another value under another kind.
fn code(key: &str, kind: &str, value: &[u8]) -> [u8; 32] {
    let mac = mac::<Hmac<Sha256>>(key.as_bytes(), &[kind.as_bytes(), &[0], value]);
    mac.map(|mac| mac.finalize().into_bytes().into()).unwrap_or_default()
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
#[path = "redaction_tests.rs"]
mod tests;
