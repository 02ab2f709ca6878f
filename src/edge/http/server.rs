//! The server's loop. Bound first, spawned second, drained last: [`bind`] fails before anything runs, and
//! [`Server::serve`] returns only when every connection is closed or the time to drain is over.

use std::{convert::Infallible, fmt, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderValue, header},
    response::Response,
};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    memory::Memory,
    rejected::Rejected,
    stream::{Exchange, Pace, Part, Stream},
};
use crate::edge::tls::Presented;

/// The most bytes that the request line and the headers of a request may have together.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The pause after an `accept` that failed, mostly because no file descriptors are left, so that the loop
/// does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The time after a stop in which clients that the kernel has connected already are still accepted.
const LAST_CONNECTIONS: Duration = Duration::from_millis(50);
/// The time after a stop in which an idle connection may still send a request. Its answer ends the
/// connection; if the server ended it at once, a request on its way would be lost.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// Limits on what clients can take from the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections at a time; more wait in the kernel's backlog. It is fixed when the server starts.
    pub connections_max: usize,
    /// The longest time for a request's headers, and for the handshake of TLS before the first.
    pub read_timeout: Duration,
    /// The longest time between two requests of a connection. If more than half of the connections are in use
    /// when it begins, `read_timeout` applies instead if it is shorter.
    pub idle_timeout: Duration,
    /// The longest time for which a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// The age at which the next answer ends a connection.
    pub connection_age_max: Duration,
    /// The longest time for requests in progress once the server is told to stop.
    pub drain_max: Duration,
}

/// The end of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request was answered.
    Clean,
    /// This many connections were cut when the time to drain was over.
    Cut(usize),
}

/// Opens the port. Port 0 lets the system choose one.
///
/// # Errors
/// The error of the system, with the address in its text.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}")))
}

/// Is told of each client that is refused outside of a request.
type OnRejected = Box<dyn Fn(Rejected) + Send + Sync>;

/// A server that is wired, and not started.
pub struct Server {
    router: Router,
    limits: watch::Receiver<Limits>,
    connections_max: usize,
    slots: Arc<Semaphore>,
    memory: Memory,
    on_rejected: OnRejected,
    tls: Option<TlsAcceptor>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("limits", &*self.limits.borrow()).finish_non_exhaustive()
    }
}

impl Server {
    /// Creates a server of `router`. Each connection keeps the limits with which it began.
    pub fn new(router: Router, limits: watch::Receiver<Limits>) -> Self {
        let connections_max = limits.borrow().connections_max;
        let (slots, memory) = (Arc::new(Semaphore::new(connections_max)), Memory::new(usize::MAX));
        let on_rejected = Box::new(|_| {});
        Self { router, limits, connections_max, slots, memory, on_rejected, tls: None }
    }

    /// Speaks HTTPS if there is a certificate to present.
    #[must_use]
    pub fn with_tls(self, presented: Option<&Presented>) -> Self {
        Self { tls: presented.map(Presented::acceptor), ..self }
    }

    /// Takes the memory for heads of requests from `memory`.
    #[must_use]
    pub fn with_memory(self, memory: Memory) -> Self {
        Self { memory, ..self }
    }

    /// Tells `on_rejected` of each client that is refused outside of a request.
    #[must_use]
    pub fn on_rejected(self, on_rejected: impl Fn(Rejected) + Send + Sync + 'static) -> Self {
        Self { on_rejected: Box::new(on_rejected), ..self }
    }

    /// Serves until `shutdown` is ready, then drains.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Drained {
        let (server, stop, mut connections) = (Arc::new(self), CancellationToken::new(), JoinSet::new());
        accept_until(shutdown, &listener, &server, &stop, &mut connections).await;
        stop.cancel();
        accept_until(sleep(LAST_CONNECTIONS), &listener, &server, &stop, &mut connections).await;
        // From here on the kernel refuses new clients rather than leaving them waiting.
        drop(listener);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        let drain_max = server.limits.borrow().drain_max;
        match timeout(drain_max, all_ended).await {
            Ok(()) => Drained::Clean,
            Err(_) => {
                while connections.try_join_next().is_some() {}
                let cut = connections.len();
                connections.shutdown().await;
                Drained::Cut(cut)
            }
        }
    }
}

/// A client, and the limits that were in force when it connected.
struct Client {
    limits: Limits,
    server: Arc<Server>,
}

impl Pace for Client {
    fn head(&self) -> Duration {
        self.limits.read_timeout
    }

    fn idle(&self) -> Duration {
        let Limits { read_timeout, idle_timeout, .. } = self.limits;
        let Server { connections_max, slots, .. } = &*self.server;
        let scarce = slots.available_permits() < connections_max / 2;
        if scarce { idle_timeout.min(read_timeout) } else { idle_timeout }
    }

    fn write(&self) -> Duration {
        self.limits.write_timeout
    }

    fn rejected(&self, rejected: Rejected) {
        tracing::debug!(reason = rejected.as_str(), status = rejected.status(), "client refused");
        (self.server.on_rejected)(rejected);
    }
}

/// Accepts connections until `end` is ready.
async fn accept_until(
    end: impl Future<Output = ()>,
    listener: &TcpListener,
    server: &Arc<Server>,
    stop: &CancellationToken,
    connections: &mut JoinSet<()>,
) {
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            Some(_) = connections.join_next() => {}
            accepted = next_connection(listener, &server.slots) => {
                if let Some((socket, slot)) = accepted {
                    connections.spawn(hold(slot, drive(socket, Arc::clone(server), stop.clone())));
                }
            }
        }
    }
}

/// Accepts a connection once there is a slot for it, so that what cannot be served is left to the kernel.
async fn next_connection(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((socket, _)) => {
            // Answers are small and end a request: waiting to fill a packet only adds latency.
            let _ = socket.set_nodelay(true);
            Some((socket, slot))
        }
        Err(error) => {
            tracing::warn!(%error, "cannot accept an HTTP connection");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Serves one connection until it ends, is too old, or the server stops.
async fn drive(socket: TcpStream, server: Arc<Server>, stop: CancellationToken) -> hyper::Result<()> {
    let limits = *server.limits.borrow();
    let client = Arc::new(Client { limits, server: Arc::clone(&server) });
    let Some(tls) = &server.tls else { return exchange(socket, client, stop).await };
    let shaken = tokio::select! {
        shaken = timeout(limits.read_timeout, tls.accept(socket)) => shaken,
        () = after_stop(&limits, &stop) => return Ok(()),
    };
    match shaken {
        Ok(Ok(socket)) => return exchange(socket, client, stop).await,
        Ok(Err(error)) => {
            tracing::debug!(%error, "an HTTPS client failed to connect");
            client.rejected(Rejected::Handshake);
        }
        Err(_) => client.rejected(Rejected::SlowHandshake),
    }
    Ok(())
}

/// Waits for the stop, and for the time in which a client may still send a request.
async fn after_stop(limits: &Limits, stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(LAST_REQUEST.min(limits.drain_max / 2)).await;
}

/// Exchanges requests and answers over one connection.
async fn exchange(
    socket: impl AsyncRead + AsyncWrite + Unpin,
    client: Arc<Client>,
    stop: CancellationToken,
) -> hyper::Result<()> {
    let (exchange, Client { limits, server }) = (Arc::new(Exchange::new()), &*client);
    let stream = Stream::new(socket, Arc::clone(&exchange), Arc::clone(&client), server.memory.hold());
    let router = TowerToHyperService::new(server.router.clone());
    let service = service_fn(|request| answer(&router, &exchange, request));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            // The stream limits the time for a head, so that it can tell a slow client from an idle one.
            .header_read_timeout(None)
            // A client may end its side with the request and wait for the answer.
            .half_close(true)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_header_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let Limits { connection_age_max, idle_timeout, drain_max, .. } = *limits;
    let last = async {
        stop.cancelled().await;
        exchange.end_with_next_answer();
        after_stop(limits, &stop).await;
    };
    let too_old = async {
        sleep(connection_age_max).await;
        exchange.end_with_next_answer();
        sleep(idle_timeout).await;
    };
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        () = last => None,
        () = too_old => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            timeout(drain_max, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = &ended
        && let Some(rejected) = unparsable(error)
    {
        client.rejected(rejected);
    }
    ended
}

/// Answers one request, and tells the connection where it is.
async fn answer(
    router: &TowerToHyperService<Router>,
    exchange: &Exchange,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    exchange.enter(Part::Request);
    let mut response = hyper::service::Service::call(router, request).await?;
    if exchange.ends_with_next_answer() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    exchange.enter(Part::Idle);
    Ok(response)
}

/// Returns why hyper refused to read a request; none if the connection failed for another reason.
fn unparsable(error: &hyper::Error) -> Option<Rejected> {
    match (error.is_parse_too_large(), error.is_parse()) {
        (true, _) => Some(Rejected::HeadTooLarge),
        (false, true) => Some(Rejected::Malformed),
        (false, false) => None,
    }
}

/// Keeps a connection's slot for as long as the connection lives, also if it panics.
async fn hold(slot: OwnedSemaphorePermit, connection: impl Future<Output = hyper::Result<()>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an HTTP connection failed");
    }
    drop(slot);
}
