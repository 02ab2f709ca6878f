//! The contract with consumers: the published schemas, what validates under them, and which changes break it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "../support/golden.rs"]
mod cases;
mod compare;
mod events;
#[path = "../support/pretty.rs"]
mod pretty;
mod published;
mod reference;
mod validate;
