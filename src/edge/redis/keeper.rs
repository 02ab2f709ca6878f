//! The connection to Redis: making it, checking it, and replacing it when it fails.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use redis::{Value, aio::MultiplexedConnection};
use tokio::sync::{mpsc, watch};

use super::{
    cluster,
    error::StoreError,
    link::{Bucket, Link},
    names::{MarkNames, Names},
    node::Node,
    owner::{KnownOwner, Record},
    sentinel::Sentinels,
    since::{self, Instance},
};
use crate::{
    config::{Redis, Secret},
    core::delivery::retry::Reconnect,
    edge::metrics::LinkMetrics,
};

/// The time after which a connection counts as a good one.
const STEADY: Duration = Duration::from_secs(10);

/// The time after which a warning that has not changed is repeated.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// The failure of a command over the link with this number.
pub(super) type Broken = (u64, StoreError);

/// What the next connection is to be.
#[derive(Clone)]
pub(super) struct Wanted {
    servers: Servers,
    timeout: Duration,
}

/// Where Redis is.
#[derive(Clone)]
enum Servers {
    /// A master, and the replicas that may take over.
    Single(Vec<Node>),
    /// A master that Sentinels name.
    Watched(Box<Sentinels>),
    /// Some servers of a Redis Cluster, which name the others.
    Cluster(Vec<Node>),
}

impl Wanted {
    /// # Errors
    /// An address is invalid.
    pub(super) fn of(config: &Redis) -> Result<Self, StoreError> {
        let of = |urls: &[Secret]| -> Result<Vec<Node>, StoreError> {
            urls.iter().map(|url| Node::of(url.reveal(), config)).collect()
        };
        let (nodes, sentinels) = (of(&config.urls)?, of(&config.sentinels)?);
        let servers = match &nodes[..] {
            _ if config.cluster => Servers::Cluster(nodes),
            [master] if !sentinels.is_empty() => {
                Servers::Watched(Box::new(Sentinels { nodes: sentinels, master: master.clone() }))
            }
            _ => Servers::Single(nodes),
        };
        Ok(Self { servers, timeout: config.timeout })
    }
}

/// The task that keeps the connection.
pub(super) struct LinkKeeper {
    pub(super) wanted: watch::Receiver<Wanted>,
    pub(super) namespace: String,
    /// Whom the process works for, as far as it is known.
    pub(super) owner: KnownOwner,
    pub(super) broken: mpsc::Receiver<Broken>,
    pub(super) link: watch::Sender<Result<Link, StoreError>>,
    pub(super) metrics: Arc<LinkMetrics>,
}

impl LinkKeeper {
    /// Connects, publishes the connection, and replaces it whenever it is found broken. Ends when the last
    /// receiver of `link` is dropped.
    pub(super) async fn run(mut self) {
        let mut reconnect = Reconnect::default();
        let (mut good, mut number, mut warning) = (0, 0, Warning::default());
        while !self.link.is_closed() {
            number += 1;
            match self.open_any(&mut good, number).await {
                Ok(opened) => {
                    let opened_at = Instant::now();
                    warning = Warning::default();
                    self.metrics.connected(None);
                    drop(self.link.send_replace(Ok(opened)));
                    let error = tokio::select! {
                        error = broken(&mut self.broken, number) => error,
                        () = self.link.closed() => return,
                    };
                    // One that fails soon again is not tried again at once.
                    if opened_at.elapsed() > STEADY {
                        reconnect.reset();
                    }
                    let cause = error.trouble().as_str();
                    tracing::warn!(cause, %error, "the connection to Redis is replaced");
                    self.metrics.lost(error.trouble());
                    drop(self.link.send_replace(Err(error)));
                }
                Err(error) => {
                    warning.give(&error);
                    self.metrics.lost(error.trouble());
                    self.link.send_if_modified(|state| {
                        let is_news = state.as_ref().err() != Some(&error);
                        *state = Err(error);
                        is_news
                    });
                }
            }
            tokio::select! {
                () = tokio::time::sleep(reconnect.next_delay()) => {}
                () = self.link.closed() => return,
            }
        }
    }

    /// Connects by the first address with which it succeeds, beginning with the one with which it did last
    /// (`good`). A master that was replaced and returns as a master, without what was done since, must not
    /// take over again.
    async fn open_any(&self, good: &mut usize, number: u64) -> Result<Link, StoreError> {
        let Wanted { servers, timeout } = self.wanted.borrow().clone();
        let is_cluster = matches!(servers, Servers::Cluster(_));
        let nodes = match servers {
            Servers::Single(nodes) | Servers::Cluster(nodes) => nodes,
            Servers::Watched(sentinels) => {
                *good = 0;
                vec![sentinels.master(timeout).await?]
            }
        };
        let mut errors = Vec::new();
        for n in (0..nodes.len()).map(|next| (*good + next) % nodes.len()) {
            match self.open_by(&nodes[n], is_cluster, number, timeout).await {
                Ok(link) => {
                    *good = n;
                    return Ok(link);
                }
                Err(error) => errors.push(error),
            }
        }
        Err(StoreError::of_all(errors))
    }

    /// Connects to a server, or to all masters of the cluster that it belongs to.
    async fn open_by(
        &self,
        node: &Node,
        is_cluster: bool,
        number: u64,
        timeout: Duration,
    ) -> Result<Link, StoreError> {
        let places = if is_cluster {
            node.explain(cluster::places(node, &self.namespace, timeout)).await?
        } else {
            vec![(node.clone(), self.namespace.clone())]
        };
        self.open(number, &places, timeout).await
    }

    /// Connects to the servers that hold the buckets, whose namespaces are given in their order, and makes
    /// sure that each can be used: that it accepts writes and permits every command, and that the namespace
    /// is not another deployment's.
    async fn open(
        &self,
        number: u64,
        places: &[(Node, String)],
        timeout: Duration,
    ) -> Result<Link, StoreError> {
        let mut nodes: Vec<&Node> = places.iter().map(|(node, _)| node).collect();
        nodes.sort_by_key(|node| node.address().to_string());
        nodes.dedup_by_key(|node| node.address());
        let connecting = nodes.iter().map(|node| node.explain(Server::connect(node, timeout)));
        let servers = try_join_all(connecting).await?;
        let server_of = |node: &Node| nodes.iter().position(|other| other.address() == node.address());
        let opening = places.iter().enumerate().filter_map(|(n, (node, namespace))| {
            let place = server_of(node)?;
            Some(node.explain(self.open_bucket((place, &servers[place]), namespace, n == 0)))
        });
        let buckets = try_join_all(opening).await?;
        for (node, server) in nodes.iter().zip(&servers) {
            tracing::info!(address = %node.address(), "connected to Redis");
            warn_of_settings(&mut server.connection.clone()).await;
        }
        let servers = servers.into_iter().map(|server| server.connection).collect();
        Ok(Link { number, timeout, servers, buckets: buckets.into() })
    }

    /// Opens a bucket. The home is the one that says whom the namespace belongs to.
    async fn open_bucket(
        &self,
        (place, server): (usize, &Server),
        namespace: &str,
        is_home: bool,
    ) -> Result<Bucket, StoreError> {
        let Server { mut connection, instance } = server.clone();
        let marks = if is_home {
            let owner = self.owner.get();
            let record = Record::read(&mut connection, namespace, owner.as_ref()).await?;
            record.check(namespace, owner.as_ref())?;
            record.marks
        } else {
            MarkNames::Prefixed
        };
        let names = Names::new(namespace, marks);
        let probe = names.probe("writes");
        redis::cmd("SET").arg(&probe).arg(1).arg("PX").arg(1_000).query_async::<()>(&mut connection).await?;
        let since = since::open(&mut connection, &instance, namespace, marks).await?;
        since::probe(&mut connection, &names, since.as_ref()).await?;
        Ok(Bucket { server: place, connection, names, since })
    }
}

/// A server that is connected.
#[derive(Clone)]
struct Server {
    connection: MultiplexedConnection,
    instance: Instance,
}

impl Server {
    async fn connect(node: &Node, timeout: Duration) -> Result<Self, StoreError> {
        let mut connection = node.connect(timeout).await?;
        let instance = Instance::of(&mut connection).await?;
        Ok(Self { connection, instance })
    }
}

/// Waits for a failure of the link with this number. Commands over the links before it may still fail.
async fn broken(failures: &mut mpsc::Receiver<Broken>, number: u64) -> StoreError {
    loop {
        match failures.recv().await {
            Some((of, error)) if of == number => return error,
            Some(_) => {}
            // The handle is gone, and with it the receivers of the link.
            None => std::future::pending().await,
        }
    }
}

/// A warning that is given when it changes, and repeated once a minute.
#[derive(Default)]
struct Warning(Option<(StoreError, Instant)>);

impl Warning {
    fn give(&mut self, error: &StoreError) {
        let given = self.0.as_ref().is_some_and(|(last, at)| last == error && at.elapsed() < REPEAT_AFTER);
        if !given {
            tracing::warn!(cause = error.trouble().as_str(), %error, "Redis cannot be used");
            self.0 = Some((error.clone(), Instant::now()));
        }
    }
}

/// Warns if Redis is configured so that it may lose keys. Where `CONFIG` is not permitted the settings are
/// unknown, and there is no warning.
async fn warn_of_settings(connection: &mut MultiplexedConnection) {
    for (setting, good, risk) in [
        ("maxmemory-policy", "noeviction", "it may evict idempotency keys, which lets duplicates through"),
        ("appendonly", "yes", "a restart loses idempotency keys, which lets duplicates through"),
    ] {
        let answer = redis::cmd("CONFIG").arg("GET").arg(setting).query_async::<Value>(connection).await;
        let pair: Option<Vec<String>> = answer.ok().and_then(|value| redis::from_redis_value(value).ok());
        if let Some(value) = pair.as_ref().and_then(|pair| pair.get(1)).filter(|value| *value != good) {
            let problem = format!("Redis is not configured to keep its data: {risk}");
            tracing::warn!(setting, %value, expected = good, "{problem}");
        }
    }
}
