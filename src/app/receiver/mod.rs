//! The receiver: `POST /in/<source>` is answered 200 only when the broker holds the webhook.
//!
//! Everything else is a status that makes the provider send again or tells its operator what is wrong.
//! Nothing here waits without a limit, and nothing looks into the body.

pub mod sink;

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
    routing::{any, get},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use uuid::Uuid;

use super::fairness::Fairness;
use crate::{
    config::{self, Source},
    core::{
        auth::AuthError,
        shard::ShardBy,
        webhook::{DeliveryId, Headers, SourceName, Webhook},
    },
    edge::metrics::receiver::{ReceiverMetrics, UNKNOWN_SOURCE},
};

/// Where accepted webhooks go: the broker, or a fake in tests.
pub trait RawSink: Send + Sync {
    /// Stores a webhook so that a crash does not lose it. `content_type` is the request's, as sent.
    ///
    /// Dropped when the receiver's deadline is over; then the outcome is unknown, and the provider sends again.
    fn accept(
        &self,
        webhook: Webhook,
        content_type: Option<String>,
    ) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// Whether a webhook would be taken now, as far as can be known without trying.
    fn ready(&self) -> bool;
}

/// Why a webhook could not be stored. Always our trouble, never the sender's: all give 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The broker cannot be used, in a few words why.
    #[error("the broker cannot be used: {0}")]
    Unavailable(&'static str),
    /// The broker answered with a nack: its queue is full, mostly.
    #[error("the broker refused the webhook")]
    Refused,
    /// No queue is bound where it was published.
    #[error("no queue is bound for the source")]
    Unroutable,
    /// No confirm within the deadline.
    #[error("the broker did not confirm in time")]
    TimedOut,
    /// Not even tried: too many webhooks of the source wait for the broker, and others shall not wait behind them.
    #[error("too many webhooks of this source wait for the broker (receiver.concurrency_shared)")]
    Crowded,
}

/// Why a request is not answered 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("no such source")]
    UnknownSource,
    #[error("only POST is taken here")]
    Method,
    #[error("the sender is not authenticated: {0}")]
    Unauthenticated(AuthError),
    #[error("the body is larger than the source takes")]
    TooLarge,
    #[error("the body is empty")]
    Empty,
    #[error("the body did not come in time")]
    Slow,
    #[error("the body broke off")]
    Broken,
    #[error("{0}")]
    Sink(SinkError),
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::UnknownSource => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Empty | Self::Broken => StatusCode::BAD_REQUEST,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Sink(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What the sender is told: nothing about why a proof failed, nothing about the broker.
    fn answer(self) -> &'static str {
        match self {
            Self::UnknownSource => "no such source\n",
            Self::Method => "only POST is taken here\n",
            Self::Unauthenticated(_) => "not authenticated\n",
            Self::TooLarge => "the body is too large\n",
            Self::Empty => "the body is empty\n",
            Self::Slow => "the body did not come in time\n",
            Self::Broken => "the body broke off\n",
            Self::Sink(_) => "not stored: send again later\n",
        }
    }

    /// One line, at the level of who must act: 404 and 405 are noise of the internet, 401 and 413 a sender
    /// set up wrong, 503 is ours.
    fn log(self, source: &str, length: Option<u64>) {
        let status = self.status().as_u16();
        match self {
            Self::UnknownSource | Self::Method | Self::Empty | Self::Slow | Self::Broken => {
                tracing::debug!(source, status, length, "refused: {self}");
            }
            Self::Unauthenticated(_) | Self::TooLarge => {
                tracing::info!(source, status, length, "refused: {self}");
            }
            Self::Sink(_) => tracing::warn!(source, status, length, "not accepted: {self}"),
        }
    }
}

/// The receiver of all sources.
#[derive(Debug)]
pub struct Receiver<S> {
    settings: config::Receiver,
    inlets: BTreeMap<SourceName, Inlet>,
    fairness: Fairness,
    sink: S,
    metrics: Arc<ReceiverMetrics>,
}

/// Where one source's webhooks come in.
#[derive(Debug)]
struct Inlet {
    source: Source,
    /// What its webhooks take turns by while other sources send too.
    turns: Semaphore,
}

impl<S: RawSink + 'static> Receiver<S> {
    /// A receiver for `sources` that stores in `sink`.
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

    /// `/in/<source>`, `/livez` and `/readyz`.
    pub fn router(self) -> Router {
        let receiver = Arc::new(self);
        let ready = Arc::clone(&receiver);
        Router::new()
            .route("/in/{source}", any(move |request| Arc::clone(&receiver).answer(request)))
            .route("/livez", get(|| async { "live\n" }))
            .route("/readyz", get(move || std::future::ready(ready.readiness())))
    }

    fn readiness(&self) -> Response {
        if self.sink.ready() {
            respond(StatusCode::OK, "text/plain; charset=utf-8", Body::from("ready\n"))
        } else {
            let body = Body::from("not ready: the broker cannot be used\n");
            let mut response = respond(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", body);
            self.add_retry_after(&mut response);
            response
        }
    }

    /// The life of one request: take, answer, count.
    async fn answer(self: Arc<Self>, request: Request) -> Response {
        let started = Instant::now();
        let _in_flight = self.metrics.enter();
        let length = content_length(request.headers());
        let found = request.uri().path().strip_prefix("/in/").and_then(|name| self.find(name));
        let (label, result) = match found {
            Some((name, inlet)) => (name.as_str(), self.take(name, inlet, request).await),
            None => {
                let (parts, body) = request.into_parts();
                linger(&parts, body);
                (UNKNOWN_SOURCE, Err(Refusal::UnknownSource))
            }
        };
        let response = match (result, found) {
            (Ok(id), Some((_, inlet))) => {
                tracing::debug!(source = label, delivery = %id, length, "accepted");
                accepted(&inlet.source, id)
            }
            (Ok(_), None) => self.refused(Refusal::UnknownSource),
            (Err(refusal), _) => {
                refusal.log(label, length);
                self.refused(refusal)
            }
        };
        self.metrics.answered(label, response.status().as_u16(), started.elapsed().as_secs_f64());
        response
    }

    fn find(&self, name: &str) -> Option<(&SourceName, &Inlet)> {
        self.inlets.get_key_value(&name.parse().ok()?)
    }

    /// Everything between a request and its 200.
    async fn take(
        &self,
        name: &SourceName,
        Inlet { source, turns }: &Inlet,
        request: Request,
    ) -> Result<DeliveryId, Refusal> {
        let (parts, body) = request.into_parts();
        if let Err(refusal) = check_head(source, &parts) {
            linger(&parts, body);
            return Err(refusal);
        }
        let body = self.read(source, &parts, body).await?;
        let received_at = Timestamp::now();
        if source.auth.reads_body() {
            authenticate(source, &parts.headers, &body)?;
        }
        let (headers, left_out) = capture(source, &parts.headers, self.settings.header_bytes_max);
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
        let content_type = parts.headers.get(header::CONTENT_TYPE).map(text);
        self.fairness.note(name);
        let storing = async {
            let _turn = self.turn(name, turns).await?;
            self.sink.accept(webhook, content_type).await
        };
        let stored = timeout(self.settings.confirm_timeout, storing).await;
        stored.unwrap_or(Err(SinkError::TimedOut)).map_err(Refusal::Sink)?;
        Ok(delivery_id)
    }

    /// Waits until few enough webhooks of the source are on their way to the broker, if others send too.
    async fn turn<'t>(
        &self,
        name: &SourceName,
        turns: &'t Semaphore,
    ) -> Result<Option<SemaphorePermit<'t>>, SinkError> {
        // Whoever needs not wait counts all the same. While the broker takes nothing there is nothing to wait for.
        if !self.fairness.others_are_active(name) || !self.sink.ready() {
            return Ok(turns.try_acquire().ok());
        }
        // The rest of the time is the broker's: what is published at the last moment is answered 503, and comes again.
        let patience = self.settings.confirm_timeout / 2;
        timeout(patience, turns.acquire()).await.map(Result::ok).map_err(|_| SinkError::Crowded)
    }

    /// The whole body, counted while it comes: a chunked one does not say how long it is.
    async fn read(&self, source: &Source, parts: &Parts, mut body: Body) -> Result<Bytes, Refusal> {
        let reading = async {
            let mut whole = BytesMut::new();
            while let Some(frame) = body.frame().await {
                let Ok(data) = frame.map_err(|_| Refusal::Broken)?.into_data() else {
                    continue;
                };
                if whole.len() + data.len() > source.body_bytes_max {
                    return Err(Refusal::TooLarge);
                }
                whole.extend_from_slice(&data);
            }
            if whole.is_empty() { Err(Refusal::Empty) } else { Ok(whole.freeze()) }
        };
        let read = timeout(self.settings.read_timeout, reading).await.unwrap_or(Err(Refusal::Slow));
        if read == Err(Refusal::TooLarge) {
            linger(parts, body);
        }
        read
    }

    fn refused(&self, refusal: Refusal) -> Response {
        let mut response =
            respond(refusal.status(), "text/plain; charset=utf-8", Body::from(refusal.answer()));
        match refusal {
            Refusal::Method => {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            Refusal::Sink(_) => self.add_retry_after(&mut response),
            // What is left of the body is not worth reading: the connection ends with the answer.
            Refusal::TooLarge | Refusal::Slow | Refusal::Broken => {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Refusal::UnknownSource | Refusal::Unauthenticated(_) | Refusal::Empty => {}
        }
        response
    }

    fn add_retry_after(&self, response: &mut Response) {
        let seconds = HeaderValue::from(self.settings.retry_after.as_secs().max(1));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
}

/// What can be said before the body is read.
fn check_head(source: &Source, parts: &Parts) -> Result<(), Refusal> {
    if parts.method != Method::POST {
        return Err(Refusal::Method);
    }
    if !source.auth.reads_body() {
        authenticate(source, &parts.headers, &[])?;
    }
    match content_length(&parts.headers) {
        Some(length) if length > source.body_bytes_max as u64 => Err(Refusal::TooLarge),
        Some(_) | None => Ok(()),
    }
}

fn authenticate(source: &Source, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
    let lookup = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    source.auth.check(lookup, body, Timestamp::now()).map_err(Refusal::Unauthenticated)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Headers that are never captured, whatever the configuration says.
const NEVER_CAPTURED: [&str; 4] = ["authorization", "cookie", "set-cookie", "proxy-authorization"];

/// The headers that go along with the webhook, and how many did not fit.
///
/// Those of the provider's contract come first, then the one that chooses the shard: the idempotency key may stand in
/// one, and an allowlist must not push it out. A replay chooses the shard anew, so that header goes along too.
fn capture(source: &Source, headers: &HeaderMap, bytes_max: usize) -> (Headers, u64) {
    let allowed = source.capture_headers.iter().map(String::as_str);
    let shard_by = match source.sharding.by() {
        Some(ShardBy::Header(name)) => Some(name.as_str()),
        Some(ShardBy::Pointer(_)) | None => None,
    };
    let contract = source.provider.headers().iter().copied();
    let wanted = contract.chain(["traceparent"]).chain(shard_by).chain(allowed);
    let (mut captured, mut seen, mut left_out, mut used) = (Headers::default(), Vec::new(), 0, 0);
    for name in wanted {
        let secret = NEVER_CAPTURED.contains(&name) || source.auth.proof_header() == Some(name);
        if secret || seen.contains(&name) {
            continue;
        }
        seen.push(name);
        for value in headers.get_all(name) {
            let value = text(value);
            let size = name.len() + value.len();
            if used + size <= bytes_max {
                used += size;
                captured.push(name, value);
            } else {
                left_out += 1;
            }
        }
    }
    (captured, left_out)
}

/// A value that is not UTF-8 is kept as far as it is.
fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// How much of a refused body is read beside the answer, and for how long.
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER_TIME: std::time::Duration = std::time::Duration::from_secs(2);

/// Reads on beside the answer: closing a socket with bytes unread makes the kernel reset the connection, and
/// a sender that is still writing would never see its answer.
///
/// Not after `Expect: 100-continue`: that sender waits for the answer, and reading would ask for the body.
fn linger(parts: &Parts, mut body: Body) {
    if parts.headers.contains_key(header::EXPECT) {
        return;
    }
    tokio::spawn(timeout(LINGER_TIME, async move {
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            left = left.saturating_sub(length);
            if left == 0 {
                break;
            }
        }
    }));
}

/// The source's own answer, always 200: three of five providers count any other status as a failure.
fn accepted(source: &Source, id: DeliveryId) -> Response {
    let mut response = if source.answer_body.is_empty() {
        Response::new(Body::empty())
    } else {
        respond(StatusCode::OK, &source.answer_content_type, Body::from(source.answer_body.clone()))
    };
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert("hookswitch-delivery", value);
    }
    response
}

fn respond(status: StatusCode, content_type: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}
