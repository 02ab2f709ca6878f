//! How an idempotency key is made.

use super::{origin::Origin, spans::Spans};
use crate::core::events::key::IdempotencyKey;

/// The number of hexadecimal digits of a hash in a key.
const HASH_DIGITS: usize = 32;

/// How an idempotency key is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Making {
    /// Its parts, in their order.
    pub parts: Vec<KeyPart>,
    /// What is in no part, but decides which parts there are.
    pub otherwise: Vec<Origin>,
}

/// A part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// A word of the adapter's, which is the same for every such webhook.
    Word(String),
    /// What comes from the webhook.
    From {
        /// Where it comes from.
        origins: Vec<Origin>,
        /// How.
        rule: KeyRule,
    },
    /// A hash of a value that is not there.
    HashOfNothing,
    /// No change that was tried touches it, but it does not look like a word of the adapter's.
    Unknown,
}

/// How a part of a key follows from its origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRule {
    /// It is the value.
    Copied,
    /// It is a hash.
    Hash,
    /// It follows otherwise.
    Derived,
}

impl KeyRule {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::Hash => "hash",
            Self::Derived => "derived",
        }
    }
}

/// What is known of a key's making.
#[derive(Debug)]
pub(super) struct KeyEvidence {
    key: IdempotencyKey,
    parts: Vec<Part>,
    deciding: Vec<Origin>,
}

#[derive(Debug)]
struct Part {
    text: String,
    origins: Vec<Origin>,
    is_copied: bool,
}

impl KeyEvidence {
    pub(super) fn of(key: &IdempotencyKey) -> Self {
        let part = |text: &str| Part { text: text.to_owned(), origins: Vec::new(), is_copied: false };
        let parts = key.as_str().split(':').map(part).collect();
        Self { key: key.clone(), parts, deciding: Vec::new() }
    }

    /// Takes note of the key of a webhook of which `origin`, whose value was `value`, has changed.
    pub(super) fn note(&mut self, origin: &Origin, value: &str, other: &IdempotencyKey, is_other_type: bool) {
        if *other == self.key {
            return;
        }
        let others: Vec<_> = other.as_str().split(':').collect();
        let is_like = self.parts.iter().zip(&others).any(|(part, other)| part.text == *other);
        let is_same_rule = others.len() == self.parts.len() && (is_like || !is_other_type);
        let value = IdempotencyKey::from_parts(&[value]);
        let mut is_in_part = false;
        for (at, part) in self.parts.iter_mut().enumerate() {
            let is_copied = !part.text.is_empty() && part.text == value.as_str();
            if is_copied || (is_same_rule && part.text != others[at]) {
                part.is_copied |= is_copied;
                part.origins.push(origin.clone());
                is_in_part = true;
            }
        }
        if !is_in_part {
            self.deciding.push(origin.clone());
        }
    }

    /// Returns the values that parts come from.
    pub(super) fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.parts.iter().flat_map(|part| &part.origins).chain(&self.deciding)
    }

    /// Returns what follows. With `is_complete`, everything was tried.
    pub(super) fn conclude(self, spans: &Spans<'_>, is_complete: bool) -> Making {
        let is_hash = |text: &str| text.len() == HASH_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit());
        let is_word =
            |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b"_0123456789".contains(&b));
        let part = |Part { text, origins, is_copied }: Part| {
            let rule = match () {
                () if is_copied => KeyRule::Copied,
                () if is_hash(&text) => KeyRule::Hash,
                () => KeyRule::Derived,
            };
            match () {
                () if !origins.is_empty() => KeyPart::From { origins: spans.join(&origins), rule },
                () if !is_complete => KeyPart::Unknown,
                () if rule == KeyRule::Hash => KeyPart::HashOfNothing,
                () if is_word(&text) => KeyPart::Word(text),
                () => KeyPart::Unknown,
            }
        };
        let parts = self.parts.into_iter().map(part).collect();
        Making { parts, otherwise: self.deciding }
    }
}
