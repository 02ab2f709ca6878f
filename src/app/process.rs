//! The process of `hookswitch receiver`, `worker` and `all`: built from a configuration, run until a stop,
//! drained.
//!
//! It binds first, spawns second and drains last.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, task::JoinError};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    ledger::Books,
    receiver::{Receiver, sink::RawExchangeSink},
    schemas,
    shards::Shards,
    token,
    worker::{RefusedError, Worker, gate::Gate, read::Normalize},
};
use crate::{
    config::{Config, Secret},
    edge::{
        amqp::{names, publish::Publisher, topology::TopologyError},
        http::{self, Limits, Server},
        metrics::{
            CertificateMetrics, Format, LinkMetrics, Links, ProcessMetrics, ReceiverMetrics, Registry,
            SpanMetrics, WorkerMetrics,
        },
        panics::TaskFailed,
        redis::{Store, StoreError},
        tls::Presented,
        traces::{self, Sending, Tracer, TracesError},
        trouble::Trouble,
    },
};

/// The parts of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// It receives webhooks over HTTP.
    pub receiver: bool,
    /// It turns raw webhooks into events.
    pub worker: bool,
}

/// A process that is bound and wired and connects to its services, but takes no webhooks yet.
pub struct Process {
    config: Config,
    admin: TcpListener,
    receiving: Option<Receiving>,
    publisher: Publisher,
    sending: Option<Sending>,
    status: Status,
}

/// The receiver's part.
struct Receiving {
    listener: TcpListener,
    address: SocketAddr,
    server: Server,
    books: Arc<Books>,
}

/// The state of a process, for its admin listener and for tests; cheap to clone.
#[derive(Clone)]
pub struct Status {
    registry: Arc<Registry>,
    resources: Arc<ProcessMetrics>,
    links: Vec<Arc<LinkMetrics>>,
    publisher: Publisher,
    worker: Option<Arc<Worker>>,
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
        CertificateMetrics::register(&mut registry).show(config.certificates());
        let links = Links::register(&mut registry);
        let (broker_link, store_link) = (links.begin("broker"), roles.worker.then(|| links.begin("redis")));
        let start = |link: &Arc<LinkMetrics>| Store::start(&config.redis, link.clone());
        let worker_store = store_link.as_ref().map(start).transpose()?;
        let exchanges = exchanges(&config, roles);
        let publisher = Publisher::start_to(config.amqp.clone(), "publisher", exchanges, broker_link.clone());
        let traces = traces::start(&config.tracing, &SpanMetrics::register(&mut registry))?;
        let (tracer, sending) = traces.unzip();
        let receiving = listener.map(|(listener, address)| {
            receiving(&config, &publisher, &mut registry, tracer.clone(), listener, address)
        });
        let worker = worker_store.map(|store| {
            let metrics = worker_metrics(&config, &mut registry);
            let gate = Gate::watch(&publisher, &store, metrics.clone());
            Arc::new(Worker::new(config.clone(), publisher.clone(), store, gate, metrics, normalize, tracer))
        });
        let (registry, links) = (Arc::new(registry), [Some(broker_link), store_link]);
        let links = links.into_iter().flatten().collect();
        let status = Status { registry, resources, links, publisher: publisher.clone(), worker };
        Ok(Self { config, admin, receiving, publisher, sending, status })
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
        let Self { config, admin, receiving, publisher, sending, status } = self;
        let working = status.worker.clone().map(|worker| {
            let stop = stop.clone();
            spawn(async move { worker.run(stop).await })
        });
        let receiving = receiving.map(|Receiving { listener, address, server, books }| {
            tracing::info!(%address, "receiving webhooks");
            let serving = spawn(server.serve(listener, stop.clone().cancelled_owned()));
            let reporting = spawn({
                let (books, publisher) = (books.clone(), publisher.clone());
                async move { books.keep_reporting(&publisher).await }
            });
            (serving, reporting, books)
        });
        let admin_stop = CancellationToken::new();
        let router = router(status, config.admin.token.clone(), config.events.schema_base.clone());
        let presented = config.admin.tls_identity.as_ref().map(Presented::new);
        let server = Server::new(router, limits(&config)).with_tls(presented.as_ref());
        let admin = spawn(server.serve(admin, admin_stop.clone().cancelled_owned()));

        let worked = match working {
            Some(working) => finish_working(working, &stop, config.worker.grace).await,
            None => Ok(()),
        };
        if let Err(error) = &worked {
            // Draining may take the whole grace time, so the cause is logged before it.
            tracing::error!("{error}");
        }
        let mut received = Ok(());
        if let Some((serving, reporting, books)) = receiving {
            received = serving.await.map(drop).map_err(failed("receiver"));
            drop(reporting);
            books.close(&publisher).await;
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
        self.worker.as_ref().map_or_else(|| self.publisher.trouble(), |worker| worker.trouble())
    }

    /// Returns the metrics in the text format of OpenMetrics.
    pub fn metrics(&self) -> String {
        self.measure(Format::OpenMetrics)
    }

    /// Computes what is computed when it is asked for, and returns the metrics in a format.
    fn measure(&self, format: Format) -> String {
        self.resources.refresh(self.trouble());
        self.links.iter().for_each(|link| link.refresh());
        if let Some(worker) = &self.worker {
            worker.refresh_metrics();
        }
        self.registry.encode_as(format)
    }

    /// Answers a request for the metrics, in the format that it accepts.
    fn exposition(&self, headers: &HeaderMap) -> Response {
        let accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let format = Format::accepted(&accept.collect::<Vec<_>>().join(","));
        ([(CONTENT_TYPE, format.content_type())], self.measure(format)).into_response()
    }
}

/// Creates the metrics of a worker, with the series of its sources.
fn worker_metrics(config: &Config, registry: &mut Registry) -> Arc<WorkerMetrics> {
    let metrics = WorkerMetrics::register(registry);
    let tiers = config.retry.schedule().all_tiers();
    let sources = config.sources.keys().filter(|source| config.worker.works_on(source));
    sources.for_each(|source| metrics.begin(source, &tiers));
    metrics
}

/// Returns the exchanges to which a process publishes.
fn exchanges(config: &Config, roles: Roles) -> Vec<String> {
    let mut all = vec![names::DEFAULT_EXCHANGE.to_owned()];
    if roles.receiver {
        all.push(names::RAW_EXCHANGE.to_owned());
    }
    if roles.worker {
        all.extend([names::PUBLISHED_EXCHANGE.to_owned(), names::DEAD_EXCHANGE.to_owned()]);
        all.extend(config.retry.schedule().all_tiers().into_iter().map(names::retry_exchange));
        if config.subscriptions.values().any(|subscription| subscription.redact.profile().is_some()) {
            all.push(names::REDACTED_EXCHANGE.to_owned());
        }
    }
    all
}

/// Wires the receiver's part.
fn receiving(
    config: &Config,
    publisher: &Publisher,
    registry: &mut Registry,
    tracer: Option<Tracer>,
    listener: TcpListener,
    address: SocketAddr,
) -> Receiving {
    let metrics = ReceiverMetrics::register(registry);
    metrics.begin(config.sources.keys());
    let books = Arc::new(Books::new(config.sources.keys()));
    let shards = Shards::new(&config.sources);
    let patience = config.receiver.confirm_timeout;
    let sink = RawExchangeSink::new(publisher.clone(), books.clone(), shards, patience);
    let receiver =
        Receiver::new(config.receiver.clone(), config.sources.clone(), sink, metrics).with_tracer(tracer);
    let presented = config.receiver.tls_identity.as_ref().map(Presented::new);
    let server = receiver.server(limits(config), presented.as_ref());
    Receiving { listener, address, server, books }
}

/// Waits for the pool to end by itself, or for its grace time to end after `stop`.
async fn finish_working(
    mut working: AbortOnDropHandle<Result<(), RefusedError>>,
    stop: &CancellationToken,
    grace: Duration,
) -> Result<(), ProcessError> {
    let ended = tokio::select! {
        ended = &mut working => ended,
        () = async { stop.cancelled().await; tokio::time::sleep(grace).await } => {
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

fn limits(config: &Config) -> Limits {
    let receiver = &config.receiver;
    Limits {
        connections_max: receiver.connections_max,
        read_timeout: receiver.read_timeout,
        idle_timeout: receiver.idle_timeout,
        write_timeout: receiver.write_timeout,
        connection_age_max: receiver.connection_age_max,
        drain_max: config.worker.grace,
    }
}

/// Returns the routes of the admin listener.
fn router(status: Status, token: Option<Secret>, schema_base: String) -> Router {
    let ready = {
        let status = status.clone();
        move || {
            let answer = match status.trouble() {
                None => "ready\n".into_response(),
                Some(trouble) => {
                    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {trouble}\n")).into_response()
                }
            };
            async { answer }
        }
    };
    let metrics = move |headers: HeaderMap| {
        let permitted = token::check(token.as_ref(), &headers);
        let answer = permitted.map_or_else(|refusal| refusal, |()| status.exposition(&headers));
        async { answer }
    };
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(schemas::routes(schema_base))
}
