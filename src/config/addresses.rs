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
    service: Service,
    schemes: [&'static str; 2],
    default: &'static str,
    several: [&'static str; 2],
}

/// Declares one address or more, from whichever of `url`, `urls` and `url_file` is set.
///
/// `several` is an example of two addresses.
pub(super) fn addresses(service: Service, default: &'static str, several: [&'static str; 2]) -> Addresses {
    let schemes = match service {
        Service::Broker => ["amqp", "amqps"],
        Service::Store => ["redis", "rediss"],
    };
    Addresses { service, schemes, default, several }
}

/// The service at an address, which decides what may stand in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// RabbitMQ: the path is a virtual host.
    Broker,
    /// Redis: the path is the number of a database.
    Store,
}

impl Service {
    /// The parameters that have an effect; others would be ignored silently.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Broker => &["auth_mechanism", "channel_max"],
            Self::Store => &["protocol"],
        }
    }
}

impl Addresses {
    /// Returns what was expected in place of an address; none if it is right.
    fn objection(&self, url: &str) -> Option<String> {
        let host = |url: &Url| url.host_str().is_some_and(|host| !host.is_empty());
        let parsed = Url::parse(url).ok().filter(|url| self.schemes.contains(&url.scheme()) && host(url));
        let Some(url) = parsed else { return Some(self.values()) };
        let known = self.service.parameters();
        if url.fragment().is_some() || url.path().contains('@') {
            // The host would be another than the one that was meant.
            return Some(format!(
                "{}, with @ / ? # in user, password and path percent-encoded",
                self.values()
            ));
        }
        if url.query_pairs().any(|(name, _)| !known.contains(&name.as_ref())) {
            let known = known.join(" or ");
            return Some(format!(
                "no parameter after ? but {known}: the keys beside this one set the others"
            ));
        }
        let database = url.path().trim_matches('/');
        let is_number = database.is_empty() || database.parse::<u32>().is_ok();
        (self.service == Service::Store && !is_number)
            .then(|| "the number of a database after the host, as in redis://host:6379/0".to_owned())
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
        if urls.is_empty() {
            section.reader.problem(&given.label, REDACTED.to_owned(), self.values());
            return None;
        }
        let mut right = true;
        for url in &urls {
            if let Some(expected) = self.objection(url) {
                section.reader.problem(&given.label, address_without_password(url), expected);
                right = false;
            }
        }
        if !right {
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
