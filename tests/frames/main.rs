//! Frame orders that AMQP allows and that no real broker produces on demand, played to the publisher, the
//! consumer and the worker by a scripted peer.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

mod consuming;
#[path = "../support/frames.rs"]
mod frames;
mod gathering;
#[path = "../support/peer.rs"]
mod peer;
mod publishing;
#[path = "../it/support/services.rs"]
#[allow(dead_code, reason = "no real broker is needed here")]
mod services;
