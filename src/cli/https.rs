//! The certificates that commands accept of a process.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow, ensure};

use crate::{
    config::{Authorities, Identity},
    edge::{
        http::{Client, ClientError},
        tls::{self, Fault, Trust},
    },
};

#[derive(clap::Args, Default)]
pub(super) struct Https {
    /// File with the certificates of the CAs to trust, in PEM, with a URL of https://; without it, those that
    /// this machine trusts
    #[arg(long, value_name = "FILE", requires = "url")]
    ca_file: Option<PathBuf>,
}

impl Https {
    /// Creates a client for `url`.
    pub(super) fn client(&self, limit: Duration, url: &str) -> anyhow::Result<Client> {
        let Some(path) = &self.ca_file else {
            let is_https = url.starts_with("https:");
            return Ok(if is_https { trusting(limit, Trust::Machine) } else { Client::new(limit) });
        };
        let shown = path.display().to_string();
        let pem = std::fs::read_to_string(path).with_context(|| format!("--ca-file {shown}"))?;
        let authorities = Authorities::parse(&shown, pem);
        ensure!(
            authorities.is_some(),
            "--ca-file {shown}: expected certificates in PEM (it has none, or one that cannot be read)"
        );
        Ok(trusting(limit, authorities.as_ref().into()))
    }
}

/// Returns the URL of `path` at a listener of the same configuration, and a client for it, which accepts
/// exactly the listener's certificate.
pub(super) fn of_listener(
    limit: Duration,
    address: SocketAddr,
    path: &str,
    identity: Option<&Identity>,
) -> (String, Client) {
    match identity {
        Some(identity) => (format!("https://{address}/{path}"), trusting(limit, Trust::Exactly(identity))),
        None => (format!("http://{address}/{path}"), Client::new(limit)),
    }
}

/// Explains why there was no answer.
pub(super) fn explained(error: &ClientError) -> anyhow::Error {
    let advice = match error {
        ClientError::Failed { tls: Some(Fault::UnknownAuthority), .. } => "; name its CA with --ca-file",
        ClientError::Failed { tls: Some(Fault::NotTls), .. } => "; it may speak http://",
        ClientError::Failed { .. }
        | ClientError::TimedOut { .. }
        | ClientError::Url(_)
        | ClientError::Header(_) => "",
    };
    anyhow!("{error}{advice}")
}

fn trusting(limit: Duration, trust: Trust<'_>) -> Client {
    Client::with_tls(limit, tls::client(trust, None))
}
