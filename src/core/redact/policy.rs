//! What may be shown: the public paths of bodies and events, and the public headers.

use crate::core::providers::{Provider, Schema};

/// The public paths of published events. The idempotency key is not among them: it is made of whatever tells
/// two webhooks apart, and it can hold hashes of texts short enough to be guessed. The event's `id` follows
/// from it and serves the same purpose.
pub(super) const EVENT: Schema = Schema {
    public: &[
        "specversion|id|source|type|subject|time|timesource|datacontenttype|dataschema",
        "provider|providerevent|deliveryid|test|tenant|connector|traceparent",
        "correlationid|partitionkey|sequence|late|recordedtime|dataclassification|redaction",
        "data.call_id|transcript_id|message_id|conversation_id|contact_id|record_id|scheduling_id|widget_id",
        "data.direction|status|end_reason|kind|channel|channel_id|priority",
        "data.direction_raw|status_raw|end_reason_raw|kind_raw|channel_raw|priority_raw",
        "data.machine_detected|snapshot|derived[]",
        "data.scheduled_at|started_at|answered_at|ended_at|sent_at|created_at|updated_at|starts_at|ends_at|timezone",
        "data.received_at|delivered_at|issued_at|due_at|paid_at|tax_included",
        "data.duration_seconds|talk_seconds|billed_seconds|transcript_seconds|duration_minutes|durations[]",
        "data.recordings[].id|started_at|duration_seconds",
        "data.participants[].role|role_raw|party|speaker_id",
        "data.participants[].reference.id|kind|kind_raw",
        "data.links[].role|id|kind|kind_raw",
        "data.transfer.from|to.role",
        "data.transfer.original_call_id",
        "data.transcript_ref|outcome|triggered_by.id|kind|kind_raw",
        "data.cost.total|per_minute.amount|minor_units|currency",
        "data.amount.currency",
        "data.media.type",
        "data.media.payload.status|playback_id",
        "data.transcript[].sequence|speaker|speaker_id",
        "data.transcript[].at|offset_ms|at_raw|until|until_offset_ms|until_raw",
        "data.questions[].id|type",
        "data.answers[].questionId",
    ],
    keyed: &[],
};

/// Attributes of events that hold nothing of the webhook's texts, though they look like numbers and
/// addresses.
const WRITTEN_BY_US: &[&str] = &["dataschema", "sequence"];

/// Headers that never hold personal data, whichever provider sends them.
const HEADERS: &[&str] = &["content-encoding", "content-length", "content-type", "traceparent", "user-agent"];

/// A kind of JSON document.
#[derive(Clone, Copy)]
pub(super) enum Document {
    /// A webhook's body in the provider's format.
    Body(Provider),
    /// A published event.
    Event,
}

impl Document {
    /// Returns true if the value at `path` is public.
    pub(super) fn is_public(self, path: &str) -> bool {
        match self {
            Self::Body(provider) => provider.schema().is_public(path),
            Self::Event => EVENT.is_public(path),
        }
    }

    /// Returns true if the value at `path` is made by hookswitch.
    pub(super) fn is_written_by_us(self, path: &str) -> bool {
        matches!(self, Self::Event) && WRITTEN_BY_US.contains(&path)
    }

    /// Returns true if the keys of the object at `path` are data.
    pub(super) fn is_keyed(self, path: &str) -> bool {
        match self {
            Self::Body(provider) => provider.schema().is_keyed(path),
            // Unmapped values keep the path that they have in the body.
            Self::Event => path
                .strip_prefix("data.unmapped.")
                .is_some_and(|path| Provider::ALL.iter().any(|provider| provider.schema().is_keyed(path))),
        }
    }
}

/// Returns true if the header `name` is public in a webhook of `provider`.
pub(super) fn is_public_header(provider: Provider, name: &str) -> bool {
    let is_known = |known: &&str| known.eq_ignore_ascii_case(name);
    HEADERS.iter().any(is_known) || provider.headers().iter().any(is_known)
}
