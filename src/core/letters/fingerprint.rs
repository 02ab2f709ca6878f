//! Fingerprints group dead letters that failed in the same way.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

use crate::core::{delivery::fault::Reason, json::DUPLICATE_KEY, providers::Provider};

/// A short hash of provider, reason and error text, written as eight hexadecimal digits.
///
/// Numbers in the text (array positions, line and column, sizes) do not affect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(u32);

impl Fingerprint {
    /// Returns the fingerprint of a failure. `error` holds a JSON path and a problem, never values from the
    /// body.
    pub fn of(provider: Provider, reason: Option<Reason>, error: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(provider.as_str());
        hash.update([0]);
        hash.update(reason.map_or("", Reason::as_str));
        hash.update([0]);
        let error = match reason {
            // This error names the Redis key, which differs for each webhook.
            Some(Reason::UnreadableKey) => "",
            // This one names a key of the body, which the sender chooses.
            _ if error.ends_with(DUPLICATE_KEY) => DUPLICATE_KEY,
            _ => error,
        };
        // `items[17].id` is the same place as `items[3].id`, and line 1 column 15 the same problem as line 2.
        let mut in_number = false;
        for part in error.as_bytes() {
            let digit = part.is_ascii_digit();
            if !(digit && in_number) {
                hash.update([if digit { b'#' } else { *part }]);
            }
            in_number = digit;
        }
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
        Self(u32::from_be_bytes([a, b, c, d]))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 8 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidFingerprint);
        }
        u32::from_str_radix(text, 16).map(Self).map_err(|_| InvalidFingerprint)
    }
}

/// The error for a text that is not a [`Fingerprint`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is eight hexadecimal digits, as `dead-letters stats` prints them")]
pub struct InvalidFingerprint;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_are_ignored() {
        let of = |error| Fingerprint::of(Provider::Wavix, Some(Reason::InvalidPayload), error);
        assert_eq!(of("items[3].id: is missing"), of("items[17].id: is missing"));
        assert_ne!(of("items[3].id: is missing"), of("items[3].id: must be text"));
        assert_ne!(of("a: is missing"), of("b: is missing"));
        let other = Fingerprint::of(Provider::Allo, Some(Reason::InvalidPayload), "a: is missing");
        assert_ne!(of("a: is missing"), other);
        assert_ne!(of("a: is missing"), Fingerprint::of(Provider::Wavix, None, "a: is missing"));
        let [a, b] = ["a", "b"].map(|key| format!("data.{key}: {DUPLICATE_KEY}"));
        assert_eq!(of(&a), of(&b));
        let of_key = |error| Fingerprint::of(Provider::Wavix, Some(Reason::UnreadableKey), error);
        assert_eq!(of_key("DEL \"d:ab\""), of_key("DEL \"d:cd\""));
    }

    #[test]
    fn it_parses_what_it_prints() {
        let fingerprint = Fingerprint::of(Provider::Varda, None, "");
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        for bad in ["", "1234567", "123456789", "wxyz0000", "+1234567"] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(InvalidFingerprint), "{bad}");
        }
    }
}
