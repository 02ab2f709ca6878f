//! The addresses of a service: `url`, `urls` or `url_file`.

use url::Url;

use super::{
    format::{quoted, quoted_list},
    read::Section,
    secret::{REDACTED, Secret, address_without_password},
    section::{Absent, Declared, Item, Key, Shown},
};

const KEYS: [&str; 3] = ["url", "urls", "url_file"];

/// See [`addresses`].
pub(super) struct Addresses {
    schemes: [&'static str; 2],
    default: &'static str,
    several: [&'static str; 2],
}

/// Declares one address or more, from whichever of `url`, `urls` and `url_file` is set.
///
/// `schemes` are those without and with TLS; `several` is an example of two addresses.
pub(super) fn addresses(
    schemes: [&'static str; 2],
    default: &'static str,
    several: [&'static str; 2],
) -> Addresses {
    Addresses { schemes, default, several }
}

impl Addresses {
    fn accepts(&self, url: &str) -> bool {
        Url::parse(url).is_ok_and(|url| {
            self.schemes.contains(&url.scheme()) && url.host_str().is_some_and(|host| !host.is_empty())
        })
    }

    fn values(&self) -> String {
        let [scheme, with_tls] = self.schemes;
        format!("an address of the form {scheme}://user:password@host:port/path, or with {with_tls}://")
    }

    /// Reads the addresses. `None` if they are absent, or one is wrong, which is recorded.
    fn parse(&self, section: &Section<'_>) -> Option<Vec<Secret>> {
        let (key, given) = section.one_of(&KEYS)?;
        let text = match key {
            "url_file" => section.file(&given)?,
            "urls" => given.list().map(|items| items.join(",")).unwrap_or_default(),
            _ => given.text().unwrap_or_default().to_owned(),
        };
        let urls: Vec<_> = text.split([',', '\n']).map(str::trim).filter(|url| !url.is_empty()).collect();
        let wrong: Vec<_> =
            urls.iter().filter(|url| !self.accepts(url)).map(|url| address_without_password(url)).collect();
        if urls.is_empty() || !wrong.is_empty() {
            let shown = if wrong.is_empty() { REDACTED.to_owned() } else { wrong.join(",") };
            section.reader.problem(&given.label, shown, self.values());
            return None;
        }
        Some(urls.into_iter().map(Secret::new).collect())
    }
}

impl Item for Addresses {
    type Value = Vec<Secret>;

    fn declare(&self, _name: &'static str, doc: &str) -> Vec<Declared> {
        let [url, urls, url_file] = KEYS;
        let key = |name, doc: &str, values: &str, absent, example| {
            let (doc, values) = (doc.to_owned(), values.to_owned());
            let alternative = name != url;
            Declared::Key(Key { name, doc, values, absent, example, alternative })
        };
        let list_doc = "In place of `url`: the addresses as a list.";
        let file_doc = "In place of `url`: a file that holds the addresses.\n\
                        The password is then neither in the environment nor in the configuration.";
        let file = quoted(&format!("/run/secrets/{}_url", self.schemes[0]));
        vec![
            key(url, doc, &self.values(), Absent::Default, quoted(self.default)),
            key(urls, list_doc, "a list of addresses", Absent::Optional, quoted_list(self.several)),
            key(url_file, file_doc, "the path of a file", Absent::Optional, file),
        ]
    }

    fn read(&self, _name: &'static str, section: &Section<'_>) -> Option<Vec<Secret>> {
        Some(self.parse(section).unwrap_or_else(|| vec![Secret::new(self.default)]))
    }

    fn show(&self, _name: &'static str, value: &Vec<Secret>) -> Vec<Shown> {
        let urls = value.iter().map(|url| address_without_password(url.reveal()));
        vec![Shown::Key("urls", quoted_list(urls))]
    }
}
