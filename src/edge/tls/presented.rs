//! The certificate of a listener, which can be replaced while it listens.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::config::Identity;

/// The certificate of a listener. Its clones share it.
#[derive(Clone, Debug)]
pub struct Presented(watch::Sender<Arc<CertifiedKey>>);

impl Presented {
    /// Presents the certificate of `identity`.
    pub fn new(identity: &Identity) -> Self {
        Self(watch::Sender::new(identity.certified()))
    }

    /// Presents another one from the next handshake on. Open connections stay.
    pub fn replace(&self, identity: &Identity) {
        self.0.send_replace(identity.certified());
    }

    /// Returns the listener's side of handshakes.
    pub(in crate::edge) fn acceptor(&self) -> TlsAcceptor {
        let mut config =
            ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

impl ResolvesServerCert for Presented {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.borrow()))
    }
}
