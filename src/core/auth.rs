//! Authenticates the sender of a webhook: pure checks over the raw bytes, in constant time, failing closed.

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use subtle::ConstantTimeEq as _;

/// The authentication scheme of a source.
#[derive(Clone, Debug)]
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
    /// The header cannot be parsed.
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
            Self::Malformed => "malformed",
            Self::Stale => "stale",
            Self::Mismatch => "mismatch",
        }
    }
}

const VARDA_SIGNATURE: &str = "x-varda-signature";
const WEBHOOK_SIGNATURE: &str = "webhook-signature";

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

    /// Returns true if the check needs the body. If not, it can run before the body is read.
    pub fn reads_body(&self) -> bool {
        match self {
            Self::None | Self::HeaderToken { .. } | Self::Basic { .. } => false,
            Self::Hmac { .. } | Self::Varda { .. } | Self::StandardWebhooks { .. } => true,
        }
    }

    /// Checks a request. `header` returns the value of a header by its name in lower case; `body` is raw.
    ///
    /// # Errors
    /// [`AuthError`] says why the request is rejected.
    pub fn check<'h>(
        &self,
        header: impl Fn(&str) -> Option<&'h [u8]>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), AuthError> {
        let require = |name: &str| header(name).filter(|v| !v.is_empty()).ok_or(AuthError::Missing);
        match self {
            Self::None => Ok(()),
            Self::HeaderToken { header, secrets } => {
                let value = require(header)?;
                let token = if header == "authorization" { after_scheme(value, b"bearer ") } else { None };
                accept(same(secrets, value) | token.is_some_and(|token| same(secrets, token)))
            }
            Self::Basic { user, secrets } => {
                let encoded =
                    after_scheme(require("authorization")?, b"basic ").ok_or(AuthError::Malformed)?;
                let given = BASE64.decode(encoded.trim_ascii()).map_err(|_| AuthError::Malformed)?;
                accept(secrets.any(|password| equal(&[user.as_bytes(), b":", password].concat(), &given)))
            }
            Self::Hmac { header, prefix, algorithm, encoding, secrets } => {
                let value = require(header)?;
                let code = value.strip_prefix(prefix.as_bytes()).ok_or(AuthError::Malformed)?;
                let code = encoding.decode(code).ok_or(AuthError::Malformed)?;
                accept(secrets.any(|key| algorithm.verify(key, &[body], &code)))
            }
            Self::Varda { secrets, tolerance } => check_varda(secrets, require(VARDA_SIGNATURE)?, body)
                .and_then(|sent| fresh(sent, now, *tolerance)),
            Self::StandardWebhooks { secrets, tolerance } => {
                let (id, time) = (require("webhook-id")?, require("webhook-timestamp")?);
                let sent = unix_seconds(time).ok_or(AuthError::Malformed)?;
                let signed = [id, b".", time, b".", body];
                check_standard(secrets, &signed, require(WEBHOOK_SIGNATURE)?)?;
                fresh(sent, now, *tolerance)
            }
        }
    }
}

impl Algorithm {
    fn verify(self, key: &[u8], parts: &[&[u8]], code: &[u8]) -> bool {
        match self {
            Self::Sha1 => verify::<Hmac<Sha1>>(key, parts, code),
            Self::Sha256 => verify::<Hmac<Sha256>>(key, parts, code),
            Self::Sha512 => verify::<Hmac<Sha512>>(key, parts, code),
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

fn verify<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]], code: &[u8]) -> bool {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
        return false;
    };
    parts.iter().for_each(|part| mac.update(part));
    mac.verify_slice(code).is_ok()
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

fn check_varda(secrets: &Secrets, value: &[u8], body: &[u8]) -> Result<i64, AuthError> {
    let (mut time, mut codes) = (None, Vec::new());
    for part in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
        if let Some(text) = part.strip_prefix(b"t=") {
            if time.replace(text).is_some() {
                return Err(AuthError::Malformed);
            }
        } else if let Some(code) = part.strip_prefix(b"v1=") {
            codes.push(hex::decode(code).map_err(|_| AuthError::Malformed)?);
        }
    }
    let time = time.ok_or(AuthError::Malformed)?;
    let sent = unix_seconds(time).ok_or(AuthError::Malformed)?;
    if codes.is_empty() {
        return Err(AuthError::Malformed);
    }
    let signed = [time, b".", body];
    accept(any_matches(secrets, &signed, &codes)).map(|()| sent)
}

fn check_standard(secrets: &Secrets, signed: &[&[u8]], value: &[u8]) -> Result<(), AuthError> {
    // Other versions may be listed beside v1; they are ignored.
    let codes: Vec<_> = value
        .split(|b| *b == b' ')
        .filter_map(|part| BASE64.decode(part.strip_prefix(b"v1,")?).ok())
        .collect();
    if codes.is_empty() {
        return Err(AuthError::Malformed);
    }
    accept(any_matches(secrets, signed, &codes))
}

fn any_matches(secrets: &Secrets, signed: &[&[u8]], codes: &[Vec<u8>]) -> bool {
    secrets.any(|key| codes.iter().fold(false, |hit, code| Algorithm::Sha256.verify(key, signed, code) | hit))
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
