//! The token of the admin listener.

use axum::{
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq as _;

use crate::config::Secret;

/// Checks that a request carries the token, if there is one.
///
/// # Errors
/// The answer to a request without it.
#[expect(clippy::result_large_err, reason = "it is the answer")]
pub(super) fn check(token: Option<&Secret>, headers: &HeaderMap) -> Result<(), Response> {
    let Some(token) = token else { return Ok(()) };
    let given = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().split_first_chunk::<7>());
    match given {
        Some((scheme, given))
            if scheme.eq_ignore_ascii_case(b"Bearer ")
                && bool::from(given.ct_eq(token.reveal().as_bytes())) =>
        {
            Ok(())
        }
        _ => {
            let text = "unauthorized: send the token of admin.token as Authorization: Bearer <token>\n";
            Err((StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], text).into_response())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_is_accepted() {
        let token = Secret::new("0123456789abcdef0123456789abcdef");
        let with = |value: &str| HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        for right in ["Bearer 0123456789abcdef0123456789abcdef", "bearer 0123456789abcdef0123456789abcdef"] {
            assert!(check(Some(&token), &with(right)).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcdef0123456789abcde",
            "Bearer 0123456789abcdef0123456789abcdefg",
            "Bearer 0123456789abcdef0123456789abcdeF",
            "Basic 0123456789abcdef0123456789abcdef",
            "0123456789abcdef0123456789abcdef",
        ] {
            let answer = check(Some(&token), &with(wrong)).expect_err(wrong);
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        }
        assert!(check(Some(&token), &HeaderMap::new()).is_err() && check(None, &HeaderMap::new()).is_ok());
    }
}
