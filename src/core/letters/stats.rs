//! Counting letters by what they have in common.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;

use super::{Fingerprint, Letter};
use crate::core::{delivery::fault::Reason, providers::Provider, webhook::SourceName};

/// What the letters of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKey {
    /// Their source.
    pub source: SourceName,
    /// Its format.
    pub provider: Provider,
    /// Why they are dead; none where the broker says nothing that is known here.
    pub reason: Option<Reason>,
    /// The same failure.
    pub fingerprint: Fingerprint,
    /// The version of the program that declared them dead; none where the broker did.
    pub version: Option<String>,
}

/// A group of letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// How many.
    pub letters: u64,
    /// Those of them that had been sent back before.
    pub replayed: u64,
    /// When the first of them died.
    pub oldest: Option<Timestamp>,
    /// When the last of them died.
    pub newest: Option<Timestamp>,
    /// The error text of one of them.
    pub error: String,
    /// The delivery id of that one.
    pub example: String,
}

/// The letters, counted. Takes memory by the number of groups and of minutes in which letters died, not of letters.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    groups: HashMap<GroupKey, Group>,
    minutes: BTreeMap<i64, u64>,
    letters: u64,
}

/// How many letters died when: bars of equal width that cover all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Histogram {
    /// When the first bar begins.
    pub from: Timestamp,
    /// The width of a bar, in minutes.
    pub minutes: i64,
    /// The letters of each.
    pub bars: Vec<u64>,
}

/// Widths of bars that people can read, in minutes.
const WIDTHS: [i64; 11] = [1, 5, 10, 30, 60, 180, 360, 720, 1_440, 2_880, 10_080];

impl Stats {
    /// Counts one more.
    pub fn add(&mut self, letter: &Letter) {
        let (webhook, history) = (&letter.inbound.webhook, &letter.inbound.history);
        let key = GroupKey {
            source: webhook.source.clone(),
            provider: webhook.provider,
            reason: history.reason,
            fingerprint: letter.fingerprint(),
            version: history.version.clone(),
        };
        let group = self.groups.entry(key).or_insert_with(|| Group {
            letters: 0,
            replayed: 0,
            oldest: None,
            newest: None,
            error: history.error.clone().unwrap_or_default(),
            example: webhook.delivery_id.to_string(),
        });
        group.letters += 1;
        group.replayed += u64::from(history.replays > 0);
        self.letters += 1;
        if let Some(at) = history.last_failed_at {
            group.oldest = Some(group.oldest.map_or(at, |oldest| oldest.min(at)));
            group.newest = Some(group.newest.map_or(at, |newest| newest.max(at)));
            *self.minutes.entry(at.as_second().div_euclid(60)).or_default() += 1;
        }
    }

    /// How many in all.
    pub fn letters(&self) -> u64 {
        self.letters
    }

    /// How many of one source.
    pub fn of_source(&self, source: &SourceName) -> u64 {
        self.groups.iter().filter(|(key, _)| key.source == *source).map(|(_, group)| group.letters).sum()
    }

    /// The groups, the largest first.
    pub fn groups(&self) -> Vec<(&GroupKey, &Group)> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by(|(a, x), (b, y)| y.letters.cmp(&x.letters).then_with(|| a.cmp(b)));
        groups
    }

    /// The letters over time, in at most `bars` bars or, over many years, as few as the widest allow; none if no letter
    /// says when it died.
    pub fn histogram(&self, bars: usize) -> Option<Histogram> {
        let (first, last) = (*self.minutes.first_key_value()?.0, *self.minutes.last_key_value()?.0);
        let count = |width: i64| usize::try_from(last.div_euclid(width) - first.div_euclid(width) + 1);
        let fits = |width: &i64| count(*width).is_ok_and(|count| count <= bars);
        let minutes = WIDTHS.into_iter().find(fits).unwrap_or(*WIDTHS.last()?);
        let start = first.div_euclid(minutes);
        let mut histogram = vec![0; count(minutes).ok()?];
        for (minute, letters) in &self.minutes {
            let bar = usize::try_from(minute.div_euclid(minutes) - start).ok()?;
            *histogram.get_mut(bar)? += letters;
        }
        let from = Timestamp::from_second(start * minutes * 60).ok()?;
        Some(Histogram { from, minutes, bars: histogram })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::letters::tests::letter;

    fn died(at: &str, error: &str) -> Letter {
        let mut letter = letter();
        letter.inbound.history.last_failed_at = Some(at.parse().unwrap());
        letter.inbound.history.error = Some(error.to_owned());
        letter
    }

    #[test]
    fn the_same_failure_is_one_group_with_its_first_and_last_death() {
        let mut stats = Stats::default();
        for (at, error) in [
            ("2026-01-02T03:07:00Z", "items[2].id: is missing"),
            ("2026-01-02T03:05:00Z", "items[13].id: is missing"),
            ("2026-01-02T03:06:00Z", "name: is missing"),
        ] {
            stats.add(&died(at, error));
        }
        let groups = stats.groups();
        assert_eq!((stats.letters(), groups.len()), (3, 2));
        let first = groups[0].1;
        assert_eq!((first.letters, first.error.as_str()), (2, "items[2].id: is missing"));
        assert_eq!(first.oldest, Some("2026-01-02T03:05:00Z".parse().unwrap()));
        assert_eq!(first.newest, Some("2026-01-02T03:07:00Z".parse().unwrap()));
    }

    #[test]
    fn the_bars_cover_every_letter_and_are_as_many_as_fit() {
        let mut stats = Stats::default();
        assert_eq!(stats.histogram(10), None);
        for minute in 0..59 {
            stats.add(&died(&format!("2026-01-02T03:{minute:02}:30Z"), "x"));
        }
        let histogram = stats.histogram(12).unwrap();
        assert_eq!((histogram.minutes, histogram.bars.len()), (5, 12));
        assert_eq!(histogram.bars.iter().sum::<u64>(), 59);
        stats.add(&died("2026-03-02T03:00:00Z", "x"));
        let histogram = stats.histogram(12).unwrap();
        assert_eq!((histogram.minutes, histogram.bars.iter().sum::<u64>()), (10_080, 60));
    }
}
