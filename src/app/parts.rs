//! The parts of a process: wired once, and given a new configuration while they run.
//!
//! Each part takes what it needs of a configuration as a snapshot: a request, a batch of deliveries and a
//! connection end with the one with which they began.

use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::Router;
use tokio::sync::watch;

use super::{
    ledger::Books,
    receiver::{
        Receiver,
        gather::{BundleMax, Gatherer},
        sink::RawExchangeSink,
    },
    shards::Shards,
    worker::{Worker, gate::Gate, read::Normalize},
};
use crate::{
    config::{self, Config},
    edge::{
        amqp::{names, publish::Publisher},
        http::{Limits, Server},
        metrics::{
            CertificateMetrics, ConfigMetrics, LinkMetrics, Links, ReceiverMetrics, Registry, Reload,
            WorkerMetrics,
        },
        redis::{Store, StoreError},
        tls::Presented,
        traces::Tracer,
    },
};

/// The roles of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// It receives webhooks over HTTP.
    pub receiver: bool,
    /// It turns raw webhooks into events.
    pub worker: bool,
}

/// See the module.
pub struct Parts {
    roles: Roles,
    /// The configuration in force.
    config: watch::Sender<Arc<Config>>,
    limits: watch::Sender<Limits>,
    /// Keys that have changed and take a restart.
    kept: Mutex<Vec<&'static str>>,
    /// Whether the configuration that was read last was refused.
    is_refused: AtomicBool,
    metrics: ConfigMetrics,
    links: Vec<Arc<LinkMetrics>>,
    pub(super) publisher: Publisher,
    pub(super) books: Arc<Books>,
    pub(super) worker: Option<Arc<Worker>>,
    store: Option<Store>,
    receiver: Option<ReceiverPart>,
    certificates: Certificates,
}

/// The certificates of the listeners that speak HTTPS, and what the metrics show of all of them.
struct Certificates {
    receiver: Option<Presented>,
    admin: Option<Presented>,
    metrics: CertificateMetrics,
}

impl Certificates {
    fn new(config: &Config, registry: &mut Registry) -> Self {
        let [receiver, admin] = [&config.receiver.tls_identity, &config.admin.tls_identity]
            .map(|identity| identity.as_ref().map(Presented::new));
        let metrics = CertificateMetrics::register(registry);
        metrics.show(config.certificates());
        Self { receiver, admin, metrics }
    }

    /// Has those of another configuration presented and shown.
    fn replace(&self, config: &Config) {
        let Config { receiver, admin, .. } = config;
        for (presented, identity) in
            [(&self.receiver, &receiver.tls_identity), (&self.admin, &admin.tls_identity)]
        {
            if let (Some(presented), Some(identity)) = (presented, identity) {
                presented.replace(identity);
            }
        }
        self.metrics.show(config.certificates());
    }
}

/// The receiver, and what it needs to be followed by another.
struct ReceiverPart {
    newest: watch::Sender<Arc<Receiver<RawExchangeSink>>>,
    metrics: Arc<ReceiverMetrics>,
}

impl Parts {
    /// Starts the links to the broker and Redis, and wires the roles.
    pub(super) fn start(
        config: Config,
        roles: Roles,
        registry: &mut Registry,
        normalize: Normalize,
        tracer: Option<Tracer>,
    ) -> Result<Self, StoreError> {
        let (metrics, links) = (ConfigMetrics::register(registry), Links::register(registry));
        let (broker_link, store_link) = (links.begin("broker"), roles.worker.then(|| links.begin("redis")));
        let start = |link: &Arc<LinkMetrics>| Store::start(&config.redis, link.clone());
        let store = store_link.as_ref().map(start).transpose()?;
        let certificates = Certificates::new(&config, registry);
        let (exchanges, config) = (exchanges(&config, roles), Arc::new(config));
        let publisher = Publisher::start_to(config.amqp.clone(), "publisher", exchanges, broker_link.clone());
        let books = Arc::<Books>::default();
        let receiver = roles.receiver.then(|| {
            let metrics = ReceiverMetrics::register(registry);
            metrics.begin(config.sources.keys());
            books.open(config.sources.keys());
            let (settings, sources) = (config.receiver.clone(), config.sources.clone());
            let sink = sink(&config, &publisher, &books, &metrics);
            let receiver = Receiver::new(settings, sources, sink, metrics.clone());
            let receiver = receiver.with_tracer(tracer.clone());
            ReceiverPart { newest: watch::Sender::new(Arc::new(receiver)), metrics }
        });
        let worker = store.clone().map(|store| {
            let metrics = WorkerMetrics::register(registry);
            metrics.begin_all(&config);
            let gate = Gate::watch(&publisher, &store, metrics.clone());
            Arc::new(Worker::new(config.clone(), publisher.clone(), store, gate, metrics, normalize, tracer))
        });
        let limits = watch::Sender::new(limits(&config));
        let (config, kept) = (watch::Sender::new(config), Mutex::default());
        let links = [Some(broker_link), store_link].into_iter().flatten().collect();
        Ok(Self {
            roles,
            config,
            limits,
            kept,
            is_refused: AtomicBool::default(),
            metrics,
            links,
            publisher,
            books,
            worker,
            store,
            receiver,
            certificates,
        })
    }

    /// Returns a server that has requests answered by the newest receiver; none without that role.
    pub(super) fn receiver_server(&self) -> Option<Server> {
        let receiver = self.receiver.as_ref()?;
        let (newest, limits) = (receiver.newest.subscribe(), self.limits.subscribe());
        Some(Receiver::server(newest, limits, self.certificates.receiver.as_ref()))
    }

    /// Returns the server of the admin listener.
    pub(super) fn admin_server(&self, router: Router) -> Server {
        Server::new(router, self.limits.subscribe()).with_tls(self.certificates.admin.as_ref())
    }

    /// Returns the configuration in force, now and after changes.
    pub(super) fn config(&self) -> watch::Receiver<Arc<Config>> {
        self.config.subscribe()
    }

    /// Puts a configuration in force, but for the keys that take a restart, which it returns. Connections to
    /// the broker and Redis stay as they are until they are replaced.
    ///
    /// # Errors
    /// The address of Redis is invalid: nothing has changed.
    pub fn reconfigure(&self, mut config: Config) -> Result<Vec<&'static str>, StoreError> {
        let mut kept = config.keep_fixed(&self.config.borrow());
        // Keys of parts that this process does not have are nothing to it.
        kept.retain(|key| match key.split('.').next() {
            Some("receiver") => self.roles.receiver,
            Some("redis") => self.roles.worker,
            Some(_) | None => true,
        });
        if let Some(store) = &self.store {
            store.reconfigure(&config.redis)?;
        }
        self.publisher.reconfigure(config.amqp.clone(), exchanges(&config, self.roles));
        let config = Arc::new(config);
        self.limits.send_replace(limits(&config));
        self.certificates.replace(&config);
        if let Some(ReceiverPart { newest, metrics }) = &self.receiver {
            metrics.begin(config.sources.keys());
            self.books.open(config.sources.keys());
            let (settings, sources) = (config.receiver.clone(), config.sources.clone());
            let sink = sink(&config, &self.publisher, &self.books, metrics);
            newest.send_modify(|receiver| *receiver = Arc::new(receiver.next(settings, sources, sink)));
        }
        if let Some(worker) = &self.worker {
            worker.reconfigure(config.clone());
        }
        self.config.send_replace(config);
        self.metrics.restart_needed(kept.len());
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&kept);
        Ok(kept)
    }

    /// Notes what became of a configuration that was read.
    pub(super) fn note_reload(&self, result: Reload) {
        self.is_refused.store(result == Reload::Refused, Ordering::Relaxed);
        self.metrics.reloaded(result);
    }

    /// Returns what an operator is to know of the configuration, in lines.
    pub(super) fn notes(&self) -> String {
        let mut notes = String::new();
        if self.is_refused.load(Ordering::Relaxed) {
            notes.push_str(
                "note: the changed configuration is refused, and a restart would fail: see the log\n",
            );
        }
        for key in self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // Writing to a String cannot fail.
            let _ = writeln!(notes, "note: {key} has changed, which takes a restart");
        }
        let pauses = self.worker.as_ref().map(|worker| worker.pauses()).unwrap_or_default();
        for (source, pause) in pauses {
            let _ = writeln!(notes, "note: source {source} is {pause}");
        }
        if self.waits_for_topology() {
            notes.push_str(
                "note: the worker keeps the previous configuration: run `hookswitch topology apply`\n",
            );
        }
        notes
    }

    /// Brings the metrics up to date that are read when they are asked for.
    pub(super) fn refresh_metrics(&self) {
        self.metrics.waits_for_topology(self.waits_for_topology());
        self.links.iter().for_each(|link| link.refresh());
        if let Some(worker) = &self.worker {
            worker.refresh_metrics();
        }
    }

    fn waits_for_topology(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.waits_for_topology())
    }
}

fn sink(
    config: &Config,
    publisher: &Publisher,
    books: &Arc<Books>,
    metrics: &Arc<ReceiverMetrics>,
) -> RawExchangeSink {
    let config::Receiver { confirm_timeout, bundle_max, bundle_bytes_max, .. } = config.receiver;
    let max = BundleMax { webhooks: bundle_max, bytes: bundle_bytes_max };
    let gatherer = Gatherer::new(publisher.clone(), max, confirm_timeout, metrics.clone());
    RawExchangeSink::new(gatherer, books.clone(), Shards::new(&config.sources))
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
