//! Redis: the memory of what is claimed and what is done, the ledger, the fates of replayed letters, drift.
//!
//! The redis crate does not leave this module. An infrastructure error always means "unknown", never "not a
//! duplicate": the caller waits. A key that holds a value of another program is an error of that key alone
//! and holds up no other.

mod cluster;
mod dedup;
mod drift;
mod error;
mod keeper;
mod ledger;
mod link;
mod names;
mod node;
mod owner;
mod scripts;
mod sentinel;
mod server;
mod settings;
mod since;
mod store;
mod waves;

pub use self::{
    dedup::{Mark, ToClaim, ToMark},
    drift::OTHERS,
    error::StoreError,
    ledger::Ledger,
    link::Link,
    store::Store,
};
