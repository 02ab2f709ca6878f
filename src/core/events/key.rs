//! What makes two webhooks the same fact, and the ids that follow from it.

use std::fmt;

use sha1::Sha1;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::core::webhook::names::SourceName;

/// The longest key that is kept as it is, in bytes; a longer one is replaced by its hash.
const KEY_MAX_BYTES: usize = 200;

/// The namespace of event ids: drawn once at random, never to be changed.
const EVENT_NAMESPACE: Uuid = Uuid::from_u128(0x5f2b_8f5e_3c0d_4d0a_9a53_0c9f_1f6e_7a11);

/// What makes two webhooks of one source the same fact.
///
/// Built from parts, so that no choice of values in one part can look like another key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Joins the parts with `:`; a `:` or `%` inside a part is percent-encoded.
    pub fn from_parts<S: AsRef<str>>(parts: &[S]) -> Self {
        let mut key = String::with_capacity(KEY_MAX_BYTES);
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                key.push(':');
            }
            let part = part.as_ref();
            // Without a way out of the loop, so that it takes many bytes at a time.
            if part.bytes().fold(true, |is_plain, b| is_plain & (b != b':') & (b != b'%')) {
                key.push_str(part);
                continue;
            }
            for c in part.chars() {
                match c {
                    ':' => key.push_str("%3A"),
                    '%' => key.push_str("%25"),
                    c => key.push(c),
                }
            }
        }
        if key.len() > KEY_MAX_BYTES {
            key = format!("sha256:{}", digest_hex(key.as_bytes()));
        }
        Self(key)
    }

    /// The key of a webhook that names itself in no other way: a hash of its body.
    pub fn of_body(body: &[u8]) -> Self {
        Self(format!("body:{}", digest_hex(body)))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name under which Redis holds the key: `d:` and 16 bytes of SHA-256 of source and key.
    ///
    /// 18 bytes a key, whatever the providers send: 112 bytes of Redis memory with its value and expiry.
    pub fn store_name(&self, source: &SourceName) -> [u8; 18] {
        let digest =
            Sha256::new().chain_update(source.as_str()).chain_update([0]).chain_update(&self.0).finalize();
        let mut name = [0; 18];
        name[..2].copy_from_slice(b"d:");
        name[2..].copy_from_slice(&digest[..16]);
        name
    }

    /// The id of the event at `position` of this webhook: the same webhook always gives the same ids.
    pub fn event_id(&self, source: &SourceName, position: usize) -> Uuid {
        // As `Uuid::new_v5` does, but with the SHA-1 that uses the processor's own instructions.
        let digest = Sha1::new()
            .chain_update(EVENT_NAMESPACE)
            .chain_update(source.as_str())
            .chain_update("\n")
            .chain_update(&self.0)
            .chain_update(format!("\n{position}"))
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

/// A short stable hash of `bytes` for use as a part of a key: 16 bytes of SHA-256, in hex.
pub fn digest_hex(bytes: &[u8]) -> String {
    // `hex::encode` takes up to 2 % more instructions for a whole webhook (`make bench-micro`: wavix, normalize).
    let mut hex = String::with_capacity(32);
    for byte in &Sha256::digest(bytes)[..16] {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from(if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }));
        }
    }
    hex
}

/// What is remembered of a body beside its key, to notice the same key on another body: 63 bits of SHA-256.
pub fn body_fingerprint(body: &[u8]) -> u64 {
    let digest = Sha256::digest(body);
    let head = digest.iter().take(8).fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    head >> 1
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
    fn a_long_key_is_kept_as_a_hash() {
        let long = "x".repeat(10_000);
        let key = IdempotencyKey::from_parts(&[&long]);
        assert!(key.as_str().len() < KEY_MAX_BYTES);
        assert_ne!(key, IdempotencyKey::from_parts(&[&long[1..]]));
    }

    #[test]
    fn two_sources_never_share_a_key_or_an_event_id() {
        let key = IdempotencyKey::from_parts(&["1"]);
        let (a, b) = ("a".parse().expect("a name"), "b".parse().expect("a name"));
        assert_ne!(key.store_name(&a), key.store_name(&b));
        assert_ne!(key.event_id(&a, 0), key.event_id(&b, 0));
        assert_ne!(key.event_id(&a, 0), key.event_id(&a, 1));
        assert_eq!(key.event_id(&a, 0), key.event_id(&a, 0));
        assert_eq!(key.event_id(&a, 12), Uuid::new_v5(&EVENT_NAMESPACE, b"a\n1\n12"));
    }
}
