//! HTTP: a server loop that cannot be starved, and a client for our own commands.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::Router;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, body::Incoming};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tower::{ServiceExt, service_fn};

/// An answer larger than this is none of ours.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long the headers of a request may take: a slow client must not hold a connection for ever.
    pub header_timeout: Duration,
    /// Connections at a time; more wait in the kernel's queue.
    pub connections_max: usize,
    /// How long open requests may take to end after `stop`.
    pub grace: Duration,
}

/// Serves `router` on `listener` until `stop`; then lets open requests end.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    loop {
        let accepted = async {
            // Never closed.
            let slot = slots.clone().acquire_owned().await.ok()?;
            Some((slot, listener.accept().await))
        };
        let (slot, stream) = tokio::select! {
            accepted = accepted => match accepted {
                Some((slot, Ok((stream, _)))) => (slot, stream),
                Some((_, Err(error))) => {
                    // Out of file descriptors, mostly: wait for some to be closed.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
                None => break,
            },
            () = stop.cancelled() => break,
        };
        // Answers are small: waiting to fill a packet only delays them.
        drop(stream.set_nodelay(true));
        let router = router.clone();
        let service = TowerToHyperService::new(service_fn(move |request: Request<Incoming>| {
            let router = router.clone();
            async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {})) }
        }));
        let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // A client that breaks off is its own affair.
            drop(connection.await);
            drop(slot);
        });
    }
    drop(listener);
    drop(tokio::time::timeout(limits.grace, graceful.shutdown()).await);
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The URL is none, or not `http://`.
    #[error("expected http://host:port/path")]
    Url,
    /// Nobody answered.
    #[error("{0}")]
    Unreachable(String),
    /// It took too long.
    #[error("no answer within {0:?}")]
    Late(Duration),
}

/// Gets `url`.
///
/// # Errors
/// [`RequestError`]
pub async fn get(url: &str, patience: Duration) -> Result<Answer, RequestError> {
    request(Request::get(url), Bytes::new(), patience).await
}

/// Posts JSON to `url`.
///
/// # Errors
/// [`RequestError`]
pub async fn post(
    url: &str,
    headers: &[(String, String)],
    body: &'static [u8],
    patience: Duration,
) -> Result<Answer, RequestError> {
    let mut request = Request::post(url).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    self::request(request, Bytes::from_static(body), patience).await
}

async fn request(
    request: hyper::http::request::Builder,
    body: Bytes,
    patience: Duration,
) -> Result<Answer, RequestError> {
    let request = request.body(Full::new(body)).map_err(|_| RequestError::Url)?;
    if request.uri().scheme_str() != Some("http") {
        return Err(RequestError::Url);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let exchange = async {
        let answer = client.request(request).await.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            RequestError::Unreachable(cause.unwrap_or_else(|| error.to_string()))
        })?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| RequestError::Unreachable(error.to_string()))?.to_bytes();
        Ok(Answer { status, body })
    };
    tokio::time::timeout(patience, exchange).await.unwrap_or(Err(RequestError::Late(patience)))
}
