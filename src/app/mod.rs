//! What the program does, made of the edges and the core.

mod activity;
pub mod dead_letters;
pub mod dead_log;
pub mod gate;
pub mod intake;
pub mod ledger;
pub mod reading;
pub mod receiver;
pub mod receiver_metrics;
pub mod settle;
pub mod spread;
pub mod tail;
pub mod worker;
