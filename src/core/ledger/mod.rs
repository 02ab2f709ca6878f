//! The ledger: `accepted = done + duplicate + discarded + dead + in the system`, for every source, at any
//! time.
//!
//! A receiver numbers the webhooks of each source, 1, 2, 3…, within a [`Run`]. The number travels with the
//! webhook as its [`Entry`]. Redis holds the [`State`] of every number. It is written in the same message
//! that marks the key done, so counting costs no round trip, and a webhook that is delivered twice is counted
//! once.
//!
//! Once a second the receiver reports through a queue how far its run has come: a [`Mark`]. A webhook that is
//! accepted and not done, duplicate, discarded or dead must be in a queue or with a worker. If it is in
//! neither it is lost, and the [`Sum`] shows it.
//!
//! What Redis has lost cannot be counted: a run that began before the last start of Redis is left out of the
//! sum.

mod book;
mod entry;
mod sum;

pub use self::{
    book::{Book, Mark, UnlikelyMark},
    entry::{Entry, InvalidEntry, NUMBER_MAX, RUN_MAX, Run},
    sum::{Counts, State, Sum},
};
