//! The head of a queued webhook: all that travels with its body, as one line of JSON.
//!
//! A message carries it in one header, since a broker parses each header of each message.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    queued::{History, QueuedWebhook},
    written::{is_default, text},
};
use crate::core::{
    ledger::Entry,
    letters::LetterId,
    providers::Provider,
    shard::Shard,
    trace::TraceParent,
    webhook::{DeliveryId, Headers, SourceName, Webhook},
};

/// What a message says about its webhook, beside the delivery id, the content type and the body.
///
/// Fields with their default value are omitted, and fields that a later version adds are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head<'a> {
    /// The webhook's source.
    pub source: Cow<'a, SourceName>,
    /// The webhook's provider.
    pub provider: Provider,
    /// The time of receipt.
    pub received_at: Timestamp,
    /// The place in the ledger. A webhook whose entry cannot be read is not counted there.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text")]
    pub entry: Option<Entry>,
    /// The span that stored the webhook.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text")]
    pub trace: Option<TraceParent>,
    /// The captured HTTP headers, name and value, in the order received.
    #[serde(default, skip_serializing_if = "is_default")]
    pub headers: Cow<'a, Headers>,
    /// The failures and replays.
    #[serde(default, skip_serializing_if = "is_default")]
    pub history: Cow<'a, History>,
    /// The id of the dead letter; none if the webhook is not one.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text")]
    pub letter: Option<LetterId>,
}

impl<'a> Head<'a> {
    /// Returns the head of a webhook that is no dead letter.
    pub fn of(queued: &'a QueuedWebhook) -> Self {
        let QueuedWebhook { webhook, entry, trace, history, .. } = queued;
        Self {
            source: Cow::Borrowed(&webhook.source),
            provider: webhook.provider,
            received_at: webhook.received_at,
            entry: *entry,
            trace: *trace,
            headers: Cow::Borrowed(&webhook.headers),
            history: Cow::Borrowed(history),
            letter: None,
        }
    }

    /// Returns the head as JSON, without line breaks.
    pub fn to_json(&self) -> String {
        // Names, numbers and texts always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a head; `None` if the JSON is malformed or lacks a field that every head has.
    pub fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Returns the webhook, without its body. A head does not hold the shard: the queue tells it.
    pub fn into_queued(self, delivery_id: DeliveryId, content_type: Option<String>) -> QueuedWebhook {
        let Self { source, provider, received_at, entry, trace, headers, history, letter: _ } = self;
        let webhook = Webhook {
            delivery_id,
            source: source.into_owned(),
            provider,
            received_at,
            headers: headers.into_owned(),
            body: Default::default(),
        };
        let (shard, history) = (Shard::FIRST, history.into_owned());
        QueuedWebhook { webhook, content_type, entry, shard, trace, history }
    }
}

/// Returns the bytes that a captured header's value takes in a head. It has no control characters but tabs.
pub fn room_of(value: &str) -> usize {
    value.len() + value.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\t')).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEAST: &str =
        r#"{"source":"wavix-eu","provider":"wavix","received_at":"2026-01-02T03:04:05.678Z"}"#;

    #[test]
    fn what_says_nothing_is_left_out_and_what_is_unknown_is_ignored() {
        let head = Head::from_json(LEAST.as_bytes()).expect("a head");
        assert_eq!(head.to_json(), LEAST);
        let newer =
            LEAST.replace('}', r#","colour":"red","entry":"?","trace":"?","history":{"reason":"?"}}"#);
        assert_eq!(Head::from_json(newer.as_bytes()), Some(head));
        let died = LEAST.replace('}', r#","history":{"past":[{"at":"?","reason":"?","error":"it fell"}]}}"#);
        let past = Head::from_json(died.as_bytes()).expect("a head").history.into_owned().past;
        assert_eq!((past[0].at, past[0].reason, past[0].error.as_str()), (None, None, "it fell"));
    }

    #[test]
    fn what_is_no_head_is_none() {
        let bad_name = LEAST.replace("wavix-eu", "Wavix");
        for json in ["", "{}", "[]", &bad_name] {
            assert_eq!(Head::from_json(json.as_bytes()), None, "{json}");
        }
    }

    proptest! {
        #[test]
        fn a_captured_value_takes_the_room_that_is_counted(value in "[\\t -~é\u{fffd}]{0,40}") {
            let json = serde_json::to_string(&value).expect("text");
            prop_assert_eq!(room_of(&value) + 2, json.len());
        }
    }
}
