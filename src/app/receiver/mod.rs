//! The receiver: `POST /in/<source>` is answered with 200 only when the broker holds the webhook.
//!
//! Any other answer is a status that makes the provider retry or tells its operator what is wrong. Nothing
//! here waits without a limit, and nothing parses the body.

mod body;
pub mod gather;
mod refusal;
mod request;
pub mod sink;
mod traced;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use jiff::Timestamp;
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::timeout,
};
use uuid::Uuid;

use self::{
    refusal::Refusal,
    sink::{RawSink, SinkError},
    traced::RequestTrace,
};
use super::fairness::Fairness;
use crate::{
    config::{self, Source},
    core::webhook::{DeliveryId, SourceName, Webhook, text_of_value},
    edge::{
        http::{Limits, Memory, Server},
        metrics::{ReceiverMetrics, UNKNOWN_SOURCE},
        tls::Presented,
        traces::Tracer,
    },
};

/// The receiver of all sources, under one configuration. A new one takes its place (see [`Receiver::next`]),
/// and each request ends with the one with which it began.
#[derive(Debug)]
pub struct Receiver<S> {
    settings: config::Receiver,
    inlets: BTreeMap<SourceName, Inlet>,
    /// For requests in progress, over all connections.
    memory: Memory,
    fairness: Arc<Fairness>,
    sink: S,
    metrics: Arc<ReceiverMetrics>,
    tracer: Option<Tracer>,
}

/// The endpoint of one source.
#[derive(Debug)]
struct Inlet {
    source: Source,
    /// Its share of the memory: requests to one source, authentic or not, leave room for the others.
    memory: Memory,
    /// Permits for its webhooks to be on their way to the broker while other sources are active too.
    turns: Semaphore,
}

impl<S: RawSink + 'static> Receiver<S> {
    /// Creates a receiver for `sources` that stores their webhooks in `sink`.
    pub fn new(
        settings: config::Receiver,
        sources: BTreeMap<SourceName, Source>,
        sink: S,
        metrics: Arc<ReceiverMetrics>,
    ) -> Self {
        let (memory, fairness) = (Memory::new(settings.memory_max), Arc::default());
        Self::of(settings, sources, memory, fairness, sink, metrics)
    }

    /// Creates the receiver that takes this one's place: the memory of requests in progress counts for both.
    #[must_use]
    pub fn next(&self, settings: config::Receiver, sources: BTreeMap<SourceName, Source>, sink: S) -> Self {
        let Self { memory, fairness, metrics, tracer, .. } = self;
        memory.resize(settings.memory_max);
        Self::of(settings, sources, memory.clone(), fairness.clone(), sink, metrics.clone())
            .with_tracer(tracer.clone())
    }

    fn of(
        settings: config::Receiver,
        sources: BTreeMap<SourceName, Source>,
        memory: Memory,
        fairness: Arc<Fairness>,
        sink: S,
        metrics: Arc<ReceiverMetrics>,
    ) -> Self {
        let share = if sources.len() > 1 { settings.memory_max / 2 } else { settings.memory_max };
        let inlet = |source| Inlet {
            source,
            memory: memory.share(share),
            turns: Semaphore::new(settings.concurrency_shared),
        };
        let inlets = sources.into_iter().map(|(name, source)| (name, inlet(source))).collect();
        Self { settings, inlets, memory, fairness, sink, metrics, tracer: None }
    }

    /// Has the traces of requests recorded.
    #[must_use]
    pub fn with_tracer(self, tracer: Option<Tracer>) -> Self {
        Self { tracer, ..self }
    }

    /// Returns a server of `/in/<source>`, `/livez` and `/readyz`, which has each request answered by the
    /// newest receiver; with HTTPS if there is a certificate.
    pub fn server(
        newest: watch::Receiver<Arc<Self>>,
        limits: watch::Receiver<Limits>,
        presented: Option<&Presented>,
    ) -> Server {
        let (memory, metrics) = (newest.borrow().memory.clone(), Arc::clone(&newest.borrow().metrics));
        let (ready, other) = (newest.clone(), newest.clone());
        let receiver = |newest: &watch::Receiver<Arc<Self>>| Arc::clone(&newest.borrow());
        let router = Router::new()
            .route("/livez", get(|| async { "alive\n" }))
            .route("/readyz", get(move || std::future::ready(receiver(&ready).readiness())))
            .fallback(move |request| receiver(&newest).answer(request))
            .method_not_allowed_fallback(move |request| receiver(&other).answer(request));
        Server::new(router, limits)
            .with_tls(presented)
            .with_memory(memory)
            .on_rejected(move |rejected| metrics.rejected(rejected.as_str(), rejected.status()))
    }

    fn readiness(&self) -> Response {
        if self.sink.ready() {
            "ready\n".into_response()
        } else {
            refusal::unavailable("not ready: webhooks cannot be stored now\n", self.settings.retry_after)
        }
    }

    /// Handles one request: stores the webhook, answers, counts.
    async fn answer(self: Arc<Self>, request: Request) -> Response {
        let started = Instant::now();
        let _in_flight = self.metrics.enter();
        let length = request::content_length(request.headers());
        // Named before it is known whether the webhook is accepted, so that each line in the log can name it.
        let id = DeliveryId::new(Uuid::now_v7());
        let tracer = self.tracer.as_ref();
        let mut trace = tracer.map(|tracer| RequestTrace::begin(tracer, id, request.method(), started));
        let found = source_of(request.uri().path()).and_then(|name| self.find(name));
        let (label, result) = match found {
            Some((name, inlet)) => {
                let stored = self.store(name, inlet, id, length, request, &mut trace).await;
                (name.as_str(), stored.map(|()| &inlet.source))
            }
            None => (UNKNOWN_SOURCE, Err(Refusal::UnknownSource)),
        };
        let refusal = result.as_ref().err().map(|refusal| refusal.as_str());
        let response = match result {
            Ok(source) => {
                tracing::debug!(source = label, delivery_id = %id, length, "webhook accepted");
                accepted(source, id)
            }
            Err(refusal) => {
                refusal.log(label, id, length);
                self.metrics.refused(label, refusal.as_str());
                refusal.response(self.settings.retry_after)
            }
        };
        let status = response.status().as_u16();
        self.metrics.answered(label, status, started.elapsed().as_secs_f64());
        if let Some(trace) = trace {
            trace.end(label, status, refusal);
        }
        response
    }

    fn find(&self, name: &str) -> Option<(&SourceName, &Inlet)> {
        self.inlets.get_key_value(&name.parse().ok()?)
    }

    /// Reads, authenticates and stores one webhook. When this returns `Ok`, the webhook may be answered with
    /// 200.
    async fn store(
        &self,
        name: &SourceName,
        Inlet { source, memory, turns }: &Inlet,
        delivery_id: DeliveryId,
        length: Option<u64>,
        request: Request,
        trace: &mut Option<RequestTrace<'_>>,
    ) -> Result<(), Refusal> {
        let (parts, body) = request.into_parts();
        let (proof, coding) = request::check_head(source, &parts, length)?;
        // The body takes its memory as it arrives. If it cannot fit, nothing of it is read.
        if !length.is_none_or(|length| memory.has_room_for(usize::try_from(length).unwrap_or(usize::MAX))) {
            return Err(Refusal::NoMemory);
        }
        let mut held = memory.hold();
        let (bytes_max, time_max) = (source.body_bytes_max, self.settings.read_timeout);
        let encoded = body::read(body, length, bytes_max, time_max, &mut held).await?;
        let received_at = Timestamp::now();
        proof.check_body(&encoded, received_at).map_err(Refusal::Unauthenticated)?;
        request::check_contract(source, &parts.headers)?;
        let body = body::keep(coding.decode(encoded, bytes_max, &mut held)?, held);
        let (headers, left_out) = request::capture(source, &parts.headers, self.settings.header_bytes_max);
        self.metrics.headers_left_out(name.as_str(), left_out);
        let webhook = Webhook {
            delivery_id,
            source: name.clone(),
            provider: source.provider,
            received_at,
            headers,
            body,
        };
        let content_type =
            parts.headers.get(header::CONTENT_TYPE).map(|value| text_of_value(value.as_bytes()));
        let span = trace.as_mut().and_then(|trace| trace.decide(&webhook));
        self.fairness.note(name);
        let storing = async {
            let _turn = self.turn(name, turns).await?;
            if let Some(trace) = trace {
                trace.sent();
            }
            self.sink.accept(webhook, content_type, span).await
        };
        let stored = timeout(self.settings.confirm_timeout, storing).await;
        stored.unwrap_or(Err(SinkError::TimedOut)).map_err(Refusal::Sink)
    }

    /// Waits, if other sources are active, until few enough webhooks of this one are on their way to the
    /// broker.
    async fn turn<'t>(
        &self,
        name: &SourceName,
        turns: &'t Semaphore,
    ) -> Result<Option<SemaphorePermit<'t>>, SinkError> {
        // A webhook that need not wait takes a permit all the same, if there is one. While the broker takes
        // nothing there is nothing to wait for.
        if !self.fairness.others_are_active(name) || !self.sink.ready() {
            return Ok(turns.try_acquire().ok());
        }
        // The other half of the time is for the broker: what is published at the last moment would get a 503
        // and be sent again.
        let patience = self.settings.confirm_timeout / 2;
        timeout(patience, turns.acquire()).await.map(Result::ok).map_err(|_| SinkError::Crowded)
    }
}

/// Returns the name in `/in/<name>`. Empty segments do not count: an address that ends in `/`, or joins to
/// `//`, means the same.
fn source_of(path: &str) -> Option<&str> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    match (segments.next(), segments.next(), segments.next()) {
        (Some("in"), Some(name), None) => Some(name),
        _ => None,
    }
}

/// Returns the answer that the source is configured to give. It is always a 200, since three of five
/// providers count any other status as a failure.
fn accepted(source: &Source, id: DeliveryId) -> Response {
    let mut response = Response::new(Body::from(source.answer_body.clone()));
    if !source.answer_body.is_empty()
        && let Ok(value) = HeaderValue::from_str(&source.answer_content_type)
    {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert("hookswitch-delivery", value);
    }
    response
}
