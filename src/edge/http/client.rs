//! A small HTTP client, with one time limit for a whole exchange.

use std::{error::Error, fmt, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as PooledClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::ClientConfig;
use tokio::time::timeout;

use crate::edge::tls::{self, Fault, Trust};

/// The most bytes of a body that the client reads.
const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// A response to the client, of any status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most 1 MiB.
    pub body: Bytes,
}

/// The reason why the client got no response.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL cannot be used.
    #[error("invalid URL {0}: write http://host:port/path, or https://")]
    Url(String),
    /// A header cannot be sent.
    #[error("invalid header: {0}")]
    Header(hyper::http::Error),
    /// There was no response, or not all of it.
    #[error("no response from {url}: {cause}")]
    Failed {
        /// The URL of the request.
        url: String,
        /// The error and the errors under it.
        cause: String,
        /// What is wrong with TLS, if that is the cause.
        tls: Option<Fault>,
    },
    /// The response took too long.
    #[error("no response from {url} within {limit:?}")]
    TimedOut {
        /// The URL of the request.
        url: String,
        /// The client's time limit.
        limit: Duration,
    },
}

/// An HTTP client that keeps connections open. Cloning it shares them.
#[derive(Clone)]
pub struct Client {
    pool: PooledClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    limit: Duration,
    schemes: &'static [&'static str],
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Client {
    /// Creates a client for `http://` whose exchanges take at most `limit`.
    pub fn new(limit: Duration) -> Self {
        Self::build(limit, tls::client(Trust::Nobody, None), &["http"])
    }

    /// Creates such a client that also speaks `https://`, with the settings `tls`.
    pub fn with_tls(limit: Duration, tls: ClientConfig) -> Self {
        Self::build(limit, tls, &["http", "https"])
    }

    fn build(limit: Duration, tls: ClientConfig, schemes: &'static [&'static str]) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(limit));
        connector.enforce_http(false);
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let pool = PooledClient::builder(TokioExecutor::new()).build(builder.wrap_connector(connector));
        Self { pool, limit, schemes }
    }

    /// Gets `url`.
    ///
    /// # Errors
    /// [`ClientError`] if there is no response. A response of any status is a success.
    pub async fn get(&self, url: &str) -> Result<Reply, ClientError> {
        self.exchange("GET", url, &[], Bytes::new()).await
    }

    /// Posts `body` to `url`.
    ///
    /// # Errors
    /// [`ClientError`] if there is no response. A response of any status is a success.
    pub async fn post(&self, url: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Reply, ClientError> {
        self.exchange("POST", url, headers, body).await
    }

    async fn exchange(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply, ClientError> {
        let is_usable =
            |uri: &Uri| uri.host().is_some() && uri.scheme_str().is_some_and(|s| self.schemes.contains(&s));
        let address = url.parse::<Uri>().ok().filter(is_usable);
        let address = address.ok_or_else(|| ClientError::Url(url.to_owned()))?;
        let mut request = Request::builder().method(method).uri(address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(ClientError::Header)?;
        let failed = |e: &(dyn Error + 'static)| ClientError::Failed {
            url: url.to_owned(),
            cause: chain(e),
            tls: Fault::find(e),
        };
        let exchange = async {
            let response = self.pool.request(request).await.map_err(|e| failed(&e))?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), REPLY_BYTES_MAX).collect().await;
            Ok(Reply { status, body: body.map_err(|e| failed(e.as_ref()))?.to_bytes() })
        };
        timeout(self.limit, exchange)
            .await
            .unwrap_or_else(|_| Err(ClientError::TimedOut { url: url.to_owned(), limit: self.limit }))
    }
}

/// Returns the text of an error and of all errors under it: hyper's own text says only "client error
/// (Connect)".
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
