//! The receiver: `POST /in/<source>` is answered with 200 only when the broker holds the webhook.
//!
//! Any other answer is a status that makes the provider retry or tells its operator what is wrong. Nothing
//! here waits without a limit, and nothing parses the body.

mod refusal;
mod request;
pub mod sink;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use jiff::Timestamp;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use uuid::Uuid;

use self::{
    refusal::Refusal,
    sink::{RawSink, SinkError},
};
use super::fairness::Fairness;
use crate::{
    config::{self, Source},
    core::webhook::{DeliveryId, SourceName, Webhook},
    edge::metrics::{ReceiverMetrics, UNKNOWN_SOURCE},
};

/// The receiver of all sources.
#[derive(Debug)]
pub struct Receiver<S> {
    settings: config::Receiver,
    inlets: BTreeMap<SourceName, Inlet>,
    fairness: Fairness,
    sink: S,
    metrics: Arc<ReceiverMetrics>,
}

/// The endpoint of one source.
#[derive(Debug)]
struct Inlet {
    source: Source,
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
        let inlet = |source| Inlet { source, turns: Semaphore::new(settings.concurrency_shared) };
        let inlets = sources.into_iter().map(|(name, source)| (name, inlet(source))).collect();
        Self { settings, inlets, fairness: Fairness::default(), sink, metrics }
    }

    /// Returns the routes `/in/<source>`, `/livez` and `/readyz`.
    pub fn router(self) -> Router {
        let receiver = Arc::new(self);
        let ready = Arc::clone(&receiver);
        Router::new()
            .route("/in/{source}", any(move |request| Arc::clone(&receiver).answer(request)))
            .route("/livez", get(|| async { "alive\n" }))
            .route("/readyz", get(move || std::future::ready(ready.readiness())))
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
        let found = request.uri().path().strip_prefix("/in/").and_then(|name| self.find(name));
        let (label, result) = match found {
            Some((name, inlet)) => {
                let stored = self.store(name, inlet, request).await;
                (name.as_str(), stored.map(|id| (&inlet.source, id)))
            }
            None => {
                let (parts, body) = request.into_parts();
                request::linger(&parts, body);
                (UNKNOWN_SOURCE, Err(Refusal::UnknownSource))
            }
        };
        let response = match result {
            Ok((source, id)) => {
                tracing::debug!(source = label, delivery = %id, length, "webhook accepted");
                accepted(source, id)
            }
            Err(refusal) => {
                refusal.log(label, length);
                refusal.response(self.settings.retry_after)
            }
        };
        self.metrics.answered(label, response.status().as_u16(), started.elapsed().as_secs_f64());
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
        Inlet { source, turns }: &Inlet,
        request: Request,
    ) -> Result<DeliveryId, Refusal> {
        let (parts, body) = request.into_parts();
        if let Err(refusal) = request::check_head(source, &parts) {
            request::linger(&parts, body);
            return Err(refusal);
        }
        let body = request::read_body(source, &parts, body, self.settings.read_timeout).await?;
        let received_at = Timestamp::now();
        if source.auth.reads_body() {
            request::authenticate(source, &parts.headers, &body)?;
        }
        let (headers, left_out) = request::capture(source, &parts.headers, self.settings.header_bytes_max);
        self.metrics.headers_left_out(name.as_str(), left_out);
        let delivery_id = DeliveryId::new(Uuid::now_v7());
        let webhook = Webhook {
            delivery_id,
            source: name.clone(),
            provider: source.provider,
            received_at,
            headers,
            body,
        };
        let content_type = parts.headers.get(header::CONTENT_TYPE).map(request::text);
        self.fairness.note(name);
        let storing = async {
            let _turn = self.turn(name, turns).await?;
            self.sink.accept(webhook, content_type).await
        };
        let stored = timeout(self.settings.confirm_timeout, storing).await;
        stored.unwrap_or(Err(SinkError::TimedOut)).map_err(Refusal::Sink)?;
        Ok(delivery_id)
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
