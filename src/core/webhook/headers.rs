//! The captured HTTP headers of a webhook.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Captured HTTP headers: names in lower case, in the order of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Appends one header and lowercases its name.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_ascii_lowercase(), value.into()));
    }

    /// Returns the first non-empty value of `name`, which must be in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, v)| *n == name && !v.is_empty()).map(|(_, v)| v)
    }

    /// Returns all values of `name`, which must be in lower case.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Returns all headers as name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: AsRef<str>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(pairs: T) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.push(name.as_ref(), value);
        }
        headers
    }
}

/// Returns a header's value as text, different ones for different bytes: an idempotency key may be in it.
///
/// A byte that is not UTF-8 becomes U+FFFD and two hexadecimal digits. So does each byte of a U+FFFD that the
/// sender wrote, which therefore cannot stand for another byte.
pub fn text_of_value(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for chunk in value.utf8_chunks() {
        for (index, part) in chunk.valid().split(char::REPLACEMENT_CHARACTER).enumerate() {
            if index > 0 {
                escape("\u{fffd}".as_bytes(), &mut text);
            }
            text.push_str(part);
        }
        escape(chunk.invalid(), &mut text);
    }
    text
}

fn escape(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        // Writing to a string never fails.
        let _ = write!(text, "{}{byte:02x}", char::REPLACEMENT_CHARACTER);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_that_is_not_utf_8_stays_distinct() {
        for (value, text) in [
            (b"caf\xe9-77".as_slice(), "caf\u{fffd}e9-77"),
            (b"caf\xe8-77", "caf\u{fffd}e8-77"),
            ("caf\u{fffd}e9-77".as_bytes(), "caf\u{fffd}ef\u{fffd}bf\u{fffd}bde9-77"),
            ("café 100%".as_bytes(), "café 100%"),
            (b"\xc3", "\u{fffd}c3"),
            (b"", ""),
        ] {
            assert_eq!(text_of_value(value), text);
        }
    }

    proptest! {
        #[test]
        fn different_bytes_give_different_texts(
            a in prop::collection::vec(prop::sample::select(b"e9\xef\xbf\xbd\xe9\xc3\xa9".to_vec()), 0..8),
            b in prop::collection::vec(prop::sample::select(b"e9\xef\xbf\xbd\xe9\xc3\xa9".to_vec()), 0..8),
        ) {
            prop_assert_eq!(a == b, text_of_value(&a) == text_of_value(&b));
        }
    }

    #[test]
    fn headers_are_found_whatever_the_case_of_their_name() {
        let headers = Headers::from_iter([("X-Varda-Delivery", ""), ("x-varda-delivery", "d1")]);
        assert_eq!(headers.get("x-varda-delivery"), Some("d1"));
    }
}
