//! Logs: one line per delivery, for people or for machines, on standard error.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Log, LogFormat};

/// lapin and redis-rs speak only when they warn, and lapin not of a message that the broker returned: it would print
/// all of it, body and headers.
const LIBRARIES: &str = "lapin=warn,lapin::returned_messages=off,redis=warn";

/// Starts logging.
pub fn start(config: &Log) {
    let registry = tracing_subscriber::registry().with(filter(&config.filter));
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

fn filter(configured: &str) -> EnvFilter {
    EnvFilter::try_new(format!("{configured},{LIBRARIES}")).unwrap_or_else(|_| EnvFilter::new(LIBRARIES))
}

#[cfg(test)]
mod tests {
    use tracing::{Level, enabled};

    use super::*;

    #[test]
    fn a_returned_message_is_not_printed_whatever_the_filter() {
        for configured in ["info", "trace", "lapin=trace", "not a filter"] {
            let registry = tracing_subscriber::registry().with(filter(configured));
            tracing::subscriber::with_default(registry, || {
                assert!(!enabled!(target: "lapin::returned_messages", Level::ERROR), "{configured}");
                assert!(enabled!(target: "lapin::channel", Level::WARN), "{configured}");
            });
        }
    }
}
