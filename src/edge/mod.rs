//! What touches the world: HTTP, the broker, Redis, metrics.

pub mod http;
