//! The kinds of items that are not about one particular key: keys, tables, and values made of several keys.

use std::{collections::BTreeMap, fmt::Display, marker::PhantomData};

use super::{
    format::Format,
    read::Section,
    section::{Absent, Declared, Item, Key, Keys, Named, Shown, Table, name_in_header},
};

/// Makes items of formats.
pub(super) trait FormatItems: Format + Sized {
    /// Declares a key with a default.
    fn default(self, default: Self::Value) -> Defaulted<Self> {
        Defaulted { format: self, default }
    }

    /// Declares a key that has no effect if absent; `example` is a value as TOML.
    fn optional(self, example: &'static str) -> Optional<Self> {
        Optional { format: self, example, alternative: false }
    }

    /// Declares a key that must be set; `example` is a value as TOML.
    fn required(self, example: &'static str) -> Required<Self> {
        Required { format: self, example }
    }

    /// Reads a key. `None` if it is absent, or wrong, which is recorded.
    fn read(&self, name: &str, section: &Section<'_>) -> Option<Self::Value> {
        let given = section.given(name)?;
        let value = self.parse(&given);
        if value.is_none() {
            section.wrong(&given, self.expected());
        }
        value
    }

    /// Describes a key.
    fn key(&self, name: &'static str, doc: &str, absent: Absent, example: impl Into<String>) -> Key {
        let (doc, example) = (doc.to_owned(), example.into());
        Key { name, doc, values: self.values(), absent, example, alternative: false }
    }
}

impl<F: Format> FormatItems for F {}

/// See [`FormatItems::default`].
pub(super) struct Defaulted<F: Format> {
    format: F,
    default: F::Value,
}

impl<F: Format<Value: Clone>> Item for Defaulted<F> {
    type Value = F::Value;

    fn declare(&self, name: &'static str, doc: &str) -> Vec<Declared> {
        vec![Declared::Key(self.format.key(name, doc, Absent::Default, self.format.write(&self.default)))]
    }

    fn read(&self, name: &'static str, section: &Section<'_>) -> Option<F::Value> {
        Some(self.format.read(name, section).unwrap_or_else(|| self.default.clone()))
    }

    fn show(&self, name: &'static str, value: &F::Value) -> Vec<Shown> {
        vec![Shown::Key(name, self.format.write(value))]
    }
}

/// See [`FormatItems::optional`].
pub(super) struct Optional<F> {
    format: F,
    example: &'static str,
    alternative: bool,
}

impl<F> Optional<F> {
    /// Declares that the rest of the example rules the key out.
    pub(super) fn alternative(self) -> Self {
        Self { alternative: true, ..self }
    }
}

impl<F: Format> Item for Optional<F> {
    type Value = Option<F::Value>;

    fn declare(&self, name: &'static str, doc: &str) -> Vec<Declared> {
        let key = self.format.key(name, doc, Absent::Optional, self.example);
        vec![Declared::Key(Key { alternative: self.alternative, ..key })]
    }

    fn read(&self, name: &'static str, section: &Section<'_>) -> Option<Option<F::Value>> {
        Some(self.format.read(name, section))
    }

    fn show(&self, name: &'static str, value: &Option<F::Value>) -> Vec<Shown> {
        value.iter().map(|value| Shown::Key(name, self.format.write(value))).collect()
    }
}

/// See [`FormatItems::required`].
pub(super) struct Required<F> {
    format: F,
    example: &'static str,
}

impl<F: Format> Item for Required<F> {
    type Value = F::Value;

    fn declare(&self, name: &'static str, doc: &str) -> Vec<Declared> {
        vec![Declared::Key(self.format.key(name, doc, Absent::Required, self.example))]
    }

    fn read(&self, name: &'static str, section: &Section<'_>) -> Option<F::Value> {
        if section.given(name).is_none() {
            section.missing(name, self.format.expected());
        }
        self.format.read(name, section)
    }

    fn show(&self, name: &'static str, value: &F::Value) -> Vec<Shown> {
        vec![Shown::Key(name, self.format.write(value))]
    }
}

/// See [`table`].
pub(super) struct TableOf<T>(PhantomData<T>);

/// Declares a table with a fixed name: the field's.
pub(super) fn table<T: Keys>() -> TableOf<T> {
    TableOf(PhantomData)
}

impl<T: Keys> Item for TableOf<T> {
    type Value = T;

    fn declare(&self, name: &'static str, _doc: &str) -> Vec<Declared> {
        vec![Declared::Table(Table { name, about: T::about(), named: None, entries: T::declared() })]
    }

    fn read(&self, name: &'static str, section: &Section<'_>) -> Option<T> {
        T::read_table(&section.table(name))
    }

    fn show(&self, name: &'static str, value: &T) -> Vec<Shown> {
        vec![Shown::Table(name.to_owned(), value.show())]
    }
}

/// See [`tables`].
pub(super) struct Tables<K, T> {
    names: Named,
    parse_name: fn(&str) -> Result<K, String>,
    tables: PhantomData<T>,
}

/// Declares one table per name that the operator chooses. For a wrong name `parse_name` returns what was
/// expected.
pub(super) fn tables<K: Ord + Display, T: Keys>(
    placeholder: &'static str,
    example: &'static str,
    parse_name: fn(&str) -> Result<K, String>,
) -> Tables<K, T> {
    Tables { names: Named { placeholder, example }, parse_name, tables: PhantomData }
}

impl<K: Ord + Display, T: Keys> Item for Tables<K, T> {
    type Value = BTreeMap<K, T>;

    fn declare(&self, name: &'static str, _doc: &str) -> Vec<Declared> {
        let named = Some(self.names);
        vec![Declared::Table(Table { name, about: T::about(), named, entries: T::declared() })]
    }

    fn read(&self, name: &'static str, section: &Section<'_>) -> Option<BTreeMap<K, T>> {
        let mut found = BTreeMap::new();
        for (name, table) in section.named_tables(name) {
            let parsed = (self.parse_name)(&name);
            if let Err(expected) = &parsed {
                section.reader.problem(table.path(), "(name)", expected);
            }
            if let (Some(value), Ok(name)) = (T::read_table(&table), parsed) {
                found.insert(name, value);
            }
        }
        Some(found)
    }

    fn show(&self, name: &'static str, value: &BTreeMap<K, T>) -> Vec<Shown> {
        let path = |key: &K| format!("{name}.{}", name_in_header(&key.to_string()));
        value.iter().map(|(key, value)| Shown::Table(path(key), value.show())).collect()
    }
}

/// See [`table_per_word`].
pub(super) struct TablePerWord<K, F: Format> {
    defaults: Vec<(&'static str, K, F::Value)>,
    format: F,
}

/// Declares a table with one key per word, each with its own default.
pub(super) fn table_per_word<K, F: Format>(
    defaults: impl IntoIterator<Item = (&'static str, K, F::Value)>,
    format: F,
) -> TablePerWord<K, F> {
    TablePerWord { defaults: defaults.into_iter().collect(), format }
}

impl<K: Copy + Ord, F: Format<Value: Clone>> Item for TablePerWord<K, F> {
    type Value = BTreeMap<K, F::Value>;

    fn declare(&self, name: &'static str, doc: &str) -> Vec<Declared> {
        let key = |(word, _, default): &(&'static str, K, F::Value)| {
            Declared::Key(self.format.key(word, "", Absent::Default, self.format.write(default)))
        };
        let entries = self.defaults.iter().map(key).collect();
        vec![Declared::Table(Table { name, about: doc.to_owned(), named: None, entries })]
    }

    fn read(&self, name: &'static str, section: &Section<'_>) -> Option<BTreeMap<K, F::Value>> {
        let table = section.table(name);
        let words: Vec<_> = self.defaults.iter().map(|(word, ..)| *word).collect();
        table.report_unknown(&words);
        let read = |(word, key, default): &(&'static str, K, F::Value)| {
            (*key, self.format.read(word, &table).unwrap_or_else(|| default.clone()))
        };
        Some(self.defaults.iter().map(read).collect())
    }

    fn show(&self, name: &'static str, value: &BTreeMap<K, F::Value>) -> Vec<Shown> {
        let shown = |(word, key, _): &(&'static str, K, F::Value)| {
            value.get(key).map(|value| Shown::Key(word, self.format.write(value)))
        };
        vec![Shown::Table(name.to_owned(), self.defaults.iter().filter_map(shown).collect())]
    }
}

/// The keys that together make one value.
pub(super) trait Parts: Keys {
    /// The value.
    type Whole;

    /// Makes the value. `None` if a key that it needs is absent, which is recorded already.
    fn assemble(self) -> Option<Self::Whole>;

    /// Returns the keys that make `whole`, for showing them.
    fn of(whole: &Self::Whole) -> Self;
}

/// See [`made_of`].
pub(super) struct MadeOf<P>(PhantomData<P>);

/// Declares one value that is made of several keys of this section, which `P` declares.
pub(super) fn made_of<P: Parts>() -> MadeOf<P> {
    MadeOf(PhantomData)
}

impl<P: Parts> Item for MadeOf<P> {
    type Value = P::Whole;

    fn declare(&self, _name: &'static str, _doc: &str) -> Vec<Declared> {
        P::declared()
    }

    fn read(&self, _name: &'static str, section: &Section<'_>) -> Option<P::Whole> {
        P::read(section)?.assemble()
    }

    fn show(&self, _name: &'static str, value: &P::Whole) -> Vec<Shown> {
        P::of(value).show()
    }
}
