//! Dead letters: listing them, and the jobs that move them. Printing is left to the command line.
//!
//! Listing reads the log and the journal (see [`crate::core::letters`]) and never touches a queue. A job
//! first reads the log to plan which letters it takes. It then takes them out of their queues: each is safe
//! elsewhere and recorded in the journal before it is acked, and all others are given back. A job killed at
//! any moment loses nothing; run again, it finishes.

mod batch;
mod browse;
mod census;
mod discard;
mod error;
mod export;
mod forget;
mod handle;
mod import;
mod job;
mod journal;
mod move_home;
mod plan;
mod prior;
mod progress;
mod recover;
mod reindex;
mod replay;
mod reveal;
mod trace;
mod trial;

pub use self::{
    browse::Browsing,
    census::{Census, Difference},
    discard::Discarded,
    error::DeadLetterError,
    export::Archive,
    handle::DeadLetters,
    import::Imported,
    job::{JobRequest, Services},
    plan::Plan,
    progress::Progress,
    reindex::Reindexed,
    replay::{Canary, Replay, Replayed, Stopped},
    reveal::Reveal,
    trace::Traced,
    trial::Trial,
};
