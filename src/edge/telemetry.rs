//! Logs: one line per delivery, for people or for machines, on standard error.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Log, LogFormat};

/// lapin and redis-rs speak only when they warn; and not of returned messages, which lapin logs with their bodies.
const LIBRARIES: &str = "lapin=warn,lapin::returned_messages=off,redis=warn";

/// Starts logging.
pub fn start(config: &Log) {
    let filter = EnvFilter::try_new(format!("{},{LIBRARIES}", config.filter))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    // A second start, as in tests, changes nothing.
    let started = match config.format {
        LogFormat::Pretty => {
            registry.with(fmt::layer().with_writer(std::io::stderr).with_target(false)).try_init()
        }
        LogFormat::Json => registry
            .with(
                fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(std::io::stderr),
            )
            .try_init(),
    };
    drop(started);
}
