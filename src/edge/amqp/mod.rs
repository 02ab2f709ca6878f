//! RabbitMQ: connecting, the topology, messages, and publishing with confirms.
//!
//! lapin's automatic recovery stays off: whoever holds a connection drops everything of it on the first error and
//! starts anew (see ARCHITECTURE.md for the defects of lapin 4.12.3 that this goes around).

pub mod consumer;
pub mod message;
pub mod names;
pub mod publisher;
pub mod topology;

use lapin::{Connection, ConnectionProperties, uri::AMQPUri};

use crate::config::Amqp;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address in the configuration is none.
    #[error("amqp.url: expected amqp://user:password@host:port/vhost")]
    Address,
    /// Nobody answered as a broker would.
    #[error("no broker at {host}: {cause}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// What happened.
        cause: String,
    },
}

/// Connects to the first of the addresses that answers, beginning with any of them: so connections spread over the
/// nodes of a cluster, and who comes back from a node that was of no use most likely gets another.
///
/// lapin's own `connection_timeout` counts only for its blocking interface, hence the time-out here.
///
/// # Errors
/// [`ConnectError`] of the last address tried.
pub async fn connect(config: &Amqp, purpose: &str) -> Result<Connection, ConnectError> {
    let mut last = ConnectError::Address;
    let (others, first) = config.urls.split_at(rand::random_range(0..config.urls.len().max(1)));
    for url in first.iter().chain(others) {
        match connect_to(config, url.reveal(), purpose).await {
            Ok(connection) => return Ok(connection),
            Err(error) => {
                tracing::debug!(purpose, %error, "the next address, if there is one");
                last = error;
            }
        }
    }
    Err(last)
}

async fn connect_to(config: &Amqp, url: &str, purpose: &str) -> Result<Connection, ConnectError> {
    let mut uri: AMQPUri = url.parse().map_err(|_| ConnectError::Address)?;
    uri.query.heartbeat = Some(u16::try_from(config.heartbeat.as_secs()).unwrap_or(u16::MAX).max(1));
    let host = format!("{}:{}", uri.authority.host, uri.authority.port);
    let name = format!("hookswitch {purpose}, pid {}", std::process::id());
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let connecting = Connection::connect_uri(uri, properties);
    match tokio::time::timeout(config.connect_timeout, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(ConnectError::Unreachable { host, cause: error.to_string() }),
        Err(_) => {
            let cause = format!("no answer within {:?}", config.connect_timeout);
            Err(ConnectError::Unreachable { host, cause })
        }
    }
}
