//! The thin receiver: takes a webhook over HTTP and answers 200 only when the broker has confirmed it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use uuid::Uuid;

use super::settle;
use crate::{
    config::{Config, Source},
    core::auth::AuthError,
    core::webhook::{DeliveryId, Headers, SourceName, Webhook},
    edge::amqp::{
        message::{History, Inbound},
        publisher::{PublishError, Publisher},
    },
};

/// What the receiver needs of the world: the broker and its limits.
pub struct Receiver {
    config: Config,
    publisher: Publisher,
    metrics: Arc<ReceiverMetrics>,
}

/// Why a webhook was not taken; its status tells the provider whether to send again.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("no such source")]
    UnknownSource,
    #[error("not authenticated")]
    NotAuthenticated(AuthError),
    #[error("the body is larger than the source's limit of {0} bytes")]
    TooLarge(usize),
    #[error("the body is empty")]
    Empty,
    #[error("the body did not come in time")]
    TooSlow,
    #[error("the body broke off")]
    BrokeOff,
    #[error("not taken now, send again: {0}")]
    NotTaken(PublishError),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::UnknownSource => StatusCode::NOT_FOUND,
            Self::NotAuthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Empty | Self::BrokeOff => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NotTaken(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Receiver {
    /// A receiver over a started link.
    pub fn new(config: Config, publisher: Publisher, metrics: Arc<ReceiverMetrics>) -> Arc<Self> {
        Arc::new(Self { config, publisher, metrics })
    }

    /// `POST /in/<source>`, `GET /livez`, `GET /readyz`.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/in/{source}", post(take).fallback(only_post))
            .route("/livez", get(async || "alive\n"))
            .route("/readyz", get(ready))
            .with_state(self)
    }

    /// Reads, checks and publishes; the answer is 200 only after the confirm.
    async fn accept(&self, source: &SourceName, settings: &Source, request: Request) -> Result<(), Refusal> {
        let (parts, body) = request.into_parts();
        let body = self.read(&parts.headers, body, settings.body_bytes_max).await?;
        if body.is_empty() {
            return Err(Refusal::Empty);
        }
        let received_at = Timestamp::now();
        let all = headers_of(&parts.headers);
        settings.auth.check(&all, &body, received_at.as_second()).map_err(Refusal::NotAuthenticated)?;
        let content_type = all.get("content-type").map(ToOwned::to_owned);
        let webhook = Webhook {
            delivery_id: DeliveryId::new(Uuid::now_v7()),
            source: source.clone(),
            provider: settings.provider,
            received_at,
            headers: self.capture(settings, &all),
            body,
        };
        let inbound = Inbound { webhook, content_type, history: History::default() };
        let patience = self.config.receiver.confirm_timeout;
        let mut publication = settle::accept(&inbound);
        publication.not_after = Instant::now() + patience;
        self.publisher.publish(publication, patience).await.map_err(Refusal::NotTaken)?;
        tracing::debug!(%source, delivery_id = %inbound.webhook.delivery_id, "accepted");
        Ok(())
    }

    /// Reads the body, as far as size and time allow.
    async fn read(&self, headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, Refusal> {
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > bytes_max) {
            return Err(Refusal::TooLarge(bytes_max));
        }
        let reading = Limited::new(body, bytes_max).collect();
        match tokio::time::timeout(self.config.receiver.read_timeout, reading).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge(bytes_max)),
            Ok(Err(_)) => Err(Refusal::BrokeOff),
            Err(_) => Err(Refusal::TooSlow),
        }
    }

    /// The headers that matter, within the budget; never one that carries a secret.
    fn capture(&self, settings: &Source, all: &Headers) -> Headers {
        let mut left = self.config.receiver.header_bytes_max;
        let mut captured = Headers::default();
        for (name, value) in all.iter() {
            let wanted = settings.provider.headers().contains(&name)
                || name == "traceparent"
                || settings.capture_headers.iter().any(|wanted| wanted == name);
            let secret = matches!(name, "authorization" | "cookie") || settings.auth.secret_header() == Some(name);
            if !wanted || secret {
                continue;
            }
            match left.checked_sub(name.len() + value.len()) {
                Some(rest) => {
                    left = rest;
                    captured.push(name, value);
                }
                None => {
                    self.metrics.headers_left_out.inc();
                }
            }
        }
        captured
    }
}

async fn take(State(receiver): State<Arc<Receiver>>, Path(source): Path<String>, request: Request) -> Response {
    let began = Instant::now();
    let name = source.parse::<SourceName>().ok();
    let Some((source, settings)) = name.as_ref().and_then(|name| receiver.config.sources.get_key_value(name)) else {
        // The name is the sender's: it is no label.
        receiver.metrics.answered("unknown", StatusCode::NOT_FOUND, began.elapsed());
        return refuse(&Refusal::UnknownSource, receiver.config.receiver.retry_after);
    };
    let busy = InFlight::new(&receiver.metrics);
    let outcome = receiver.accept(source, settings, request).await;
    drop(busy);
    let (status, response) = match outcome {
        Ok(()) => (StatusCode::OK, answer(settings)),
        Err(refusal) => {
            let status = refusal.status();
            if matches!(refusal, Refusal::NotTaken(_)) {
                tracing::warn!(%source, %refusal, "not taken");
            } else if let Refusal::NotAuthenticated(cause) = &refusal {
                // The log may know why; the sender may not.
                tracing::info!(%source, status = status.as_u16(), %cause, "refused");
            } else {
                tracing::info!(%source, status = status.as_u16(), %refusal, "refused");
            }
            (status, refuse(&refusal, receiver.config.receiver.retry_after))
        }
    };
    receiver.metrics.answered(source.as_str(), status, began.elapsed());
    response
}

/// The source's static answer.
fn answer(settings: &Source) -> Response {
    if settings.answer_body.is_empty() {
        return StatusCode::OK.into_response();
    }
    let content_type = HeaderValue::from_str(&settings.answer_content_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    ([(header::CONTENT_TYPE, content_type)], settings.answer_body.clone()).into_response()
}

fn refuse(refusal: &Refusal, retry_after: Duration) -> Response {
    let status = refusal.status();
    let mut response = (status, format!("{refusal}\n")).into_response();
    let headers = response.headers_mut();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
    }
    if !matches!(refusal, Refusal::NotTaken(_) | Refusal::UnknownSource | Refusal::NotAuthenticated(_) | Refusal::Empty) {
        // What is left of the body is not read: the connection is of no more use.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn only_post() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], "webhooks are posted\n").into_response()
}

/// The truth about the broker.
async fn ready(State(receiver): State<Arc<Receiver>>) -> Response {
    match receiver.publisher.trouble() {
        None => "ready\n".into_response(),
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {trouble}\n")).into_response(),
    }
}

/// All headers of a request; a value that is no UTF-8 is kept as well as it can be.
fn headers_of(map: &HeaderMap) -> Headers {
    map.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect()
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    source: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: String,
}

/// What a receiver counts.
#[derive(Debug)]
pub struct ReceiverMetrics {
    answers: Family<AnswerLabels, Counter>,
    accept_seconds: Family<SourceLabel, Histogram>,
    in_flight: Gauge,
    headers_left_out: Counter,
}

impl ReceiverMetrics {
    /// Makes and registers them.
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        let buckets = || Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        let metrics = Self {
            answers: Family::default(),
            accept_seconds: Family::new_with_constructor(buckets),
            in_flight: Gauge::default(),
            headers_left_out: Counter::default(),
        };
        registry.register("hookswitch_received", "Webhooks answered, by source and status", metrics.answers.clone());
        registry.register(
            "hookswitch_accept_seconds",
            "From the request's headers to the 200",
            metrics.accept_seconds.clone(),
        );
        registry.register("hookswitch_requests_in_flight", "Requests in work", metrics.in_flight.clone());
        registry.register(
            "hookswitch_headers_left_out",
            "Headers that did not fit receiver.header_bytes_max",
            metrics.headers_left_out.clone(),
        );
        Arc::new(metrics)
    }

    fn answered(&self, source: &str, status: StatusCode, took: Duration) {
        let labels = AnswerLabels { source: source.to_owned(), status: status.as_u16() };
        self.answers.get_or_create(&labels).inc();
        if status == StatusCode::OK {
            let label = SourceLabel { source: source.to_owned() };
            self.accept_seconds.get_or_create(&label).observe(took.as_secs_f64());
        }
    }
}

/// Counts a request as in flight until dropped, even if the sender breaks off.
struct InFlight<'a>(&'a ReceiverMetrics);

impl<'a> InFlight<'a> {
    fn new(metrics: &'a ReceiverMetrics) -> Self {
        metrics.in_flight.inc();
        Self(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}
