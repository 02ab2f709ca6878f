//! What the program does: takes webhooks, works on them.

pub mod receiver;
pub mod receiver_metrics;
