//! Traces: spans as OpenTelemetry defines them, recorded for the webhooks whose trace is sampled, and sent
//! to a collector by a thread of their own.
//!
//! What records a span never waits: a span for which there is no room is dropped and counted. So a collector
//! that is slow or down costs memory up to a limit, and nothing else.

mod collector;
pub mod conventions;
mod error;
mod queue;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::{runtime, sync::oneshot, time::timeout};

pub use self::error::TracesError;
use self::queue::Queue;
use super::{metrics::SpanMetrics, seldom::Seldom};
use crate::{config::Tracing, core::trace::SampleRatio};

/// The time for which the end of the process waits until the last spans are sent.
const LAST_SPANS_WITHIN: Duration = Duration::from_secs(2);

/// The time between two log lines about spans that have no room.
const TOLD_EVERY: Duration = Duration::from_mins(10);

/// Records spans. Cloning it shares the queue.
#[derive(Clone, Debug)]
pub struct Tracer {
    ratio: SampleRatio,
    queue: Arc<Queue>,
    metrics: Arc<SpanMetrics>,
    told: Arc<Seldom>,
}

/// The thread that sends spans. Dropping this ends it when it has sent what waits.
#[derive(Debug)]
pub struct Sending {
    queue: Arc<Queue>,
    /// Fails once the thread has ended.
    ended: oneshot::Receiver<()>,
}

/// Starts recording and sending, if a collector is configured.
///
/// # Errors
/// [`TracesError`]
pub fn start(config: &Tracing, metrics: &Arc<SpanMetrics>) -> Result<Option<(Tracer, Sending)>, TracesError> {
    let Some(endpoint) = config.endpoint.clone() else { return Ok(None) };
    let exporter = collector::exporter(config, &endpoint)?;
    // Sockets and timers of the thread, apart from those of the program.
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (queue, metrics) = (Arc::new(Queue::default()), metrics.clone());
    let tracer = Tracer {
        ratio: config.sample_ratio,
        queue: queue.clone(),
        metrics: metrics.clone(),
        told: Arc::new(Seldom::every(TOLD_EVERY)),
    };
    let (ends, ended) = oneshot::channel();
    let spans = queue.clone();
    thread::Builder::new().name("traces".to_owned()).spawn(move || {
        let _ends: oneshot::Sender<()> = ends;
        send_all(&spans, &exporter, &runtime, &metrics, &endpoint);
    })?;
    Ok(Some((tracer, Sending { queue, ended })))
}

/// Sends spans until the queue is closed and empty. Logs once that the collector fails, and once that it
/// works.
fn send_all(
    queue: &Queue,
    exporter: &SpanExporter,
    runtime: &runtime::Runtime,
    metrics: &SpanMetrics,
    endpoint: &str,
) {
    let mut fails = false;
    while let Some(spans) = queue.next() {
        let count = spans.len() as u64;
        match runtime.block_on(exporter.export(spans)) {
            Ok(()) => {
                metrics.exported.inc_by(count);
                if std::mem::take(&mut fails) {
                    tracing::info!(address = endpoint, "spans are sent again");
                }
            }
            Err(error) => {
                metrics.dropped.inc_by(count);
                if !std::mem::replace(&mut fails, true) {
                    tracing::warn!(
                        address = endpoint, %error,
                        "spans are lost until the collector accepts them: check it and tracing.endpoint"
                    );
                }
            }
        }
    }
}

impl Tracer {
    /// Returns the share of the traces that are recorded, of those that begin here.
    pub fn ratio(&self) -> SampleRatio {
        self.ratio
    }

    /// Records spans, or counts those for which there is no room.
    pub fn record(&self, spans: impl IntoIterator<Item = SpanData>) {
        let dropped = self.queue.add(spans);
        if dropped > 0 {
            self.metrics.dropped.inc_by(dropped as u64);
            if self.told.turn().is_some() {
                tracing::warn!(
                    "spans are lost because the collector does not take them as fast as they come: lower \
                     tracing.sample_ratio, or give the collector more room"
                );
            }
        }
    }
}

impl Sending {
    /// Sends what waits, and waits a short while for it.
    pub async fn finish(mut self) {
        self.queue.close();
        drop(timeout(LAST_SPANS_WITHIN, &mut self.ended).await);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Tells the time of day of moments of the monotonic clock, all by the same difference: spans of one webhook
/// must not overlap because the clock was set.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    now: Instant,
    time: SystemTime,
}

impl Clock {
    /// Reads both clocks.
    pub fn read() -> Self {
        Self { now: Instant::now(), time: SystemTime::now() }
    }

    /// Returns the moment of reading.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Returns the time of day of an earlier moment.
    pub fn time_of(&self, moment: Instant) -> SystemTime {
        self.time - self.now.saturating_duration_since(moment)
    }
}

#[cfg(test)]
mod tests;
