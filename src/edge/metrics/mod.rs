//! Metrics for Prometheus. `docs/metrics.md` is generated from them.
//!
//! Adding one takes a field with its declaration in [`ConfigMetrics`], [`LinkMetrics`], [`ReceiverMetrics`]
//! or [`WorkerMetrics`], and the place that counts it. Label values come from closed lists or from the
//! configuration, never from a sender. Where all values are known, their series exist from the start: a
//! counter that appears with its first count shows no increase.

mod certificates;
mod config;
mod exposition;
mod link;
mod process;
mod queues;
mod receiver;
mod reference;
mod registry;
mod share;
mod spans;
mod store;
mod waits;
mod worker;

pub use certificates::CertificateMetrics;
pub use config::{ConfigMetrics, Reload};
pub use exposition::Format;
pub use link::{LinkMetrics, Links};
pub use process::ProcessMetrics;
pub use queues::QueueDepths;
pub use receiver::{REFUSALS, ReceiverMetrics, UNKNOWN_SOURCE};
pub use reference::reference;
pub use registry::Registry;
pub use share::GaugeShare;
pub use spans::SpanMetrics;
pub use store::StoreMemory;
pub use waits::OldestInHand;
pub use worker::{BytesHeld, SourceMetrics, WorkerMetrics};
