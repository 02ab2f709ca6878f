//! The configuration: one TOML file, environment overrides, every problem reported at once.
//!
//! Every key is declared once, in `keys`.

mod addresses;
mod check;
mod document;
mod fixed;
mod format;
mod items;
mod keys;
mod own_secret;
mod problem;
mod read;
mod redaction;
mod scheme;
mod secret;
mod section;
mod show;
mod sources;
mod subscription;
mod tls;
mod tracing;
pub mod units;
mod values;

use std::{collections::BTreeMap, path::Path};

pub use document::{example, keys, reference};
pub use keys::{
    Admin, Amqp, BUNDLE_MAX, Config, Dedup, Events, Log, LogFormat, Receiver, Redis, Retry, Source,
    TestRouting, Unsupported, Worker,
};
pub use problem::{ConfigProblems, Problem};
pub use secret::Secret;
pub use subscription::{Kind, Overflow, Subscription};
pub use tls::{Authorities, Identity};
pub use tracing::Tracing;
pub use values::is_reserved;

use self::{
    read::Reader,
    section::{Declared, Keys as _},
};
use crate::core::webhook::SourceName;

impl Worker {
    /// Returns true if this process works on a source.
    pub fn works_on(&self, source: &SourceName) -> bool {
        self.sources.as_ref().is_none_or(|mine| mine.contains(source))
    }
}

impl Config {
    /// Returns the configured certificates: their keys in the configuration, and the time in seconds since
    /// 1970 at which each can no longer be used. A chain lasts as long as the first of it to expire, a file
    /// of CAs as long as the last: it holds the old one and the new one while one replaces the other.
    pub fn certificates(&self) -> Vec<(&'static str, i64)> {
        let Self { amqp, redis, receiver, admin, .. } = self;
        let authorities = [("amqp.tls_ca_file", &amqp.tls_ca), ("redis.tls_ca_file", &redis.tls_ca)];
        let identities = [
            ("amqp.tls_certificate_file", &amqp.tls_identity),
            ("redis.tls_certificate_file", &redis.tls_identity),
            ("receiver.tls_certificate_file", &receiver.tls_identity),
            ("admin.tls_certificate_file", &admin.tls_identity),
        ];
        let authorities = authorities.into_iter().filter_map(|(key, ca)| Some((key, ca.as_ref()?.expires())));
        let identities = identities.into_iter().filter_map(|(key, own)| Some((key, own.as_ref()?.expires())));
        authorities.chain(identities).collect()
    }

    /// Reads the file at `path`, if there is one, and applies the environment.
    ///
    /// `HOOKSWITCH_<SECTION>_<KEY>` overrides a key of every section except sources and subscriptions. An
    /// empty variable counts as not set.
    ///
    /// # Errors
    /// [`ConfigProblems`] lists every problem, not only the first.
    pub fn load(path: Option<&Path>, env: &BTreeMap<String, String>) -> Result<Self, ConfigProblems> {
        let Some(path) = path else {
            return Self::parse("", Path::new(""), env);
        };
        let text = std::fs::read_to_string(path).map_err(|e| {
            let problem = format!("cannot be read: {e}");
            ConfigProblems(vec![Problem::File { path: path.display().to_string(), problem }])
        })?;
        Self::parse(&text, path, env)
    }

    /// Reads `text`, the content of the file at `path`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path, env: &BTreeMap<String, String>) -> Result<Self, ConfigProblems> {
        let table = text.parse::<toml::Table>().map_err(|e| {
            // The error's own text quotes the line, which may hold a secret.
            let (line, column) = position(text, e.span().map_or(0, |span| span.start));
            let problem = format!("line {line}, column {column}: {}", e.message().trim());
            ConfigProblems(vec![Problem::File { path: path.display().to_string(), problem }])
        })?;
        let reader = Reader::new(env);
        let config = Self::read_table(&reader.root(table));
        if let Some(config) = &config {
            check::check(&reader, config);
        }
        let declared = Self::declared();
        reader.report_unknown_variables(&declared.iter().map(Declared::name).collect::<Vec<_>>());
        match (config, reader.into_problems()) {
            (Some(config), problems) if problems.is_empty() => Ok(config),
            (_, problems) => Err(ConfigProblems(problems)),
        }
    }
}

/// Returns the line and column of a byte, both from 1.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}
