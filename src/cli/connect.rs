//! The runtime and the connections of commands that do one thing and end.

use super::exit::Unreachable;
use crate::{
    config::{Amqp, Config},
    edge::{
        amqp::{self, Connection},
        metrics::LinkMetrics,
        redis::Store,
    },
};

/// Runs a command to its end, on one thread.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Connects to the broker.
pub(super) async fn connect(config: &Amqp) -> Result<Connection, Unreachable> {
    amqp::connect(config, "command").await.map_err(|error| Unreachable(error.to_string()))
}

/// Connects to Redis.
pub(super) async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let store = Store::start(&config.redis, LinkMetrics::unexported())?;
    let mut link = store.watch();
    let up = link.wait_for(Option::is_some);
    if !matches!(tokio::time::timeout(config.redis.timeout * 3, up).await, Ok(Ok(_))) {
        let error = "Redis does not answer; check that it is running and that redis.url or \
                     HOOKSWITCH_REDIS_URL is right";
        return Err(Unreachable(error.to_owned()).into());
    }
    Ok(store)
}
