//! Connecting to the broker.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream::FuturesUnordered};
use lapin::{Channel, ConnectionProperties, Event, uri::AMQPUri};

use crate::config::Amqp;

/// Time to close a connection in order.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// An open connection to the broker.
#[derive(Debug)]
pub struct Connection(lapin::Connection);

impl Connection {
    /// Closes the connection. Waits for at most a second: closing may hang on a dead or blocked connection,
    /// and the broker notices either way.
    pub async fn close(&self) {
        drop(tokio::time::timeout(CLOSE_MAX, self.0.close(200, "done".into())).await);
    }

    /// Opens a channel.
    pub(super) async fn channel(&self) -> lapin::Result<Channel> {
        self.0.create_channel().await
    }

    /// Returns the events of the connection from now on.
    pub(super) fn events(&self) -> impl Stream<Item = Event> + Send + Unpin + 'static {
        self.0.events_listener()
    }
}

/// Why connecting failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// `amqp.url` is not an AMQP address.
    #[error("amqp.url: expected amqp://user:password@host:port/vhost")]
    Address,
    /// No broker answered.
    #[error("cannot connect to the broker at {host}: {cause}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// The cause, in words.
        cause: String,
    },
}

/// Time that an address may take before the next is tried in parallel: a node that is frozen or cut off never
/// answers.
const HEAD_START: Duration = Duration::from_secs(1);

/// Connects to the first address that answers, beginning with a random one. So connections spread over the
/// nodes of a cluster, and a reconnect after a node has failed most likely reaches another.
///
/// lapin applies its own `connection_timeout` only in its blocking interface, hence the timeout here.
///
/// # Errors
/// [`ConnectError`] of the last address tried.
pub async fn connect(config: &Amqp, purpose: &str) -> Result<Connection, ConnectError> {
    let (others, first) = config.urls.split_at(rand::random_range(0..config.urls.len().max(1)));
    let mut urls = first.iter().chain(others);
    let mut tries = FuturesUnordered::new();
    let mut last = ConnectError::Address;
    loop {
        let more = urls.next().map(|url| tries.push(connect_to(config, url.reveal(), purpose))).is_some();
        tokio::select! {
            tried = tries.next() => match tried {
                Some(Ok(connection)) => return Ok(connection),
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = tokio::time::sleep(HEAD_START), if more => {}
        }
    }
}

async fn connect_to(config: &Amqp, url: &str, purpose: &str) -> Result<Connection, ConnectError> {
    let mut uri: AMQPUri = url.parse().map_err(|_| ConnectError::Address)?;
    uri.query.heartbeat = Some(u16::try_from(config.heartbeat.as_secs()).unwrap_or(u16::MAX).max(1));
    uri.query.frame_max = Some(config.frame_max);
    let host = format!("{}:{}", uri.authority.host, uri.authority.port);
    let name = format!("hookswitch {purpose}, pid {}", std::process::id());
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let connecting = lapin::Connection::connect_uri(uri, properties);
    match tokio::time::timeout(config.connect_timeout, connecting).await {
        Ok(Ok(connection)) => Ok(Connection(connection)),
        Ok(Err(error)) => Err(ConnectError::Unreachable { host, cause: error.to_string() }),
        Err(_) => {
            let cause = format!("timed out after {:?}", config.connect_timeout);
            Err(ConnectError::Unreachable { host, cause })
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::{Config, Secret};

    /// Listens at three addresses and answers nothing.
    async fn silence() -> (Vec<TcpListener>, Amqp) {
        let mut amqp = Config::load(None, &Default::default()).expect("the defaults are good").amqp;
        let (mut listeners, mut urls) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
            urls.push(Secret::new(format!("amqp://{}", listener.local_addr().expect("it has an address"))));
            listeners.push(listener);
        }
        amqp.urls = urls;
        (listeners, amqp)
    }

    #[tokio::test]
    async fn connections_begin_at_every_address() {
        let (listeners, amqp) = silence().await;
        let mut begun = [0; 3];
        for _ in 0..60 {
            let connecting = connect(&amqp, "test");
            tokio::select! {
                _ = connecting => {}
                _ = listeners[0].accept() => begun[0] += 1,
                _ = listeners[1].accept() => begun[1] += 1,
                _ = listeners[2].accept() => begun[2] += 1,
            }
        }
        assert!(begun.iter().all(|count| *count > 0), "{begun:?}");
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_does_not_delay_the_others() {
        let (listeners, mut amqp) = silence().await;
        amqp.connect_timeout = Duration::from_secs(60);
        let all = join_all(listeners.iter().map(TcpListener::accept));
        tokio::select! {
            _ = connect(&amqp, "test") => panic!("no address answers"),
            accepted = all => assert!(accepted.iter().all(Result::is_ok)),
        }
    }
}
