//! TLS: what connections trust, what they and the listeners present, and why a handshake failed.
//!
//! The files are read by [`crate::config`], so everything here is made of parts that are known to be good.

mod fault;
mod pinned;
mod presented;

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, sign::SingleCertAndKey};

pub use fault::Fault;
pub use presented::Presented;

use self::pinned::Pinned;
use crate::config::{Authorities, Identity};

/// The certificates that a client accepts of a server.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// None.
    Nobody,
    /// Those from the CAs that this machine trusts.
    Machine,
    /// Those from these CAs.
    Authorities(&'a Authorities),
    /// This one, whatever its names and dates: a process asks another one of the same configuration.
    Exactly(&'a Identity),
}

impl<'a> From<Option<&'a Authorities>> for Trust<'a> {
    fn from(authorities: Option<&'a Authorities>) -> Self {
        authorities.map_or(Self::Machine, Self::Authorities)
    }
}

/// Makes the settings of a client that accepts what `trust` says, and presents `identity` where it is asked.
pub fn client(trust: Trust<'_>, identity: Option<&Identity>) -> ClientConfig {
    let builder = ClientConfig::builder();
    let builder = match trust {
        Trust::Nobody => builder.with_root_certificates(RootCertStore::empty()),
        Trust::Machine => builder.with_root_certificates(machine_roots()),
        Trust::Authorities(authorities) => builder.with_root_certificates(authorities.roots()),
        Trust::Exactly(identity) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Pinned::of(identity)))
        }
    };
    match identity {
        Some(identity) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())))
        }
        None => builder.with_no_client_auth(),
    }
}

/// Returns the CAs that this machine trusts. Those that cannot be read are left out, as everywhere: a
/// certificate of theirs is then from an unknown CA.
fn machine_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
