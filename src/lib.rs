//! hookswitch: webhooks in, normalized events out, nothing lost in between.
//!
//! Dependencies point one way, `cli -> app -> edge -> config -> core`: inner modules know nothing of
//! outer ones, and `tests/house` enforces it. `core` is pure: no I/O, no clock, no async, no logging.

pub mod app;
pub mod cli;
pub mod config;
pub mod core;
pub mod edge;
pub mod faults;
pub mod samples;
