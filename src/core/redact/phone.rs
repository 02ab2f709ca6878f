//! Recognizes phone and card numbers in a value that should hold none.
//!
//! Values of a dead letter are often in the wrong field, and some systems identify a contact by its phone
//! number. Hiding an id by mistake is better than showing such a number.

use jiff::civil::Date;

use crate::core::json::time;

/// The fewest digits of a phone number that is written with `+` or in groups.
const DIGITS_MIN: usize = 7;

/// The longest separator between two groups of a number, as in `) - `.
const SEPARATOR_MAX_BYTES: usize = 4;

/// Returns true if a part of `text` looks like a phone or card number: `+1-555-010-0123`, `1.555.010.0123`,
/// `contact/15550100123`, `4111-1111-1111-1111`.
pub(in crate::core) fn is_in(text: &str) -> bool {
    let (before, last) = text.rsplit_once('/').unwrap_or(("", text));
    let text = if is_uuid(last) { before } else { text };
    if is_time(text) {
        return false;
    }
    let mut number = Number::default();
    for chunk in text.as_bytes().chunk_by(|one, next| kind(*one) == kind(*next)) {
        match kind(chunk[0]) {
            Kind::Word if chunk.iter().all(u8::is_ascii_digit) => number.add(chunk),
            Kind::Separator if chunk.len() <= SEPARATOR_MAX_BYTES => number.separators.push(chunk),
            Kind::Word if number.begins_as_international(chunk) => return true,
            kind @ (Kind::Word | Kind::Separator | Kind::Plus | Kind::Other) => {
                if number.is_personal() {
                    return true;
                }
                number = Number { has_plus: kind == Kind::Plus, ..Number::default() };
            }
        }
    }
    number.is_personal()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Letters, digits and `_`: one group of a number, or a word.
    Word,
    /// What may separate the groups of a number.
    Separator,
    /// The start of an international number.
    Plus,
    /// What no number contains.
    Other,
}

fn kind(byte: u8) -> Kind {
    match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' => Kind::Word,
        b'-' | b'.' | b' ' | b'(' | b')' | b'/' => Kind::Separator,
        b'+' => Kind::Plus,
        _ => Kind::Other,
    }
}

/// Groups of digits that belong together.
#[derive(Default)]
struct Number<'a> {
    has_plus: bool,
    groups: usize,
    digits: Vec<u8>,
    separators: Vec<&'a [u8]>,
}

impl Number<'_> {
    fn add(&mut self, group: &[u8]) {
        if self.groups == 0 {
            // What precedes the first group separates nothing.
            self.separators.clear();
        }
        self.groups += 1;
        self.digits.extend_from_slice(group);
    }

    /// Returns true if `word`, directly behind a `+`, begins with enough digits: `+15550100123x`.
    fn begins_as_international(&self, word: &[u8]) -> bool {
        let digits = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.has_plus && self.groups == 0 && digits >= DIGITS_MIN
    }

    fn is_personal(&self) -> bool {
        let len = self.digits.len();
        match self.groups {
            0 => false,
            _ if self.has_plus => len >= DIGITS_MIN,
            1 => self.is_personal_alone(),
            // A decimal number, or seconds with a fraction.
            2 if self.separators.first() == Some(&b".".as_slice()) => false,
            _ => len >= DIGITS_MIN,
        }
    }

    /// Returns true if digits without any separator are a number with its country, one with a leading zero,
    /// one of ten digits, or a card's.
    fn is_personal_alone(&self) -> bool {
        match self.digits.len() {
            9..=15 if self.digits.starts_with(b"0") => true,
            // Unix times of today begin with 1, and no number of ten digits does.
            10 => !self.digits.starts_with(b"1"),
            11..=15 => true,
            16..=19 => passes_luhn(&self.digits),
            _ => false,
        }
    }
}

/// Returns true if the last digit is the check digit that every card number has.
fn passes_luhn(digits: &[u8]) -> bool {
    let value = |(place, digit): (usize, &u8)| {
        let digit = u32::from(digit - b'0');
        if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
    };
    digits.iter().rev().enumerate().map(value).sum::<u32>().is_multiple_of(10)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_time(text: &str) -> bool {
    let is_date = |text: &str| text.len() == 10 && text.parse::<Date>().is_ok();
    matches!(text.as_bytes(), [_, _, _, _, b'-', _, _, b'-', ..]) && (is_date(text) || time::is_time(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_people_are_found_however_they_are_written() {
        for text in [
            "+1-555-010-0123",
            "1.555.010.0123",
            "+1 (555) 010-0123",
            "(555) 010-0123",
            "555-0123-4",
            "+15550123",
            "15550100123",
            "5550100123",
            "2125550100",
            "+15550100123x",
            "02079460000",
            "030/1234567",
            "00 49 30 1234567",
            "contact/15550100123",
            "contact/+1-555-010-0123",
            "tel:+15550100123",
            "call-1-555-010-0123",
            "4111-1111-1111-1111",
            "4111 1111 1111 1111",
            "4111111111111111",
            "Hooks/1.0 (+1 555 010 0123)",
            "Acme 1.555.010.0123",
        ] {
            assert!(is_in(text), "{text}");
        }
    }

    #[test]
    fn ids_times_and_versions_are_not_taken_for_numbers() {
        for text in [
            "5dccb6b0-f35c-488c-867b-86fb012c4415",
            "call/01900000-0000-7000-8000-000000000001",
            "2026-01-01",
            "2026-01-01T10:05:04+01:00",
            "2026-01-01T10:05:04.547-05:00",
            "1760084622",
            "1760084622.547",
            "0.0270000000000000000001",
            "9007199254740993",
            "789010",
            "call/8841",
            "d-1007",
            "cal_7Hq2",
            "Hooks/1.0 (+https://example.com)",
            "python-requests/2.31.0",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "application/json; charset=utf-8",
            "https://hookswitch.invalid/schemas/data/call/1.json",
        ] {
            assert!(!is_in(text), "{text}");
        }
    }
}
