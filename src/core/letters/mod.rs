//! Dead letters: their ids, fingerprints, filters, counts and file format, and the journal of jobs. Pure; the
//! queues are handled in `app::dead_letters`.
//!
//! A source's letters are kept in its dead-letter queue, `dead.<source>`, which is the source of truth. Each
//! letter is also written to a log, a stream that can be read without touching the queue. Letters that left
//! the queue are recorded in the journal of jobs, a second stream. So the present letters are the log's minus
//! the journal's:
//!
//! ```text
//! worker ─1→ dead.<source>   (quorum queue: the truth)          replay, discard: 1. publish or export
//!        └2→ hookswitch.dead-log   (stream: what is listed)                      2. record it in the journal
//!            hookswitch.dead-jobs  (stream: the journal)  ←──────────────────────┘ 3. ack in the queue
//! ```
//!
//! This order of steps guarantees that the log never shows a letter that is not in the queue.

mod archive;
mod filter;
mod fingerprint;
mod journal;
mod letter;
mod ramp;
mod stats;

pub use self::{
    archive::{ArchiveError, Archived},
    filter::{Condition, Filter, InvalidCondition},
    fingerprint::{Fingerprint, InvalidFingerprint},
    journal::{Fate, JobId, JobKind, JobOutcome, JobSummary, Journal, JournalRecord},
    letter::{Letter, LetterId},
    ramp::{Ramp, WaveCounts, WaveVerdict},
    stats::{Group, GroupKey, Histogram, Stats},
};
