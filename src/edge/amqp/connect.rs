//! Connecting to the broker.

use std::{io, time::Duration};

use futures_util::{Stream, StreamExt, stream::FuturesUnordered};
use lapin::{
    Channel, ConnectionProperties, ErrorKind, Event,
    protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError},
    uri::{AMQPScheme, AMQPUri},
};
use rustls::ClientConfig;
use url::{Host, Url};

use super::frames;
use crate::{
    config::Amqp,
    edge::{
        tls::{self, Fault},
        trouble::Trouble,
    },
};

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

    /// Returns the largest frame that was negotiated, in bytes.
    pub(super) fn frame_max(&self) -> u32 {
        self.0.configuration().frame_max()
    }

    /// Opens a channel.
    ///
    /// lapin keeps the error with which the broker closed a channel under its number, and gives it again when
    /// the numbers have gone round once: then the next one is taken. If every number has an error, the
    /// connection is closed, so that its owner makes another.
    pub(super) async fn channel(&self) -> lapin::Result<Channel> {
        loop {
            match self.0.create_channel().await {
                Err(error) if is_of_another_channel(&error) => {}
                Err(error) if matches!(error.kind(), ErrorKind::ChannelsLimitReached) => {
                    self.close().await;
                    return Err(error);
                }
                opened => return opened,
            }
        }
    }

    /// Returns the events of the connection from now on.
    pub(super) fn events(&self) -> impl Stream<Item = Event> + Send + Unpin + 'static {
        self.0.events_listener()
    }
}

/// Returns whether an error of opening a channel is one that ended an earlier channel: the broker refuses a
/// new channel only together with its connection.
fn is_of_another_channel(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(refusal) = error.kind() else { return false };
    matches!(refusal.kind(), AMQPErrorKind::Soft(_))
}

/// Why connecting failed. Each holds the host and port, and the cause in the words of the broker or of lapin.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// `amqp.url` is not an AMQP address.
    #[error("amqp.url: expected amqp://user:password@host:port/vhost")]
    Address,
    /// The broker does not accept the user or the password.
    #[error("the broker at {0} refused the login ({1}); check the user and the password in amqp.url")]
    Login(String, String),
    /// The broker does not accept the virtual host.
    #[error(
        "the broker at {0} refused the virtual host ({1}); check that it exists, that amqp.url names it, and \
         that the user has permissions in it"
    )]
    Vhost(String, String),
    /// The TLS handshake failed, for this reason if it is known.
    #[error("no TLS connection to the broker at {0} ({1}); {advice}", advice = .2.advice("amqp"))]
    Tls(String, String, Fault),
    /// No broker answered, or it refused the connection for another reason.
    #[error(
        "cannot connect to the broker at {0}: {1}; check that it is running and that amqp.url is right, with \
         amqps:// if it expects TLS"
    )]
    Unreachable(String, String),
}

impl ConnectError {
    /// Returns the infrastructure error that this is.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Address | Self::Unreachable(..) => Trouble::BrokerDown,
            Self::Login(..) => Trouble::BrokerLogin,
            Self::Vhost(..) => Trouble::BrokerVhost,
            Self::Tls(..) => Trouble::BrokerTls,
        }
    }

    /// Finds the cause of a failed connection.
    fn of(uri: &AMQPUri, error: &lapin::Error) -> Self {
        let (host, cause) = (shown(uri), error.to_string());
        if let ErrorKind::IOError(io) = error.kind() {
            return Self::of_io(uri, io);
        }
        let ErrorKind::ProtocolError(refusal) = error.kind() else { return Self::Unreachable(host, cause) };
        match refusal.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => Self::Login(host, cause),
            // The broker answers in the same way when a limit on connections is reached.
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) if !cause.contains("limit") => {
                Self::Vhost(host, cause)
            }
            AMQPErrorKind::Soft(_) | AMQPErrorKind::Hard(_) => Self::Unreachable(host, cause),
        }
    }

    /// Finds the cause of a socket that failed.
    pub(super) fn of_io(uri: &AMQPUri, error: &io::Error) -> Self {
        let (host, cause) = (shown(uri), error.to_string());
        if uri.scheme == AMQPScheme::AMQPS && is_of_tls(error.kind()) {
            return Self::Tls(host, cause, Fault::find(error).unwrap_or(Fault::NotTls));
        }
        if uri.scheme == AMQPScheme::AMQPS && error.kind() == io::ErrorKind::ConnectionReset {
            return Self::Tls(host, cause, Fault::Cut);
        }
        Self::Unreachable(host, cause)
    }
}

/// Returns whether a connection that was open failed in this way: rustls reports invalid data, and a server
/// that speaks no TLS hangs up.
fn is_of_tls(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof)
}

/// Reads an address.
///
/// lapin takes `localhost` in place of a host that is not a name: the credentials would go to another
/// broker than the one that was written.
pub(super) fn parse(url: &str) -> Option<AMQPUri> {
    let mut uri: AMQPUri = url.parse().ok()?;
    match Url::parse(url).ok()?.host()? {
        Host::Domain(_) => {}
        Host::Ipv4(address) => uri.authority.host = address.to_string(),
        Host::Ipv6(address) => uri.authority.host = address.to_string(),
    }
    Some(uri)
}

/// Returns the virtual host that `amqp.url` names.
///
/// # Errors
/// [`ConnectError::Address`]
pub fn vhost(config: &Amqp) -> Result<String, ConnectError> {
    let uri = config.urls.first().and_then(|url| parse(url.reveal()));
    uri.map(|uri| uri.vhost).ok_or(ConnectError::Address)
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
/// The last [`ConnectError`] that says more than that no broker answered, or else the last one.
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
                Some(Err(ConnectError::Unreachable(..))) if last.trouble() != Trouble::BrokerDown => {}
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = tokio::time::sleep(HEAD_START), if more => {}
        }
    }
}

async fn connect_to(config: &Amqp, url: &str, purpose: &str) -> Result<Connection, ConnectError> {
    let mut uri = parse(url).ok_or(ConnectError::Address)?;
    uri.query.heartbeat = Some(u16::try_from(config.heartbeat.as_secs()).unwrap_or(u16::MAX).max(1));
    uri.query.frame_max = Some(config.frame_max);
    let name = format!("hookswitch {purpose}, pid {}", std::process::id());
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let connecting = frames::open(uri.clone(), properties, config.frame_max, tls_of(config, &uri));
    match tokio::time::timeout(config.connect_timeout, connecting).await {
        Ok(Ok(connection)) => Ok(Connection(connection)),
        Ok(Err(error)) => Err(ConnectError::of(&uri, &error)),
        Err(_) => {
            let cause = format!("timed out after {:?}", config.connect_timeout);
            Err(ConnectError::Unreachable(shown(&uri), cause))
        }
    }
}

/// Returns the settings of TLS for an address; none if it has none.
pub(super) fn tls_of(config: &Amqp, uri: &AMQPUri) -> Option<ClientConfig> {
    let client = || tls::client(config.tls_ca.as_ref().into(), config.tls_identity.as_ref());
    (uri.scheme == AMQPScheme::AMQPS).then(client)
}

/// Returns the host and port as an address writes them.
pub(super) fn shown(uri: &AMQPUri) -> String {
    let (host, port) = (&uri.authority.host, uri.authority.port);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

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

    #[test]
    fn the_host_is_the_one_that_is_written() {
        for (url, host) in [
            ("amqp://u:p@[2001:db8::5]", "[2001:db8::5]:5672"),
            ("amqps://u:p@[::1]/%2f", "[::1]:5671"),
            ("amqp://u:p@[::ffff:192.0.2.7]:1/v", "[::ffff:192.0.2.7]:1"),
            ("amqp://192.0.2.7", "192.0.2.7:5672"),
            ("amqp://rabbit-1.example:5673/v", "rabbit-1.example:5673"),
        ] {
            assert_eq!(parse(url).as_ref().map(shown).as_deref(), Some(host), "{url}");
        }
        for url in ["amqp:///v", "amqp://[fe80::1%25eth0]", "amqp://2001:db8::5"] {
            assert_eq!(parse(url), None, "{url}");
        }
    }

    #[tokio::test]
    async fn an_ipv6_address_is_connected_to() {
        let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
        let mut amqp = Config::load(None, &Default::default()).expect("the defaults are good").amqp;
        amqp.urls =
            vec![Secret::new(format!("amqp://{}", listener.local_addr().expect("it has an address")))];
        tokio::select! {
            _ = connect(&amqp, "test") => panic!("nothing answers"),
            accepted = listener.accept() => assert!(accepted.is_ok()),
        }
    }

    #[tokio::test]
    async fn a_server_that_speaks_no_tls_is_named_as_such() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let mut amqp = Config::load(None, &Default::default()).expect("the defaults are good").amqp;
        let address = listener.local_addr().expect("it has an address");
        amqp.urls = vec![Secret::new(format!("amqps://{address}"))];
        let answering = async {
            let (mut stream, _) = listener.accept().await.expect("a client connects");
            let mut hello = [0; 16];
            stream.read_exact(&mut hello).await.expect("it speaks first");
            stream.write_all(b"AMQP\x00\x00\x09\x01").await.expect("it listens");
        };
        let (connected, ()) = tokio::join!(connect(&amqp, "test"), answering);
        let error = connected.expect_err("no TLS");
        assert_eq!(error.trouble(), Trouble::BrokerTls, "{error}");
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
