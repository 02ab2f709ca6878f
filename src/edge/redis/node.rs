//! A server: how it is reached, and why it is not.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    TlsCertificates, aio::MultiplexedConnection, io::tcp::TcpSettings,
};

use super::error::StoreError;
use crate::{config::Redis, edge::trouble::Trouble};

/// The time after which the kernel gives up on a silent connection. Without it a black-holed link would go
/// unnoticed.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// An address, the login there, and what TLS trusts and presents.
#[derive(Clone, Debug)]
pub(super) struct Node(Client);

impl Node {
    /// Reads an address of the configuration.
    ///
    /// # Errors
    /// The address is invalid.
    pub(super) fn of(url: &str, config: &Redis) -> Result<Self, StoreError> {
        let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(SILENCE_MAX);
        let refused = |_| StoreError::new(Trouble::StoreDown, "redis.url: expected redis://host:port/db");
        let address: ConnectionInfo = url.into_connection_info().map_err(refused)?.set_tcp_settings(tcp);
        let client = if matches!(address.addr(), ConnectionAddr::TcpTls { .. }) {
            Client::build_with_tls(address, certificates(config))?
        } else {
            Client::open(address)?
        };
        Ok(Self(client))
    }

    /// Returns another server, with the same login, database and TLS.
    ///
    /// # Errors
    /// The address is invalid.
    pub(super) fn at(&self, host: &str, port: u16) -> Result<Self, StoreError> {
        let (mut address, host) = (self.address().clone(), host.to_owned());
        if let ConnectionAddr::TcpTls { host: its_host, port: its_port, .. } = &mut address {
            (*its_host, *its_port) = (host, port);
        } else {
            address = ConnectionAddr::Tcp(host, port);
        }
        Ok(Self(Client::open(self.0.get_connection_info().clone().set_addr(address))?))
    }

    /// Returns its host.
    pub(super) fn host(&self) -> &str {
        let (ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. }) = self.address() else {
            // A socket file has none. The configuration accepts no such address.
            return "";
        };
        host
    }

    /// Returns its address.
    pub(super) fn address(&self) -> &ConnectionAddr {
        self.0.get_connection_info().addr()
    }

    /// Connects, which may take `timeout`, as may every command.
    pub(super) async fn connect(&self, timeout: Duration) -> Result<MultiplexedConnection, StoreError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        Ok(self.0.get_multiplexed_async_connection_with_config(&config).await?)
    }

    /// Waits for some work with this server. An error names its address, and what may be wrong with TLS.
    pub(super) async fn explain<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let error = match tokio::time::timeout(SILENCE_MAX, work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => error,
            Err(_) => StoreError::new(Trouble::StoreDown, format!("no answer within {SILENCE_MAX:?}")),
        };
        let address = self.address();
        let has_tls = matches!(address, ConnectionAddr::TcpTls { .. });
        let error = if has_tls && error.is_reset() { error.cut_in_tls() } else { error };
        let hint = match has_tls {
            // A server without TLS waits for the rest of what it takes for a command.
            true if error.trouble() == Trouble::StoreDown => " (does it speak TLS? rediss:// needs it)",
            false if error.is_reset() => " (does it expect TLS? write rediss:// then)",
            true | false => "",
        };
        Err(error.at(&format!("{address}{hint}")))
    }
}

/// Returns the certificates to trust and to present, as redis-rs takes them.
fn certificates(config: &Redis) -> TlsCertificates {
    let client_tls = config.tls_identity.as_ref().map(|identity| ClientTlsConfig {
        client_cert: identity.certificates().into(),
        client_key: identity.key().reveal().into(),
    });
    TlsCertificates { client_tls, root_cert: config.tls_ca.as_ref().map(|ca| ca.pem().into()) }
}
