//! The connection to Redis: making it, checking it, and replacing it when it fails.

use std::{sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, RedisResult, Value,
    aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use tokio::sync::{Notify, watch};

use super::{
    error::StoreError,
    since::{self, Since},
};
use crate::{core::delivery::retry::Reconnect, edge::metrics::LinkMetrics};

/// The time after which the kernel gives up on a silent connection. Without it a black-holed link would go
/// unnoticed.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// A connection to Redis, and where it keeps the ledger.
#[derive(Clone)]
pub struct Link {
    pub(super) connection: MultiplexedConnection,
    /// None if no ledger is kept.
    pub(super) since: Option<Since>,
}

/// Creates the client of one address.
///
/// # Errors
/// The address is invalid.
pub(super) fn client(url: &str) -> Result<Client, StoreError> {
    let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(SILENCE_MAX);
    let address: ConnectionInfo = url
        .into_connection_info()
        .map_err(|_| StoreError("redis.url: expected redis://host:port/db".to_owned()))?
        .set_tcp_settings(tcp);
    Client::open(address).map_err(|error| StoreError(error.to_string()))
}

/// Connects, publishes the connection in `link`, and replaces it whenever it is found `broken`. Ends when the
/// last receiver of `link` is dropped.
pub(super) async fn keep(
    clients: Vec<Client>,
    timeout: Duration,
    broken: Arc<Notify>,
    link: watch::Sender<Option<Link>>,
    metrics: Arc<LinkMetrics>,
) {
    let mut reconnect = Reconnect::default();
    let mut good = 0;
    while !link.is_closed() {
        if let Some(opened) = open_any(&clients, &mut good, timeout).await {
            reconnect.reset();
            link.send_replace(Some(opened));
            tokio::select! {
                () = broken.notified() => {}
                () = link.closed() => return,
            }
            link.send_replace(None);
            metrics.reconnects.inc();
        }
        tokio::select! {
            () = tokio::time::sleep(reconnect.next_delay()) => {}
            () = link.closed() => return,
        }
    }
}

/// Connects to the first address that accepts writes, beginning with the one that did last (`good`). A master
/// that was replaced and returns as a master, without what was done since, must not take over again.
async fn open_any(clients: &[Client], good: &mut usize, timeout: Duration) -> Option<Link> {
    for n in (0..clients.len()).map(|next| (*good + next) % clients.len()) {
        let address = clients[n].get_connection_info().addr();
        match tokio::time::timeout(SILENCE_MAX, open(&clients[n], timeout)).await {
            Ok(Ok(link)) => {
                tracing::info!(%address, "connected to Redis");
                *good = n;
                return Some(link);
            }
            Ok(Err(error)) => tracing::warn!(%address, %error, "Redis cannot be used"),
            Err(_) => tracing::warn!(%address, "Redis does not answer"),
        }
    }
    None
}

/// Connects, and makes sure that Redis accepts writes: one that is read only, loading or full is of no use.
async fn open(client: &Client, timeout: Duration) -> RedisResult<Link> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let probe = format!("hookswitch:probe:{}", std::process::id());
    redis::cmd("SET").arg(&probe).arg(1).arg("PX").arg(1_000).query_async::<()>(&mut connection).await?;
    warn_of_settings(&mut connection).await;
    let since = since::open(&mut connection).await?;
    Ok(Link { connection, since })
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
