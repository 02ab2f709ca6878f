//! The runtime and the connections of commands that do one thing and end.

use super::exit::Unreachable;
use crate::{
    config::{Amqp, Config},
    core::applied::Declared,
    edge::{
        amqp::{self, Connection, topology},
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

/// Connects to Redis, and makes sure that its keys are those of the broker and virtual host of this
/// connection.
pub(super) async fn open_store(config: &Config, connection: &Connection) -> anyhow::Result<Store> {
    let declared = topology::known(connection).await.map_err(|error| Unreachable(error.to_string()))?;
    let broker = amqp::identity(&config.amqp, &declared).await;
    let broker = broker.map_err(|error| Unreachable(error.to_string()))?;
    let store = Store::start(&config.redis, LinkMetrics::unexported())?;
    let mut link = store.watch();
    let up = link.wait_for(Result::is_ok);
    drop(tokio::time::timeout(config.redis.timeout * 3, up).await);
    store.check_owner(&broker).await.map_err(|error| Unreachable(error.to_string()))?;
    Ok(store)
}

/// Reads the record of the topology.
pub(super) async fn read_record(connection: &Connection) -> Result<Declared, Unreachable> {
    topology::declared(connection).await.map_err(|error| Unreachable(error.to_string()))
}
