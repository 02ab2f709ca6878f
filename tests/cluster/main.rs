//! Tests that nothing is lost when nodes of a RabbitMQ cluster or of a Redis Cluster, or a Redis master, are
//! killed, stopped, frozen or cut off.
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
mod sentinels;
mod slots;
mod stores;
#[path = "../it/support/mod.rs"]
mod support;

use support::services;
