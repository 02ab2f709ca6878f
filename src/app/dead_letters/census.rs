//! Counting the letters, and whether the list and the queues agree.

use std::collections::BTreeMap;

use super::{DeadLetterError, DeadLetters, Progress};
use crate::core::{
    letters::{Filter, Stats},
    webhook::SourceName,
};

/// The letters, counted.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Those that are listed and meant.
    pub stats: Stats,
    /// How many letters lie in the queue of each source; nothing where only some of a source's letters are meant.
    pub queued: BTreeMap<SourceName, u64>,
    /// Where that is not what is listed.
    pub differences: Vec<Difference>,
}

/// A queue that does not hold what is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose.
    pub source: SourceName,
    /// Letters listed.
    pub listed: u64,
    /// Letters in the queue.
    pub queued: u64,
}

impl DeadLetters<'_> {
    /// Counts the letters that `filter` means.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn count(
        &self,
        filter: &Filter,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Census, DeadLetterError> {
        // A narrower filter says nothing of how many there are.
        let (sources, providers) = (filter.sources.clone(), filter.providers.clone());
        let is_whole = *filter == Filter { sources, providers, ..Filter::default() };
        let before = if is_whole { self.depths(filter).await? } else { BTreeMap::new() };
        let mut browsing = self.browse(filter.clone(), None).await?;
        let mut stats = Stats::default();
        while let Some((_, letter)) = browsing.next().await? {
            stats.add(&letter);
            progress(Progress::Letters(stats.letters()));
        }
        browsing.close().await;
        let queued = if is_whole { self.depths(filter).await? } else { BTreeMap::new() };
        let differences = differences(&stats, &before, &queued);
        Ok(Census { stats, queued, differences })
    }
}

/// Where a queue held something else than what is listed both before and after that was read: letters may die meanwhile.
fn differences(
    stats: &Stats,
    before: &BTreeMap<SourceName, u64>,
    after: &BTreeMap<SourceName, u64>,
) -> Vec<Difference> {
    let both = before.iter().filter_map(|(source, before)| Some((source, *before, *after.get(source)?)));
    let difference = |(source, before, after): (&SourceName, u64, u64)| {
        let listed = stats.of_source(source);
        // The depth that is nearest to what is listed.
        let queued = listed.clamp(before.min(after), before.max(after));
        (queued != listed).then(|| Difference { source: source.clone(), listed, queued })
    };
    both.filter_map(difference).collect()
}
