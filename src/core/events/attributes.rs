//! The CloudEvents extension attributes that are derived from an event, under the names of the extension
//! documents: Correlation, Partitioning, Sequence and Distributed Tracing.
//!
//! All are pure functions of the webhook, so that the same webhook always yields the same bytes.

use std::borrow::Cow;

use jiff::Timestamp;
use sha1::{Digest, Sha1};

use super::{
    data::Data,
    event::{Event, EventType},
    percent,
};
use crate::core::webhook::{Headers, SourceName};

/// The beginning of the subject of an event that has no object of its own.
pub(super) const OF_NO_OBJECT: &str = "webhook/";

/// Room for tenant and connector, in bytes.
const SCOPE_BYTES: usize = 64;

/// Returns `correlationid`: what an event has in common with the others about the same call, conversation or
/// record, and with no other. None for an event without an object of its own.
///
/// It is `<source>/<family>/<id>`, with tenant and connector after the source where there is one of them:
/// the ids of two connectors may be equal. Each part is percent-encoded, so that no slash in it counts.
/// `subject` is the event's, encoded already.
pub(super) fn correlation_id(source: &SourceName, subject: &str, event: &Event<'_>) -> Option<String> {
    let conversation =
        if let Data::Message(message) = &event.data { &message.conversation_id } else { &None };
    if conversation.is_none() && subject.starts_with(OF_NO_OBJECT) {
        return None;
    }
    let mut correlation = String::with_capacity(source.as_str().len() + subject.len() + SCOPE_BYTES);
    correlation.push_str(source.as_str());
    let mut push = |part: &str| {
        correlation.push('/');
        percent::encode(part, percent::is_in_segment, &mut correlation);
    };
    let (tenant, connector) = (event.tenant.as_deref(), event.connector.as_deref());
    if tenant.is_some() || connector.is_some() {
        push(tenant.unwrap_or_default());
        push(connector.unwrap_or_default());
    }
    match conversation {
        Some(id) => {
            push("conversation");
            push(id);
        }
        None => {
            correlation.push('/');
            correlation.push_str(subject);
        }
    }
    Some(correlation)
}

/// Returns `partitionkey`: 32 bits of the SHA-1 of `correlationid`, as 8 hexadecimal digits. Consumers that
/// share the work take the events whose number leaves their remainder; no library is needed to hash alike.
pub(super) fn partition_key(correlation_id: &str) -> String {
    let hash = Sha1::digest(correlation_id);
    let half = |n: usize| usize::from(if n.is_multiple_of(2) { hash[n / 2] >> 4 } else { hash[n / 2] & 15 });
    ascii(&std::array::from_fn::<_, 8, _>(|n| b"0123456789abcdef"[half(n)]))
}

/// Returns `sequence`: the time in microseconds since 1970 as 16 digits, `-`, and the stage of the type. As
/// text, those of the events about one call sort by the times that the provider tells. These may be of two
/// clocks: Morph tells answers and ends by the call's, and other updates by the record's, which may run
/// behind.
pub(super) fn sequence(time: Timestamp, kind: EventType) -> String {
    // 16 digits last until the year 2286; a time before 1970 is none.
    let mut rest = time.as_microsecond().clamp(0, 9_999_999_999_999_999);
    let mut text = *b"0000000000000000-0";
    for digit in text[..16].iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    text[17] += stage(kind);
    ascii(&text)
}

/// Returns a text of ASCII characters. Formatting it would take ten times as long.
fn ascii(text: &[u8]) -> String {
    str::from_utf8(text).unwrap_or_default().to_owned()
}

/// Returns the stage of a type, from 0 to 9: its place among events of the same instant about one object. The
/// last word of the type decides.
fn stage(kind: EventType) -> u8 {
    match kind.as_str().rsplit('.').next().unwrap_or_default() {
        "scheduled" => 0,
        "initiated" | "created" => 1,
        "ringing" => 2,
        "early_media" => 3,
        "answered" => 4,
        "transferred" | "media" | "input" | "partial" | "received" | "sent" => 5,
        "ended" | "resolved" => 6,
        "updated" => 8,
        "deleted" => 9,
        // What becomes known of something that is over: transcripts, tags, costs, reports, errors.
        _ => 7,
    }
}

/// Returns `traceparent` and `tracestate` as the sender wrote them. The latter means nothing without the
/// former; one that was sent in parts is one list (W3C Trace Context).
pub(super) fn trace(headers: &Headers) -> (Option<&str>, Option<Cow<'_, str>>) {
    let Some(parent) = headers.get("traceparent") else { return (None, None) };
    let parts: Vec<_> = headers.values("tracestate").filter(|part| !part.is_empty()).collect();
    let state = match parts.as_slice() {
        [] => None,
        [one] => Some(Cow::Borrowed(*one)),
        parts => Some(Cow::Owned(parts.join(","))),
    };
    (Some(parent), state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::events::data::MessageData;

    fn event(subject: &str, tenant: Option<&str>, connector: Option<&str>) -> Event<'static> {
        Event {
            tenant: tenant.map(|tenant| tenant.to_owned().into()),
            connector: connector.map(|connector| connector.to_owned().into()),
            ..Event::new(EventType::CallEnded, subject.to_owned(), "x", Data::Empty {})
        }
    }

    fn correlated(event: &Event<'_>) -> Option<String> {
        correlation_id(&"morph".parse().expect("a name"), &event.subject, event)
    }

    #[test]
    fn equal_ids_of_two_connectors_or_tenants_do_not_correlate() {
        let id = |tenant, connector| correlated(&event("call/8841", tenant, connector)).expect("a call");
        assert_eq!(id(Some("acme-7"), Some("hubspot")), "morph/acme-7/hubspot/call/8841");
        assert_eq!(id(None, None), "morph/call/8841");
        let mut ids = vec![
            id(None, None),
            id(Some("a"), None),
            id(None, Some("a")),
            id(Some("a"), Some("b")),
            id(Some("a/b"), Some("")),
            id(Some("a"), Some("/b")),
        ];
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 6, "{ids:?}");
    }

    #[test]
    fn a_message_correlates_with_its_conversation_and_what_has_no_object_with_nothing() {
        let mut message = MessageData { message_id: Some("m".into()), ..MessageData::default() };
        let of = |data: &MessageData<'static>| Event {
            data: Data::Message(Box::new(data.clone())),
            ..event("message/m", None, None)
        };
        assert_eq!(correlated(&of(&message)).as_deref(), Some("morph/message/m"));
        message.conversation_id = Some("c 1".into());
        assert_eq!(correlated(&of(&message)).as_deref(), Some("morph/conversation/c%201"));
        assert_eq!(correlated(&event("webhook/delivery:1", None, None)), None);
    }

    #[test]
    fn a_partition_key_is_the_same_number_everywhere() {
        // The first 4 bytes of `sha1sum`.
        assert_eq!(partition_key("abc"), "a9993e36");
        assert_eq!(u32::from_str_radix(&partition_key("abc"), 16), Ok(0xa999_3e36));
    }

    #[test]
    fn sequences_sort_by_time_and_within_an_instant_by_stage() {
        let at = |time: &str, kind| sequence(time.parse().expect("a time"), kind);
        use EventType::{CallAnswered, CallDeleted, CallEnded, CallInitiated, TranscriptCompleted};
        let sorted = [
            at("1969-12-31T23:59:59Z", CallDeleted),
            at("2000-01-01T00:00:00Z", CallInitiated),
            at("2026-01-01T09:05:04Z", CallInitiated),
            at("2026-01-01T09:05:04Z", CallAnswered),
            at("2026-01-01T09:05:04.000001Z", CallInitiated),
            at("2026-01-01T09:12:16.608Z", CallEnded),
            at("2026-01-01T09:12:16.608Z", TranscriptCompleted),
            at("2100-01-01T00:00:00Z", CallInitiated),
        ];
        assert!(sorted.is_sorted_by(|a, b| a < b), "{sorted:?}");
        assert_eq!(sorted[5], "1767258736608000-6");
    }

    #[test]
    fn the_types_of_a_call_are_staged_in_the_order_of_its_life() {
        let mut calls: Vec<_> = EventType::ALL
            .iter()
            .map(|kind| (stage(*kind), kind.as_str()))
            .filter(|(_, kind)| kind.starts_with("call."))
            .collect();
        calls.sort_unstable();
        let of = |stage: u8| {
            calls.iter().filter(|(of, _)| *of == stage).map(|(_, kind)| *kind).collect::<Vec<_>>()
        };
        assert_eq!(of(1), ["call.initiated"]);
        assert_eq!(of(4), ["call.answered"]);
        assert_eq!(of(5), ["call.input", "call.media", "call.transcript.partial", "call.transferred"]);
        assert_eq!(of(6), ["call.ended"]);
        assert!(of(7).contains(&"call.transcript.completed") && of(7).contains(&"call.cost_reported"));
        assert_eq!(of(8), ["call.transcript.updated", "call.updated"]);
        assert_eq!(of(9), ["call.deleted", "call.transcript.deleted"]);
    }

    #[test]
    fn a_trace_state_comes_only_with_its_trace() {
        let trace_of = |headers: &[(&str, &str)]| {
            let headers = Headers::from_iter(headers.iter().copied());
            let (parent, state) = trace(&headers);
            (parent.map(ToOwned::to_owned), state.map(Cow::into_owned))
        };
        assert_eq!(trace_of(&[("tracestate", "a=1")]), (None, None));
        assert_eq!(trace_of(&[("traceparent", "00-1")]), (Some("00-1".into()), None));
        let both = [("traceparent", "00-1"), ("tracestate", "a=1"), ("tracestate", "b=2")];
        assert_eq!(trace_of(&both), (Some("00-1".into()), Some("a=1,b=2".into())));
    }
}
