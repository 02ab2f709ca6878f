//! A JSON value as it was written, and what is left of one.

use std::borrow::Cow;

use jiff::Timestamp;

use super::{number, scan, text, time};

/// The longest length that is read, in seconds: more than 31 years. A longer one is a mistake, and the times
/// that follow from it are out of range.
const LENGTH_MAX: f64 = 1e9;

/// A JSON value as it was written, without the whitespace around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The empty object.
    pub(super) const EMPTY_OBJECT: Self = Self("{}");

    /// Wraps the text of one valid JSON value.
    pub(super) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// Returns the JSON text.
    pub fn get(self) -> &'a str {
        self.0
    }

    /// Returns the value's type: `object`, `array`, `string`, `number`, `boolean` or `null`.
    pub fn class(self) -> &'static str {
        match self.0.as_bytes().first() {
            Some(b'{') => "object",
            Some(b'[') => "array",
            Some(b'"') => "string",
            Some(b't' | b'f') => "boolean",
            Some(b'n') => "null",
            _ => "number",
        }
    }

    /// Returns the text between a string's quotes.
    fn inner(self) -> Option<&'a str> {
        self.0.strip_prefix('"')?.strip_suffix('"')
    }

    /// Returns a string's content, with U+FFFD in place of half a surrogate pair and of NUL.
    pub fn text(self) -> Option<Cow<'a, str>> {
        self.inner().map(text::content)
    }

    /// Returns a string's content if it has any: an empty string says nothing.
    pub fn filled_text(self) -> Option<Cow<'a, str>> {
        self.text().filter(|text| !text.is_empty())
    }

    /// Returns true if the value is a string without a character.
    pub fn is_empty_text(self) -> bool {
        self.inner() == Some("")
    }

    /// Returns true if the value is `null`, `""`, or a list or object of nothing but those.
    pub fn says_nothing(self) -> bool {
        let is_outside = |c: char| matches!(c, '[' | ']' | '{' | '}' | ',') || c.is_ascii_whitespace();
        match self.0.as_bytes().first() {
            Some(b'"') => self.is_empty_text(),
            Some(b'[' | b'{') => self.0.split(is_outside).all(|value| matches!(value, "" | "null" | "\"\"")),
            _ => self.0 == "null",
        }
    }

    /// Returns true if the value is a string with U+FFFD in its [`Raw::text`] where the original has what
    /// some readers refuse.
    pub fn is_unreadable_text(self) -> bool {
        self.inner().is_some_and(|inner| !text::is_readable(inner))
    }

    /// Returns an opaque id: a non-empty string, or a number as it was written. None if its text is
    /// unreadable, since two such ids could become one.
    pub fn id(self) -> Option<Cow<'a, str>> {
        if self.is_unreadable_text() {
            return None;
        }
        self.filled_text_or_number()
    }

    /// Returns a string's content if it has any, or a number as it was written.
    pub fn filled_text_or_number(self) -> Option<Cow<'a, str>> {
        self.text_or_number().filter(|text| !text.is_empty())
    }

    /// Returns a string's content, or a number as it was written.
    pub fn text_or_number(self) -> Option<Cow<'a, str>> {
        match self.0.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => Some(Cow::Borrowed(self.0)),
            _ => self.text(),
        }
    }

    /// Returns a number as it was written, also from a string; none if it is not a JSON number.
    pub fn decimal(self) -> Option<Cow<'a, str>> {
        self.text_or_number().filter(|number| scan::is_number(number))
    }

    /// Returns a whole number that fits, also from a string and in any notation: `2500`, `2500.0`, `2.5e3`.
    pub fn integer(self) -> Option<i64> {
        let number = self.decimal()?;
        number.parse().ok().or_else(|| number::integer(&number))
    }

    /// Returns a length in units of `unit` seconds, also from a string. What is negative or over 31 years is
    /// no length.
    pub fn length(self, unit: f64) -> Option<f64> {
        let length = self.float().filter(|length| (0.0..=LENGTH_MAX / unit).contains(length));
        // Not `-0.0`.
        length.map(f64::abs)
    }

    /// Returns a time, in the formats of [`time::parse`], from a string or a number.
    pub fn time(self) -> Option<Timestamp> {
        time::parse(&self.text_or_number()?)
    }

    /// Returns a number as a float if no digit is lost. Up to 15 digits always fit; a longer number must
    /// equal the float's own written form.
    fn float(self) -> Option<f64> {
        let number = self.decimal()?;
        let float: f64 = number.parse().ok().filter(|float: &f64| float.is_finite())?;
        let digits = number.bytes().filter(u8::is_ascii_digit).count();
        (digits <= 15 || float.to_string() == number).then_some(float)
    }
}

/// A JSON value, or what is left of it after fields were taken.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// The whole value as it was written.
    Raw(Raw<'a>),
    /// The whole value as it was written. It was understood and stays all the same.
    Known(Raw<'a>),
    /// The rest of an object.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
    /// The rests of an array's objects, each at its own index.
    Array(Vec<Value<'a>>),
}

/// An empty object: nothing is left.
impl Default for Value<'_> {
    fn default() -> Self {
        Self::Object(Vec::new())
    }
}

impl Value<'_> {
    /// Returns true if nothing is left.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Raw(_) | Self::Known(_) => false,
            Self::Object(entries) => entries.is_empty(),
            Self::Array(items) => items.iter().all(Self::is_empty),
        }
    }
}
