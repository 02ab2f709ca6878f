//! Counting the letters, and comparing the list with the queues.

use std::collections::BTreeMap;

use super::{error::DeadLetterError, handle::DeadLetters, progress::Progress};
use crate::core::{
    letters::{Filter, Letter, Stats},
    webhook::SourceName,
};

/// Counts of the listed letters, and of the letters in the queues.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Counts of the letters that are listed and match.
    pub stats: Stats,
    /// The number of letters in the queue of each source. Empty if the filter selects only part of a queue.
    pub queued: BTreeMap<SourceName, u64>,
    /// The queues that do not hold what is listed.
    pub differences: Vec<Difference>,
}

/// A queue that holds more or fewer letters than are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The source of the queue.
    pub source: SourceName,
    /// The number of letters listed.
    pub listed: u64,
    /// The number of letters in the queue.
    pub queued: u64,
}

impl DeadLetters<'_> {
    /// Counts the letters that match `filter`.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn count(
        &self,
        filter: &Filter,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Census, DeadLetterError> {
        self.count_by(filter, |_| None, progress).await
    }

    /// Counts the letters that match `filter`, those of which `value` returns the same together.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn count_by(
        &self,
        filter: &Filter,
        value: impl Fn(&Letter) -> Option<String>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Census, DeadLetterError> {
        // Queue depths are comparable only if the filter selects whole queues.
        let (sources, providers) = (filter.sources.clone(), filter.providers.clone());
        let whole_queues = *filter == Filter { sources, providers, ..Filter::default() };
        let before = if whole_queues { self.depths(filter).await? } else { BTreeMap::new() };
        let mut browsing = self.browse(filter.clone(), None).await?;
        let mut stats = Stats::default();
        while let Some((_, letter)) = browsing.next().await? {
            stats.add(&letter, value(&letter));
            progress(Progress::Letters(stats.letters()));
        }
        browsing.close().await;
        let queued = if whole_queues { self.depths(filter).await? } else { BTreeMap::new() };
        let differences = differences(&stats, &before, &queued);
        Ok(Census { stats, queued, differences })
    }
}

/// Returns the queues whose depth differed from the list both before and after the list was read. Letters may
/// die meanwhile.
fn differences(
    stats: &Stats,
    before: &BTreeMap<SourceName, u64>,
    after: &BTreeMap<SourceName, u64>,
) -> Vec<Difference> {
    let both = before.iter().filter_map(|(source, before)| Some((source, *before, *after.get(source)?)));
    let difference = |(source, before, after): (&SourceName, u64, u64)| {
        let listed = stats.of_source(source);
        // The depth nearest to the number listed.
        let queued = listed.clamp(before.min(after), before.max(after));
        (queued != listed).then(|| Difference { source: source.clone(), listed, queued })
    };
    both.filter_map(difference).collect()
}
