//! Phone numbers as the people of one region write them.

use std::{fmt, str::FromStr};

use phonenumber::{Mode, country::Id};

/// The longest text that may be a number, in bytes.
const NUMBER_BYTES_MAX: usize = 30;

/// Returns true if people write `c` between the digits of a number.
pub(super) fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '-' | '.' | '/' | '(' | ')')
}

/// A region of ISO 3166, as in `DE`, whose numbers may be written without a country code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhoneRegion(Id);

impl PhoneRegion {
    /// Returns the E.164 form of a number that is valid when dialled in this region. A text with anything but
    /// digits and separators is no number: an extension or a letter would be lost.
    pub fn e164(self, raw: &str) -> Option<String> {
        let is_allowed = |c: char| c.is_ascii_digit() || is_separator(c);
        if raw.len() > NUMBER_BYTES_MAX || !raw.chars().all(is_allowed) {
            return None;
        }
        let number = phonenumber::parse(Some(self.0), raw).ok().filter(phonenumber::is_valid)?;
        Some(number.format().mode(Mode::E164).to_string())
    }
}

impl fmt::Display for PhoneRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref())
    }
}

impl FromStr for PhoneRegion {
    type Err = UnknownRegion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| UnknownRegion)
    }
}

/// A text that is not a region with phone numbers.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown region, expected two capital letters of ISO 3166, as in DE")]
pub struct UnknownRegion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_it_is_dialled_in_its_region() {
        for (region, raw, expected) in [
            ("CN", "13800138000", Some("+8613800138000")),
            ("BR", "11987654321", Some("+5511987654321")),
            ("US", "17653889567", Some("+17653889567")),
            ("US", "(765) 388-9567", Some("+17653889567")),
            ("DE", "030 901820", Some("+4930901820")),
            ("DE", "0049 30 901820", Some("+4930901820")),
            ("FR", "0612345678", Some("+33612345678")),
            // Not valid there.
            ("US", "13800138000", None),
            ("US", "5551234567", None),
            ("DE", "101", None),
            // No numbers.
            ("US", "765-388-9567 ext. 5", None),
            ("US", "1-800-FLOWERS", None),
            ("US", "anonymous", None),
            ("US", "", None),
            ("US", "((((((((((((((((((((((((((((((((7653889567", None),
        ] {
            let region: PhoneRegion = region.parse().expect("a region");
            assert_eq!(region.e164(raw).as_deref(), expected, "{region} {raw}");
        }
    }

    #[test]
    fn a_region_has_two_capital_letters() {
        assert_eq!("DE".parse::<PhoneRegion>().map(|region| region.to_string()), Ok("DE".to_owned()));
        for bad in ["", "de", "Germany", "+49", "XX"] {
            assert_eq!(bad.parse::<PhoneRegion>(), Err(UnknownRegion), "{bad}");
        }
    }
}
