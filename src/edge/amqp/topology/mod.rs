//! The exchanges, queues and bindings: which ones hookswitch needs, creating them, and checking them.

mod declare;
mod difference;
mod effects;
mod policies;
mod prune;
mod raw_shards;
mod record;
mod replace;
mod spec;

pub use self::{
    declare::{Applied, Checked},
    difference::{Difference, TopologyError},
    policies::{Policies, PoliciesError, PolicyEffect},
    prune::{LeftOver, Pruned},
    raw_shards::raw_shards,
    record::{add as add_record, declared, known},
    replace::ReplaceError,
    spec::{Argument, Exchange, Queue, Topology},
};
