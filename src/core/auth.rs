//! Authenticates the sender of a webhook: pure checks over the raw bytes, in constant time, failing closed.
//!
//! The work for one request is bounded: one MAC per secret, whatever the sender writes into its headers.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use subtle::ConstantTimeEq as _;

/// The authentication scheme of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Accepts unauthenticated requests. The configuration must ask for it explicitly.
    None,
    /// A fixed value in a header; in `authorization` it may follow `Bearer`.
    HeaderToken {
        /// The header, in lower case.
        header: String,
        /// The accepted values.
        secrets: Secrets,
    },
    /// HTTP basic authentication.
    Basic {
        /// The user name.
        user: String,
        /// The passwords.
        secrets: Secrets,
    },
    /// An HMAC over the raw body in a header.
    Hmac {
        /// The header, in lower case.
        header: String,
        /// The text before the code, as in `sha256=`. May be empty.
        prefix: String,
        /// The hash function.
        algorithm: Algorithm,
        /// The encoding of the code.
        encoding: Encoding,
        /// The keys.
        secrets: Secrets,
    },
    /// Varda's scheme: `X-Varda-Signature: t=<unix>,v1=<hex>`, HMAC-SHA256 over `<t>.<raw body>`.
    Varda {
        /// The keys.
        secrets: Secrets,
        /// The maximum difference between the sender's clock and ours, either way.
        tolerance: Duration,
    },
    /// Standard Webhooks: `webhook-signature: v1,<base64>`, HMAC-SHA256 over `<id>.<timestamp>.<raw body>`.
    StandardWebhooks {
        /// The keys, decoded.
        secrets: Secrets,
        /// The maximum difference between the sender's clock and ours, either way.
        tolerance: Duration,
    },
}

/// The hash function of an [`Auth::Hmac`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC-SHA-1: old, still sound as a MAC.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

/// The encoding of the code of an [`Auth::Hmac`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal, in upper or lower case.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// One secret, or two during a rotation. None is empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    first: Vec<u8>,
    second: Option<Vec<u8>>,
}

impl Secrets {
    /// Creates secrets whose bytes are used as they are.
    ///
    /// # Errors
    /// [`InvalidSecret`] if one of them is empty.
    pub fn new(first: &str, second: Option<&str>) -> Result<Self, InvalidSecret> {
        let plain =
            |text: &str| if text.is_empty() { Err(InvalidSecret) } else { Ok(text.as_bytes().to_vec()) };
        Ok(Self { first: plain(first)?, second: second.map(plain).transpose()? })
    }

    /// Creates secrets of Standard Webhooks: base64, usually prefixed with `whsec_`.
    ///
    /// # Errors
    /// [`InvalidSecret`] if one of them is empty or not base64.
    pub fn standard_webhooks(first: &str, second: Option<&str>) -> Result<Self, InvalidSecret> {
        let decode = |text: &str| {
            let key =
                BASE64.decode(text.strip_prefix("whsec_").unwrap_or(text)).map_err(|_| InvalidSecret)?;
            if key.is_empty() { Err(InvalidSecret) } else { Ok(key) }
        };
        Ok(Self { first: decode(first)?, second: second.map(decode).transpose()? })
    }

    /// Returns the number of secrets.
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// Returns the secret to sign with.
    pub(super) fn first(&self) -> &[u8] {
        &self.first
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.first.as_slice()).chain(self.second.as_deref())
    }

    /// Returns true if `matches` accepts one of the secrets. All are tried, so that the time does not reveal
    /// which.
    fn any(&self, matches: impl Fn(&[u8]) -> bool) -> bool {
        self.iter().fold(false, |found, secret| matches(secret) | found)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[redacted; {}]", self.count())
    }
}

/// A secret that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret is empty or not in the encoding that its scheme requires")]
pub struct InvalidSecret;

/// The reason why a request was rejected. Holds nothing from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AuthError {
    /// A header that the scheme requires is missing.
    #[error("the authentication header is missing")]
    Missing,
    /// A header that the scheme reads occurs more than once: what is verified must be what is used.
    #[error("a header that the authentication reads is repeated")]
    Repeated,
    /// The header cannot be parsed, or lists more than [`CANDIDATES_MAX`] signatures.
    #[error("the authentication header does not have the format that the scheme requires")]
    Malformed,
    /// The signature matches but its timestamp is outside the tolerance: a replay, or a wrong clock.
    #[error("the signature matches, but its timestamp is outside the tolerance")]
    Stale,
    /// The signature or credential does not match.
    #[error("the signature or credential does not match")]
    Mismatch,
}

impl AuthError {
    /// Returns the word used in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Repeated => "repeated",
            Self::Malformed => "malformed",
            Self::Stale => "stale",
            Self::Mismatch => "mismatch",
        }
    }
}

/// The most `v1` signatures that a header may list: a rotation of secrets needs two.
pub const CANDIDATES_MAX: usize = 32;

const VARDA_SIGNATURE: &str = "x-varda-signature";
const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// An HMAC-SHA256.
type Code = [u8; 32];

impl Auth {
    /// Returns the word used in the configuration.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::HeaderToken { .. } => "header_token",
            Self::Basic { .. } => "basic",
            Self::Hmac { .. } => "hmac",
            Self::Varda { .. } => "varda",
            Self::StandardWebhooks { .. } => "standard_webhooks",
        }
    }

    /// Returns the header, in lower case, that carries the credential or signature. It is never captured.
    pub fn proof_header(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::HeaderToken { header, .. } | Self::Hmac { header, .. } => Some(header),
            Self::Basic { .. } => Some("authorization"),
            Self::Varda { .. } => Some(VARDA_SIGNATURE),
            Self::StandardWebhooks { .. } => Some(WEBHOOK_SIGNATURE),
        }
    }

    /// Makes the checks that do not need the body. `header` returns the values of a header by its name in
    /// lower case.
    ///
    /// # Errors
    /// [`AuthError`] says why the request is rejected.
    pub fn check_headers<'h, V: Iterator<Item = &'h [u8]>>(
        &self,
        header: impl Fn(&str) -> V,
    ) -> Result<Proof<'_>, AuthError> {
        let require = |name: &str| only_value(header(name));
        match self {
            Self::None => Ok(Proof(Evidence::Accepted)),
            Self::HeaderToken { header, secrets } => {
                let value = require(header)?;
                let token = if header == "authorization" { after_scheme(value, b"bearer ") } else { None };
                accept(same(secrets, value) | token.is_some_and(|token| same(secrets, token)))?;
                Ok(Proof(Evidence::Accepted))
            }
            Self::Basic { user, secrets } => {
                let encoded =
                    after_scheme(require("authorization")?, b"basic ").ok_or(AuthError::Malformed)?;
                let given = BASE64.decode(encoded.trim_ascii()).map_err(|_| AuthError::Malformed)?;
                accept(secrets.any(|password| equal(&[user.as_bytes(), b":", password].concat(), &given)))?;
                Ok(Proof(Evidence::Accepted))
            }
            Self::Hmac { header, prefix, algorithm, encoding, secrets } => {
                let value = require(header)?;
                let code = value.strip_prefix(prefix.as_bytes()).ok_or(AuthError::Malformed)?;
                let code = encoding.decode(code).ok_or(AuthError::Malformed)?;
                Ok(Proof(Evidence::Code { secrets, algorithm: *algorithm, code }))
            }
            Self::Varda { secrets, tolerance } => {
                let (time, codes) = varda_candidates(require(VARDA_SIGNATURE)?)?;
                let sent = unix_seconds(time).ok_or(AuthError::Malformed)?;
                let before_body = [time, b"."].concat();
                let tolerance = *tolerance;
                Ok(Proof(Evidence::Timed { secrets, before_body, codes, sent, tolerance }))
            }
            Self::StandardWebhooks { secrets, tolerance } => {
                let (id, time) = (require("webhook-id")?, require("webhook-timestamp")?);
                let sent = unix_seconds(time).ok_or(AuthError::Malformed)?;
                let codes = standard_candidates(require(WEBHOOK_SIGNATURE)?)?;
                let before_body = [id, b".", time, b"."].concat();
                let tolerance = *tolerance;
                Ok(Proof(Evidence::Timed { secrets, before_body, codes, sent, tolerance }))
            }
        }
    }
}

/// What the headers of a request prove, before its body is known.
#[derive(Debug)]
pub struct Proof<'a>(Evidence<'a>);

#[derive(Debug)]
enum Evidence<'a> {
    /// The headers suffice.
    Accepted,
    /// A code that must be one of the body.
    Code { secrets: &'a Secrets, algorithm: Algorithm, code: Vec<u8> },
    /// Signatures of a time and the body, one of which must be right.
    Timed { secrets: &'a Secrets, before_body: Vec<u8>, codes: Vec<Code>, sent: i64, tolerance: Duration },
}

impl Proof<'_> {
    /// Checks the raw body, and that the request was signed at about `now`.
    ///
    /// # Errors
    /// [`AuthError`] says why the request is rejected.
    pub fn check_body(&self, body: &[u8], now: Timestamp) -> Result<(), AuthError> {
        match &self.0 {
            Evidence::Accepted => Ok(()),
            Evidence::Code { secrets, algorithm, code } => {
                accept(secrets.any(|key| algorithm.verify(key, body, code)))
            }
            Evidence::Timed { secrets, before_body, codes, sent, tolerance } => {
                accept(any_matches(secrets, &[before_body, body], codes))?;
                fresh(*sent, now, *tolerance)
            }
        }
    }
}

impl Algorithm {
    fn verify(self, key: &[u8], body: &[u8], code: &[u8]) -> bool {
        match self {
            Self::Sha1 => verify::<Hmac<Sha1>>(key, body, code),
            Self::Sha256 => verify::<Hmac<Sha256>>(key, body, code),
            Self::Sha512 => verify::<Hmac<Sha512>>(key, body, code),
        }
    }
}

impl Encoding {
    fn decode(self, code: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(code).ok(),
            Self::Base64 => BASE64.decode(code).ok(),
        }
    }
}

fn verify<M: Mac + KeyInit>(key: &[u8], body: &[u8], code: &[u8]) -> bool {
    mac::<M>(key, &[body]).is_some_and(|mac| mac.verify_slice(code).is_ok())
}

/// Returns the MAC over some parts, one after the other; none for a key of a length that it does not take. An
/// HMAC takes every length.
pub(in crate::core) fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Option<M> {
    let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
    parts.iter().for_each(|part| mac.update(part));
    Some(mac)
}

/// Compares by hash, so that the time reveals neither the length nor the length of a common prefix.
fn equal(a: &[u8], b: &[u8]) -> bool {
    Sha256::digest(a).as_slice().ct_eq(Sha256::digest(b).as_slice()).into()
}

fn same(secrets: &Secrets, value: &[u8]) -> bool {
    secrets.any(|secret| equal(secret, value))
}

fn accept(matches: bool) -> Result<(), AuthError> {
    if matches { Ok(()) } else { Err(AuthError::Mismatch) }
}

/// Returns the text after the name of an authentication scheme, which is matched case-insensitively.
fn after_scheme<'h>(value: &'h [u8], scheme: &[u8]) -> Option<&'h [u8]> {
    let (head, rest) = value.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Parses a Unix timestamp: digits only, since these schemes allow no sign, fraction or space.
fn unix_seconds(text: &[u8]) -> Option<i64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if digits { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

/// Checks the timestamp. It runs after the signature check, so `Stale` always means a sender who knows the
/// secret.
fn fresh(sent: i64, now: Timestamp, tolerance: Duration) -> Result<(), AuthError> {
    let apart = Duration::from_secs(now.as_second().abs_diff(sent));
    if apart <= tolerance { Ok(()) } else { Err(AuthError::Stale) }
}

/// Returns the one value of a header.
fn only_value<'h>(mut values: impl Iterator<Item = &'h [u8]>) -> Result<&'h [u8], AuthError> {
    match (values.next(), values.next()) {
        (None, _) => Err(AuthError::Missing),
        (Some(_), Some(_)) => Err(AuthError::Repeated),
        (Some([]), None) => Err(AuthError::Missing),
        (Some(value), None) => Ok(value),
    }
}

/// Returns the time and the signatures of version 1 in an `X-Varda-Signature`. Other fields are ignored.
fn varda_candidates(value: &[u8]) -> Result<(&[u8], Vec<Code>), AuthError> {
    let (mut time, mut codes) = (None, Candidates::default());
    for part in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
        if let Some(text) = part.strip_prefix(b"t=") {
            if time.replace(text).is_some() {
                return Err(AuthError::Malformed);
            }
        } else if let Some(code) = part.strip_prefix(b"v1=") {
            let mut decoded = Code::default();
            codes.add(hex::decode_to_slice(code, &mut decoded).ok().map(|()| decoded))?;
        }
    }
    Ok((time.ok_or(AuthError::Malformed)?, codes.finish()?))
}

/// Returns the signatures of version 1 in a `webhook-signature`, which is a list separated by spaces. A proxy
/// that merges header lines joins such lists with commas. Other versions may be listed too; they are ignored.
fn standard_candidates(value: &[u8]) -> Result<Vec<Code>, AuthError> {
    let mut codes = Candidates::default();
    for entry in value.split(u8::is_ascii_whitespace) {
        let mut after_version = false;
        for word in entry.split(|b| *b == b',').filter(|word| !word.is_empty()) {
            if after_version {
                let mut decoded = Code::default();
                // The longest result of 44 characters is one byte longer than a code.
                let mut buffer = [0; 33];
                let length = BASE64.decode_slice(word, &mut buffer).ok();
                decoded.copy_from_slice(&buffer[..32]);
                codes.add((length == Some(decoded.len())).then_some(decoded))?;
            }
            after_version = word == b"v1";
        }
    }
    codes.finish()
}

/// The signatures that a header lists.
#[derive(Default)]
struct Candidates {
    listed: usize,
    well_formed: Vec<Code>,
}

impl Candidates {
    /// Adds one signature; `None` stands for a malformed one, which must not void a right one beside it.
    fn add(&mut self, code: Option<Code>) -> Result<(), AuthError> {
        self.listed += 1;
        self.well_formed.extend(code);
        if self.listed > CANDIDATES_MAX { Err(AuthError::Malformed) } else { Ok(()) }
    }

    fn finish(self) -> Result<Vec<Code>, AuthError> {
        if self.well_formed.is_empty() { Err(AuthError::Malformed) } else { Ok(self.well_formed) }
    }
}

/// Compares the MAC of each secret, computed once, with every candidate.
fn any_matches(secrets: &Secrets, signed: &[&[u8]], codes: &[Code]) -> bool {
    secrets.any(|key| {
        let Some(mac) = mac::<Hmac<Sha256>>(key, signed) else { return false };
        let code = mac.finalize().into_bytes();
        codes.iter().fold(false, |hit, candidate| bool::from(code.as_slice().ct_eq(candidate)) | hit)
    })
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
