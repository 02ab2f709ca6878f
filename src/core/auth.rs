//! Who may post to a source: checks over the raw bytes, before any parsing, in constant time, failing closed.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};

use super::webhook::Headers;

/// How a source authenticates its sender. Two secrets at a time allow for a rotation without a gap.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Nobody is asked. Must be said explicitly.
    None,
    /// A header carries the secret itself.
    HeaderToken {
        /// The header, in lower case.
        header: String,
        /// The secrets.
        secrets: Secrets,
    },
    /// HTTP basic.
    Basic {
        /// The user's name.
        user: String,
        /// The passwords.
        secrets: Secrets,
    },
    /// A header carries an HMAC over the raw body.
    Hmac {
        /// The header, in lower case.
        header: String,
        /// What stands before the signature in the header, such as `sha256=`; may be empty.
        prefix: String,
        /// The hash.
        algorithm: Algorithm,
        /// How the signature is written.
        encoding: Encoding,
        /// The keys.
        secrets: Secrets,
    },
    /// Varda's scheme: `X-Varda-Signature: t=<unix>,v1=<hex>`, HMAC-SHA256 of `<t>.<raw body>`.
    Varda {
        /// The keys.
        secrets: Secrets,
        /// How far the time may be from ours, in seconds, either way.
        tolerance_s: i64,
    },
    /// Standard Webhooks: `webhook-signature: v1,<base64> …`, HMAC-SHA256 of `<webhook-id>.<webhook-timestamp>.<raw body>`.
    StandardWebhooks {
        /// The keys, decoded from `whsec_<base64>`.
        secrets: Secrets,
        /// How far the time may be from ours, in seconds, either way.
        tolerance_s: i64,
    },
}

/// One secret or two; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    /// Wraps the secrets; none if there is none, or an empty one, which would let everybody in.
    pub fn new(secrets: Vec<Vec<u8>>) -> Option<Self> {
        let usable = !secrets.is_empty() && secrets.iter().all(|secret| !secret.is_empty());
        usable.then_some(Self(secrets))
    }

    /// Whether `check` holds for any secret; looks at all of them, whatever the first says.
    fn any(&self, check: impl Fn(&[u8]) -> Choice) -> bool {
        self.0.iter().fold(Choice::from(0), |any, secret| any | check(secret)).into()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[redacted, {}]", self.0.len())
    }
}

/// The hash under an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Encoding {
    Hex,
    Base64,
}

/// Why a sender is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The header is not there.
    #[error("the header that authenticates is missing")]
    Missing,
    /// The header cannot be read.
    #[error("the header that authenticates cannot be read")]
    Malformed,
    /// The signature is too old, or from the future.
    #[error("the signature's time is too far from ours")]
    Stale,
    /// The secret or signature is wrong.
    #[error("the secret or signature is wrong")]
    Mismatch,
}

impl Auth {
    /// Decodes a Standard Webhooks secret: base64, after `whsec_` where that is there.
    pub fn standard_webhooks_key(secret: &str) -> Option<Vec<u8>> {
        BASE64.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok().filter(|key| !key.is_empty())
    }

    /// The header that carries the secret itself, in lower case: it must never be kept.
    pub fn secret_header(&self) -> Option<&str> {
        match self {
            Self::HeaderToken { header, .. } => Some(header),
            Self::Basic { .. } => Some("authorization"),
            Self::None | Self::Hmac { .. } | Self::Varda { .. } | Self::StandardWebhooks { .. } => None,
        }
    }

    /// Whether the sender may post this. `headers` are all of the request's, `now_s` is our time in Unix seconds.
    ///
    /// # Errors
    /// [`AuthError`]; the sender is told no more than 401.
    pub fn check(&self, headers: &Headers, body: &[u8], now_s: i64) -> Result<(), AuthError> {
        let header = |name: &str| headers.get(name).ok_or(AuthError::Missing);
        let matches = match self {
            Self::None => true,
            Self::HeaderToken { header: name, secrets } => {
                let given = header(name)?;
                secrets.any(|secret| secret.ct_eq(given.as_bytes()))
            }
            Self::Basic { user, secrets } => {
                let given = basic(header("authorization")?)?;
                secrets.any(|secret| [user.as_bytes(), b":", secret].concat().ct_eq(&given))
            }
            Self::Hmac { header: name, prefix, algorithm, encoding, secrets } => {
                let given = header(name)?.strip_prefix(prefix.as_str()).ok_or(AuthError::Malformed)?;
                let given = encoding.decode(given).ok_or(AuthError::Malformed)?;
                secrets.any(|secret| algorithm.verify(secret, &[body], &given))
            }
            Self::Varda { secrets, tolerance_s } => {
                let (time, signature) = varda(header("x-varda-signature")?).ok_or(AuthError::Malformed)?;
                fresh(time, now_s, *tolerance_s)?;
                secrets.any(|secret| Algorithm::Sha256.verify(secret, &[time.as_bytes(), b".", body], &signature))
            }
            Self::StandardWebhooks { secrets, tolerance_s } => {
                let (id, time) = (header("webhook-id")?, header("webhook-timestamp")?);
                let signatures = standard_webhooks(header("webhook-signature")?);
                if signatures.is_empty() {
                    return Err(AuthError::Malformed);
                }
                fresh(time, now_s, *tolerance_s)?;
                let signed = [id.as_bytes(), b".", time.as_bytes(), b".", body];
                let one = |secret: &[u8], given: &Vec<u8>| Algorithm::Sha256.verify(secret, &signed, given);
                secrets.any(|secret| signatures.iter().fold(Choice::from(0), |any, given| any | one(secret, given)))
            }
        };
        if matches { Ok(()) } else { Err(AuthError::Mismatch) }
    }
}

fn basic(header: &str) -> Result<Vec<u8>, AuthError> {
    let (scheme, credentials) = header.split_once(' ').ok_or(AuthError::Malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(AuthError::Malformed);
    }
    BASE64.decode(credentials.trim()).map_err(|_| AuthError::Malformed)
}

/// The time, as written, and the signature.
fn varda(header: &str) -> Option<(&str, Vec<u8>)> {
    let part = |name: &str| header.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    Some((part("t")?, hex::decode(part("v1")?).ok()?))
}

/// The signatures of version 1; a sender that rotates its key sends several.
fn standard_webhooks(header: &str) -> Vec<Vec<u8>> {
    let decode = |part: &str| BASE64.decode(part.strip_prefix("v1,")?).ok();
    header.split_ascii_whitespace().filter_map(decode).collect()
}

fn fresh(time: &str, now_s: i64, tolerance_s: i64) -> Result<(), AuthError> {
    let time: i64 = time.parse().map_err(|_| AuthError::Malformed)?;
    if time.abs_diff(now_s) <= tolerance_s.unsigned_abs() { Ok(()) } else { Err(AuthError::Stale) }
}

impl Encoding {
    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => BASE64.decode(text).ok(),
        }
    }
}

impl Algorithm {
    fn verify(self, key: &[u8], parts: &[&[u8]], given: &[u8]) -> Choice {
        match self {
            Self::Sha1 => verify::<Hmac<Sha1>>(key, parts, given),
            Self::Sha256 => verify::<Hmac<Sha256>>(key, parts, given),
            Self::Sha512 => verify::<Hmac<Sha512>>(key, parts, given),
        }
    }
}

fn verify<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]], given: &[u8]) -> Choice {
    // HMAC takes a key of any length; were that to change, nobody gets in.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Choice::from(0) };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().as_slice().ct_eq(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_614_265_330;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().copied().collect()
    }

    fn secrets(list: &[&str]) -> Secrets {
        Secrets::new(list.iter().map(|s| s.as_bytes().to_vec()).collect()).expect("secrets")
    }

    fn sign<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Vec<u8> {
        let mut mac = <M as KeyInit>::new_from_slice(key).expect("any length");
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    }

    #[test]
    fn standard_webhooks_own_example_is_let_in_and_its_rotation_too() {
        let key = |secret| Auth::standard_webhooks_key(secret).expect("a key");
        let good = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let auth = Auth::StandardWebhooks {
            secrets: Secrets::new(vec![key("whsec_b3RoZXI="), good]).expect("secrets"),
            tolerance_s: 300,
        };
        let signature = "v1,g0hM9SsE+OTPJTGt/tmKtSyl93fWjoywSCEWwM4B9bU=";
        let several = format!("v1,AAAA {signature} v1a,ignored");
        for (signature, now, expected) in [
            (signature, NOW, Ok(())),
            (several.as_str(), NOW - 300, Ok(())),
            (signature, NOW + 301, Err(AuthError::Stale)),
            (signature, NOW - 301, Err(AuthError::Stale)),
            ("v1,AAAA", NOW, Err(AuthError::Mismatch)),
            ("v2,x", NOW, Err(AuthError::Malformed)),
        ] {
            let headers = headers(&[
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", "1614265330"),
                ("webhook-signature", signature),
            ]);
            assert_eq!(auth.check(&headers, br#"{"test": 2432232314}"#, now), expected, "{signature}");
        }
        assert_eq!(auth.check(&headers(&[]), b"", NOW), Err(AuthError::Missing));
    }

    #[test]
    fn varda_signs_its_time_with_the_body() {
        let auth = Auth::Varda { secrets: secrets(&["k1", "k2"]), tolerance_s: 300 };
        let signature = hex::encode(sign::<Hmac<Sha256>>(b"k2", format!("{NOW}.body").as_bytes()));
        let good = headers(&[("x-varda-signature", &format!("t={NOW},v1={signature}"))]);
        assert_eq!(auth.check(&good, b"body", NOW + 300), Ok(()));
        assert_eq!(auth.check(&good, b"body", NOW + 301), Err(AuthError::Stale));
        assert_eq!(auth.check(&good, b"Body", NOW), Err(AuthError::Mismatch));
        let moved = headers(&[("x-varda-signature", &format!("t={},v1={signature}", NOW + 1))]);
        assert_eq!(auth.check(&moved, b"body", NOW), Err(AuthError::Mismatch));
        let broken = headers(&[("x-varda-signature", "v1=00")]);
        assert_eq!(auth.check(&broken, b"body", NOW), Err(AuthError::Malformed));
    }

    #[test]
    fn an_hmac_over_the_body_is_checked_in_each_algorithm_and_encoding() {
        let digests = [
            (Algorithm::Sha1, sign::<Hmac<Sha1>>(b"key", b"body")),
            (Algorithm::Sha256, sign::<Hmac<Sha256>>(b"key", b"body")),
            (Algorithm::Sha512, sign::<Hmac<Sha512>>(b"key", b"body")),
        ];
        for (algorithm, digest) in digests {
            for (encoding, text) in
                [(Encoding::Hex, hex::encode(&digest)), (Encoding::Base64, BASE64.encode(&digest))]
            {
                let auth = Auth::Hmac {
                    header: "x-signature".into(),
                    prefix: "v=".into(),
                    algorithm,
                    encoding,
                    secrets: secrets(&["key"]),
                };
                let good = headers(&[("X-Signature", &format!("v={text}"))]);
                assert_eq!(auth.check(&good, b"body", 0), Ok(()), "{algorithm:?} {encoding:?}");
                assert_eq!(auth.check(&good, b"bodx", 0), Err(AuthError::Mismatch));
                let bare = headers(&[("x-signature", &text)]);
                assert_eq!(auth.check(&bare, b"body", 0), Err(AuthError::Malformed));
            }
        }
    }

    #[test]
    fn a_token_or_a_password_must_be_the_whole_secret() {
        let token = Auth::HeaderToken { header: "x-token".into(), secrets: secrets(&["old", "new"]) };
        for (given, expected) in
            [("old", true), ("new", true), ("ne", false), ("newer", false), ("New", false)]
        {
            assert_eq!(token.check(&headers(&[("x-token", given)]), b"", 0).is_ok(), expected, "{given}");
        }
        let basic = Auth::Basic { user: "u".into(), secrets: secrets(&["p"]) };
        let given = |text: &str| headers(&[("authorization", &format!("Basic {}", BASE64.encode(text)))]);
        assert_eq!(basic.check(&given("u:p"), b"", 0), Ok(()));
        assert_eq!(basic.check(&given("u:x"), b"", 0), Err(AuthError::Mismatch));
        assert_eq!(basic.check(&headers(&[("authorization", "Bearer x")]), b"", 0), Err(AuthError::Malformed));
    }

    #[test]
    fn an_empty_secret_lets_nobody_in_and_secrets_are_never_printed() {
        assert_eq!(Secrets::new(vec![]), None);
        assert_eq!(Secrets::new(vec![b"a".to_vec(), vec![]]), None);
        assert!(!format!("{:?}", secrets(&["hunter2"])).contains("hunter2"));
    }
}
