//! HTTP: a server loop that outlives hostile clients, and a small client for our own endpoints.
//!
//! Bound first, spawned second, drained last: [`bind`] fails before anything runs, [`serve`] returns only
//! when every connection is closed or the time to drain is over.

use std::{fmt, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Uri, server::conn::http1};
use hyper_util::{
    client::legacy::{Client as PooledClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Bytes that a request's line and headers may have together.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// After an `accept` that failed (no file descriptors left, mostly), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What the client reads of an answer.
const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// What one client may take from us.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; more wait in the kernel's backlog.
    pub connections_max: usize,
    /// How long a request's headers may take, which also bounds an idle connection.
    pub header_timeout: Duration,
    /// How long requests in work may take once the server is told to stop.
    pub drain_max: Duration,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request was answered.
    Clean,
    /// So many connections were cut when the time to drain was over.
    Cut(usize),
}

/// Opens the port. The port 0 lets the system choose one.
///
/// # Errors
/// The error of the system, with the address in its text.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}")))
}

/// Serves `router` until `shutdown` is ready, then drains.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = next_connection(&listener, &slots) => {
                if let Some((stream, slot)) = accepted {
                    let served = graceful.watch(connection(stream, &router, limits));
                    connections.spawn(hold(slot, served));
                }
            }
        }
    }
    // From here on new clients are refused by the kernel rather than left waiting.
    drop(listener);
    match timeout(limits.drain_max, graceful.shutdown()).await {
        Ok(()) => Drained::Clean,
        Err(_) => {
            while connections.try_join_next().is_some() {}
            let cut = connections.len();
            connections.shutdown().await;
            Drained::Cut(cut)
        }
    }
}

/// The slot is taken before `accept`, so that what we cannot serve is never ours.
async fn next_connection(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Answers are small and end a request: waiting to fill a packet only adds latency.
            let _ = stream.set_nodelay(true);
            Some((stream, slot))
        }
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

type Connection = http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

fn connection(stream: TcpStream, router: &Router, limits: Limits) -> Connection {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()))
}

/// Keeps a connection's slot for as long as it lives, a panic included.
async fn hold(slot: OwnedSemaphorePermit, connection: impl Future<Output = hyper::Result<()>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection broke");
    }
    drop(slot);
}

/// An answer to the small client.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most 1 MiB.
    pub body: Bytes,
}

/// Why the small client got no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address cannot be used.
    #[error("{0} is no address of the form http://host:port/path")]
    Address(String),
    /// A header cannot be sent.
    #[error("a header is not allowed in HTTP: {0}")]
    Header(hyper::http::Error),
    /// Nobody answered, or not to the end.
    #[error("{address} does not answer: {cause}")]
    Failed {
        /// Who was asked.
        address: String,
        /// Why, with what lies under it.
        cause: String,
    },
    /// It took too long.
    #[error("{address} does not answer within {waited:?}")]
    TimedOut {
        /// Who was asked.
        address: String,
        /// How long we waited.
        waited: Duration,
    },
}

/// A small HTTP client: `http://` only, one time limit for a whole exchange.
#[derive(Clone)]
pub struct Client {
    pool: PooledClient<HttpConnector, Full<Bytes>>,
    limit: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Client {
    /// A client whose exchanges take at most `limit`.
    pub fn new(limit: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(limit));
        Self { pool: PooledClient::builder(TokioExecutor::new()).build(connector), limit }
    }

    /// Asks for `url`.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer; any status is one.
    pub async fn get(&self, url: &str) -> Result<Reply, ClientError> {
        self.exchange("GET", url, &[], Bytes::new()).await
    }

    /// Posts `body` to `url`.
    ///
    /// # Errors
    /// [`ClientError`] if there is no answer; any status is one.
    pub async fn post(&self, url: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Reply, ClientError> {
        self.exchange("POST", url, headers, body).await
    }

    async fn exchange(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply, ClientError> {
        let address =
            url.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
        let address = address.ok_or_else(|| ClientError::Address(url.to_owned()))?;
        let mut request = Request::builder().method(method).uri(address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(ClientError::Header)?;
        let failed =
            |e: &dyn std::error::Error| ClientError::Failed { address: url.to_owned(), cause: chain(e) };
        let exchange = async {
            let response = self.pool.request(request).await.map_err(|e| failed(&e))?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), REPLY_BYTES_MAX).collect().await;
            Ok(Reply { status, body: body.map_err(|e| failed(e.as_ref()))?.to_bytes() })
        };
        timeout(self.limit, exchange)
            .await
            .unwrap_or_else(|_| Err(ClientError::TimedOut { address: url.to_owned(), waited: self.limit }))
    }
}

/// An error with everything under it: hyper's own text says only "client error (Connect)".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
