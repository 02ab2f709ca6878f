//! The work of the program, built on the edges and the core.

pub mod dead_letters;
mod fairness;
pub mod ledger;
pub mod parts;
pub mod process;
pub mod receiver;
pub mod reload;
mod schemas;
pub mod shards;
mod token;
pub mod worker;
