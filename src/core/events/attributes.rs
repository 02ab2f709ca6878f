//! The CloudEvents extension attributes that are derived from an event, under the names of the extension
//! documents: Correlation and Distributed Tracing. Those of Partitioning and Sequence are in
//! [`super::order`].
//!
//! All are pure functions of the webhook, so that the same webhook always yields the same bytes.

use std::borrow::Cow;

use super::{data::Data, event::Event, percent};
use crate::core::{
    trace::{TRACE_PARENT, TRACE_STATE},
    webhook::{Headers, SourceName},
};

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

/// Returns `traceparent` and `tracestate` as the sender wrote them. The latter means nothing without the
/// former; one that was sent in parts is one list (W3C Trace Context).
pub(super) fn trace(headers: &Headers) -> (Option<&str>, Option<Cow<'_, str>>) {
    let Some(parent) = headers.get(TRACE_PARENT) else { return (None, None) };
    let parts: Vec<_> = headers.values(TRACE_STATE).filter(|part| !part.is_empty()).collect();
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
    use crate::core::events::{data::MessageData, event::EventType};

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
