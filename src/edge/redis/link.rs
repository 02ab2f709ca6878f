//! The connection to Redis: making it, checking it, and replacing it when it fails.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    TlsCertificates, Value, aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use tokio::sync::{mpsc, watch};

use super::{
    error::StoreError,
    names::Names,
    owner::{KnownOwner, Record},
    since::{self, Since},
};
use crate::{
    config::Redis,
    core::delivery::retry::Reconnect,
    edge::{metrics::LinkMetrics, trouble::Trouble},
};

/// The time after which the kernel gives up on a silent connection. Without it a black-holed link would go
/// unnoticed.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// The time after which a connection counts as a good one.
const STEADY: Duration = Duration::from_secs(10);

/// The time after which a warning that has not changed is repeated.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// A connection to Redis, and the names of what it holds.
#[derive(Clone)]
pub struct Link {
    /// Tells it from the connections before it.
    pub(super) number: u64,
    pub(super) connection: MultiplexedConnection,
    /// The time that a command may take.
    pub(super) timeout: Duration,
    pub(super) names: Arc<Names>,
    /// Where it keeps the ledger; none if no ledger is kept.
    pub(super) since: Option<Since>,
}

/// The failure of a command over the link with this number.
pub(super) type Broken = (u64, StoreError);

/// Creates the client of one address.
///
/// # Errors
/// The address is invalid.
fn client(url: &str, config: &Redis) -> Result<Client, StoreError> {
    let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(SILENCE_MAX);
    let refused = |_| StoreError::new(Trouble::StoreDown, "redis.url: expected redis://host:port/db");
    let address: ConnectionInfo = url.into_connection_info().map_err(refused)?.set_tcp_settings(tcp);
    let client = if matches!(address.addr(), ConnectionAddr::TcpTls { .. }) {
        Client::build_with_tls(address, certificates(config))
    } else {
        Client::open(address)
    };
    client.map_err(StoreError::from)
}

/// Returns the certificates to trust and to present, as redis-rs takes them.
fn certificates(config: &Redis) -> TlsCertificates {
    let client_tls = config.tls_identity.as_ref().map(|identity| ClientTlsConfig {
        client_cert: identity.certificates().into(),
        client_key: identity.key().reveal().into(),
    });
    TlsCertificates { client_tls, root_cert: config.tls_ca.as_ref().map(|ca| ca.pem().into()) }
}

/// What the next connection is to be.
#[derive(Clone)]
pub(super) struct Wanted {
    clients: Vec<Client>,
    timeout: Duration,
}

impl Wanted {
    /// # Errors
    /// An address is invalid.
    pub(super) fn of(config: &Redis) -> Result<Self, StoreError> {
        let clients = config.urls.iter().map(|url| client(url.reveal(), config)).collect::<Result<_, _>>()?;
        Ok(Self { clients, timeout: config.timeout })
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

    /// Connects to the first address that accepts writes, beginning with the one that did last (`good`). A
    /// master that was replaced and returns as a master, without what was done since, must not take over
    /// again.
    async fn open_any(&self, good: &mut usize, number: u64) -> Result<Link, StoreError> {
        let Wanted { clients, timeout } = self.wanted.borrow().clone();
        let mut errors = Vec::new();
        for n in (0..clients.len()).map(|next| (*good + next) % clients.len()) {
            let address = clients[n].get_connection_info().addr();
            let opening = self.open(&clients[n], timeout, number);
            let error = match tokio::time::timeout(SILENCE_MAX, opening).await {
                Ok(Ok(link)) => {
                    tracing::info!(%address, "connected to Redis");
                    *good = n;
                    return Ok(link);
                }
                Ok(Err(error)) => error,
                Err(_) => StoreError::new(Trouble::StoreDown, format!("no answer within {SILENCE_MAX:?}")),
            };
            let has_tls = matches!(address, ConnectionAddr::TcpTls { .. });
            let error = if has_tls && error.is_reset() { error.cut_in_tls() } else { error };
            let hint = match has_tls {
                // A server without TLS waits for the rest of what it takes for a command.
                true if error.trouble() == Trouble::StoreDown => " (does it speak TLS? rediss:// needs it)",
                false if error.is_reset() => " (does it expect TLS? write rediss:// then)",
                true | false => "",
            };
            errors.push(error.at(&format!("{address}{hint}")));
        }
        Err(StoreError::of_all(errors))
    }

    /// Connects, and makes sure that Redis can be used: that it accepts writes and permits every command, and
    /// that the namespace is not another deployment's.
    async fn open(&self, client: &Client, timeout: Duration, number: u64) -> Result<Link, StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let owner = self.owner.get();
        let record = Record::read(&mut connection, &self.namespace, owner.as_ref()).await?;
        record.check(&self.namespace, owner.as_ref())?;
        let names = Arc::new(Names::new(&self.namespace, record.marks));
        let probe = names.probe("writes");
        redis::cmd("SET").arg(&probe).arg(1).arg("PX").arg(1_000).query_async::<()>(&mut connection).await?;
        warn_of_settings(&mut connection).await;
        let since = since::open(&mut connection, &self.namespace, record.marks).await?;
        since::probe(&mut connection, &names, since.as_ref()).await?;
        Ok(Link { number, connection, timeout, names, since })
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
