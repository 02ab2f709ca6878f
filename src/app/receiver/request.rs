//! The head of a request: the checks before the body is read, and the headers to keep.

use axum::http::{HeaderMap, HeaderValue, Method, header, request::Parts};

use super::{body::Coding, refusal::Refusal};
use crate::{
    config::Source,
    core::{
        auth::Proof,
        delivery::head,
        shard::ShardBy,
        webhook::{Headers, text_of_value},
    },
};

/// Headers that are never captured, whatever the configuration says.
const NEVER_CAPTURED: [&str; 4] = ["authorization", "cookie", "set-cookie", "proxy-authorization"];

/// Makes the checks that do not need the body. Returns what the headers prove, and the body's coding.
pub(super) fn check_head<'s>(
    source: &'s Source,
    parts: &Parts,
    length: Option<u64>,
) -> Result<(Proof<'s>, Coding), Refusal> {
    if parts.method != Method::POST {
        return Err(Refusal::Method);
    }
    check_transfer_coding(&parts.headers)?;
    let values = |name: &str| parts.headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let proof = source.auth.check_headers(values).map_err(Refusal::Unauthenticated)?;
    if length.is_some_and(|length| length > source.body_bytes_max as u64) {
        return Err(Refusal::TooLarge);
    }
    Ok((proof, Coding::of(&parts.headers)?))
}

/// Refuses transfer codings other than `chunked`: hyper looks at the last one only, and would take what the
/// others hold for the body.
fn check_transfer_coding(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Some(_), _) => Err(Refusal::TransferCoding),
    }
}

/// Refuses a webhook that has a header of its provider's contract twice: the idempotency key may be in it,
/// and it is ambiguous which value applies.
pub(super) fn check_contract(source: &Source, headers: &HeaderMap) -> Result<(), Refusal> {
    let is_repeated = |name: &&str| headers.get_all(*name).iter().nth(1).is_some();
    if source.provider.headers().iter().any(is_repeated) { Err(Refusal::Repeated) } else { Ok(()) }
}

/// Returns the length that the request claims for its body.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Returns the headers to keep with the webhook, and the number of those that exceeded `bytes_max`.
///
/// The headers of the provider's contract come first, since the idempotency key may be in one and an
/// allowlist must not push it out. The header that chooses the shard follows, since a replay chooses the
/// shard again. `tracestate` comes last: it is as long as the sender likes, and nothing depends on it.
pub(super) fn capture(source: &Source, headers: &HeaderMap, bytes_max: usize) -> (Headers, u64) {
    let allowed = source.capture_headers.iter().map(String::as_str);
    let shard_by = match source.sharding.by() {
        Some(ShardBy::Header(name)) => Some(name.as_str()),
        Some(ShardBy::Pointer(_)) | None => None,
    };
    let contract = source.provider.headers().iter().copied();
    let wanted = contract.chain(["traceparent"]).chain(shard_by).chain(allowed).chain(["tracestate"]);
    let (mut captured, mut seen, mut left_out, mut used) = (Headers::default(), Vec::new(), 0, 0);
    for name in wanted {
        let secret = NEVER_CAPTURED.contains(&name) || source.auth.proof_header() == Some(name);
        if secret || seen.contains(&name) {
            continue;
        }
        seen.push(name);
        for value in headers.get_all(name) {
            let value = text_of_value(value.as_bytes());
            let size = name.len() + head::room_of(&value);
            if used + size <= bytes_max {
                used += size;
                captured.push(name, value);
            } else {
                left_out += 1;
            }
        }
    }
    (captured, left_out)
}
