//! Traces: what a collector gets, and what is handed on to the consumers of events.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, routing::post};
use bytes::Bytes;
use hookswitch::{
    core::{
        providers::{self, NormalizeError, Normalized},
        webhook::Webhook,
    },
    edge::{amqp::routes, http::Client},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;

use super::support::{PATIENCE, RunningProcess, World, call, queued, until};

const SENDER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    resources: Arc<Mutex<Vec<BTreeMap<String, String>>>>,
    /// The headers `x-tenant` of the requests.
    tenants: Arc<Mutex<BTreeSet<String>>>,
}

impl Collector {
    /// Starts a collector. Returns the settings that send all traces to it.
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let of_request = collector.clone();
        let take = async move |headers: axum::http::HeaderMap, body: Bytes| {
            let tenant = headers.get("x-tenant").map(|value| value.to_str().unwrap().to_owned());
            of_request.tenants.lock().unwrap().extend(tenant);
            for of_resource in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
                of_request.resources.lock().unwrap().push(texts(&of_resource.resource.unwrap().attributes));
                let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
                of_request.spans.lock().unwrap().extend(spans);
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, format!("[tracing]\nendpoint = \"http://{address}\"\nsample_ratio = 1.0\n"))
    }

    fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }

    /// Waits until there are spans whose names start like this, and returns them.
    async fn wait_for(&self, name: &str, count: usize) -> Vec<Span> {
        let named =
            || self.spans().into_iter().filter(|span| span.name.starts_with(name)).collect::<Vec<_>>();
        until(name, async || named().len() >= count).await;
        named()
    }
}

/// Returns attributes as texts.
fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other @ (Value::BoolValue(_)
        | Value::DoubleValue(_)
        | Value::ArrayValue(_)
        | Value::KvlistValue(_)
        | Value::BytesValue(_)
        | Value::StringValueStrindex(_)) => panic!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}

/// Checks that a span has these attributes.
fn assert_has(span: &Span, expected: &[(&str, &str)]) {
    let attributes = texts(&span.attributes);
    for (name, value) in expected {
        assert_eq!(attributes.get(*name).map(String::as_str), Some(*value), "{name} of {attributes:?}");
    }
}

/// Posts a webhook. Returns the status.
async fn send(receiver: &RunningProcess, headers: &[(&str, &str)], n: usize) -> u16 {
    let url = format!("http://{}/in/salpre", receiver.address);
    Client::new(PATIENCE).post(&url, headers, call(n).into()).await.unwrap().status
}

/// Panics once, then works.
fn fails_once(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    assert!(CALLS.fetch_add(1, Ordering::SeqCst) > 0, "the first try fails");
    providers::normalize(webhook)
}

#[tokio::test]
async fn a_webhook_is_one_trace_from_its_request_over_a_retry_to_its_event() {
    let (collector, settings) = Collector::start().await;
    let headers = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(headers.path(), "x-tenant: ours\n").unwrap();
    let more = format!(
        "headers_file = \"{}\"\nresource = [\"deployment.environment.name=test\"]\n",
        headers.path().display()
    );
    let world = World::with(&(settings + &more)).await;
    let (receiver, worker) = (world.receiver().await, world.worker_with(fails_once));
    receiver.ready().await;
    assert_eq!(send(&receiver, &[("traceparent", SENDER), ("tracestate", "vendor=1")], 1).await, 200);
    let event = world.events(1).await.remove(0);
    let publishing = collector.wait_for("publish hookswitch.published:", 1).await.remove(0);
    let tries = collector.wait_for("process ", 2).await;
    let storing = collector.wait_for("publish hookswitch.raw:", 1).await.remove(0);
    let request = collector.wait_for("POST ", 1).await.remove(0);
    receiver.finish().await;
    worker.finish().await;
    let spans = collector.spans();
    assert_eq!(spans.len(), 5, "{spans:?}");
    assert!(spans.iter().all(|span| hex::encode(&span.trace_id) == "0af7651916cd43dd8448eb211c80319c"));

    let [failed, done] = &tries[..] else { panic!("{tries:?}") };
    assert_eq!(hex::encode(&request.parent_span_id), "b7ad6b7169203331");
    assert_eq!(storing.parent_span_id, request.span_id);
    assert!(
        tries.iter().all(|span| span.parent_span_id == storing.span_id) && failed.span_id != done.span_id
    );
    assert_eq!(publishing.parent_span_id, done.span_id);
    let expected = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", hex::encode(&publishing.span_id));
    assert_eq!(
        (event["traceparent"].as_str().unwrap(), event["tracestate"].as_str()),
        (&*expected, Some("vendor=1"))
    );
    // Server, producer and consumer, each within its parent.
    assert_eq!([&request, &storing, failed, done, &publishing].map(|span| span.kind), [2, 4, 5, 5, 4]);
    for (inner, outer) in [(&storing, &request), (&publishing, done)] {
        assert!(outer.start_time_unix_nano <= inner.start_time_unix_nano);
        assert!(inner.end_time_unix_nano <= outer.end_time_unix_nano);
    }

    let delivery_id = event["deliveryid"].as_str().unwrap();
    assert_has(
        &request,
        &[
            ("http.request.method", "POST"),
            ("http.route", "/in/{source}"),
            ("http.response.status_code", "200"),
            ("url.scheme", "http"),
            ("hookswitch.source", "salpre"),
        ],
    );
    let of_messages = ("messaging.system", "rabbitmq");
    let (size, id) = (call(1).len().to_string(), ("messaging.message.id", delivery_id));
    assert_has(
        &storing,
        &[
            of_messages,
            id,
            ("messaging.operation.name", "publish"),
            ("messaging.operation.type", "send"),
            ("messaging.destination.name", "hookswitch.raw:salpre"),
            ("messaging.message.body.size", &size),
        ],
    );
    let destination = ("messaging.destination.name", "hookswitch.raw:salpre:raw.salpre");
    let of_process = [of_messages, id, destination, ("messaging.operation.type", "process")];
    tries.iter().for_each(|span| assert_has(span, &of_process));
    let retry =
        [("hookswitch.disposition", "retry"), ("hookswitch.retry.tier", "200ms"), ("error.type", "_OTHER")];
    assert_has(failed, &retry);
    assert_has(done, &[("hookswitch.disposition", "done"), ("hookswitch.attempt", "1")]);
    let key = ("messaging.rabbitmq.destination.routing_key", "call.initiated.salpre");
    assert_has(&publishing, &[of_messages, key, ("messaging.message.id", event["id"].as_str().unwrap())]);
    let resource = collector.resources.lock().unwrap()[0].clone();
    assert_eq!(resource["service.name"], "hookswitch");
    assert_eq!(resource["deployment.environment.name"], "test");
    assert_eq!(*collector.tenants.lock().unwrap(), BTreeSet::from(["ours".to_owned()]));
    assert!(!format!("{spans:?}").contains("905555"), "no phone number leaves in a span");
}

#[tokio::test]
async fn a_sender_that_does_not_record_its_trace_has_no_spans() {
    let (collector, settings) = Collector::start().await;
    let world = World::with(&settings).await;
    let (receiver, worker) = (world.receiver().await, world.worker());
    receiver.ready().await;
    let unsampled = SENDER.replace("-01", "-00");
    assert_eq!(send(&receiver, &[("traceparent", &unsampled)], 1).await, 200);
    let event = world.events(1).await.remove(0);
    assert_eq!(event["traceparent"], unsampled.as_str(), "it stays as it came");
    assert_eq!(send(&receiver, &[], 2).await, 200);
    let event = world.events(1).await.remove(0);
    collector.wait_for("publish hookswitch.published:", 1).await;
    receiver.finish().await;
    worker.finish().await;
    // A webhook without a trace has the one that its delivery id names.
    let own = event["deliveryid"].as_str().unwrap().replace('-', "");
    let of: BTreeSet<_> = collector.spans().iter().map(|span| hex::encode(&span.trace_id)).collect();
    assert_eq!(of, BTreeSet::from([own.clone()]));
    assert!(event["traceparent"].as_str().unwrap().starts_with(&format!("00-{own}-")), "{event}");
}

#[tokio::test]
async fn a_refused_request_is_a_trace_of_its_own_whatever_its_sender_says() {
    let (collector, settings) = Collector::start().await;
    let guarded = "[sources.guarded]\nprovider = \"varda\"\nauth = \"header_token\"\n";
    let secret = "auth_header = \"x-token\"\nsecret = \"word\"\n";
    let world = World::with(&[&settings, guarded, secret].concat()).await;
    let receiver = world.receiver().await;
    let url = format!("http://{}/in/guarded", receiver.address);
    let headers = [("traceparent", SENDER), ("x-token", "wrong")];
    assert_eq!(Client::new(PATIENCE).post(&url, &headers, Bytes::from("{}")).await.unwrap().status, 401);
    let request = collector.wait_for("POST ", 1).await.remove(0);
    assert_ne!(hex::encode(&request.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_has(&request, &[("http.response.status_code", "401"), ("error.type", "unauthenticated")]);
    assert_eq!(request.status.unwrap_or_default().code, 0, "no error of the server");
    receiver.finish().await;
}

#[tokio::test]
async fn the_span_of_a_batch_links_its_deliveries() {
    let (collector, settings) = Collector::start().await;
    let world = World::with(&settings).await;
    world.accept("salpre", (0..20).map(call)).await;
    let worker = world.worker();
    assert_eq!(world.events(20).await.len(), 20);
    let tries = collector.wait_for("process ", 20).await;
    worker.finish().await;
    let span_of = |span: &Span| (span.trace_id.clone(), span.span_id.clone());
    let (of_tries, mut linked) = (tries.iter().map(span_of).collect::<BTreeSet<_>>(), 0);
    for batch in collector.wait_for("batch ", 1).await {
        let links: BTreeSet<_> =
            batch.links.iter().map(|link| (link.trace_id.clone(), link.span_id.clone())).collect();
        assert!(links.is_subset(&of_tries) && batch.parent_span_id.is_empty());
        assert_has(&batch, &[("messaging.batch.message_count", &links.len().to_string())]);
        linked += links.len();
    }
    assert!(linked > 1, "{linked}");
}

#[tokio::test]
async fn a_webhook_that_is_processed_again_gives_the_same_bytes() {
    let (_collector, settings) = Collector::start().await;
    let world = World::with(&settings).await;
    let worker = world.worker();
    let webhook = queued("salpre", call(1));
    let mut events = Vec::new();
    for _ in 0..2 {
        world.publish([routes::accept(&webhook)]).await;
        events.push(world.drain("events.all", 1).await.remove(0));
        // As if the worker had died before it marked the key.
        let forget = "for _, key in ipairs(redis.call('KEYS', '*:d:*')) do redis.call('DEL', key) end";
        let () = redis::cmd("EVAL").arg(forget).arg(0).query_async(&mut world.redis().await).await.unwrap();
    }
    let [(first, properties), (second, _)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(String::from_utf8_lossy(first), String::from_utf8_lossy(second));
    let event: serde_json::Value = serde_json::from_slice(first).unwrap();
    let lapin::types::AMQPValue::LongString(in_header) =
        &properties.headers().as_ref().unwrap().inner()["traceparent"]
    else {
        panic!("{properties:?}")
    };
    assert_eq!(event["traceparent"], in_header.to_string());
    worker.finish().await;
}

#[tokio::test]
async fn a_dead_collector_costs_its_spans_and_nothing_else() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!("[tracing]\nendpoint = \"http://127.0.0.1:{port}\"\nsample_ratio = 1.0\n");
    let world = World::with(&settings).await;
    world.accept("salpre", (0..300).map(call)).await;
    let worker = world.worker();
    assert_eq!(world.events(300).await.len(), 300);
    until("spans are counted as lost", async || worker.metric("hookswitch_spans_dropped_total") > 0.0).await;
    assert_eq!(worker.metric("hookswitch_spans_exported_total"), 0.0);
    worker.finish().await;
}

#[tokio::test]
async fn without_a_collector_an_event_has_what_the_sender_wrote() {
    let world = World::new().await;
    let (receiver, worker) = (world.receiver().await, world.worker());
    receiver.ready().await;
    assert_eq!(send(&receiver, &[("traceparent", SENDER)], 1).await, 200);
    assert_eq!(world.events(1).await[0]["traceparent"], SENDER);
    assert_eq!(send(&receiver, &[], 2).await, 200);
    assert!(world.events(1).await[0].get("traceparent").is_none());
    receiver.finish().await;
    worker.finish().await;
}
