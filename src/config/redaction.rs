//! The keys of a subscription's redaction profile.

use super::{
    format::one_of,
    items::{FormatItems as _, Parts},
    own_secret::VALUES,
    read::Reader,
    secret::Secret,
    section::section,
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
                "{VALUES}: subscriptions.{name} hashes with it. Make one with `openssl rand -hex 32`, \
                 and keep it: with another one all tokens change"
            );
            reader.problem("events.redaction_key", "(missing)", expected);
        }
    }
}
