//! Values that must never be printed.

use std::fmt;

use url::Url;

/// What is printed in place of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Returns the value itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Returns an address with its password replaced by `[redacted]`; nothing is kept of a text that is no
/// address.
pub(super) fn address_without_password(text: &str) -> String {
    // `guest:password@host` parses as an address too, and a password with a slash in it as a path.
    let safe = |url: &Url| url.has_host() && !url.path().contains('@');
    let Some(url) = Url::parse(text).ok().filter(safe) else {
        return REDACTED.to_owned();
    };
    let user = match (url.username(), url.password()) {
        ("", None) => String::new(),
        (user, None) => format!("{user}@"),
        (user, Some(_)) => format!("{user}:{REDACTED}@"),
    };
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    // A query may carry a credential as well.
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}://{user}{host}{port}{}{query}", url.scheme(), url.path())
}
