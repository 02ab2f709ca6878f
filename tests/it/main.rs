//! The promises of hookswitch, each tested on a RabbitMQ and a Redis that the tests start themselves.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

mod bundles;
#[path = "../support/certificates.rs"]
mod certificates;
mod channels;
mod cuts;
mod dead_letters;
mod dead_letters_cli;
mod delays;
mod delivery;
mod diff;
mod drift;
mod explain;
#[path = "../support/frames.rs"]
mod frames;
#[path = "../support/hostile.rs"]
mod hostile;
mod lateness;
mod ledger;
mod logs;
mod many_letters;
mod memory;
mod metrics;
mod outages;
mod pausing;
mod poison;
mod policies;
mod processes;
#[path = "../support/proxy.rs"]
mod proxy;
mod receiving;
mod redaction;
mod redis_keys;
mod redis_refusals;
mod reload;
mod rights;
mod secrets;
mod shards;
mod subscriptions;
mod support;
mod tails;
mod tls;
mod topology;
mod traces;
