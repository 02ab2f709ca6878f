//! JSON documents that keep the order of their entries, for what people read too.

use serde::{Serialize, Serializer};

/// A JSON value. An object's entries keep their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// A string.
    Text(String),
    /// True or false.
    Boolean(bool),
    /// An array.
    List(Vec<Tree>),
    /// An object.
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// Creates an object.
    pub fn object<const N: usize>(entries: [(&str, Tree); N]) -> Self {
        Self::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// Adds an entry at the end of an object; other values stay as they are.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Tree>) -> Self {
        if let Self::Object(entries) = &mut self {
            entries.push((key.to_owned(), value.into()));
        }
        self
    }

    /// Returns the document, indented, with a line feed at its end.
    pub fn pretty(&self) -> String {
        // Writing text to memory does not fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

impl From<&str> for Tree {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Tree {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Tree {
    fn from(flag: bool) -> Self {
        Self::Boolean(flag)
    }
}

impl<T: Into<Tree>> FromIterator<T> for Tree {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Boolean(flag) => serializer.serialize_bool(*flag),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, value))),
        }
    }
}
