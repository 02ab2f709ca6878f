//! The process of `hookswitch receiver`, `worker` and `all`: built from a configuration, run until a stop,
//! drained.
//!
//! It binds first, spawns second and drains last.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, sync::watch, task::JoinError};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    parts::{Parts, Roles},
    schemas, token,
    worker::{RefusedError, read::Normalize},
};
use crate::{
    config::Config,
    edge::{
        amqp::topology::TopologyError,
        http::{self, Server},
        metrics::{Format, ProcessMetrics, Registry, SpanMetrics},
        panics::TaskFailed,
        redis::StoreError,
        traces::{self, Sending, TracesError},
        trouble::Trouble,
    },
};

/// A process that is bound and wired and connects to its services, but takes no webhooks yet.
pub struct Process {
    admin: TcpListener,
    receiving: Option<Receiving>,
    parts: Arc<Parts>,
    sending: Option<Sending>,
    status: Status,
}

/// The receiver's part.
struct Receiving {
    listener: TcpListener,
    address: SocketAddr,
    server: Server,
}

/// The state of a process, for its admin listener and for tests; cheap to clone.
#[derive(Clone)]
pub struct Status {
    registry: Arc<Registry>,
    resources: Arc<ProcessMetrics>,
    parts: Arc<Parts>,
}

/// The reason why a process could not start or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The configuration has no source.
    #[error("no source is configured: add a [sources.<name>] section")]
    NoSources,
    /// A port cannot be opened.
    #[error("{error}: if another process listens there, set {key} to another address")]
    Bind {
        /// The key of the configuration that holds the address.
        key: &'static str,
        /// The system's error, with the address.
        error: io::Error,
    },
    /// The address of Redis is invalid, or its keys belong to another broker or virtual host.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Spans cannot be sent.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The broker's topology differs from what is needed.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// A part of the process panicked.
    #[error("the {part} failed: {error}")]
    Failed {
        /// The name of the part.
        part: &'static str,
        /// How it failed, without the text of a panic.
        error: TaskFailed,
    },
}

impl From<RefusedError> for ProcessError {
    fn from(refused: RefusedError) -> Self {
        match refused {
            RefusedError::Topology(differs) => Self::Topology(differs),
            RefusedError::Foreign(foreign) => Self::Store(foreign),
        }
    }
}

impl Process {
    /// Binds the listeners, starts the links to the broker and Redis, and wires the roles. A worker reads
    /// webhooks with `normalize`.
    ///
    /// # Errors
    /// [`ProcessError`]: nothing was started.
    pub async fn build(config: Config, roles: Roles, normalize: Normalize) -> Result<Self, ProcessError> {
        if config.sources.is_empty() {
            return Err(ProcessError::NoSources);
        }
        let (admin, _) = bind(config.admin.listen, "admin.listen").await?;
        let listener = match roles.receiver {
            true => Some(bind(config.receiver.listen, "receiver.listen").await?),
            false => None,
        };
        let mut registry = Registry::new();
        let resources = Arc::new(ProcessMetrics::register(&mut registry));
        let traces = traces::start(&config.tracing, &SpanMetrics::register(&mut registry))?;
        let (tracer, sending) = traces.unzip();
        let parts = Arc::new(Parts::start(config, roles, &mut registry, normalize, tracer)?);
        let receiving = listener
            .zip(parts.receiver_server())
            .map(|((listener, address), server)| Receiving { listener, address, server });
        let status = Status { registry: Arc::new(registry), resources, parts: parts.clone() };
        Ok(Self { admin, receiving, parts, sending, status })
    }

    /// Returns the parts, which take new configurations.
    pub fn parts(&self) -> Arc<Parts> {
        self.parts.clone()
    }

    /// Returns a handle to the status that outlives [`Process::run`].
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Returns the address at which webhooks are received; none without that role.
    pub fn receiver_address(&self) -> Option<SocketAddr> {
        self.receiving.as_ref().map(|receiving| receiving.address)
    }

    /// Works until `stop`, then finishes what is in flight within the grace time. If the future is dropped,
    /// everything ends at once and what is in flight goes back to the broker.
    ///
    /// # Errors
    /// [`ProcessError`]: the topology is wrong, or a part panicked. All parts have ended by then.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ProcessError> {
        let Self { admin, receiving, parts, sending, status } = self;
        let working = parts.worker.clone().map(|worker| {
            let stop = stop.clone();
            spawn(async move { worker.run(stop).await })
        });
        let receiving = receiving.map(|Receiving { listener, address, server }| {
            tracing::info!(%address, "receiving webhooks");
            let serving = spawn(server.serve(listener, stop.clone().cancelled_owned()));
            let parts = parts.clone();
            let reporting = spawn(async move { parts.books.keep_reporting(&parts.publisher).await });
            (serving, reporting)
        });
        let admin_stop = CancellationToken::new();
        let server = parts.admin_server(router(status, parts.config()));
        let admin = spawn(server.serve(admin, admin_stop.clone().cancelled_owned()));

        let worked = match working {
            Some(working) => finish_working(working, &stop, &parts).await,
            None => Ok(()),
        };
        if let Err(error) = &worked {
            // Draining may take the whole grace time, so the cause is logged before it.
            tracing::error!("{error}");
        }
        let mut received = Ok(());
        if let Some((serving, reporting)) = receiving {
            received = serving.await.map(drop).map_err(failed("receiver"));
            drop(reporting);
            parts.books.close(&parts.publisher).await;
        }
        admin_stop.cancel();
        let administered = admin.await.map(drop).map_err(failed("admin listener"));
        if let Some(sending) = sending {
            sending.finish().await;
        }
        tracing::info!("stopped");
        worked.and(received).and(administered)
    }
}

impl Status {
    /// Returns what keeps the process from working now; none if it is ready.
    pub fn trouble(&self) -> Option<Trouble> {
        let Parts { worker, publisher, .. } = &*self.parts;
        worker.as_ref().map_or_else(|| publisher.trouble(), |worker| worker.trouble())
    }

    /// Returns the metrics in the text format of OpenMetrics.
    pub fn metrics(&self) -> String {
        self.measure(Format::OpenMetrics)
    }

    /// Computes what is computed when it is asked for, and returns the metrics in a format.
    fn measure(&self, format: Format) -> String {
        self.resources.refresh(self.trouble());
        self.parts.refresh_metrics();
        self.registry.encode_as(format)
    }

    /// Answers a request for the metrics, in the format that it accepts.
    fn exposition(&self, headers: &HeaderMap) -> Response {
        let accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let format = Format::accepted(&accept.collect::<Vec<_>>().join(","));
        ([(CONTENT_TYPE, format.content_type())], self.measure(format)).into_response()
    }
}

/// Waits for the pool to end by itself, or for its grace time to end after `stop`.
async fn finish_working(
    mut working: AbortOnDropHandle<Result<(), RefusedError>>,
    stop: &CancellationToken,
    parts: &Parts,
) -> Result<(), ProcessError> {
    let grace_is_over = async {
        stop.cancelled().await;
        let grace = parts.config().borrow().worker.grace;
        tokio::time::sleep(grace).await;
        grace
    };
    let ended = tokio::select! {
        ended = &mut working => ended,
        grace = grace_is_over => {
            tracing::warn!(?grace, "the grace time is over: what is in flight goes back to the broker");
            return Ok(());
        }
    };
    // If the pool ends by itself, so does the rest of the process.
    stop.cancel();
    Ok(ended.map_err(failed("worker pool"))??)
}

fn failed(part: &'static str) -> impl FnOnce(JoinError) -> ProcessError {
    move |error| ProcessError::Failed { part, error: error.into() }
}

/// Spawns a task that ends with its handle.
fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

/// Opens a port, and returns its address: port 0 lets the system choose one.
async fn bind(address: SocketAddr, key: &'static str) -> Result<(TcpListener, SocketAddr), ProcessError> {
    let bound = async {
        let listener = http::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|error| ProcessError::Bind { key, error })
}

/// Returns the routes of the admin listener.
fn router(status: Status, newest: watch::Receiver<Arc<Config>>) -> Router {
    let ready = {
        let status = status.clone();
        move || {
            let notes = status.parts.notes();
            let answer = match status.trouble() {
                None => format!("ready\n{notes}").into_response(),
                Some(trouble) => {
                    let answer = format!("not ready: {trouble}\n{notes}");
                    (StatusCode::SERVICE_UNAVAILABLE, answer).into_response()
                }
            };
            async { answer }
        }
    };
    let configured = newest.clone();
    let metrics = move |headers: HeaderMap| {
        let permitted = token::check(configured.borrow().admin.token.as_ref(), &headers);
        let answer = permitted.map_or_else(|refusal| refusal, |()| status.exposition(&headers));
        async { answer }
    };
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(schemas::routes(newest))
}
