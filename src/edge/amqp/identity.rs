//! What the broker says of itself, and the signs by which it and the virtual host are known again.
//!
//! RabbitMQ greets with the name of its cluster. lapin does not pass the greeting on, so it is read over a
//! connection of its own, which ends before the login. As long as nobody has given the cluster a name, each
//! node greets with its own (`rabbit_nodes:cluster_name_default`). So the topology's age counts as well: all
//! nodes have one record of it.

use std::io;

use async_rs::Runtime;
use futures_util::{AsyncReadExt, AsyncWriteExt};
use lapin::{
    types::{AMQPValue, parsing::parse_field_table},
    uri::AMQPUri,
};
use rustls::ClientConfig;

use super::{
    connect::{self, ConnectError},
    frames,
};
use crate::{
    config::Amqp,
    core::{applied::Declared, identity::BrokerIdentity},
};

/// What a client of AMQP 0-9-1 says first.
const PROTOCOL: &[u8] = b"AMQP\x00\x00\x09\x01";

/// The bytes of a frame before its payload: type, channel, size.
const FRAME_HEAD: usize = 7;

/// The bytes of `connection.start` before the properties of the server: class, method, version.
const START_HEAD: usize = 6;

/// The largest greeting that is read. RabbitMQ's has about 500 bytes.
const GREETING_MAX: usize = 64 * 1024;

/// Returns the identity of the broker and virtual host behind `amqp.url`, with what was declared there.
///
/// # Errors
/// [`ConnectError`] of the last address tried.
pub async fn identity(config: &Amqp, declared: &Declared) -> Result<BrokerIdentity, ConnectError> {
    let (vhost, Greeting { cluster, version }) = (connect::vhost(config)?, greeting(config).await?);
    let names = format!("virtual host `{vhost}` of RabbitMQ `{cluster}`");
    Ok(BrokerIdentity { names, topology: declared.since.map(|at| at.to_string()), version })
}

/// What a broker says of itself before the login; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// The name of its cluster.
    pub cluster: String,
    /// Its version.
    pub version: String,
}

/// Returns the greeting of the first broker of `amqp.url` that gives one.
///
/// # Errors
/// [`ConnectError`] of the last address tried.
pub async fn greeting(config: &Amqp) -> Result<Greeting, ConnectError> {
    let mut last = ConnectError::Address;
    for url in &config.urls {
        let uri = connect::parse(url.reveal()).ok_or(ConnectError::Address)?;
        let asking = ask(&uri, connect::tls_of(config, &uri));
        last = match tokio::time::timeout(config.connect_timeout, asking).await {
            Ok(Ok(greeting)) => return Ok(greeting),
            Ok(Err(error)) => ConnectError::of_io(&uri, &error),
            Err(_) => {
                let cause = format!("no greeting within {:?}", config.connect_timeout);
                ConnectError::Unreachable(connect::shown(&uri), cause)
            }
        };
    }
    Err(last)
}

/// Connects, reads the greeting, and leaves.
async fn ask(uri: &AMQPUri, tls: Option<ClientConfig>) -> io::Result<Greeting> {
    let mut stream = frames::socket(&Runtime::tokio_current(), uri, tls).await?;
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
    Ok(read(&payload))
}

/// Reads a `connection.start`.
fn read(start: &[u8]) -> Greeting {
    let table = start.get(START_HEAD..).and_then(|properties| parse_field_table(properties).ok());
    let said = |name: &str| match table.as_ref().and_then(|(_, table)| table.inner().get(name)) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        Some(_) | None => String::new(),
    };
    Greeting { cluster: said("cluster_name"), version: said("version") }
}

#[cfg(test)]
mod tests {
    use super::{Greeting, read};

    #[test]
    fn the_greeting_names_the_cluster_and_the_version() {
        let entries = b"\x0ccluster_nameS\x00\x00\x00\x08rabbit@a\x07versionS\x00\x00\x00\x054.3.6";
        let size = u32::try_from(entries.len()).expect("it is short").to_be_bytes();
        let start = [&b"\x00\x0a\x00\x0a\x00\x09"[..], &size, entries, b"rest"].concat();
        let said = Greeting { cluster: "rabbit@a".to_owned(), version: "4.3.6".to_owned() };
        assert_eq!(read(&start), said);
        assert_eq!(read(b"\x00\x0a\x00\x0a\x00\x09\x00\x00\x00\x00"), Greeting::default());
        assert_eq!(read(b""), Greeting::default());
    }
}
