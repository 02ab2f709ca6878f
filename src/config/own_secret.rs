//! Secrets of hookswitch's own, which an operator makes: given as they are, or in a file.

use super::{
    read::{Given, Section},
    secret::{REDACTED, Secret},
    section::{Absent, Declared, Item, Key, Shown},
};

/// The fewest characters. Whoever can guess the key of the tokens knows all phone numbers, which are few.
const LENGTH_MIN: usize = 32;

/// The accepted values.
pub(super) const VALUES: &str = "a secret of 32 characters or more, in one line and without blanks around it";

/// See [`own_secret`].
pub(super) struct OwnSecret {
    /// The keys for the secret itself and for the path of a file.
    keys: [&'static str; 2],
    file: &'static str,
}

/// Declares a secret that is given under the first of `keys`, or in a file such as `file` that the second
/// names.
pub(super) fn own_secret(keys: [&'static str; 2], file: &'static str) -> OwnSecret {
    OwnSecret { keys, file }
}

impl OwnSecret {
    fn resolve(&self, key: &str, given: &Given, section: &Section<'_>) -> Option<Secret> {
        let text = if key == self.keys[1] {
            section.file(given)?
        } else {
            given.text().unwrap_or_default().to_owned()
        };
        let is_usable =
            text.chars().count() >= LENGTH_MIN && text.trim() == text && !text.contains(char::is_control);
        if !is_usable {
            section.wrong_secret(given, VALUES);
        }
        is_usable.then(|| Secret::new(text))
    }
}

impl Item for OwnSecret {
    type Value = Option<Secret>;

    fn declare(&self, _name: &'static str, doc: &str) -> Vec<Declared> {
        let [text, file] = self.keys;
        let key = |name, doc: &str, values: &str, example: &str| {
            let (doc, values, example) = (doc.to_owned(), values.to_owned(), example.to_owned());
            let alternative = name == file;
            Declared::Key(Key { name, doc, values, absent: Absent::Optional, example, alternative })
        };
        let file_doc = format!("In place of `{text}`: a file that holds it.");
        vec![
            key(text, doc, VALUES, "\"the output of: openssl rand -hex 32\""),
            key(file, &file_doc, "the path of a file", self.file),
        ]
    }

    fn read(&self, _name: &'static str, section: &Section<'_>) -> Option<Option<Secret>> {
        match section.one_of(&self.keys) {
            Some((key, given)) => self.resolve(key, &given, section).map(Some),
            None => Some(None),
        }
    }

    fn show(&self, _name: &'static str, value: &Option<Secret>) -> Vec<Shown> {
        value.iter().map(|_| Shown::Key(self.keys[0], format!("\"{REDACTED}\""))).collect()
    }
}
