//! The keys about redacted copies of events: a subscription's profile, and the deployment's secret key.

use super::{
    format::one_of,
    items::{FormatItems as _, Parts},
    read::{Given, Reader, Section},
    secret::{REDACTED, Secret},
    section::{Absent, Declared, Item, Key, Shown, section},
};
use crate::core::events::redaction::{Profile, Treatment};

section! {
    /// The keys of a subscription's redaction profile.
    pub struct Redact {
        /// The queue gets redacted copies of its events instead: without what is `unmapped`, and with all
        /// phone numbers, e-mail addresses and names
        /// - `"mask"`: as `***`, with the last two digits of a phone number,
        /// - `"hash"`: as tokens made with `events.redaction_key`, the same for the same value, or
        /// - `"drop"`: left out.
        ///
        /// When a queue gets its first `redact` or loses it, stop all workers, run `hookswitch topology
        /// apply` to its end, and start them. Then empty the queue: it keeps the events that it has.
        redact: Option<Treatment> = one_of(treatments(&["mask", "hash", "drop"])).optional(r#""hash""#);
        /// What becomes of phone numbers and other addresses of calls and messages, if not `redact`.
        redact_numbers: Option<Treatment> = one_of(Treatment::ALL).optional(r#""mask""#);
        /// What becomes of e-mail addresses, if not `redact`.
        redact_emails: Option<Treatment> = one_of(Treatment::ALL).optional(r#""drop""#);
        /// What becomes of names of people, companies and records, if not `redact`.
        redact_names: Option<Treatment> = one_of(Treatment::ALL).optional(r#""keep""#);
        /// What becomes of transcripts, summaries, messages, notes and links to recordings. They are left out
        /// unless this is `"keep"`: then whatever is in them stays.
        redact_texts: Option<Treatment> = one_of(treatments(&["keep", "drop"])).optional(r#""drop""#);
    }
}

impl Parts for Redact {
    type Whole = Self;

    fn assemble(self) -> Option<Self> {
        Some(self)
    }

    fn of(whole: &Self) -> Self {
        whole.clone()
    }
}

/// Returns those of the treatments that `words` names.
fn treatments(words: &'static [&'static str]) -> impl Iterator<Item = (&'static str, Treatment)> {
    Treatment::ALL.into_iter().filter(|(word, _)| words.contains(word))
}

impl Redact {
    /// Returns the profile; none if the subscription gets plain events.
    pub fn profile(&self) -> Option<Profile> {
        let treatment = self.redact?;
        Some(Profile {
            numbers: self.redact_numbers.unwrap_or(treatment),
            emails: self.redact_emails.unwrap_or(treatment),
            names: self.redact_names.unwrap_or(treatment),
            keeps_texts: self.redact_texts == Some(Treatment::Keep),
        })
    }

    /// Records the contradictions among the keys of the subscription `name`.
    pub(super) fn check(&self, reader: &Reader<'_>, name: &str, key: Option<&Secret>) {
        let Self { redact, redact_numbers, redact_emails, redact_names, redact_texts } = self;
        let parts = [
            ("redact_numbers", redact_numbers),
            ("redact_emails", redact_emails),
            ("redact_names", redact_names),
            ("redact_texts", redact_texts),
        ];
        if redact.is_none()
            && let Some((part, _)) = parts.into_iter().find(|(_, treatment)| treatment.is_some())
        {
            let expected = "\"mask\", \"hash\" or \"drop\": without it the queue gets plain events, and ";
            let expected = format!("{expected}{part} has no effect");
            reader.problem(format!("subscriptions.{name}.redact"), "(missing)", expected);
        }
        if self.profile().is_some_and(|profile| profile.hashes()) && key.is_none() {
            let expected = format!(
                "{KEY_VALUES}: subscriptions.{name} hashes with it. Make one with `openssl rand -hex 32`, \
                 and keep it: with another one all tokens change"
            );
            reader.problem("events.redaction_key", "(missing)", expected);
        }
    }
}

/// The keys for the secret itself and for the path of a file.
const KEYS: [&str; 2] = ["redaction_key", "redaction_key_file"];

/// The fewest characters of the key. Phone numbers are few: whoever can guess the key knows them all.
const KEY_MIN: usize = 32;

const KEY_VALUES: &str = "a secret of 32 characters or more, in one line and without blanks around it";

/// See [`redaction_key`].
pub(super) struct RedactionKey;

/// Declares the key of the tokens, from `redaction_key` or `redaction_key_file`.
pub(super) fn redaction_key() -> RedactionKey {
    RedactionKey
}

impl RedactionKey {
    fn resolve(key: &str, given: &Given, section: &Section<'_>) -> Option<Secret> {
        let text = match key {
            "redaction_key_file" => section.file(given)?,
            _ => given.text().unwrap_or_default().to_owned(),
        };
        let is_usable =
            text.chars().count() >= KEY_MIN && text.trim() == text && !text.contains(char::is_control);
        if !is_usable {
            section.wrong_secret(given, KEY_VALUES);
        }
        is_usable.then(|| Secret::new(text))
    }
}

impl Item for RedactionKey {
    type Value = Option<Secret>;

    fn declare(&self, _name: &'static str, doc: &str) -> Vec<Declared> {
        let [text, file] = KEYS;
        let key = |name, doc: &str, values: &str, example: &str| {
            let (doc, values, example) = (doc.to_owned(), values.to_owned(), example.to_owned());
            let alternative = name == file;
            Declared::Key(Key { name, doc, values, absent: Absent::Optional, example, alternative })
        };
        let file_doc = format!("In place of `{text}`: a file that holds it.");
        vec![
            key(text, doc, KEY_VALUES, "\"the output of: openssl rand -hex 32\""),
            key(file, &file_doc, "the path of a file", "\"/run/secrets/redaction_key\""),
        ]
    }

    fn read(&self, _name: &'static str, section: &Section<'_>) -> Option<Option<Secret>> {
        match section.one_of(&KEYS) {
            Some((key, given)) => Self::resolve(key, &given, section).map(Some),
            None => Some(None),
        }
    }

    fn show(&self, _name: &'static str, value: &Option<Secret>) -> Vec<Shown> {
        value.iter().map(|_| Shown::Key(KEYS[0], format!("\"{REDACTED}\""))).collect()
    }
}
