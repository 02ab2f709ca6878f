//! The formats of texts that mean something to this program: addresses, names, headers, patterns.

use std::{net::SocketAddr, time::Duration};

use hyper::http::{HeaderName, HeaderValue};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};
use url::Url;

use super::{
    format::{List, Parsed, list, parsed},
    units::{parse_duration, show_duration},
};
use crate::core::{events::phone::PhoneRegion, shard::ShardBy, webhook::SourceName};

/// Headers that carry a credential by definition: they must not travel with a webhook.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "set-cookie", "proxy-authorization"];
/// Names that hookswitch and RabbitMQ use: a consumer on one of these queues would take messages that are not
/// its own.
const RESERVED: [&str; 6] = ["raw.", "dead.", "retry.", "wait.", "hookswitch.", "amq."];
/// The crates of this program that write log lines.
const LOGGING: [&str; 11] = [
    "hookswitch",
    "lapin",
    "redis",
    "amq_protocol",
    "async_rs",
    "axum",
    "hyper",
    "hyper_util",
    "mio",
    "rustls",
    "tokio",
];
/// The limit of AMQP on a routing pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 255;

/// Declares any string.
pub(super) fn text() -> Parsed<String> {
    parsed("a string", |text| Some(text.to_owned()), String::clone)
}

/// Declares a string that is not empty.
pub(super) fn some_text() -> Parsed<String> {
    parsed("a string that is not empty", |text| (!text.is_empty()).then(|| text.to_owned()), String::clone)
}

/// Declares an address to listen on.
pub(super) fn socket_address() -> Parsed<SocketAddr> {
    let values = "an IP address and a port, as in \"127.0.0.1:8080\" or \"[::]:8080\"";
    parsed(values, |text| text.parse().ok(), SocketAddr::to_string)
}

/// Declares the namespace of the keys in Redis. It ends before the first colon, so that no namespace begins
/// another, and holds nothing that has a meaning in the patterns of an ACL.
pub(super) fn redis_namespace() -> Parsed<String> {
    fn fits(name: &str) -> bool {
        (1..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    }
    let values = "1 to 32 characters of A-Z, a-z, 0-9, `-`, `_` and `.`, or the same in braces";
    parsed(
        values,
        |text| {
            let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
            fits(inner).then(|| text.to_owned())
        },
        String::clone,
    )
}

/// Declares a filter of log lines by level and module.
pub(super) fn log_filter() -> Parsed<String> {
    let parse = |text: &str| is_log_filter(text).then(|| text.to_owned());
    parsed(
        "a level (off, error, warn, info, debug or trace), or levels by module, as in \"info,lapin=warn\"; \
         hookswitch itself must get a level",
        parse,
        String::clone,
    )
}

/// Tells whether `text` is a filter that says something about hookswitch's own lines. A misspelled level
/// counts as the name of a module, and a filter for other modules silences all of hookswitch.
fn is_log_filter(text: &str) -> bool {
    // Without its fields, which may contain commas and signs.
    let directives =
        text.split(',').map(|directive| directive.split(['=', '[']).next().unwrap_or_default().trim());
    let names: Vec<_> = directives.filter(|name| !name.is_empty()).collect();
    let is_level = |name: &str| name.parse::<LevelFilter>().is_ok();
    let module = |name: &str| name.split("::").next().is_some_and(|root| LOGGING.contains(&root));
    EnvFilter::try_new(text).is_ok()
        && names.iter().all(|name| is_level(name) || module(name))
        && names.iter().any(|name| is_level(name) || name.split("::").next() == Some("hookswitch"))
}

/// Declares the start of the ids of schemas: an address to which paths can be added. It is written into every
/// event as it is, so it holds nothing that JSON or a URI would escape.
pub(super) fn schema_base() -> Parsed<String> {
    let values = "an address of the form https://… or http://… without a slash, `?` or `#` at its end";
    let parse = |text: &str| {
        let url = Url::parse(text).ok()?;
        let is_plain = matches!(url.scheme(), "https" | "http")
            && url.as_str().trim_end_matches('/') == text
            && url.username().is_empty()
            && url.password().is_none()
            && !text.contains(['?', '#', '\\', '"']);
        is_plain.then(|| text.to_owned())
    };
    parsed(values, parse, String::clone)
}

/// Declares the value of a `Content-Type` header.
pub(super) fn content_type() -> Parsed<String> {
    let parse =
        |text: &str| (!text.is_empty() && HeaderValue::from_str(text).is_ok()).then(|| text.to_owned());
    parsed("a content type", parse, String::clone)
}

/// Declares a header's name, kept in lower case.
pub(super) fn header_name() -> Parsed<String> {
    parsed("a header name", lower_case_name, String::clone)
}

/// Declares names of headers that may travel with a webhook, kept in lower case.
pub(super) fn harmless_headers() -> List<String> {
    let values = "a list of header names, except those of headers that carry credentials";
    list(values, harmless_header, String::clone)
}

/// Declares a region with phone numbers.
pub(super) fn phone_region() -> Parsed<PhoneRegion> {
    let values = "two capital letters of ISO 3166, as in \"DE\"";
    parsed(values, |text| text.parse().ok(), PhoneRegion::to_string)
}

fn lower_case_name(text: &str) -> Option<String> {
    HeaderName::from_bytes(text.as_bytes()).ok().map(|name| name.as_str().to_owned())
}

fn harmless_header(text: &str) -> Option<String> {
    lower_case_name(text).filter(|name| !CREDENTIALS.contains(&name.as_str()))
}

/// Declares what chooses a webhook's shard.
///
/// The prefix `header:` is required: without it a pointer that lacks its `/` would
/// pass as the name of a header that no sender sets.
pub(super) fn shard_by() -> Parsed<ShardBy> {
    let values = "a JSON pointer, as in \"/payload/call_id\", or \"header:\" and the name of a header that \
                  carries no credential, as in \"header:x-call-id\"";
    let parse = |text: &str| match text.strip_prefix("header:") {
        Some(name) => harmless_header(name).map(ShardBy::Header),
        None => text.parse().ok().map(ShardBy::Pointer),
    };
    parsed(values, parse, ShardBy::to_string)
}

/// Declares the delays of the retry tiers, kept in ascending order.
pub(super) fn delays() -> List<Duration> {
    const RANGE: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24);
    let delay = |text: &str| parse_duration(text).filter(|delay| RANGE.contains(delay));
    list("1 to 16 different durations from \"100ms\" to \"1d\"", delay, |delay| show_duration(*delay)).that(
        |mut delays| {
            let count = delays.len();
            delays.sort_unstable();
            delays.dedup();
            ((1..=16).contains(&count) && delays.len() == count).then_some(delays)
        },
    )
}

/// Declares names of sources.
pub(super) fn source_names() -> List<SourceName> {
    list("a list of source names", |name| name.parse().ok(), SourceName::to_string)
}

/// Declares patterns of routing keys.
pub(super) fn patterns() -> List<String> {
    let values = "a list of one or more patterns: words separated by dots, where * and # are words of their \
                  own, as in \"call.#\" and \"*.answered.*\"";
    let parse = |pattern: &str| is_pattern(pattern).then(|| pattern.to_owned());
    list(values, parse, String::clone).that(|patterns| (!patterns.is_empty()).then_some(patterns))
}

/// Tells whether `pattern` is valid. A wildcard must be a word of its own: `call*` would match only the
/// literal word `call*`.
fn is_pattern(pattern: &str) -> bool {
    let word = |word: &str| {
        matches!(word, "*" | "#") || (!word.is_empty() && !word.contains(['*', '#']) && word.is_ascii())
    };
    pattern.len() <= PATTERN_BYTES_MAX && pattern.split('.').all(word)
}

/// Parses the name of a source.
///
/// # Errors
/// What was expected.
pub(super) fn source_name(text: &str) -> Result<SourceName, String> {
    text.parse().map_err(|error| format!("another name: {error}"))
}

/// Returns true if the name of a queue is one that hookswitch or RabbitMQ uses.
pub fn is_reserved(name: &str) -> bool {
    name == "events.unrouted" || RESERVED.iter().any(|prefix| name.starts_with(prefix))
}

/// Parses the name of a consumer's queue.
///
/// # Errors
/// What was expected.
pub(super) fn queue_name(text: &str) -> Result<String, String> {
    let fits = (1..=200).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
    if fits && !is_reserved(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "a queue name of 1 to 200 visible ASCII characters that is not events.unrouted and starts with \
         none of {}",
        RESERVED.join(" ")
    ))
}
