//! The addresses of a service: `url`, `urls` or `url_file`. Those of Sentinels: `sentinels` or
//! `sentinels_file`.

use url::Url;

use super::{
    format::{quoted, quoted_list},
    read::Section,
    secret::{REDACTED, Secret, address_without_password},
    section::{Absent, Declared, Item, Key, Shown},
};

const KEYS: [&str; 3] = ["url", "urls", "url_file"];
const SENTINEL_KEYS: [&str; 2] = ["sentinels", "sentinels_file"];

/// The port of a Sentinel whose address has none.
const SENTINEL_PORT: u16 = 26_379;

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
    Addresses { service, schemes: service.schemes(), default, several }
}

/// See [`sentinels`].
pub(super) struct Sentinels(Addresses);

/// Declares the addresses of Sentinels, from `sentinels` or `sentinels_file`; none if neither is set.
pub(super) fn sentinels() -> Sentinels {
    let several = ["redis://sentinel-1:26379", "redis://sentinel-2:26379"];
    Sentinels(addresses(Service::Sentinel, "", several))
}

/// The service at an address, which decides what may stand in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// RabbitMQ: the path is a virtual host.
    Broker,
    /// Redis: the path is the number of a database.
    Store,
    /// Redis Sentinel: there is no path.
    Sentinel,
}

impl Service {
    /// Returns the scheme of its addresses, and the one with TLS.
    fn schemes(self) -> [&'static str; 2] {
        match self {
            Self::Broker => ["amqp", "amqps"],
            Self::Store | Self::Sentinel => ["redis", "rediss"],
        }
    }

    /// The parameters that have an effect; others would be ignored silently.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Broker => &["auth_mechanism", "channel_max"],
            Self::Store | Self::Sentinel => &["protocol"],
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
        let database = database(&url);
        let is_number = database.is_empty() || database.parse::<u32>().is_ok();
        match self.service {
            Service::Store if !is_number => {
                Some("the number of a database after the host, as in redis://host:6379/0".to_owned())
            }
            Service::Sentinel if !database.is_empty() => {
                Some("no path: a Sentinel has no databases, and redis.url names the master's".to_owned())
            }
            Service::Broker | Service::Store | Service::Sentinel => None,
        }
    }

    fn values(&self) -> String {
        let [scheme, with_tls] = self.schemes;
        let path = if self.service == Service::Sentinel { "" } else { "/path" };
        format!("an address of the form {scheme}://user:password@host:port{path}, or with {with_tls}://")
    }

    /// Reads the addresses. `None` if they are absent, or one is wrong, which is recorded.
    fn parse(&self, section: &Section<'_>, keys: &[&str]) -> Option<Vec<Secret>> {
        let (key, given) = section.one_of(keys)?;
        let text = match key {
            "url_file" | "sentinels_file" => section.file(&given)?,
            "urls" | "sentinels" => given.list().map(|items| items.join(",")).unwrap_or_default(),
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
        Some(self.parse(section, &KEYS).unwrap_or_else(|| vec![Secret::new(self.default)]))
    }

    fn show(&self, _name: &'static str, value: &Vec<Secret>) -> Vec<Shown> {
        let urls = value.iter().map(|url| address_without_password(url.reveal()));
        vec![Shown::Key("urls", quoted_list(urls))]
    }
}

impl Item for Sentinels {
    type Value = Vec<Secret>;

    fn declare(&self, _name: &'static str, doc: &str) -> Vec<Declared> {
        let [list, file] = SENTINEL_KEYS;
        let file_doc = "In place of `sentinels`: a file that holds the addresses.";
        let key = |name, doc: &str, values: &str, example| {
            let (doc, values) = (doc.to_owned(), values.to_owned());
            Declared::Key(Key { name, doc, values, absent: Absent::Optional, example, alternative: true })
        };
        vec![
            key(list, doc, "a list of addresses", quoted_list(self.0.several)),
            key(file, file_doc, "the path of a file", quoted("/run/secrets/redis_sentinels")),
        ]
    }

    fn read(&self, _name: &'static str, section: &Section<'_>) -> Option<Vec<Secret>> {
        let urls = self.0.parse(section, &SENTINEL_KEYS).unwrap_or_default();
        Some(urls.iter().map(|url| with_port(url.reveal())).collect())
    }

    fn show(&self, _name: &'static str, value: &Vec<Secret>) -> Vec<Shown> {
        if value.is_empty() {
            return Vec::new();
        }
        let urls = value.iter().map(|url| address_without_password(url.reveal()));
        vec![Shown::Key("sentinels", quoted_list(urls))]
    }
}

/// Adds the port of a Sentinel to an address without a port.
fn with_port(url: &str) -> Secret {
    let parsed = Url::parse(url).ok().filter(|url| url.port().is_none());
    let added = parsed.and_then(|mut url| url.set_port(Some(SENTINEL_PORT)).ok().map(|()| url.to_string()));
    Secret::new(added.unwrap_or_else(|| url.to_owned()))
}

/// Returns the number of the database in an address of Redis; empty if it has none.
pub(super) fn database(url: &Url) -> &str {
    url.path().trim_matches('/')
}
