//! Reading a request: the checks before its body, the body within its limits, and the headers to keep.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, header, request::Parts},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use tokio::time::timeout;

use super::refusal::Refusal;
use crate::{
    config::Source,
    core::{shard::ShardBy, webhook::Headers},
};

/// Headers that are never captured, whatever the configuration says.
const NEVER_CAPTURED: [&str; 4] = ["authorization", "cookie", "set-cookie", "proxy-authorization"];

/// The most bytes of a refused body that are read while the answer is sent.
const LINGER_BYTES: usize = 1024 * 1024;
/// The longest time for which a refused body is read.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// Makes the checks that do not need the body.
pub(super) fn check_head(source: &Source, parts: &Parts) -> Result<(), Refusal> {
    if parts.method != Method::POST {
        return Err(Refusal::Method);
    }
    if !source.auth.reads_body() {
        authenticate(source, &parts.headers, &[])?;
    }
    match content_length(&parts.headers) {
        Some(length) if length > source.body_bytes_max as u64 => Err(Refusal::TooLarge),
        Some(_) | None => Ok(()),
    }
}

/// Checks the sender's proof over the raw bytes of the body.
pub(super) fn authenticate(source: &Source, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
    let lookup = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    source.auth.check(lookup, body, Timestamp::now()).map_err(Refusal::Unauthenticated)
}

/// Returns the length that the request claims for its body.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads the whole body within `time_max`. Its bytes are counted as they arrive, since a chunked body has no
/// length.
pub(super) async fn read_body(
    source: &Source,
    parts: &Parts,
    mut body: Body,
    time_max: Duration,
) -> Result<Bytes, Refusal> {
    let reading = async {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Refusal::Broken)?.into_data() else {
                continue;
            };
            if whole.len() + data.len() > source.body_bytes_max {
                return Err(Refusal::TooLarge);
            }
            whole.extend_from_slice(&data);
        }
        if whole.is_empty() { Err(Refusal::Empty) } else { Ok(whole.freeze()) }
    };
    let read = timeout(time_max, reading).await.unwrap_or(Err(Refusal::Slow));
    if read == Err(Refusal::TooLarge) {
        linger(parts, body);
    }
    read
}

/// Returns the headers to keep with the webhook, and the number of those that exceeded `bytes_max`.
///
/// The headers of the provider's contract come first, since the idempotency key may be in one and an
/// allowlist must not push it out. The header that chooses the shard follows, since a replay chooses the
/// shard again.
pub(super) fn capture(source: &Source, headers: &HeaderMap, bytes_max: usize) -> (Headers, u64) {
    let allowed = source.capture_headers.iter().map(String::as_str);
    let shard_by = match source.sharding.by() {
        Some(ShardBy::Header(name)) => Some(name.as_str()),
        Some(ShardBy::Pointer(_)) | None => None,
    };
    let contract = source.provider.headers().iter().copied();
    let wanted = contract.chain(["traceparent"]).chain(shard_by).chain(allowed);
    let (mut captured, mut seen, mut left_out, mut used) = (Headers::default(), Vec::new(), 0, 0);
    for name in wanted {
        let secret = NEVER_CAPTURED.contains(&name) || source.auth.proof_header() == Some(name);
        if secret || seen.contains(&name) {
            continue;
        }
        seen.push(name);
        for value in headers.get_all(name) {
            let value = text(value);
            let size = name.len() + value.len();
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

/// Returns a header's value as text, with U+FFFD for what is not UTF-8.
pub(super) fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// Reads on while the answer is sent. If a socket is closed with bytes unread the kernel resets the
/// connection, and a sender that is still writing would never see its answer.
///
/// Does nothing after `Expect: 100-continue`: that sender waits for the answer, and reading would ask for the
/// body.
pub(super) fn linger(parts: &Parts, mut body: Body) {
    if parts.headers.contains_key(header::EXPECT) {
        return;
    }
    tokio::spawn(timeout(LINGER_TIME, async move {
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            left = left.saturating_sub(length);
            if left == 0 {
                break;
            }
        }
    }));
}
