//! Tests that nothing is lost when nodes of a RabbitMQ cluster, or a Redis master, are killed, stopped,
//! frozen or cut off.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod brokers;
mod cluster;
mod load;
mod members;
mod moving;
mod network;
mod stores;
#[path = "../it/support/mod.rs"]
mod support;
