//! Counting dead letters by source, reason and fingerprint, and over time.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;

use super::{fingerprint::Fingerprint, letter::Letter};
use crate::core::{delivery::fault::Reason, providers::Provider, webhook::SourceName};

/// The values that all letters of a group share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKey {
    /// Their source.
    pub source: SourceName,
    /// The source's provider.
    pub provider: Provider,
    /// Their dead-letter reason; none if the broker gave no known one.
    pub reason: Option<Reason>,
    /// Their failure's fingerprint.
    pub fingerprint: Fingerprint,
    /// The version of hookswitch that dead-lettered them; none if the broker did.
    pub version: Option<String>,
    /// What else they are grouped by, if anything.
    pub value: Option<String>,
}

/// The counts of one group of letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The number of letters.
    pub letters: u64,
    /// The number of letters that had been replayed before.
    pub replayed: u64,
    /// The time the first of them died.
    pub oldest: Option<Timestamp>,
    /// The time the last of them died.
    pub newest: Option<Timestamp>,
    /// The error text of one of them.
    pub error: String,
    /// The delivery id of that letter.
    pub example: String,
}

/// The most groups of letters. Senders choose the names of events and so, without a limit, the number of
/// groups.
const GROUPS_MAX: usize = 1_000;

/// The error of the groups that hold the letters beyond [`GROUPS_MAX`].
const REST: &str = "(the rest: there are too many different errors to list)";

/// Counts of dead letters. Memory grows with the number of groups and of minutes in which letters died, not
/// with the number of letters.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    groups: HashMap<GroupKey, Group>,
    minutes: BTreeMap<i64, u64>,
    letters: u64,
}

/// The number of letters that died over time, in bars of equal width that cover all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Histogram {
    /// The time at which the first bar begins.
    pub from: Timestamp,
    /// The width of a bar, in minutes.
    pub minutes: i64,
    /// The number of letters in each bar.
    pub bars: Vec<u64>,
}

/// Bar widths that are easy to read, in minutes.
const WIDTHS: [i64; 11] = [1, 5, 10, 30, 60, 180, 360, 720, 1_440, 2_880, 10_080];

impl Stats {
    /// Counts one more letter. Letters with different values are in different groups.
    pub fn add(&mut self, letter: &Letter, value: Option<String>) {
        let (webhook, history) = (&letter.queued.webhook, &letter.queued.history);
        let mut key = GroupKey {
            source: webhook.source.clone(),
            provider: webhook.provider,
            reason: history.reason,
            fingerprint: letter.fingerprint(),
            version: history.version.clone(),
            value,
        };
        let mut error = history.error.as_deref().unwrap_or_default();
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&key) {
            key.fingerprint = Fingerprint::of(key.provider, key.reason, REST);
            (key.version, key.value) = (None, None);
            error = REST;
        }
        let group = self.groups.entry(key).or_insert_with(|| Group {
            letters: 0,
            replayed: 0,
            oldest: None,
            newest: None,
            error: error.to_owned(),
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

    /// Returns the number of letters counted.
    pub fn letters(&self) -> u64 {
        self.letters
    }

    /// Returns the number of letters of one source.
    pub fn of_source(&self, source: &SourceName) -> u64 {
        self.groups.iter().filter(|(key, _)| key.source == *source).map(|(_, group)| group.letters).sum()
    }

    /// Returns the groups, largest first.
    pub fn groups(&self) -> Vec<(&GroupKey, &Group)> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by(|(a, x), (b, y)| y.letters.cmp(&x.letters).then_with(|| a.cmp(b)));
        groups
    }

    /// Returns the letters over time in at most `bars` bars; over many years the widest bars may need more.
    /// None if no letter carries the time it died.
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
    use crate::core::letters::letter::tests::letter;

    fn died(at: &str, error: &str) -> Letter {
        let mut letter = letter();
        letter.queued.history.last_failed_at = Some(at.parse().unwrap());
        letter.queued.history.error = Some(error.to_owned());
        letter
    }

    #[test]
    fn equal_failures_are_one_group_with_its_first_and_last_death() {
        let mut stats = Stats::default();
        for (at, error) in [
            ("2026-01-02T03:07:00Z", "items[2].id: is missing"),
            ("2026-01-02T03:05:00Z", "items[13].id: is missing"),
            ("2026-01-02T03:06:00Z", "name: is missing"),
        ] {
            stats.add(&died(at, error), None);
        }
        let groups = stats.groups();
        assert_eq!((stats.letters(), groups.len()), (3, 2));
        let first = groups[0].1;
        assert_eq!((first.letters, first.error.as_str()), (2, "items[2].id: is missing"));
        assert_eq!(first.oldest, Some("2026-01-02T03:05:00Z".parse().unwrap()));
        assert_eq!(first.newest, Some("2026-01-02T03:07:00Z".parse().unwrap()));
    }

    #[test]
    fn a_sender_cannot_make_more_than_a_thousand_groups() {
        let mut stats = Stats::default();
        for n in 0..20_000u32 {
            let letters: String = format!("{n:05}").bytes().map(|b| char::from(b - b'0' + b'a')).collect();
            stats.add(&died("2026-01-02T03:07:00Z", &format!("event: unknown event type `{letters}`")), None);
        }
        assert_eq!((stats.letters(), stats.groups().len()), (20_000, GROUPS_MAX + 1));
        let rest = stats.groups()[0].1;
        assert_eq!((rest.letters, rest.error.as_str()), (19_000, REST));
    }

    #[test]
    fn the_bars_cover_every_letter_and_are_as_many_as_fit() {
        let mut stats = Stats::default();
        assert_eq!(stats.histogram(10), None);
        for minute in 0..59 {
            stats.add(&died(&format!("2026-01-02T03:{minute:02}:30Z"), "x"), None);
        }
        let histogram = stats.histogram(12).unwrap();
        assert_eq!((histogram.minutes, histogram.bars.len()), (5, 12));
        assert_eq!(histogram.bars.iter().sum::<u64>(), 59);
        stats.add(&died("2026-03-02T03:00:00Z", "x"), None);
        let histogram = stats.histogram(12).unwrap();
        assert_eq!((histogram.minutes, histogram.bars.iter().sum::<u64>()), (10_080, 60));
    }
}
