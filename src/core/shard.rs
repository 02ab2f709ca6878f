//! Chooses one of a source's raw queues for a webhook.
//!
//! One quorum queue is one log on one leader. A source that needs more has several, its shards. A value in
//! the webhook chooses the shard, so that one call's webhooks stay in one shard; webhooks without the value
//! are distributed in turn. Sharding never rejects a webhook: shards only spread the load, and deduplication
//! covers all of them.

use std::{borrow::Cow, fmt};

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{pointer::Pointer, webhook::Webhook};

/// Maximum number of shards per source.
pub const SHARDS_MAX: u8 = 64;

/// One of a source's raw queues, numbered from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard(u8);

impl Shard {
    /// The shard that every source has.
    pub const FIRST: Self = Self(0);

    /// Returns the shard with this number, if a source can have so many.
    pub fn of_number(number: u8) -> Option<Self> {
        (number < SHARDS_MAX).then_some(Self(number))
    }

    /// Returns the shard's number, from 0.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// The distribution of a source's webhooks over its raw queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharding {
    shards: u8,
    by: Option<ShardBy>,
}

impl Sharding {
    /// Distributes webhooks over `shards` shards, clamped to 1 to [`SHARDS_MAX`].
    pub fn new(shards: u8, by: Option<ShardBy>) -> Self {
        Self { shards: shards.clamp(1, SHARDS_MAX), by }
    }

    /// Returns the number of shards.
    pub fn count(&self) -> u8 {
        self.shards
    }

    /// Returns the value that chooses the shard; none if webhooks are distributed in turn.
    pub fn by(&self) -> Option<&ShardBy> {
        self.by.as_ref()
    }

    /// Returns the shards.
    pub fn shards(&self) -> impl Iterator<Item = Shard> + use<> {
        (0..self.shards).map(Shard)
    }

    /// Returns true if `shard` is one of the configured shards.
    pub fn has(&self, shard: Shard) -> bool {
        shard.0 < self.shards
    }

    /// Returns the shards beyond the configured number. Their queues can remain from a time with more shards.
    pub fn beyond(&self) -> impl Iterator<Item = Shard> + use<> {
        (self.shards..SHARDS_MAX).map(Shard)
    }

    /// Returns the shard for a webhook; `turn` counts the webhooks that have no value to choose by.
    pub fn shard_of(&self, webhook: &Webhook, turn: impl FnOnce() -> u64) -> Shard {
        if self.shards == 1 {
            return Shard::FIRST;
        }
        let value = self.by.as_ref().and_then(|by| by.value(webhook));
        let number = value.map_or_else(turn, |value| hash(&value));
        Shard(u8::try_from(number % u64::from(self.shards)).unwrap_or_default())
    }
}

/// Returns the first 8 bytes of SHA-256: the same in every process and version, and as even for sequential
/// ids as for random ones. A change would separate the webhooks of calls in progress.
fn hash(value: &str) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&Sha256::digest(value)[..8]);
    u64::from_be_bytes(first)
}

/// The part of a webhook that chooses its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardBy {
    /// The value of the header with this name, in lower case.
    Header(String),
    /// The value at this pointer in the body.
    Pointer(Pointer),
}

impl ShardBy {
    /// Returns the value that chooses the shard, if it is present and not empty.
    fn value<'w>(&self, webhook: &'w Webhook) -> Option<Cow<'w, str>> {
        let value = match self {
            Self::Header(name) => Cow::Borrowed(webhook.headers.get(name)?),
            Self::Pointer(pointer) => scalar(pointer.find(&webhook.body)?)?,
        };
        (!value.is_empty()).then_some(value)
    }
}

impl fmt::Display for ShardBy {
    /// Writes the value of `shard_by` in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Pointer(pointer) => pointer.fmt(f),
        }
    }
}

/// Returns a string's text, or a number or boolean as it was written: `7` and `"7"` are the same id.
fn scalar(value: &RawValue) -> Option<Cow<'_, str>> {
    let json = value.get();
    let quoted = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match quoted {
        Some(text) if !text.contains('\\') => Some(Cow::Borrowed(text)),
        Some(_) => serde_json::from_str(json).ok().map(Cow::Owned),
        None => (json != "null" && !json.starts_with(['{', '['])).then_some(Cow::Borrowed(json)),
    }
}

#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;
