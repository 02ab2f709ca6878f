//! What the program does, made of the edges and the core.

pub mod dead_letters;
mod fairness;
pub mod ledger;
pub mod receiver;
pub mod shards;
pub mod worker;
