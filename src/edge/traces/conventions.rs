//! The spans of hookswitch, by the semantic conventions of OpenTelemetry for HTTP and for RabbitMQ.
//!
//! Nothing here is a text of a sender: attributes are names of the configuration, ids, numbers, and words of
//! closed lists.

use std::{borrow::Cow, time::SystemTime};

use opentelemetry::{
    InstrumentationScope, KeyValue, Value,
    trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use opentelemetry_semantic_conventions::{
    SCHEMA_URL,
    attribute::{
        ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE,
        MESSAGING_BATCH_MESSAGE_COUNT, MESSAGING_DESTINATION_NAME, MESSAGING_MESSAGE_BODY_SIZE,
        MESSAGING_MESSAGE_ID, MESSAGING_OPERATION_NAME, MESSAGING_OPERATION_TYPE,
        MESSAGING_RABBITMQ_DESTINATION_ROUTING_KEY, MESSAGING_SYSTEM, URL_SCHEME,
    },
};

use crate::{
    core::{
        delivery::{disposition::Disposition, queued::QueuedWebhook},
        events::cloudevent::Encoded,
        shard::Shard,
        trace::{Trace, TraceParent},
        webhook::SourceName,
    },
    edge::amqp::{names, routes},
};

/// The name of the source, as in the configuration.
const SOURCE: &str = "hookswitch.source";
/// The provider of the source.
const PROVIDER: &str = "hookswitch.provider";
/// The webhook's id.
const DELIVERY_ID: &str = "hookswitch.delivery_id";
/// What became of a delivery.
const DISPOSITION: &str = "hookswitch.disposition";
/// The number of failures before this delivery.
const ATTEMPT: &str = "hookswitch.attempt";
/// The number of times that an operator has replayed the webhook.
const REPLAYS: &str = "hookswitch.replays";
/// The delay queue that a webhook goes to.
const TIER: &str = "hookswitch.retry.tier";

/// The `error.type` of an error that has no word.
const OTHER_ERROR: &str = "_OTHER";

/// The methods that HTTP knows. A sender must not be able to create others.
const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

/// The place of a span in its trace, and its times.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The trace.
    pub trace: Trace,
    /// The span's id.
    pub id: [u8; 8],
    /// The span that it is part of.
    pub parent: Option<[u8; 8]>,
    /// The time of its beginning.
    pub start: SystemTime,
    /// The time of its end.
    pub end: SystemTime,
}

impl Frame {
    /// Makes a span of this place.
    fn span(
        self,
        kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
        error: Option<&'static str>,
        mut attributes: Vec<KeyValue>,
    ) -> SpanData {
        let Self { trace, id, parent, start, end } = self;
        attributes.extend(error.map(|error| KeyValue::new(ERROR_TYPE, error)));
        SpanData {
            span_context: context(trace.span(id), false),
            parent_span_id: parent.map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote: parent.is_some() && parent == trace.parent,
            span_kind: kind,
            name: name.into(),
            start_time: start,
            end_time: end,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if error.is_some() { Status::error("") } else { Status::Unset },
            instrumentation_scope: InstrumentationScope::builder("hookswitch")
                .with_version(env!("CARGO_PKG_VERSION"))
                .with_schema_url(SCHEMA_URL)
                .build(),
        }
    }
}

fn context(span: TraceParent, is_remote: bool) -> SpanContext {
    let (trace, id) = (TraceId::from_bytes(span.trace), SpanId::from_bytes(span.span));
    SpanContext::new(trace, id, TraceFlags::new(span.flags()), is_remote, TraceState::NONE)
}

fn text(name: &'static str, value: impl Into<Value>) -> KeyValue {
    KeyValue::new(name, value)
}

fn count(name: &'static str, value: usize) -> KeyValue {
    KeyValue::new(name, i64::try_from(value).unwrap_or(i64::MAX))
}

/// Returns the attributes of an operation on messages, and its span's name.
fn operation(name: &'static str, kind: &'static str, destination: String) -> (Vec<KeyValue>, String) {
    let span = format!("{name} {destination}");
    let attributes = vec![
        text(MESSAGING_SYSTEM, "rabbitmq"),
        text(MESSAGING_OPERATION_NAME, name),
        text(MESSAGING_OPERATION_TYPE, kind),
        text(MESSAGING_DESTINATION_NAME, destination),
    ];
    (attributes, span)
}

/// Returns the name of a raw queue as a destination of consumers: exchange, routing key and queue.
fn raw_destination(source: &SourceName, shard: Shard) -> String {
    format!("{}:{}:{}", names::RAW_EXCHANGE, names::raw_key(source, shard), names::raw_queue(source, shard))
}

/// A request to the receiver.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// The HTTP method.
    pub method: &'r str,
    /// The name of the source, or what stands for all unknown ones.
    pub source: &'r str,
    /// The status of the answer.
    pub status: u16,
    /// Why it was not accepted.
    pub refusal: Option<&'static str>,
}

/// Makes the span of a request to the receiver.
pub fn request(frame: Frame, request: Request<'_>) -> SpanData {
    let Request { method, source, status, refusal } = request;
    let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("_OTHER");
    let attributes = vec![
        text(HTTP_REQUEST_METHOD, method),
        text(HTTP_ROUTE, "/in/{source}"),
        text(URL_SCHEME, "http"),
        count(HTTP_RESPONSE_STATUS_CODE, status.into()),
        text(SOURCE, source.to_owned()),
    ];
    let name = if method == "_OTHER" { "HTTP" } else { method };
    let mut span = frame.span(SpanKind::Server, format!("{name} /in/{{source}}"), refusal, attributes);
    // What a sender does wrong is no error of the server.
    if status < 500 {
        span.status = Status::Unset;
    }
    span
}

/// Makes the span of storing a webhook in its raw queue.
pub fn storing(frame: Frame, stored: Stored<'_>, error: Option<&'static str>) -> SpanData {
    let Stored { source, delivery_id, bytes } = stored;
    let destination = format!("{}:{source}", names::RAW_EXCHANGE);
    let (mut attributes, name) = operation("publish", "send", destination);
    attributes.extend([
        text(SOURCE, source.to_owned()),
        text(MESSAGING_MESSAGE_ID, delivery_id),
        count(MESSAGING_MESSAGE_BODY_SIZE, bytes),
    ]);
    frame.span(SpanKind::Producer, name, error, attributes)
}

/// A webhook on its way to its raw queue.
#[derive(Clone, Debug)]
pub struct Stored<'s> {
    /// The name of its source.
    pub source: &'s str,
    /// Its delivery id.
    pub delivery_id: String,
    /// The bytes of its body.
    pub bytes: usize,
}

/// Makes the span of a worker's processing of one delivery.
pub fn processing(frame: Frame, queued: &QueuedWebhook, disposition: &Disposition) -> SpanData {
    let QueuedWebhook { webhook, history, shard, .. } = queued;
    let destination = raw_destination(&webhook.source, *shard);
    let (mut attributes, name) = operation("process", "process", destination);
    attributes.extend([
        text(MESSAGING_RABBITMQ_DESTINATION_ROUTING_KEY, names::raw_key(&webhook.source, *shard)),
        text(MESSAGING_MESSAGE_ID, webhook.delivery_id.to_string()),
        count(MESSAGING_MESSAGE_BODY_SIZE, webhook.body.len()),
        text(SOURCE, webhook.source.to_string()),
        text(PROVIDER, webhook.provider.as_str()),
        text(DISPOSITION, disposition.as_str()),
        count(ATTEMPT, history.attempt.0 as usize),
    ]);
    if history.replays > 0 {
        attributes.push(count(REPLAYS, history.replays as usize));
    }
    let error = match disposition {
        Disposition::Done { .. } | Disposition::Duplicate { .. } => None,
        Disposition::Retry { tier, error, .. } => {
            attributes.push(text(TIER, tier.name()));
            error.as_ref().map(|_| OTHER_ERROR)
        }
        Disposition::DeadLetter { reason, .. } => Some(reason.as_str()),
    };
    frame.span(SpanKind::Consumer, name, error, attributes)
}

/// Makes the span of publishing the events of a webhook. All of them name it as their parent.
pub fn publishing(frame: Frame, queued: &QueuedWebhook, messages: &[Encoded]) -> SpanData {
    let exchange = messages.last().map_or(names::PUBLISHED_EXCHANGE, routes::exchange_of);
    let key = match messages {
        [only] => Some(only.routing_key.clone()),
        _ => None,
    };
    let destination = key.as_ref().map_or_else(|| exchange.to_owned(), |key| format!("{exchange}:{key}"));
    let (mut attributes, name) = operation("publish", "send", destination);
    attributes.extend([
        text(SOURCE, queued.webhook.source.to_string()),
        text(DELIVERY_ID, queued.webhook.delivery_id.to_string()),
    ]);
    match (messages, key) {
        ([only], Some(key)) => attributes.extend([
            text(MESSAGING_RABBITMQ_DESTINATION_ROUTING_KEY, key),
            text(MESSAGING_MESSAGE_ID, only.id.to_string()),
            count(MESSAGING_MESSAGE_BODY_SIZE, only.body.len()),
        ]),
        _ => attributes.push(count(MESSAGING_BATCH_MESSAGE_COUNT, messages.len())),
    }
    frame.span(SpanKind::Producer, name, None, attributes)
}

/// The most links of a span: OpenTelemetry's own limit.
const LINKS_MAX: usize = 128;

/// Makes the span of a batch of `size` deliveries, with links to the spans of those whose trace is recorded.
pub fn batch(frame: Frame, source: &SourceName, shard: Shard, size: usize, of: &[TraceParent]) -> SpanData {
    let (mut attributes, name) = operation("batch", "process", raw_destination(source, shard));
    attributes.extend([text(SOURCE, source.to_string()), count(MESSAGING_BATCH_MESSAGE_COUNT, size)]);
    let mut span = frame.span(SpanKind::Internal, name, None, attributes);
    let links = of.iter().take(LINKS_MAX).map(|span| Link::with_context(context(*span, false)));
    span.links.links = links.collect();
    span.links.dropped_count = u32::try_from(of.len().saturating_sub(LINKS_MAX)).unwrap_or(u32::MAX);
    span
}
