//! The files of TLS: certificates to trust, and a certificate to present with its key.
//!
//! They are read and checked with the rest of the configuration, so that whoever connects or listens with
//! them later cannot fail over them.

use std::{fmt, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{
    format::quoted,
    read::{Given, Section},
    secret::Secret,
    section::{Absent, Declared, Item, Key, Shown},
};

const CA_FILE: &str = "tls_ca_file";
const CERTIFICATE_FILE: &str = "tls_certificate_file";
const KEY_FILE: &str = "tls_key_file";

const CA_VALUES: &str = "the path of a file with certificates in PEM";
const CERTIFICATE_VALUES: &str =
    "the path of a file with a certificate in PEM, followed by those of the CAs between it and the root";
const KEY_VALUES: &str = "the path of a file with a private key in PEM, not encrypted";

/// The authorities that a connection trusts in place of the machine's.
#[derive(Clone)]
pub struct Authorities {
    path: String,
    pem: String,
    roots: Arc<RootCertStore>,
    expires: i64,
}

/// A certificate to present, and its key.
#[derive(Clone)]
pub struct Identity {
    certificate_path: String,
    key_path: String,
    certificates: String,
    key: Secret,
    certified: Arc<CertifiedKey>,
    expires: i64,
}

impl Authorities {
    /// Returns the time in seconds since 1970 from which it is of no use.
    pub(super) fn expires(&self) -> i64 {
        self.expires
    }

    /// Reads certificates in PEM. `None` if there is none, or one cannot be read.
    ///
    /// `path` is where they come from.
    pub fn parse(path: &str, pem: String) -> Option<Self> {
        let (certificates, expiries) = certificates(&pem)?;
        let expires = expiries.into_iter().max()?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate).ok()?;
        }
        Some(Self { path: path.to_owned(), pem, roots: Arc::new(roots), expires })
    }

    /// Returns the certificates in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Returns the certificates as the roots of trust that they are.
    pub fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.roots)
    }

    /// Returns the path of their file.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

impl Identity {
    /// Returns the time in seconds since 1970 from which it is of no use.
    pub(super) fn expires(&self) -> i64 {
        self.expires
    }

    /// Returns the certificate and those that follow it, in PEM.
    pub fn certificates(&self) -> &str {
        &self.certificates
    }

    /// Returns the private key in PEM.
    pub fn key(&self) -> &Secret {
        &self.key
    }

    /// Returns the certificate with its key, ready to use.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// Returns the path of the certificate's file.
    pub(super) fn path(&self) -> &str {
        &self.certificate_path
    }
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, &self.pem) == (&other.path, &other.pem)
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        let Self { certificate_path, key_path, certificates, key, certified: _, expires: _ } = self;
        (certificate_path, key_path) == (&other.certificate_path, &other.key_path)
            && (certificates, key) == (&other.certificates, &other.key)
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authorities").field(&self.path).finish()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.certificate_path).finish()
    }
}

/// Reads all certificates of a text in PEM, and when they expire. `None` if one cannot be read.
fn certificates(pem: &str) -> Option<(Vec<CertificateDer<'static>>, Vec<i64>)> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>().ok()?;
    let expiries = found.iter().map(expiry).collect::<Option<_>>()?;
    Some((found, expiries))
}

/// Returns the second since 1970 at which a certificate expires.
fn expiry(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// See [`authorities`].
pub(super) struct AuthoritiesKey;

/// Declares `tls_ca_file`.
pub(super) fn authorities() -> AuthoritiesKey {
    AuthoritiesKey
}

impl Item for AuthoritiesKey {
    type Value = Option<Authorities>;

    fn declare(&self, _name: &'static str, doc: &str) -> Vec<Declared> {
        vec![key(CA_FILE, doc, CA_VALUES, "\"/etc/hookswitch/tls/ca.pem\"")]
    }

    fn read(&self, _name: &'static str, section: &Section<'_>) -> Option<Option<Authorities>> {
        let Some(given) = section.given(CA_FILE) else { return Some(None) };
        let pem = section.file(&given)?;
        let read = Authorities::parse(given.text().unwrap_or_default(), pem);
        if read.is_none() {
            section.wrong(&given, format!("{CA_VALUES}: it has none, or one that cannot be read"));
        }
        read.map(Some)
    }

    fn show(&self, _name: &'static str, value: &Option<Authorities>) -> Vec<Shown> {
        value.iter().map(|value| Shown::Key(CA_FILE, quoted(&value.path))).collect()
    }
}

/// See [`identity`].
pub(super) struct IdentityKeys;

/// Declares `tls_certificate_file` and `tls_key_file`.
pub(super) fn identity() -> IdentityKeys {
    IdentityKeys
}

/// What a certificate's file holds.
struct Chain {
    pem: String,
    certificates: Vec<CertificateDer<'static>>,
    expires: i64,
}

impl Chain {
    fn read(given: &Given, section: &Section<'_>) -> Option<Self> {
        let pem = section.file(given)?;
        let read = certificates(&pem)
            .and_then(|(certificates, expiries)| Some((certificates, expiries.into_iter().min()?)));
        if read.is_none() {
            section.wrong(given, format!("{CERTIFICATE_VALUES}: it has none, or one that cannot be read"));
        }
        read.map(|(certificates, expires)| Self { pem, certificates, expires })
    }
}

/// Reads a private key.
fn private_key(given: &Given, section: &Section<'_>) -> Option<(Secret, PrivateKeyDer<'static>)> {
    let pem = Secret::new(section.file(given)?);
    let key = PrivateKeyDer::from_pem_slice(pem.reveal().as_bytes()).ok();
    if key.is_none() {
        section.wrong(given, format!("{KEY_VALUES}: it has none"));
    }
    Some((pem, key?))
}

impl Item for IdentityKeys {
    type Value = Option<Identity>;

    fn declare(&self, _name: &'static str, doc: &str) -> Vec<Declared> {
        let key_doc = format!("The private key of the certificate in `{CERTIFICATE_FILE}`.");
        vec![
            key(CERTIFICATE_FILE, doc, CERTIFICATE_VALUES, "\"/etc/hookswitch/tls/tls.crt\""),
            key(KEY_FILE, &key_doc, KEY_VALUES, "\"/etc/hookswitch/tls/tls.key\""),
        ]
    }

    fn read(&self, _name: &'static str, section: &Section<'_>) -> Option<Option<Identity>> {
        let (certificate, key) = (section.given(CERTIFICATE_FILE), section.given(KEY_FILE));
        let chain = certificate.as_ref().map(|given| Chain::read(given, section));
        let private = key.as_ref().map(|given| private_key(given, section));
        let needed =
            |key, values, by: &Given| section.missing(key, format!("{values}: {} needs it", by.label));
        let (certificate, key) = match (certificate, key) {
            (None, None) => return Some(None),
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(certificate), None) => {
                needed(KEY_FILE, KEY_VALUES, &certificate);
                return None;
            }
            (None, Some(key)) => {
                needed(CERTIFICATE_FILE, CERTIFICATE_VALUES, &key);
                return None;
            }
        };
        let (Chain { pem, certificates, expires }, (key_pem, private)) = (chain??, private??);
        match CertifiedKey::from_der(certificates, private, &ring::default_provider()) {
            Ok(certified) => Some(Some(Identity {
                certificate_path: certificate.text()?.to_owned(),
                key_path: key.text()?.to_owned(),
                certificates: pem,
                key: key_pem,
                certified: Arc::new(certified),
                expires,
            })),
            Err(rustls::Error::InconsistentKeys(_)) => {
                section.wrong(&key, format!("the key of the certificate in {}", certificate.label));
                None
            }
            Err(_) => {
                section.wrong(&key, format!("{KEY_VALUES}: keys of this kind are not supported"));
                None
            }
        }
    }

    fn show(&self, _name: &'static str, value: &Option<Identity>) -> Vec<Shown> {
        let Some(value) = value else { return Vec::new() };
        vec![
            Shown::Key(CERTIFICATE_FILE, quoted(&value.certificate_path)),
            Shown::Key(KEY_FILE, quoted(&value.key_path)),
        ]
    }
}

/// Describes a key. The example cannot set it: it has no such file.
fn key(name: &'static str, doc: &str, values: &str, example: &str) -> Declared {
    Declared::Key(Key {
        name,
        doc: doc.to_owned(),
        values: values.to_owned(),
        absent: Absent::Optional,
        example: example.to_owned(),
        alternative: true,
    })
}
