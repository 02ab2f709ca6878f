//! The reason why spans cannot be sent.

use std::io;

/// The reason why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The exporter refuses its settings.
    #[error("{0}: check the environment variables that begin with OTEL_EXPORTER_OTLP_")]
    Exporter(String),
    /// There is no thread to send from.
    #[error("the thread that sends spans could not start: {0}")]
    Thread(#[from] io::Error),
}
