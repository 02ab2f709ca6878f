//! The collector that spans are sent to, by OTLP over HTTP.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SpanExporter as _};
use opentelemetry_semantic_conventions::attribute::{SERVICE_INSTANCE_ID, SERVICE_VERSION};
use uuid::Uuid;

use super::error::TracesError;
use crate::{config::Tracing, edge::http::Client};

/// The time that one request may take, and all retries of a batch.
const PATIENCE: Duration = Duration::from_secs(10);

/// Creates the exporter of the spans of this process.
///
/// # Errors
/// [`TracesError::Exporter`]: what OpenTelemetry's own environment variables say is wrong.
pub(super) fn exporter(config: &Tracing, endpoint: &str) -> Result<SpanExporter, TracesError> {
    let headers: HashMap<_, _> =
        config.headers().into_iter().map(|(name, value)| (name, value.reveal().to_owned())).collect();
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Courier(Client::new(PATIENCE)))
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .with_headers(headers)
        .with_timeout(PATIENCE)
        .build()
        .map_err(|error| TracesError::Exporter(error.to_string()))?;
    let attributes = config.attributes().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new(SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
            KeyValue::new(SERVICE_INSTANCE_ID, Uuid::new_v4().to_string()),
        ])
        .with_attributes(attributes.map(|(name, value)| KeyValue::new(name, value)))
        .with_service_name(config.service_name.clone())
        .build();
    exporter.set_resource(&resource);
    Ok(exporter)
}

/// The program's own HTTP client, as OpenTelemetry wants one.
#[derive(Debug)]
struct Courier(Client);

#[async_trait::async_trait]
impl HttpClient for Courier {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let named =
            parts.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let headers: Vec<_> = named.collect();
        let posted = self.0.post(&parts.uri.to_string(), &headers, body).await;
        let reply = posted.inspect_err(|error| tracing::debug!(%error, "spans"))?;
        Ok(Response::builder().status(reply.status).body(reply.body)?)
    }
}
