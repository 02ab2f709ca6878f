//! The server's loop. Bound first, spawned second, drained last: [`bind`] fails before anything runs, and
//! [`serve`] returns only when every connection is closed or the time to drain is over.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};

/// The most bytes that the request line and the headers of a request may have together.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The pause after an `accept` that failed, mostly because no file descriptors are left, so that the loop
/// does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Limits on what clients can take from the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections at a time; more wait in the kernel's backlog.
    pub connections_max: usize,
    /// The longest time for a request's headers, which also bounds an idle connection.
    pub header_timeout: Duration,
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
    // From here on the kernel refuses new clients rather than leaving them waiting.
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

/// Accepts a connection once there is a slot for it, so that what cannot be served is left to the kernel.
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
            tracing::warn!(%error, "cannot accept an HTTP connection");
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

/// Keeps a connection's slot for as long as the connection lives, also if it panics.
async fn hold(slot: OwnedSemaphorePermit, connection: impl Future<Output = hyper::Result<()>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an HTTP connection failed");
    }
    drop(slot);
}
