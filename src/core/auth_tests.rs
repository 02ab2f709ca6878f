#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_614_265_330;
const FIVE_MINUTES: Duration = Duration::from_secs(300);
const PUBLIC_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PUBLIC_BODY: &[u8] = br#"{"test": 2432232314}"#;

type Request = Vec<(&'static str, Vec<u8>)>;

fn check_at(auth: &Auth, headers: &Request, body: &[u8], now: i64) -> Result<(), AuthError> {
    auth.check_headers(|name| values(headers, name))?.check_body(body, Timestamp::from_second(now).unwrap())
}

fn values<'h>(headers: &'h Request, name: &str) -> impl Iterator<Item = &'h [u8]> + use<'h> {
    let name = name.to_owned();
    headers.iter().filter(move |(n, _)| *n == name).map(|(_, value)| value.as_slice())
}

fn check(auth: &Auth, headers: &Request, body: &[u8]) -> Result<(), AuthError> {
    check_at(auth, headers, body, NOW)
}

fn request<const N: usize>(headers: [(&'static str, &str); N]) -> Request {
    headers.into_iter().map(|(name, value)| (name, value.as_bytes().to_vec())).collect()
}

fn secrets(first: &str, second: Option<&str>) -> Secrets {
    Secrets::new(first, second).unwrap()
}

fn code<M: Mac + KeyInit>(key: &[u8], signed: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).unwrap();
    mac.update(signed);
    mac.finalize().into_bytes().to_vec()
}

fn hmac_auth(prefix: &str, algorithm: Algorithm, encoding: Encoding, secrets: Secrets) -> Auth {
    Auth::Hmac { header: "x-sig".into(), prefix: prefix.into(), algorithm, encoding, secrets }
}

fn standard(first: &str, second: Option<&str>) -> Auth {
    Auth::StandardWebhooks {
        secrets: Secrets::standard_webhooks(first, second).unwrap(),
        tolerance: FIVE_MINUTES,
    }
}

fn public_vector() -> Request {
    request([
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ])
}

fn varda_request(key: &str, time: i64, body: &[u8]) -> Request {
    let signed = [format!("{time}.").as_bytes(), body].concat();
    let code = hex::encode(code::<Hmac<Sha256>>(key.as_bytes(), &signed));
    vec![("x-varda-signature", format!("t={time},v1={code}").into_bytes())]
}

#[test]
fn the_public_vector_of_standard_webhooks_passes() {
    assert_eq!(check(&standard(PUBLIC_SECRET, None), &public_vector(), PUBLIC_BODY), Ok(()));
}

#[test]
fn standard_webhooks_takes_any_of_several_signatures_and_ignores_other_versions() {
    let mut headers = public_vector();
    let right = String::from_utf8(headers[2].1.clone()).unwrap();
    let wrong = format!("v1,{}", BASE64.encode([7; 32]));
    for value in [
        format!("v1a,AAAA v1,AAAA {right}"),
        format!("{right} v1,??? v1, v1"),
        format!("{wrong} {right}  v2,x"),
        // Lines that a proxy has merged, in any order and with any white space.
        format!("{wrong}, {right}"),
        format!("{right}, {wrong}"),
        format!("{right},{wrong}"),
        format!("{wrong},{right}"),
        format!("{wrong} v1a,x,{right}, {wrong}"),
        format!("{wrong}\t{right},"),
    ] {
        headers[2].1 = value.clone().into_bytes();
        assert_eq!(check(&standard(PUBLIC_SECRET, None), &headers, PUBLIC_BODY), Ok(()), "{value}");
    }
    headers[2].1 = format!("{wrong},{wrong}").into_bytes();
    assert_eq!(check(&standard(PUBLIC_SECRET, None), &headers, PUBLIC_BODY), Err(AuthError::Mismatch));
    headers[2].1 = right.replace("v1,", "v2,").into_bytes();
    assert_eq!(check(&standard(PUBLIC_SECRET, None), &headers, PUBLIC_BODY), Err(AuthError::Malformed));
}

#[test]
fn hmac_agrees_with_the_published_vectors_of_rfc_2202_and_rfc_4231() {
    let body = b"what do ya want for nothing?";
    for (algorithm, hex_code) in [
        (Algorithm::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        (Algorithm::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            Algorithm::Sha512,
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd\
             caeab1a34d4a6b4b636e070a38bce737",
        ),
    ] {
        let as_hex = hmac_auth("", algorithm, Encoding::Hex, secrets("Jefe", None));
        assert_eq!(check(&as_hex, &request([("x-sig", hex_code)]), body), Ok(()), "{algorithm:?}");
        let base64 = BASE64.encode(hex::decode(hex_code).unwrap());
        let as_base64 = hmac_auth("sha=", algorithm, Encoding::Base64, secrets("Jefe", None));
        assert_eq!(check(&as_base64, &request([("x-sig", &format!("sha={base64}"))]), body), Ok(()));
        assert_eq!(check(&as_base64, &request([("x-sig", &base64)]), body), Err(AuthError::Malformed));
    }
}

#[test]
fn a_shortened_hmac_does_not_pass() {
    let auth = hmac_auth("", Algorithm::Sha256, Encoding::Hex, secrets("Jefe", None));
    let whole = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    for length in [2, 32, 62] {
        let headers = request([("x-sig", &whole[..length])]);
        assert_eq!(check(&auth, &headers, b"what do ya want for nothing?"), Err(AuthError::Mismatch));
    }
}

/// Returns the headers of a genuine request whose signature header lists `candidates` others before its own.
fn with_candidates(scheme: usize, candidates: usize) -> (Auth, Request) {
    let (auth, mut headers) = signed(scheme, b"{}");
    let (_, value) = headers.last_mut().unwrap();
    let other = if scheme == 0 { "v1=,".repeat(candidates) } else { "v1,x ".repeat(candidates) };
    *value = [other.as_bytes(), value].concat();
    (auth, headers)
}

#[test]
fn malformed_signatures_beside_a_right_one_do_not_void_it_up_to_a_bound() {
    for scheme in [0, 1] {
        for (candidates, expected) in [
            (0, Ok(())),
            (1, Ok(())),
            (CANDIDATES_MAX - 1, Ok(())),
            (CANDIDATES_MAX, Err(AuthError::Malformed)),
            (15_000, Err(AuthError::Malformed)),
        ] {
            let (auth, headers) = with_candidates(scheme, candidates);
            assert_eq!(check(&auth, &headers, b"{}"), expected, "{scheme} {candidates}");
        }
        // Over the bound nothing is computed: the body is not even needed.
        let (auth, headers) = with_candidates(scheme, CANDIDATES_MAX);
        assert_eq!(auth.check_headers(|name| values(&headers, name)).err(), Some(AuthError::Malformed));
    }
}

#[test]
fn a_header_that_a_scheme_reads_may_not_be_repeated() {
    let token = Auth::HeaderToken { header: "x-token".into(), secrets: secrets("s", None) };
    let basic = Auth::Basic { user: "u".into(), secrets: secrets("p", None) };
    let others = [
        (token, request([("x-token", "s")])),
        (basic, request([("authorization", &format!("Basic {}", BASE64.encode("u:p")))])),
    ];
    for (auth, headers) in (0..4).map(|scheme| signed(scheme, b"{}")).chain(others) {
        assert_eq!(check(&auth, &headers, b"{}"), Ok(()));
        for header in &headers {
            for value in [header.1.clone(), b"other".to_vec(), Vec::new()] {
                let mut first = headers.clone();
                first.insert(0, (header.0, value.clone()));
                assert_eq!(check(&auth, &first, b"{}"), Err(AuthError::Repeated), "{}", header.0);
                let mut last = headers.clone();
                last.push((header.0, value));
                assert_eq!(check(&auth, &last, b"{}"), Err(AuthError::Repeated), "{}", header.0);
            }
        }
    }
}

#[test]
fn a_header_token_must_be_equal_whole() {
    let auth = Auth::HeaderToken { header: "x-token".into(), secrets: secrets("s3cret", Some("n3xt")) };
    for (value, expected) in [
        ("s3cret", Ok(())),
        ("n3xt", Ok(())),
        ("s3cre", Err(AuthError::Mismatch)),
        ("s3cret2", Err(AuthError::Mismatch)),
        ("Bearer s3cret", Err(AuthError::Mismatch)),
        ("", Err(AuthError::Missing)),
    ] {
        assert_eq!(check(&auth, &request([("x-token", value)]), b""), expected, "{value}");
    }
    assert_eq!(check(&auth, &Vec::new(), b""), Err(AuthError::Missing));
}

#[test]
fn a_token_in_authorization_may_stand_behind_bearer() {
    let auth = Auth::HeaderToken { header: "authorization".into(), secrets: secrets("s3cret", None) };
    for value in ["s3cret", "Bearer s3cret", "bearer s3cret"] {
        assert_eq!(check(&auth, &request([("authorization", value)]), b""), Ok(()), "{value}");
    }
    assert_eq!(check(&auth, &request([("authorization", "Basic s3cret")]), b""), Err(AuthError::Mismatch));
}

#[test]
fn basic_takes_the_user_and_either_password() {
    let auth = Auth::Basic { user: "Aladdin".into(), secrets: secrets("open sesame", Some("new:one")) };
    let with = |value: &str| check(&auth, &request([("authorization", value)]), b"");
    assert_eq!(with("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), Ok(()));
    assert_eq!(with(&format!("basic {}", BASE64.encode("Aladdin:new:one"))), Ok(()));
    assert_eq!(with(&format!("Basic {}", BASE64.encode("aladdin:open sesame"))), Err(AuthError::Mismatch));
    assert_eq!(with("Basic !!"), Err(AuthError::Malformed));
    assert_eq!(with("Bearer abc"), Err(AuthError::Malformed));
    assert_eq!(with(""), Err(AuthError::Missing));
}

#[test]
fn either_secret_passes_while_they_are_rotated_and_no_third() {
    let varda = Auth::Varda { secrets: secrets("old", Some("new")), tolerance: FIVE_MINUTES };
    for (key, expected) in [("old", Ok(())), ("new", Ok(())), ("other", Err(AuthError::Mismatch))] {
        assert_eq!(check(&varda, &varda_request(key, NOW, b"{}"), b"{}"), expected, "{key}");
    }
    for auth in [standard("AAAA", Some(PUBLIC_SECRET)), standard(PUBLIC_SECRET, Some("AAAA"))] {
        assert_eq!(check(&auth, &public_vector(), PUBLIC_BODY), Ok(()));
    }
    assert_eq!(check(&standard("AAAA", None), &public_vector(), PUBLIC_BODY), Err(AuthError::Mismatch));
}

#[test]
fn a_signature_too_old_or_from_the_future_is_stale() {
    let varda = Auth::Varda { secrets: secrets("k", None), tolerance: FIVE_MINUTES };
    for (shift, expected) in [
        (0, Ok(())),
        (300, Ok(())),
        (-300, Ok(())),
        (301, Err(AuthError::Stale)),
        (-301, Err(AuthError::Stale)),
    ] {
        let headers = varda_request("k", NOW, b"{}");
        assert_eq!(check_at(&varda, &headers, b"{}", NOW + shift), expected, "{shift}");
        let standard = standard(PUBLIC_SECRET, None);
        assert_eq!(check_at(&standard, &public_vector(), PUBLIC_BODY, NOW + shift), expected, "{shift}");
    }
}

#[test]
fn an_unparsable_signature_is_malformed() {
    let varda = Auth::Varda { secrets: secrets("k", None), tolerance: FIVE_MINUTES };
    for value in ["x", "t=1", "v1=00", "t=,v1=00", "t=-1,v1=00", "t=1,v1=zz", "t=1,t=1,v1=00", "t=1.5,v1=00"]
    {
        assert_eq!(
            check(&varda, &request([("x-varda-signature", value)]), b""),
            Err(AuthError::Malformed),
            "{value}"
        );
    }
    let hugest = format!("t={},v1=00", "9".repeat(40));
    let headers = request([("x-varda-signature", &hugest)]);
    assert_eq!(check(&varda, &headers, b""), Err(AuthError::Malformed));
}

#[test]
fn each_header_of_standard_webhooks_is_required() {
    for missing in 0..3 {
        let mut headers = public_vector();
        headers.remove(missing);
        assert_eq!(check(&standard(PUBLIC_SECRET, None), &headers, PUBLIC_BODY), Err(AuthError::Missing));
    }
}

#[test]
fn an_empty_or_undecodable_secret_is_refused() {
    assert_eq!(Secrets::new("", None), Err(InvalidSecret));
    assert_eq!(Secrets::new("a", Some("")), Err(InvalidSecret));
    assert_eq!(Secrets::standard_webhooks("whsec_", None), Err(InvalidSecret));
    assert_eq!(Secrets::standard_webhooks("whsec_?", None), Err(InvalidSecret));
}

#[test]
fn debug_shows_no_secret() {
    let auth = Auth::Basic { user: "u".into(), secrets: secrets("hunter2", Some("hunter3")) };
    let shown = format!("{auth:?}");
    assert!(!shown.contains("hunter") && shown.contains("[redacted; 2]"), "{shown}");
}

/// Returns a valid request for one of the signing schemes, to be tampered with.
fn signed(scheme: usize, body: &[u8]) -> (Auth, Request) {
    let key = secrets("k3y", None);
    match scheme {
        0 => (Auth::Varda { secrets: key, tolerance: FIVE_MINUTES }, varda_request("k3y", NOW, body)),
        1 => {
            let signed = [b"m1.", NOW.to_string().as_bytes(), b".", body].concat();
            let code = BASE64.encode(code::<Hmac<Sha256>>(b"k3y", &signed));
            let headers = request([
                ("webhook-id", "m1"),
                ("webhook-timestamp", &NOW.to_string()),
                ("webhook-signature", &format!("v1,{code}")),
            ]);
            (Auth::StandardWebhooks { secrets: key, tolerance: FIVE_MINUTES }, headers)
        }
        2 => {
            let code = BASE64.encode(code::<Hmac<Sha512>>(b"k3y", body));
            let auth = hmac_auth("v=", Algorithm::Sha512, Encoding::Base64, key);
            (auth, request([("x-sig", &format!("v={code}"))]))
        }
        _ => {
            let code = hex::encode(code::<Hmac<Sha1>>(b"k3y", body));
            (
                hmac_auth("sha1=", Algorithm::Sha1, Encoding::Hex, key),
                request([("x-sig", &format!("sha1={code}"))]),
            )
        }
    }
}

proptest! {
    #[test]
    fn one_bit_flipped_anywhere_fails(
        body in prop::collection::vec(any::<u8>(), 1..200),
        scheme in 0_usize..4,
        place in any::<prop::sample::Index>(),
        bit in 0_u32..8,
    ) {
        let (auth, mut headers) = signed(scheme, &body);
        prop_assert_eq!(check(&auth, &headers, &body), Ok(()));
        let (mut body, body_length) = (body.clone(), body.len());
        let mut bytes: Vec<&mut u8> =
            body.iter_mut().chain(headers.iter_mut().flat_map(|(_, value)| value.iter_mut())).collect();
        let index = place.index(bytes.len());
        let before = *bytes[index];
        *bytes[index] ^= 1 << bit;
        // Hex digits are case-insensitive: `a` and `A` are the same code.
        let same_digit = (scheme == 0 || scheme == 3)
            && index >= body_length
            && before.is_ascii_hexdigit()
            && before.eq_ignore_ascii_case(bytes[index]);
        if !same_digit {
            prop_assert!(check(&auth, &headers, &body).is_err());
        }
    }
}
