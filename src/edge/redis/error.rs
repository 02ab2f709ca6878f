//! The errors of Redis, and the infrastructure error that each of them is.

use redis::{ErrorKind, RedisError};

use crate::edge::{tls::Fault, trouble::Trouble};

/// The advice that follows on the error of a key of hookswitch's that another program has overwritten.
pub(super) const OVERWRITTEN: &str = "; another program has overwritten one of hookswitch's keys: see \
                                      \"A key in Redis was overwritten\" in the runbook";

/// The error of a script that finds the ledger gone: Redis was flushed, or the ledger was opened anew.
const GONE: &str = "GONE";

/// Redis is down, slow, refuses the login or the command, or is the wrong one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{trouble} ({text})")]
pub struct StoreError {
    trouble: Trouble,
    text: String,
}

impl StoreError {
    pub(super) fn new(trouble: Trouble, text: impl Into<String>) -> Self {
        Self { trouble, text: text.into() }
    }

    /// Adds the address of the Redis that gave the error.
    pub(super) fn at(self, address: &str) -> Self {
        Self { text: format!("{address}: {}", self.text), ..self }
    }

    /// Joins the errors of several addresses. A replica rejects writes as it should, so any other cause
    /// counts more. What several of them say is said once: all nodes of a cluster may name one that is down.
    pub(super) fn of_all(errors: Vec<Self>) -> Self {
        let is_telling = |error: &&Self| error.trouble != Trouble::StoreReadOnly;
        let trouble = errors.iter().find(is_telling).or(errors.first()).map(Self::trouble);
        let mut texts: Vec<String> = Vec::new();
        for Self { text, .. } in errors {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        Self::new(trouble.unwrap_or(Trouble::StoreDown), texts.join("; "))
    }

    /// Returns whether Redis has cut the connection, as one with TLS does that hears none.
    pub(super) fn is_reset(&self) -> bool {
        self.text.contains("reset by peer")
    }

    /// Returns the error of a connection with TLS that Redis has cut.
    pub(super) fn cut_in_tls(self) -> Self {
        Self::new(Trouble::StoreTls, format!("{}; {}", self.text, Fault::Cut.advice("redis")))
    }

    /// Returns what keeps Redis from being used.
    pub fn trouble(&self) -> Trouble {
        self.trouble
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        let advice = match Fault::find(&error) {
            Some(fault) => format!("; {}", fault.advice("redis")),
            None if is_overwritten(&error) => OVERWRITTEN.to_owned(),
            None => String::new(),
        };
        Self::new(trouble_of(&error), format!("{error}{advice}"))
    }
}

/// Returns whether the error says that another program has overwritten one of our keys.
pub(super) fn is_overwritten(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

/// Words in the errors of a server, and what each of them means. The first that is found counts: Redis 7.0
/// names a missing permission in its own words inside of scripts, and hides the word behind `ERR`; redis-rs
/// leaves the word out where `SELECT` fails.
const MEANINGS: [(&str, Trouble); 25] = [
    ("NOAUTH", Trouble::StoreLogin),
    ("Authentication required", Trouble::StoreLogin),
    ("WRONGPASS", Trouble::StoreLogin),
    ("AUTH <password> called without any password configured", Trouble::StoreLogin),
    ("NOPERM", Trouble::StoreForbidden),
    ("has no permissions", Trouble::StoreForbidden),
    ("ACL failure", Trouble::StoreForbidden),
    ("executing the script can't", Trouble::StoreForbidden),
    ("READONLY", Trouble::StoreReadOnly),
    ("MISCONF", Trouble::StoreNotSaving),
    ("NOREPLICAS", Trouble::StoreNotSaving),
    ("OOM", Trouble::StoreFull),
    ("LOADING", Trouble::StoreBusy),
    ("is loading the dataset", Trouble::StoreBusy),
    ("MASTERDOWN", Trouble::StoreBusy),
    ("TRYAGAIN", Trouble::StoreBusy),
    ("BUSY", Trouble::StoreBusy),
    ("MOVED", Trouble::StoreCluster),
    ("ASK", Trouble::StoreCluster),
    ("CROSSSLOT", Trouble::StoreCluster),
    ("CLUSTERDOWN", Trouble::StoreCluster),
    ("cluster mode", Trouble::StoreCluster),
    ("cluster support disabled", Trouble::StoreCluster),
    ("DB index", Trouble::StoreDatabase),
    (GONE, Trouble::StoreForgot),
];

fn trouble_of(error: &RedisError) -> Trouble {
    if error.is_io_error() {
        return if Fault::find(error).is_some() { Trouble::StoreTls } else { Trouble::StoreDown };
    }
    let code = error.code().unwrap_or_default();
    let text = error.to_string();
    let known = MEANINGS.iter().find(|(word, _)| code == *word || text.contains(word));
    match known {
        Some((_, trouble)) => *trouble,
        None if error.kind() == ErrorKind::AuthenticationFailed => Trouble::StoreLogin,
        None => Trouble::StoreRefused,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn of(kind: ErrorKind, detail: &str) -> Trouble {
        StoreError::from(RedisError::from((kind, "said by a test", detail.to_owned()))).trouble()
    }

    #[test]
    fn an_error_names_its_cause() {
        let said = |text| of(ErrorKind::Extension, text);
        for (text, trouble) in [
            ("WRONGPASS invalid username-password pair or user is disabled.", Trouble::StoreLogin),
            ("NOAUTH Authentication required.", Trouble::StoreLogin),
            ("NOPERM this user has no permissions to run the 'info' command", Trouble::StoreForbidden),
            (
                "ERR The user executing the script can't run this command or subcommand",
                Trouble::StoreForbidden,
            ),
            ("ERR ACL failure in script: User u has no permissions", Trouble::StoreForbidden),
            ("READONLY You can't write against a read only replica.", Trouble::StoreReadOnly),
            ("OOM command not allowed when used memory > 'maxmemory'.", Trouble::StoreFull),
            ("LOADING Redis is loading the dataset in memory", Trouble::StoreBusy),
            ("BUSY Redis is busy running a script.", Trouble::StoreBusy),
            ("MISCONF Redis is configured to save RDB snapshots", Trouble::StoreNotSaving),
            ("NOREPLICAS Not enough good replicas to write.", Trouble::StoreNotSaving),
            ("MOVED 3999 127.0.0.1:6381", Trouble::StoreCluster),
            ("ASK 3999 127.0.0.1:6381", Trouble::StoreCluster),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Trouble::StoreBusy),
            ("CLUSTERDOWN The cluster is down", Trouble::StoreCluster),
            ("ERR This instance has cluster support disabled", Trouble::StoreCluster),
            ("CROSSSLOT Keys in request don't hash to the same slot", Trouble::StoreCluster),
            ("ERR DB index is out of range", Trouble::StoreDatabase),
            ("GONE the ledger is gone", Trouble::StoreForgot),
            ("Authentication required.", Trouble::StoreLogin),
            ("User u has no permissions to run the 'select' command", Trouble::StoreForbidden),
            ("Redis is loading the dataset in memory", Trouble::StoreBusy),
            ("ERR unknown command 'evalsha'", Trouble::StoreRefused),
        ] {
            assert_eq!(said(text), trouble, "{text}");
        }
        assert_eq!(of(ErrorKind::AuthenticationFailed, "no"), Trouble::StoreLogin);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(StoreError::from(RedisError::from(refused)).trouble(), Trouble::StoreDown);
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let tls = io::Error::new(io::ErrorKind::InvalidData, tls);
        assert_eq!(StoreError::from(RedisError::from(tls)).trouble(), Trouble::StoreTls);
    }
}
