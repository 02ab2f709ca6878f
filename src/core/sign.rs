//! Authenticates requests as their sender would: the counterpart of [`Auth::check_headers`].

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::auth::{Algorithm, Auth, Encoding, Secrets, mac};

/// The id of a message that has none, since Standard Webhooks signs an id.
const NO_ID: &str = "hookswitch-sample";

impl Auth {
    /// Sets the headers that prove the sender: with the first secret, at the time `now`.
    pub fn sign(&self, headers: &mut Vec<(String, String)>, body: &[u8], now: Timestamp) {
        let time = now.as_second().to_string();
        match self {
            Self::None => {}
            Self::HeaderToken { header, secrets } => set(headers, header, text(secrets)),
            Self::Basic { user, secrets } => {
                let pair = BASE64.encode(format!("{user}:{}", text(secrets)));
                set(headers, "authorization", format!("Basic {pair}"));
            }
            Self::Hmac { header, prefix, algorithm, encoding, secrets } => {
                let code = encoding.encode(&algorithm.code(secrets, &[body]));
                set(headers, header, format!("{prefix}{code}"));
            }
            Self::Varda { secrets, .. } => {
                let code = Algorithm::Sha256.code(secrets, &[time.as_bytes(), b".", body]);
                set(headers, "x-varda-signature", format!("t={time},v1={}", hex::encode(code)));
            }
            Self::StandardWebhooks { secrets, .. } => {
                let id = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("webhook-id"));
                let id = id.map_or_else(|| NO_ID.to_owned(), |(_, id)| id.clone());
                let signed = [id.as_bytes(), b".", time.as_bytes(), b".", body];
                let code = BASE64.encode(Algorithm::Sha256.code(secrets, &signed));
                set(headers, "webhook-id", id);
                set(headers, "webhook-timestamp", time);
                set(headers, "webhook-signature", format!("v1,{code}"));
            }
        }
    }
}

impl Algorithm {
    fn code(self, secrets: &Secrets, signed: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha1 => code::<Hmac<Sha1>>(secrets, signed),
            Self::Sha256 => code::<Hmac<Sha256>>(secrets, signed),
            Self::Sha512 => code::<Hmac<Sha512>>(secrets, signed),
        }
    }
}

impl Encoding {
    fn encode(self, code: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(code),
            Self::Base64 => BASE64.encode(code),
        }
    }
}

fn code<M: Mac + KeyInit>(secrets: &Secrets, signed: &[&[u8]]) -> Vec<u8> {
    mac::<M>(secrets.first(), signed).map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default()
}

/// Returns the secret of a scheme that sends it. Only schemes that sign have one that is not text.
fn text(secrets: &Secrets) -> String {
    String::from_utf8_lossy(secrets.first()).into_owned()
}

fn set(headers: &mut Vec<(String, String)>, name: &str, value: String) {
    headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    headers.push((name.to_owned(), value));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::time::Duration;

    use super::*;
    use crate::core::auth::AuthError;

    const BODY: &[u8] = b"{}";

    fn check(
        auth: &Auth,
        headers: &[(String, String)],
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), AuthError> {
        let values = |wanted: &str| {
            let wanted = wanted.to_owned();
            headers.iter().filter(move |(name, _)| *name == wanted).map(|(_, value)| value.as_bytes())
        };
        auth.check_headers(values)?.check_body(body, now)
    }

    #[test]
    fn what_is_signed_passes_the_check_of_every_scheme() {
        let secrets = || Secrets::new("first", Some("second")).unwrap();
        let hmac = |algorithm, encoding| Auth::Hmac {
            header: "x-sig".into(),
            prefix: "v=".into(),
            algorithm,
            encoding,
            secrets: secrets(),
        };
        let tolerance = Duration::from_secs(60);
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        for auth in [
            Auth::HeaderToken { header: "x-token".into(), secrets: secrets() },
            Auth::HeaderToken { header: "authorization".into(), secrets: secrets() },
            Auth::Basic { user: "user".into(), secrets: secrets() },
            hmac(Algorithm::Sha1, Encoding::Hex),
            hmac(Algorithm::Sha256, Encoding::Base64),
            hmac(Algorithm::Sha512, Encoding::Hex),
            Auth::Varda { secrets: secrets(), tolerance },
            Auth::StandardWebhooks { secrets: secrets(), tolerance },
        ] {
            let mut headers = vec![("webhook-timestamp".to_owned(), "1".to_owned())];
            assert!(check(&auth, &headers, BODY, now).is_err(), "{auth:?}");
            auth.sign(&mut headers, BODY, now);
            assert_eq!(check(&auth, &headers, BODY, now), Ok(()), "{auth:?}");
        }
    }

    #[test]
    fn the_public_vector_of_standard_webhooks_comes_out() {
        let auth = Auth::StandardWebhooks {
            secrets: Secrets::standard_webhooks("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", None).unwrap(),
            tolerance: Duration::from_secs(60),
        };
        let mut headers = vec![("webhook-id".to_owned(), "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned())];
        auth.sign(&mut headers, br#"{"test": 2432232314}"#, Timestamp::from_second(1_614_265_330).unwrap());
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned();
        assert!(headers.contains(&("webhook-signature".to_owned(), signature)), "{headers:?}");
    }
}
