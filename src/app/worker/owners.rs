//! Tokens of claims.

use std::sync::atomic::{AtomicU64, Ordering};

/// A source of tokens for claims: each is unique to a delivery of this process.
pub(super) struct Owners {
    process: String,
    issued: AtomicU64,
}

impl Owners {
    /// Draws the name of this process at random.
    pub(super) fn new() -> Self {
        // The `o` distinguishes a claim from a done mark, which is a number.
        Self { process: format!("o{:016x}", rand::random::<u64>()), issued: AtomicU64::new(0) }
    }

    /// Issues the next token.
    pub(super) fn next(&self) -> String {
        format!("{}-{:x}", self.process, self.issued.fetch_add(1, Ordering::Relaxed))
    }
}
