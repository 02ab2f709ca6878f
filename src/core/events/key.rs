//! Idempotency keys, and what is derived from them: keys in Redis, event ids, hashes of bodies.

use std::{fmt, num::ParseIntError, str::FromStr};

use sha1::Sha1;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use super::{event::EventType, percent};
use crate::core::{json::Object, webhook::names::SourceName};

/// The longest key that is kept as text, in bytes; a longer one is replaced by its hash.
const KEY_MAX_BYTES: usize = 200;

/// The namespace of event ids: drawn once at random. Changing it changes every event id.
const EVENT_NAMESPACE: Uuid = Uuid::from_u128(0x5f2b_8f5e_3c0d_4d0a_9a53_0c9f_1f6e_7a11);

/// The identity of a fact within its source: two webhooks with equal keys report the same fact.
///
/// It is built from parts, so that no value in one part can make it equal to another key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Joins the parts with `:`. A `:`, a `%` or a control character inside a part is percent-encoded.
    pub fn from_parts<S: AsRef<str>>(parts: &[S]) -> Self {
        let mut key = String::with_capacity(KEY_MAX_BYTES);
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                key.push(':');
            }
            let part = part.as_ref();
            if percent::is_plain(part, |byte| (byte != b':') & (byte != b'%')) {
                key.push_str(part);
            } else {
                percent::encode(part, |c| !matches!(c, ':' | '%') && percent::is_allowed(c), &mut key);
            }
        }
        if key.len() > KEY_MAX_BYTES {
            key = format!("sha256:{}", digest_hex(key.as_bytes()));
        }
        Self(key)
    }

    /// Derives the key of a webhook that carries no identifier: a hash of its content in canonical form, so
    /// that another order of names, other white space or other escapes are the same fact. `scope` is what the
    /// content is relative to, such as a tenant. A delivery id in `scope` makes each delivery a fact of its
    /// own; that is for what can change back to an earlier content and tells no time.
    pub fn of_content(scope: &[&str], content: &Object<'_>) -> Self {
        let digest = digest_hex(&content.canonical());
        Self::from_parts(&[&["body"], scope, &[&*digest]].concat())
    }

    /// Wraps the text of a key that was made before, as an event's `idempotencykey` has it.
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// Returns the key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the key under which Redis holds this one.
    pub fn store_key(&self, source: &SourceName) -> StoreKey {
        let digest =
            Sha256::new().chain_update(source.as_str()).chain_update([0]).chain_update(&self.0).finalize();
        let mut key = StoreKey::default();
        key.0[..2].copy_from_slice(b"d:");
        key.0[2..].copy_from_slice(&digest[..16]);
        key
    }

    /// Derives the id of an event of this webhook. `ordinal` is its index among those of its type, so that an
    /// event keeps its id when a later version makes more events of the same webhook. The same webhook always
    /// gives the same ids.
    pub fn event_id(&self, source: &SourceName, kind: EventType, ordinal: usize) -> Uuid {
        // Equal to `Uuid::new_v5`, which takes twice as long (0.9 µs instead of 0.4): its SHA-1 does not use
        // the processor's own instructions.
        let digest = Sha1::new()
            .chain_update(EVENT_NAMESPACE)
            .chain_update(source.as_str())
            .chain_update("\n")
            .chain_update(&self.0)
            .chain_update("\n")
            .chain_update(kind.as_str())
            .chain_update(format!("\n{ordinal}"))
            .finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Builder::from_sha1_bytes(id).into_uuid()
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns a short stable hash of `bytes` for use as a part of a key: 16 bytes of SHA-256, in hex.
pub fn digest_hex(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes)[..16])
}

/// The key in Redis of an idempotency key: `d:` and 16 bytes of SHA-256 of source and key.
///
/// It has 18 bytes whatever the providers send: 112 bytes of Redis memory with its value and expiry.
/// Displayed, it can be pasted between double quotes into `redis-cli`. The default is all zeros, which is the
/// key of no webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StoreKey([u8; 18]);

impl StoreKey {
    /// Returns the bytes that Redis knows.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

/// 63 bits of the SHA-256 of a body, kept with its key: they tell whether the same key came with another
/// body.
///
/// Displayed and parsed as the decimal number that Redis holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BodyHash(u64);

impl BodyHash {
    /// Hashes a body.
    pub fn of(body: &[u8]) -> Self {
        let digest = Sha256::digest(body);
        let head = digest.iter().take(8).fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        Self(head >> 1)
    }

    /// Returns the number.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl From<u64> for BodyHash {
    fn from(hash: u64) -> Self {
        Self(hash)
    }
}

impl fmt::Display for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BodyHash {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_in_one_part_can_look_like_another_key() {
        let key = |parts: &[&str]| IdempotencyKey::from_parts(parts);
        assert_ne!(key(&["a:b", "c"]), key(&["a", "b:c"]));
        assert_ne!(key(&["a%3Ab", "c"]), key(&["a:b", "c"]));
        assert_ne!(key(&["", "a"]), key(&["a"]));
        assert_eq!(key(&["call_ended", "1"]).as_str(), "call_ended:1");
    }

    #[test]
    fn a_key_holds_no_control_character() {
        let key = |part: &str| IdempotencyKey::from_parts(&[part]).as_str().to_owned();
        assert_eq!(key("a\nb\u{7f}\u{9b}"), "a%0Ab%7F%C2%9B");
        assert_eq!(key("é😀"), "é😀");
        assert_ne!(key("a\nb"), key("a%0Ab"));
    }

    #[test]
    fn a_long_key_is_kept_as_a_hash() {
        let long = "x".repeat(10_000);
        let key = IdempotencyKey::from_parts(&[&long]);
        assert!(key.as_str().len() < KEY_MAX_BYTES);
        assert_ne!(key, IdempotencyKey::from_parts(&[&long[1..]]));
    }

    #[test]
    fn a_store_key_is_shown_as_redis_cli_reads_it() {
        let mut key = StoreKey(*b"d:0123456789abcdef");
        key.0[2..6].copy_from_slice(b"\x00\xff\"\\");
        assert_eq!(key.to_string(), r#"d:\x00\xff\"\\456789abcdef"#);
    }

    #[test]
    fn two_sources_never_share_a_key_or_an_event_id() {
        let key = IdempotencyKey::from_parts(&["1"]);
        let (a, b) = ("a".parse().expect("a name"), "b".parse().expect("a name"));
        assert_ne!(key.store_key(&a), key.store_key(&b));
        let (ended, transcript) = (EventType::CallEnded, EventType::TranscriptCompleted);
        assert_ne!(key.event_id(&a, ended, 0), key.event_id(&b, ended, 0));
        assert_ne!(key.event_id(&a, ended, 0), key.event_id(&a, ended, 1));
        assert_ne!(key.event_id(&a, ended, 0), key.event_id(&a, transcript, 0));
        assert_eq!(key.event_id(&a, ended, 0), key.event_id(&a, ended, 0));
        let name = b"a\n1\ncall.ended\n12";
        assert_eq!(key.event_id(&a, ended, 12), Uuid::new_v5(&EVENT_NAMESPACE, name));
    }
}
