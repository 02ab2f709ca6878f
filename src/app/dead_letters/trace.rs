//! What the log and the journal hold of one webhook's letters, also of those that have left.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use super::{browse::decode, error::DeadLetterError, handle::DeadLetters, prior::normalize};
use crate::{
    core::{
        delivery::fault::Fault,
        events::key::IdempotencyKey,
        letters::{Fate, Filter, JobId, JobSummary, JournalRecord, Letter},
    },
    edge::amqp::{
        consume::stream::{Reading, Start},
        names,
    },
};

/// A letter of a webhook, and what became of it.
#[derive(Debug)]
pub struct Traced {
    /// The letter.
    pub letter: Letter,
    /// The jobs that took it out of its queue, in their order.
    pub left_by: Vec<(Fate, JobSummary)>,
    /// Set if it is in its queue, as far as is recorded.
    pub is_waiting: bool,
    /// The key that this build derives from it.
    pub key: Result<IdempotencyKey, Fault>,
}

impl DeadLetters<'_> {
    /// Finds the letters with one of the delivery ids or letter ids, oldest first, as long as the log has
    /// them. Without an id nothing is read.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn trace(&self, ids: Vec<Uuid>) -> Result<Vec<Traced>, DeadLetterError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let filter = Filter { ids, ..Filter::default() };
        let mut reading = Reading::begin(self.connection, names::DEAD_LOG, Start::First).await?;
        let (mut letters, mut seen) = (Vec::new(), HashSet::new());
        while let Some(stored) = reading.next().await? {
            let letter = decode(stored).filter(|letter| filter.matches(letter));
            // The log holds a letter twice if its writer missed the first confirm.
            letters.extend(letter.filter(|letter| seen.insert(letter.id.key())));
        }
        reading.close().await;
        if letters.is_empty() {
            return Ok(Vec::new());
        }
        let mut left: BTreeMap<u64, Vec<(Fate, JobId)>> = BTreeMap::new();
        let note = |record: &JournalRecord| {
            if let JournalRecord::Gone { job, fate, letters } = record {
                for key in letters.iter().filter(|key| seen.contains(key)) {
                    left.entry(*key).or_default().push((*fate, *job));
                }
            }
        };
        let journal = self.journal_with(note).await?;
        let traced = letters.into_iter().map(|letter| {
            let key = letter.id.key();
            let of_job = |(fate, id): &(Fate, JobId)| {
                let job = journal.jobs().iter().find(|job| job.id == *id)?;
                Some((*fate, job.clone()))
            };
            let left_by = left.get(&key).map(|left| left.iter().filter_map(of_job).collect());
            Traced {
                left_by: left_by.unwrap_or_default(),
                is_waiting: !journal.has_left(key),
                key: normalize(self.config, &letter).map(|normalized| normalized.key),
                letter,
            }
        });
        Ok(traced.collect())
    }
}
