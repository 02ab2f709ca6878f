//! The outside world: each module owns one outside system.

pub mod amqp;
pub mod http;
pub mod metrics;
pub mod panics;
pub mod redis;
pub mod seldom;
pub mod telemetry;
pub mod tls;
pub mod traces;
pub mod trouble;
