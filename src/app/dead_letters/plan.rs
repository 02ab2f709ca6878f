//! The letters that a job is to move.

use std::collections::{BTreeMap, HashSet};

use super::{error::DeadLetterError, handle::DeadLetters};
use crate::core::{
    letters::{Filter, Journal, Letter},
    webhook::SourceName,
};

/// The letters that a job has still to move, by source.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The letters' keys; see [`crate::core::letters::LetterId::key`].
    sources: BTreeMap<SourceName, HashSet<u64>>,
    unconfigured: BTreeMap<SourceName, u64>,
    /// What the letters were selected by.
    filter: Filter,
}

impl Plan {
    /// Returns the number of letters.
    pub fn len(&self) -> u64 {
        self.sources.values().map(|keys| keys.len() as u64).sum()
    }

    /// Returns true if no letter was ever planned.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Returns the number of letters of each source.
    pub fn sources(&self) -> impl Iterator<Item = (&SourceName, u64)> {
        self.sources.iter().map(|(source, keys)| (source, keys.len() as u64))
    }

    /// Returns the number of letters left out because their source, and so their queue, is not configured.
    pub fn unconfigured(&self) -> &BTreeMap<SourceName, u64> {
        &self.unconfigured
    }

    /// Returns the filter that the letters were selected by; it may match others, too.
    pub(super) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Returns true if the letter is in the plan.
    pub(super) fn contains(&self, letter: &Letter) -> bool {
        let keys = self.sources.get(&letter.queued.webhook.source);
        keys.is_some_and(|keys| keys.contains(&letter.id.key()))
    }

    /// Returns the keys of all letters.
    pub(super) fn keys(&self) -> impl Iterator<Item = u64> {
        self.sources.values().flatten().copied()
    }

    /// Adds letters of one source by their keys.
    pub(super) fn extend(&mut self, source: &SourceName, keys: impl IntoIterator<Item = u64>) {
        self.sources.entry(source.clone()).or_default().extend(keys);
    }

    /// Removes the letters with these keys.
    pub(super) fn remove(&mut self, gone: &HashSet<u64>) {
        for keys in self.sources.values_mut() {
            keys.retain(|key| !gone.contains(key));
        }
        self.sources.retain(|_, keys| !keys.is_empty());
    }

    /// Adds a letter. Returns false if it is in the plan already.
    pub(super) fn insert(&mut self, letter: &Letter) -> bool {
        self.sources.entry(letter.queued.webhook.source.clone()).or_default().insert(letter.id.key())
    }

    pub(super) fn source_names(&self) -> Vec<SourceName> {
        self.sources.keys().cloned().collect()
    }

    /// Returns the number of letters of one source.
    pub(super) fn remaining(&self, source: &SourceName) -> u64 {
        self.sources.get(source).map_or(0, |keys| keys.len() as u64)
    }

    /// Returns the keys of one source's letters.
    pub(super) fn into_keys(mut self, source: &SourceName) -> HashSet<u64> {
        self.sources.remove(source).unwrap_or_default()
    }

    /// Removes a letter. Returns false if it is not in the plan.
    pub(super) fn take(&mut self, letter: &Letter) -> bool {
        let keys = self.sources.get_mut(&letter.queued.webhook.source);
        keys.is_some_and(|keys| keys.remove(&letter.id.key()))
    }

    /// Removes the letters that have left meanwhile, and returns their number.
    pub(super) fn remove_left(&mut self, journal: &Journal) -> u64 {
        let before = self.len();
        for keys in self.sources.values_mut() {
            keys.retain(|key| !journal.has_left(*key));
        }
        before - self.len()
    }
}

impl DeadLetters<'_> {
    /// Plans a job for the letters that match `filter`, at most `limit`. Calls `each` for every one of them.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn plan(
        &self,
        filter: &Filter,
        limit: u64,
        mut each: impl FnMut(&Letter),
    ) -> Result<Plan, DeadLetterError> {
        let mut browsing = self.browse(filter.clone(), None).await?;
        let mut plan = Plan { filter: filter.clone(), ..Plan::default() };
        let mut letters = 0;
        while letters < limit {
            let Some((_, letter)) = browsing.next_entry().await? else { break };
            each(&letter);
            let source = &letter.queued.webhook.source;
            if self.config.sources.contains_key(source) {
                letters += u64::from(plan.insert(&letter));
            } else {
                *plan.unconfigured.entry(source.clone()).or_default() += 1;
            }
        }
        browsing.close().await;
        Ok(plan)
    }
}
