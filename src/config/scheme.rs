//! The schemes of authentication, and the items that depend on which of them `auth` sets.

use super::{
    read::{Given, Section},
    secret::{REDACTED, Secret},
    section::{Absent, Declared, Item, Key, Shown},
};
use crate::core::auth::Secrets;

/// A scheme of authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    None,
    HeaderToken,
    Basic,
    Hmac,
    Varda,
    StandardWebhooks,
}

impl Scheme {
    /// Every scheme, with its name.
    pub(super) const ALL: [(&'static str, Self); 6] = [
        ("none", Self::None),
        ("header_token", Self::HeaderToken),
        ("basic", Self::Basic),
        ("hmac", Self::Hmac),
        ("varda", Self::Varda),
        ("standard_webhooks", Self::StandardWebhooks),
    ];
    /// The scheme of the first source in the example.
    const OF_EXAMPLE: Self = Self::Varda;

    /// Returns the scheme that a source sets, if it is known.
    fn of(section: &Section<'_>) -> Option<Self> {
        let given = section.given("auth")?;
        Self::ALL.into_iter().find(|(name, _)| given.text() == Some(name)).map(|(_, scheme)| scheme)
    }

    fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, scheme)| *scheme == self).map_or("", |(name, _)| name)
    }

    /// Makes the secrets that this scheme checks with. `None` if one of them is empty or cannot be decoded.
    pub(super) fn secrets(self, first: &Secret, second: Option<&Secret>) -> Option<Secrets> {
        let (first, second) = (first.reveal(), second.map(Secret::reveal));
        match self {
            Self::StandardWebhooks => Secrets::standard_webhooks(first, second).ok(),
            Self::None | Self::HeaderToken | Self::Basic | Self::Hmac | Self::Varda => {
                Secrets::new(first, second).ok()
            }
        }
    }

    /// Reports those of `keys` that are set although this scheme does not use them: a secret beside `auth =
    /// "none"` would protect nothing.
    fn refuse(self, keys: &[&str], section: &Section<'_>) {
        for key in keys.iter().filter(|key| section.has(key)) {
            section.not_allowed(key, format!("not to be set: auth = \"{}\" does not use it", self.name()));
        }
    }
}

/// See [`OnlyFor::only_for`].
pub(super) struct UsedBy<I> {
    item: I,
    schemes: &'static [Scheme],
}

/// Restricts items to schemes.
pub(super) trait OnlyFor: Item + Sized {
    /// Reads the item if `auth` is one of `schemes`, and reports its key as a mistake otherwise.
    fn only_for(self, schemes: &'static [Scheme]) -> UsedBy<Self> {
        UsedBy { item: self, schemes }
    }
}

impl<I: Item> OnlyFor for I {}

impl<I: Item> UsedBy<I> {
    fn read_needed(&self, scheme: Scheme, name: &'static str, section: &Section<'_>) -> Option<I::Value> {
        for declared in self.item.declare(name, "") {
            if let Declared::Key(Key { absent: Absent::Required, values, .. }) = declared
                && !section.has(name)
            {
                section.missing(name, format!("{values}: auth = \"{}\" needs it", scheme.name()));
                return None;
            }
        }
        self.item.read(name, section)
    }
}

impl<I: Item> Item for UsedBy<I> {
    type Value = Option<I::Value>;

    fn declare(&self, name: &'static str, doc: &str) -> Vec<Declared> {
        let schemes: Vec<_> = self.schemes.iter().map(|scheme| format!("`\"{}\"`", scheme.name())).collect();
        let doc = format!("{doc}\nOnly for `auth` = {}.", schemes.join(" and "));
        let mut declared = self.item.declare(name, &doc);
        for entry in &mut declared {
            if let Declared::Key(key) = entry {
                key.alternative = !self.schemes.contains(&Scheme::OF_EXAMPLE);
            }
        }
        declared
    }

    fn read(&self, name: &'static str, section: &Section<'_>) -> Option<Option<I::Value>> {
        match Scheme::of(section) {
            Some(scheme) if self.schemes.contains(&scheme) => {
                self.read_needed(scheme, name, section).map(Some)
            }
            Some(scheme) => {
                scheme.refuse(&[name], section);
                Some(None)
            }
            // What is set is still checked.
            None if section.has(name) => self.item.read(name, section).map(Some),
            None => Some(None),
        }
    }

    fn show(&self, name: &'static str, value: &Option<I::Value>) -> Vec<Shown> {
        value.iter().flat_map(|value| self.item.show(name, value)).collect()
    }
}

/// See [`secret`] and [`second_secret`].
pub(super) struct SecretKeys {
    /// The keys for the name of a variable, the path of a file, and the secret itself.
    keys: [&'static str; 3],
    required: bool,
    variable: &'static str,
}

/// Declares the secret that every scheme but `none` needs, from `secret_env`, `secret_file` or `secret`.
pub(super) fn secret(variable: &'static str) -> SecretKeys {
    SecretKeys { keys: ["secret_env", "secret_file", "secret"], required: true, variable }
}

/// Declares a second secret, from `second_secret_env`, `second_secret_file` or `second_secret`.
pub(super) fn second_secret(variable: &'static str) -> SecretKeys {
    let keys = ["second_secret_env", "second_secret_file", "second_secret"];
    SecretKeys { keys, required: false, variable }
}

impl SecretKeys {
    /// Returns the secret that `given` leads to. `None` if `scheme` cannot use it, which is recorded.
    fn resolve(&self, key: &str, given: &Given, scheme: Scheme, section: &Section<'_>) -> Option<Secret> {
        let [env, file, inline] = self.keys;
        let text = if key == env {
            let value = section.reader.variable(given.text().unwrap_or_default());
            if value.is_none() {
                section.wrong(given, "the name of an environment variable that is set");
            }
            value?.to_owned()
        } else if key == file {
            section.file(given)?
        } else {
            given.text().unwrap_or_default().to_owned()
        };
        // White space around it is that of the editor or the shell, unless it is written in quotes.
        let secret = one_line(&text).filter(|line| key != inline || *line == text).map(Secret::new);
        let usable = secret.filter(|secret| scheme.secrets(secret, None).is_some());
        if usable.is_none() {
            let form = if scheme == Scheme::StandardWebhooks { ": base64, usually after whsec_" } else { "" };
            let expected =
                format!("a secret that is not empty, in one line and without blanks around it{form}");
            section.wrong_secret(given, expected);
        }
        usable
    }
}

/// Returns a text without the byte order mark and white space around it; none if that leaves nothing, or more
/// than one line.
fn one_line(text: &str) -> Option<&str> {
    let line = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    (!line.is_empty() && !line.contains(char::is_control)).then_some(line)
}

impl Item for SecretKeys {
    type Value = Option<Secret>;

    fn declare(&self, _name: &'static str, doc: &str) -> Vec<Declared> {
        let [env, file, text] = self.keys;
        let key = |name, doc: String, values: &str, example| {
            let values = values.to_owned();
            let alternative = name != env;
            Declared::Key(Key { name, doc, values, absent: Absent::Optional, example, alternative })
        };
        let instead = |rest: &str| format!("In place of `{env}`: {rest}");
        let path = format!("\"/run/secrets/{}\"", self.variable.to_ascii_lowercase());
        vec![
            key(env, doc.to_owned(), "the name of an environment variable", format!("\"{}\"", self.variable)),
            key(file, instead("a file that holds the secret."), "the path of a file", path),
            key(
                text,
                instead("the secret itself. For trials only."),
                "a string",
                "\"not in a file that others read\"".to_owned(),
            ),
        ]
    }

    fn read(&self, _name: &'static str, section: &Section<'_>) -> Option<Option<Secret>> {
        let scheme = Scheme::of(section);
        if scheme == Some(Scheme::None) {
            Scheme::None.refuse(&self.keys, section);
            return Some(None);
        }
        let given = section.one_of(&self.keys);
        let Some(scheme) = scheme else { return Some(None) };
        match given {
            // A source must not run with one secret where two were configured.
            Some((key, given)) => self.resolve(key, &given, scheme, section).map(Some),
            None if self.required => {
                let keys = self.keys.join(", ");
                section
                    .missing(self.keys[0], format!("one of {keys}: auth = \"{}\" needs it", scheme.name()));
                None
            }
            None => Some(None),
        }
    }

    fn show(&self, _name: &'static str, value: &Option<Secret>) -> Vec<Shown> {
        let shown = |_: &Secret| Shown::Key(self.keys[2], format!("\"{REDACTED}\""));
        value.iter().map(shown).collect()
    }
}
