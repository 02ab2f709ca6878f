//! The contract with consumers: the published schemas, what validates under them, and which changes break it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails, and looks at the kinds of values that it knows"
)]

#[path = "../support/golden.rs"]
mod cases;
mod compare;
mod events;
#[path = "../support/pretty.rs"]
mod pretty;
mod published;
mod reference;
mod validate;
