//! Which of its source's raw queues a webhook goes to, where a source has several.
//!
//! One quorum queue is one log on one leader: a source that needs more gets several, its shards. What a webhook says of
//! itself chooses the shard, so that one call's webhooks stay in one; what says nothing goes to each shard in turn. A
//! webhook is never refused over this: shards only spread the load, and deduplication is over all of them.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::webhook::Webhook;

/// The most shards that a source can have.
pub const SHARDS_MAX: u8 = 64;

/// One of a source's raw queues, numbered from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard(u8);

impl Shard {
    /// The one that every source has.
    pub const FIRST: Self = Self(0);

    /// Its number, from 0.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// How a source's webhooks are spread over its raw queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharding {
    shards: u8,
    by: Option<ShardBy>,
}

impl Sharding {
    /// Spreads over so many shards, at least one and at most [`SHARDS_MAX`].
    pub fn new(shards: u8, by: Option<ShardBy>) -> Self {
        Self { shards: shards.clamp(1, SHARDS_MAX), by }
    }

    /// How many shards there are.
    pub fn count(&self) -> u8 {
        self.shards
    }

    /// What chooses the shard, if it is not each in turn.
    pub fn by(&self) -> Option<&ShardBy> {
        self.by.as_ref()
    }

    /// The shards.
    pub fn shards(&self) -> impl Iterator<Item = Shard> + use<> {
        (0..self.shards).map(Shard)
    }

    /// Whether this is one of them.
    pub fn has(&self, shard: Shard) -> bool {
        shard.0 < self.shards
    }

    /// Those that there would be if there were more: they may be left from when there were.
    pub fn beyond(&self) -> impl Iterator<Item = Shard> + use<> {
        (self.shards..SHARDS_MAX).map(Shard)
    }

    /// Where a webhook goes; `turn` counts those that do not say it themselves.
    pub fn shard_of(&self, webhook: &Webhook, turn: impl FnOnce() -> u64) -> Shard {
        if self.shards == 1 {
            return Shard::FIRST;
        }
        let value = self.by.as_ref().and_then(|by| by.value(webhook));
        let number = value.map_or_else(turn, |value| hash(&value));
        Shard(u8::try_from(number % u64::from(self.shards)).unwrap_or_default())
    }
}

/// The first 8 bytes of SHA-256: the same in every process and version, and as even for ids that count up as for
/// random ones. To change it would part the webhooks of calls that are under way.
fn hash(value: &str) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&Sha256::digest(value)[..8]);
    u64::from_be_bytes(first)
}

/// What of a webhook chooses its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardBy {
    /// The value of the header of this name, in lower case.
    Header(String),
    /// The value at a place in the body.
    Pointer(Pointer),
}

impl ShardBy {
    /// The value that says which shard, if it is there and not empty.
    fn value<'w>(&self, webhook: &'w Webhook) -> Option<Cow<'w, str>> {
        let value = match self {
            Self::Header(name) => Cow::Borrowed(webhook.headers.get(name)?),
            Self::Pointer(pointer) => scalar(pointer.find(&webhook.body)?)?,
        };
        (!value.is_empty()).then_some(value)
    }
}

impl fmt::Display for ShardBy {
    /// As the configuration has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Pointer(pointer) => pointer.fmt(f),
        }
    }
}

/// A string's text, or a number or a truth value as it is written: `7` and `"7"` are the same id.
fn scalar(value: &RawValue) -> Option<Cow<'_, str>> {
    let json = value.get();
    let quoted = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match quoted {
        Some(text) if !text.contains('\\') => Some(Cow::Borrowed(text)),
        Some(_) => serde_json::from_str(json).ok().map(Cow::Owned),
        None => (json != "null" && !json.starts_with(['{', '['])).then_some(Cow::Borrowed(json)),
    }
}

/// A place in a JSON document, as RFC 6901 writes it; not the document itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

/// A text that is no [`Pointer`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a JSON pointer begins with / and has ~ only in ~0 and ~1")]
pub struct InvalidPointer;

impl FromStr for Pointer {
    type Err = InvalidPointer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = text.strip_prefix('/').ok_or(InvalidPointer)?;
        let unescape = |name: &str| {
            let strange = name.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1']));
            if strange { Err(InvalidPointer) } else { Ok(name.replace("~1", "/").replace("~0", "~")) }
        };
        names.split('/').map(unescape).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|name| write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")))
    }
}

impl Pointer {
    /// What stands there, as it is written. Nothing is read after it, and what stands before it is only skipped; of
    /// equal names in an object the first counts.
    fn find<'b>(&self, body: &'b [u8]) -> Option<&'b RawValue> {
        let mut found = None;
        let place = Place { path: &self.0, found: &mut found };
        // Where it was found the rest is left unread, which the reader takes for an error.
        drop(place.deserialize(&mut serde_json::Deserializer::from_slice(body)));
        found
    }
}

/// A value on the way, and what is to be found below it.
struct Place<'p, 'f, 'b> {
    path: &'p [String],
    found: &'f mut Option<&'b RawValue>,
}

impl<'b> DeserializeSeed<'b> for Place<'_, '_, 'b> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.path.split_first() {
            Some((name, below)) => deserializer.deserialize_any(Level { name, below, found: self.found }),
            None => {
                *self.found = Some(<&RawValue>::deserialize(deserializer)?);
                Ok(())
            }
        }
    }
}

/// An object or an array on the way, and which of its values leads on.
struct Level<'p, 'f, 'b> {
    name: &'p str,
    below: &'p [String],
    found: &'f mut Option<&'b RawValue>,
}

impl<'b> Visitor<'b> for Level<'_, '_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(leads_on) = entries.next_key_seed(Is(self.name))? {
            if leads_on {
                return entries.next_value_seed(Place { path: self.below, found: self.found });
            }
            entries.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut items: A) -> Result<(), A::Error> {
        let Some(index) = index(self.name) else { return Ok(()) };
        for _ in 0..index {
            if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        items.next_element_seed(Place { path: self.below, found: self.found }).map(drop)
    }
}

/// RFC 6901 knows an index in one form only: digits, and no zero before others.
fn index(name: &str) -> Option<usize> {
    let plain = name == "0" || name.starts_with(|first: char| ('1'..='9').contains(&first));
    if plain { name.parse().ok() } else { None }
}

/// Whether a name is this one, without keeping it.
struct Is<'p>(&'p str);

impl<'b> DeserializeSeed<'b> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;
