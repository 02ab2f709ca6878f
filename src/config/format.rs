//! How values are written: one format per type, with its range and words.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use super::{
    read::Given,
    units::{parse_duration, parse_size, show_duration, show_size},
};

/// The way in which the values of a key are read, described and written.
pub(super) trait Format {
    type Value;

    /// Describes the accepted values, as in `an integer from 1 to 64`.
    fn values(&self) -> String;

    /// Returns what messages add to the accepted values: samples, or what to do.
    fn samples(&self) -> &'static str {
        ""
    }

    /// Returns what messages expect: the accepted values, and samples of them.
    fn expected(&self) -> String {
        format!("{}{}", self.values(), self.samples())
    }

    /// Parses a value; `None` if it is none of [`Format::values`].
    fn parse(&self, given: &Given) -> Option<Self::Value>;

    /// Writes a value as TOML.
    fn write(&self, value: &Self::Value) -> String;
}

/// Writes a text as TOML.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Writes texts as a TOML list.
pub(super) fn quoted_list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| quoted(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// See [`number`].
pub(super) struct Number<T>(RangeInclusive<T>);

/// Declares an integer in a range.
pub(super) fn number<T>(range: RangeInclusive<T>) -> Number<T> {
    Number(range)
}

impl<T: TryFrom<i64> + PartialOrd + Display> Format for Number<T> {
    type Value = T;

    fn values(&self) -> String {
        format!("an integer from {} to {}", self.0.start(), self.0.end())
    }

    fn parse(&self, given: &Given) -> Option<T> {
        T::try_from(given.integer()?).ok().filter(|number| self.0.contains(number))
    }

    fn write(&self, value: &T) -> String {
        value.to_string()
    }
}

/// See [`size`].
pub(super) struct Size<T>(RangeInclusive<T>);

/// Declares a number of bytes in a range.
pub(super) fn size<T>(range: RangeInclusive<T>) -> Size<T> {
    Size(range)
}

impl<T: TryFrom<u64> + TryInto<u64> + PartialOrd + Copy> Size<T> {
    fn show(value: T) -> String {
        show_size(value.try_into().unwrap_or(u64::MAX))
    }
}

impl<T: TryFrom<u64> + TryInto<u64> + PartialOrd + Copy> Format for Size<T> {
    type Value = T;

    fn values(&self) -> String {
        format!("a size from {} to {}", Self::show(*self.0.start()), Self::show(*self.0.end()))
    }

    fn samples(&self) -> &'static str {
        ", as in \"1MiB\", \"64KiB\" or a number of bytes"
    }

    fn parse(&self, given: &Given) -> Option<T> {
        let bytes = match given.integer() {
            Some(bytes) => u64::try_from(bytes).ok()?,
            None => parse_size(given.text()?.trim())?,
        };
        T::try_from(bytes).ok().filter(|bytes| self.0.contains(bytes))
    }

    fn write(&self, value: &T) -> String {
        quoted(&Self::show(*value))
    }
}

/// See [`duration`].
pub(super) struct Span(RangeInclusive<Duration>);

/// Declares a duration in a range.
pub(super) fn duration(range: RangeInclusive<Duration>) -> Span {
    Span(range)
}

impl Format for Span {
    type Value = Duration;

    fn values(&self) -> String {
        let (from, to) = (show_duration(*self.0.start()), show_duration(*self.0.end()));
        format!("a duration from \"{from}\" to \"{to}\"")
    }

    fn samples(&self) -> &'static str {
        ", as in \"500ms\", \"30s\", \"5m\", \"1h\", \"7d\""
    }

    fn parse(&self, given: &Given) -> Option<Duration> {
        parse_duration(given.text()?.trim()).filter(|duration| self.0.contains(duration))
    }

    fn write(&self, value: &Duration) -> String {
        quoted(&show_duration(*value))
    }
}

/// See [`boolean`].
pub(super) struct Boolean;

/// Declares `true` or `false`.
pub(super) fn boolean() -> Boolean {
    Boolean
}

impl Format for Boolean {
    type Value = bool;

    fn values(&self) -> String {
        "`true` or `false`".to_owned()
    }

    fn parse(&self, given: &Given) -> Option<bool> {
        given.boolean()
    }

    fn write(&self, value: &bool) -> String {
        value.to_string()
    }
}

/// See [`one_of`].
pub(super) struct Words<T> {
    words: Vec<(&'static str, T)>,
    note: &'static str,
}

/// Declares one of a few words, each with the value that it stands for.
pub(super) fn one_of<T>(words: impl IntoIterator<Item = (&'static str, T)>) -> Words<T> {
    Words { words: words.into_iter().collect(), note: "" }
}

impl<T> Words<T> {
    /// Adds `note` to the messages about a wrong value.
    pub(super) fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

impl<T: Copy + PartialEq> Format for Words<T> {
    type Value = T;

    fn values(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|(word, _)| quoted(word)).collect();
        format!("one of {}", words.join(", "))
    }

    fn samples(&self) -> &'static str {
        self.note
    }

    fn parse(&self, given: &Given) -> Option<T> {
        let text = given.text()?;
        self.words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
    }

    fn write(&self, value: &T) -> String {
        quoted(self.words.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word))
    }
}

/// See [`parsed`].
pub(super) struct Parsed<T> {
    values: &'static str,
    parse: fn(&str) -> Option<T>,
    write: fn(&T) -> String,
}

/// Declares a string that `parse` accepts; `values` describes which.
pub(super) fn parsed<T>(
    values: &'static str,
    parse: fn(&str) -> Option<T>,
    write: fn(&T) -> String,
) -> Parsed<T> {
    Parsed { values, parse, write }
}

impl<T> Format for Parsed<T> {
    type Value = T;

    fn values(&self) -> String {
        self.values.to_owned()
    }

    fn parse(&self, given: &Given) -> Option<T> {
        (self.parse)(given.text()?)
    }

    fn write(&self, value: &T) -> String {
        quoted(&(self.write)(value))
    }
}

/// See [`list`].
pub(super) struct List<T> {
    item: Parsed<T>,
    accept: fn(Vec<T>) -> Option<Vec<T>>,
}

/// Declares a list of strings that `parse` accepts; `values` describes the list.
pub(super) fn list<T>(
    values: &'static str,
    parse: fn(&str) -> Option<T>,
    write: fn(&T) -> String,
) -> List<T> {
    List { item: Parsed { values, parse, write }, accept: Some }
}

impl<T> List<T> {
    /// Accepts only the lists for which `accept` returns one.
    pub(super) fn that(self, accept: fn(Vec<T>) -> Option<Vec<T>>) -> Self {
        Self { accept, ..self }
    }
}

impl<T> Format for List<T> {
    type Value = Vec<T>;

    fn values(&self) -> String {
        self.item.values.to_owned()
    }

    fn parse(&self, given: &Given) -> Option<Vec<T>> {
        (self.accept)(given.list()?.into_iter().map(self.item.parse).collect::<Option<_>>()?)
    }

    fn write(&self, value: &Vec<T>) -> String {
        quoted_list(value.iter().map(self.item.write))
    }
}
