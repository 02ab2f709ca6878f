//! The attributes of an event: the fields of the CloudEvent around its data.

use jiff::Timestamp;
use uuid::Uuid;

use crate::core::{
    events::{classification::DataClassification, event::EventType},
    json::describe::{Field, Record, Shape},
};

const LATE: &str =
    "True if an event with the same `correlationid` and a higher `sequence` was published before.";

/// Describes the attributes of events of a type, without `data`, in the order in which they are written. Only
/// `late` is written before all others.
pub fn attributes(kind: EventType) -> Record {
    let constant =
        |name, about, word| Field { shape: Shape::Constant(word), ..Field::of::<&str>(name, about) };
    let format =
        |name, about, format| Field { shape: Shape::Formatted(format), ..Field::of::<&str>(name, about) };
    let text = Field::of::<&str>;
    let optional_text = Field::of::<Option<&str>>;
    let fields = vec![
        constant("specversion", "The version of CloudEvents.", "1.0"),
        Field::of::<Uuid>("id", "The event's id. The same webhook always gives the same ids."),
        format("source", "`/hookswitch/<provider>/<source>`.", "uri-reference"),
        constant("type", "The event's type.", kind.as_str()),
        text("subject", "The object that the event is about, as in `call/<id>`, percent-encoded."),
        Field::of::<Timestamp>("time", "The time of the event at the provider, or of the receipt."),
        Field {
            is_required: false,
            ..constant("timesource", "Present if `time` is the time of the receipt.", "received")
        },
        constant("datacontenttype", "The media type of `data`.", "application/json"),
        format("dataschema", "The id of the schema of `data`.", "uri"),
        text("provider", "The provider's name."),
        text("providerevent", "The provider's own name for the event."),
        Field::of::<Uuid>("deliveryid", "The id of the webhook that the event comes from."),
        text("idempotencykey", "The identity of the fact within its source."),
        Field::of::<bool>("test", "True if the provider marks the event as a test."),
        optional_text("tenant", "The tenant, where one source serves several."),
        optional_text("connector", "The system behind a unified API, where a source serves several."),
        optional_text("correlationid", "Equal for all events about the same call, conversation or record."),
        optional_text("partitionkey", "A hash of `correlationid`: 8 hexadecimal digits."),
        text("sequence", "As text, sorts events with the same `correlationid` by the provider's times."),
        Field::of::<Option<bool>>("late", LATE),
        Field::of::<Timestamp>("recordedtime", "The time at which the webhook was received."),
        Field::of::<DataClassification>("dataclassification", "The protection that the event needs."),
        optional_text("redaction", "Present in a copy without personal data: what became of which."),
        optional_text("traceparent", "The trace that the webhook belongs to (W3C Trace Context)."),
        optional_text("tracestate", "The state of that trace."),
    ];
    Record { name: "Event", about: "A CloudEvent 1.0 in JSON.", fields }
}
