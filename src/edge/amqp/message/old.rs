//! The messages of builds before 29 November 2026, which had a header for each part of a webhook's head.
//!
//! Queues and dead letters outlive the program that wrote them. This can go when no letter is older.

use std::borrow::Cow;

use jiff::Timestamp;
use lapin::types::{AMQPValue, FieldTable};

use super::table::{number_of, string_in, string_of};
use crate::{
    core::{
        delivery::{fault::Attempt, head::Head, queued::History},
        trace::TRACE_PARENT,
        webhook::{Headers, SourceName},
    },
    edge::amqp::invalid::InvalidMessage,
};

const SOURCE: &str = "hookswitch-source";
const PROVIDER: &str = "hookswitch-provider";
const RECEIVED_AT: &str = "hookswitch-received-at";
const HTTP: &str = "http-";

/// Returns whether headers are those of such a message.
pub(super) fn is_one(headers: &FieldTable) -> bool {
    headers.contains_key(SOURCE)
}

/// Reads a head.
///
/// # Errors
/// [`InvalidMessage::Lacks`] names the first header that is missing.
pub(super) fn head(headers: &FieldTable) -> Result<Head<'static>, InvalidMessage> {
    let text = |name| string_of(headers, name);
    let needed = |name: &'static str| text(name).ok_or(InvalidMessage::Lacks(name));
    let time = |name| text(name).and_then(|at| at.parse::<Timestamp>().ok());
    let source: SourceName = needed(SOURCE)?.parse().map_err(|_| InvalidMessage::Lacks(SOURCE))?;
    let provider = needed(PROVIDER)?.parse().map_err(|_| InvalidMessage::Lacks(PROVIDER))?;
    let received_at = time(RECEIVED_AT).ok_or(InvalidMessage::Lacks(RECEIVED_AT))?;
    let history = History {
        attempt: Attempt(number_of(headers, "hookswitch-attempt").unwrap_or(0)),
        error: text("hookswitch-error"),
        first_failed_at: time("hookswitch-first-failed-at"),
        last_failed_at: time("hookswitch-last-failed-at"),
        reason: text("hookswitch-reason").and_then(|reason| reason.parse().ok()),
        version: text("hookswitch-version"),
        replays: number_of(headers, "hookswitch-replays").unwrap_or(0),
        past: text("hookswitch-past").and_then(|past| serde_json::from_str(&past).ok()).unwrap_or_default(),
        wave: text("hookswitch-wave"),
    };
    Ok(Head {
        source: Cow::Owned(source),
        provider,
        received_at,
        entry: text("hookswitch-entry").and_then(|entry| entry.parse().ok()),
        trace: text(TRACE_PARENT).and_then(|span| span.parse().ok()),
        headers: Cow::Owned(captured(headers)),
        history: Cow::Owned(history),
        letter: text("hookswitch-letter").and_then(|id| id.parse().ok()),
    })
}

/// Returns the captured HTTP headers, by name. One that was repeated is an array.
fn captured(headers: &FieldTable) -> Headers {
    let mut captured = Headers::default();
    for (name, value) in headers.inner() {
        if let Some(name) = name.as_str().strip_prefix(HTTP) {
            let array =
                if let AMQPValue::FieldArray(values) = value { Some(values.as_slice()) } else { None };
            let values = array.unwrap_or(std::slice::from_ref(value)).iter().filter_map(string_in);
            values.for_each(|value| captured.push(name, value));
        }
    }
    captured
}
