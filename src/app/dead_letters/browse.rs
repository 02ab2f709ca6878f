//! Reading the letters that are present now: the log's, minus those that the journal records as gone.

use std::collections::HashSet;

use jiff::SignedDuration;

use super::{error::DeadLetterError, handle::DeadLetters};
use crate::{
    core::letters::{Filter, Journal, Letter},
    edge::amqp::{
        consume::stream::{Reading, Start, Stored},
        message, names,
    },
};

/// The number of times an empty log is read again while a queue is not empty.
const EMPTY_TRIES: usize = 10;

/// Upper bound on the difference between the clocks of workers and brokers.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(10);

/// A reading of the letters that are present now, oldest first.
pub struct Browsing {
    reading: Reading,
    journal: Journal,
    filter: Filter,
    /// Keys of letters returned already. The log holds a letter twice if its writer missed the first confirm.
    seen: HashSet<u64>,
}

impl DeadLetters<'_> {
    /// Begins to read the letters that match `filter`, from the oldest or after a place that
    /// [`Browsing::next`] returned.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn browse(&self, filter: Filter, after: Option<u64>) -> Result<Browsing, DeadLetterError> {
        let start = match (after, filter.since) {
            (Some(offset), _) => Start::Offset(offset + 1),
            // A letter is logged after it died, but the clocks of worker and broker may differ.
            (None, Some(since)) => Start::Time(since.saturating_sub(CLOCKS_APART).unwrap_or(since)),
            (None, None) => Start::First,
        };
        // The end of the log is fixed before the journal is read, so that a letter that leaves meanwhile is
        // not shown.
        let mut reading = Reading::begin(self.connection, names::DEAD_LOG, start).await?;
        for _ in 0..EMPTY_TRIES {
            if !reading.is_empty()
                || after.is_some()
                || self.depths(&filter).await?.values().all(|depth| *depth == 0)
            {
                break;
            }
            // A node that lags behind may not have the log's first letters yet.
            reading = Reading::begin(self.connection, names::DEAD_LOG, start).await?;
        }
        let journal = self.journal().await?;
        Ok(Browsing { reading, journal, filter, seen: HashSet::new() })
    }
}

impl Browsing {
    /// Returns the next letter and its place in the log; none at the end.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn next(&mut self) -> Result<Option<(u64, Letter)>, DeadLetterError> {
        while let Some((offset, letter)) = self.next_entry().await? {
            if self.seen.insert(letter.id.key()) {
                return Ok(Some((offset, letter)));
            }
        }
        Ok(None)
    }

    /// Returns the next entry of the log; a letter may have two.
    pub(super) async fn next_entry(&mut self) -> Result<Option<(u64, Letter)>, DeadLetterError> {
        while let Some(stored) = self.reading.next().await? {
            let offset = stored.offset;
            let Some(letter) = decode(stored) else { continue };
            if !self.journal.has_left(letter.id.key()) && self.filter.matches(&letter) {
                return Ok(Some((offset, letter)));
            }
        }
        Ok(None)
    }

    /// Stops reading.
    pub async fn close(self) {
        self.reading.close().await;
    }
}

/// Decodes an entry of the log, which should be a letter with an id.
pub(super) fn decode(stored: Stored) -> Option<Letter> {
    match message::decode_letter(&stored.properties, stored.body) {
        (Some(id), Ok(queued)) => Some(Letter { id, queued }),
        (_, Err((error, _))) => {
            let offset = stored.offset;
            tracing::warn!(%error, offset, "skipped an entry of the dead-letter log: not a dead letter");
            None
        }
        (None, Ok(_)) => {
            tracing::warn!(
                offset = stored.offset,
                "skipped an entry of the dead-letter log: it has no letter id"
            );
            None
        }
    }
}
