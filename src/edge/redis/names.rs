//! The names of all keys in Redis. Each begins with `redis.namespace` and a colon. On a Redis Cluster the
//! hash tag of a bucket follows (see [`super::cluster`]), which counts as a part of the namespace here:
//!
//! | key | value |
//! | --- | --- |
//! | `<namespace>:d:<16 bytes>` | a claim or a done mark: see [`super::dedup`] |
//! | `<namespace>:s:<16 bytes>` | how far the events about an object are: see [`super::dedup`] |
//! | `<namespace>:ledger`, `<namespace>:ledger:…` | see [`super::ledger`] |
//! | `<namespace>:wave:<wave>` | the fates of a wave's letters |
//! | `<namespace>:drift:<source>` | the schema drift of a source: see [`super::drift`] |
//! | `<namespace>:settings:<minute>` | the settings of each worker that ran in this minute |
//! | `<namespace>:owner` | whom the namespace belongs to, and how its marks are named: see [`super::owner`] |
//! | `<namespace>:probe:…` | tried and deleted when a connection is opened |

use redis::{RedisWrite, ToRedisArgs};

use crate::core::{
    events::{key::StoreKey, order::ObjectKey},
    webhook::SourceName,
};

/// The names of the keys of one namespace.
#[derive(Clone, Debug)]
pub(super) struct Names {
    namespace: String,
    /// The beginning of the names of claims and done marks.
    marks: String,
    /// The beginning of the names of objects.
    objects: String,
}

/// How the names of claims and done marks begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MarkNames {
    /// With the namespace.
    Prefixed,
    /// With `d:`, as version 0.1.0 wrote them. A namespace that began with it keeps these names: with others,
    /// everything that is done would be published again.
    Bare,
}

impl MarkNames {
    /// Returns the word that the namespace's record holds.
    pub(super) fn of_word(word: &str) -> Self {
        if word == "bare" { Self::Bare } else { Self::Prefixed }
    }

    /// See [`MarkNames::of_word`].
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Prefixed => "prefixed",
            Self::Bare => "bare",
        }
    }
}

/// The name of a claim, a done mark or an object: its beginning, and its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyName<'a>(&'a str, &'a [u8]);

impl ToRedisArgs for KeyName<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        let mut name = [0; 64];
        let (prefix, key) = (self.0.as_bytes(), self.1);
        match name.get_mut(..prefix.len() + key.len()) {
            Some(name) => {
                name[..prefix.len()].copy_from_slice(prefix);
                name[prefix.len()..].copy_from_slice(key);
                out.write_arg(name);
            }
            None => out.write_arg(&[prefix, key].concat()),
        }
    }
}

impl Names {
    /// Returns the names of a namespace.
    pub(super) fn new(namespace: &str, marks: MarkNames) -> Self {
        let (namespace, objects) = (namespace.to_owned(), format!("{namespace}:"));
        let marks = match marks {
            MarkNames::Prefixed => objects.clone(),
            MarkNames::Bare => String::new(),
        };
        Self { namespace, marks, objects }
    }

    /// Returns the namespace, with the tag of the bucket if it has one.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Names the claim or done mark of a key.
    pub(super) fn mark<'a>(&'a self, key: &'a StoreKey) -> KeyName<'a> {
        KeyName(&self.marks, key.as_bytes())
    }

    /// Names what is known of an object.
    pub(super) fn object<'a>(&'a self, key: &'a ObjectKey) -> KeyName<'a> {
        KeyName(&self.objects, key.as_bytes())
    }

    /// Returns the name of a mark as it can be pasted between double quotes into `redis-cli`.
    pub(super) fn shown_mark(&self, key: StoreKey) -> String {
        format!("{}{key}", self.marks)
    }

    /// Names the hash of the letters' fates in a wave.
    pub(super) fn wave(&self, wave: &str) -> String {
        format!("{}:wave:{wave}", self.namespace)
    }

    /// Names the hash of a source's schema drift.
    pub(super) fn drift(&self, source: &SourceName) -> String {
        format!("{}:drift:{source}", self.namespace)
    }

    /// Names the hash of the settings that workers use in a minute.
    pub(super) fn settings(&self, minute: i64) -> String {
        format!("{}:settings:{minute}", self.namespace)
    }

    /// Names a key that is tried when a connection is opened. Each process has its own.
    pub(super) fn probe(&self, what: &str) -> String {
        format!("{}:probe:{}:{what}", self.namespace, std::process::id())
    }

    /// Names the claim of the worker that exports the balance.
    pub(super) fn exporter(&self) -> String {
        format!("{}:exporter", ledger(&self.namespace))
    }
}

/// Names the hash that says which Redis this is and since when it counts.
pub(super) fn ledger(namespace: &str) -> String {
    format!("{namespace}:ledger")
}

/// Names the hash that says whom the namespace belongs to.
pub(super) fn owner(namespace: &str) -> String {
    format!("{namespace}:owner")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_begins_with_the_namespace_but_the_marks_of_the_first_version() {
        let key = StoreKey::default();
        let written = |names: &Names| names.mark(&key).to_redis_args().concat();
        let a = ObjectKey::of("a");
        let object = |names: &Names| names.object(&a).to_redis_args().concat();
        let long = "x".repeat(60);
        for namespace in ["hookswitch", "{eu}", &long] {
            let names = Names::new(namespace, MarkNames::Prefixed);
            let prefix = format!("{namespace}:");
            assert_eq!(written(&names), [prefix.as_bytes(), key.as_bytes()].concat());
            assert_eq!(object(&names), [prefix.as_bytes(), a.as_bytes()].concat());
            let source = "wavix-eu".parse().expect("a name");
            let all = [
                names.wave("w"),
                names.drift(&source),
                names.settings(1),
                names.probe("p"),
                names.exporter(),
                ledger(namespace),
            ];
            assert!(
                all.iter().chain([&names.shown_mark(key)]).all(|name| name.starts_with(&prefix)),
                "{all:?}"
            );
        }
        let bare = Names::new("hookswitch", MarkNames::Bare);
        assert_eq!(written(&bare), key.as_bytes());
        assert!(object(&bare).starts_with(b"hookswitch:s:"));
        assert_eq!(MarkNames::of_word(MarkNames::Bare.as_str()), MarkNames::Bare);
        assert_eq!(MarkNames::of_word(MarkNames::Prefixed.as_str()), MarkNames::Prefixed);
    }
}
