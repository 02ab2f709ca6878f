//! The signs by which the broker and the virtual host that a process works with are known again.
//!
//! RabbitMQ greets with the name of its cluster. lapin does not pass the greeting on, so it is read over a
//! connection of its own, which ends before the login. As long as nobody has given the cluster a name, each node
//! greets with its own (`rabbit_nodes:cluster_name_default`). So the topology's age counts as well: all nodes
//! have one record of it.

use std::io;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use lapin::{
    tcp::AMQPUriTcpExt,
    types::{AMQPValue, parsing::parse_field_table},
    uri::AMQPUri,
};

use super::{
    connect::{self, ConnectError, Connection},
    consume::stream::StreamError,
    topology,
};
use crate::{config::Amqp, core::identity::BrokerIdentity};

/// What a client of AMQP 0-9-1 says first.
const PROTOCOL: &[u8] = b"AMQP\x00\x00\x09\x01";

/// The bytes of a frame before its payload: type, channel, size.
const FRAME_HEAD: usize = 7;

/// The bytes of `connection.start` before the properties of the server: class, method, version.
const START_HEAD: usize = 6;

/// The largest greeting that is read. RabbitMQ's has about 500 bytes.
const GREETING_MAX: usize = 64 * 1024;

/// Returns the identity of the broker and virtual host behind `amqp.url` and this connection.
///
/// # Errors
/// [`IdentityError`]
pub async fn identity(config: &Amqp, connection: &Connection) -> Result<BrokerIdentity, IdentityError> {
    let topology = topology::first_applied(connection).await?.map(|at| at.to_string());
    Ok(BrokerIdentity { names: names(config).await?, topology })
}

/// The reason why a broker's identity is not known.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No address gave a greeting.
    #[error(transparent)]
    Greeting(#[from] ConnectError),
    /// The record of the topology could not be read.
    #[error(transparent)]
    Record(#[from] StreamError),
}

/// Returns the names of the cluster and of the virtual host behind `amqp.url`.
async fn names(config: &Amqp) -> Result<String, ConnectError> {
    let mut last = ConnectError::Address;
    for url in &config.urls {
        let uri = connect::parse(url.reveal()).ok_or(ConnectError::Address)?;
        let cause = match tokio::time::timeout(config.connect_timeout, cluster_name(&uri)).await {
            Ok(Ok(cluster)) => return Ok(format!("virtual host `{}` of RabbitMQ `{cluster}`", uri.vhost)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no greeting within {:?}", config.connect_timeout),
        };
        last = ConnectError::Unreachable(connect::shown(&uri), cause);
    }
    Err(last)
}

/// Connects, reads the greeting, and leaves.
async fn cluster_name(uri: &AMQPUri) -> io::Result<String> {
    let runtime = lapin::runtime::default_runtime().map_err(io::Error::other)?;
    let mut stream = uri.connect_async(&runtime).await?;
    stream.write_all(PROTOCOL).await?;
    stream.flush().await?;
    let mut head = [0; FRAME_HEAD];
    stream.read_exact(&mut head).await?;
    let [_, _, _, size @ ..] = head;
    let size = usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX);
    if head[0] != 1 || size > GREETING_MAX {
        return Err(io::Error::other("the greeting is not RabbitMQ's"));
    }
    let mut payload = vec![0; size];
    stream.read_exact(&mut payload).await?;
    Ok(named_in(&payload))
}

/// Returns the cluster's name in a `connection.start`; empty if it has none.
fn named_in(start: &[u8]) -> String {
    let table = start.get(START_HEAD..).and_then(|properties| parse_field_table(properties).ok());
    let name = table.and_then(|(_, table)| table.inner().get("cluster_name").cloned());
    match name {
        Some(AMQPValue::LongString(name)) => name.to_string(),
        Some(_) | None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::named_in;

    #[test]
    fn the_cluster_is_named_in_the_greeting() {
        let entry = b"\x0ccluster_nameS\x00\x00\x00\x08rabbit@a";
        let start =
            [&b"\x00\x0a\x00\x0a\x00\x09"[..], &(entry.len() as u32).to_be_bytes(), entry, b"rest"].concat();
        assert_eq!(named_in(&start), "rabbit@a");
        assert_eq!(named_in(b"\x00\x0a\x00\x0a\x00\x09\x00\x00\x00\x00"), "");
        assert_eq!(named_in(b""), "");
    }
}
