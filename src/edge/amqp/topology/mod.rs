//! The exchanges, queues and bindings: which ones hookswitch needs, creating them, and checking them.

mod declare;
mod difference;
mod raw_shards;
mod spec;

pub use self::{
    declare::Checked,
    difference::{Difference, TopologyError},
    raw_shards::raw_shards,
    spec::{Argument, Exchange, Queue, Topology},
};
