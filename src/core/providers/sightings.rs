//! Schema drift over time: what a source sent that its adapter does not expect, since when, and how often.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::drift::Drift;
use crate::core::webhook::SourceName;

/// Most paths that are kept between two times of taking them. More are not kept: the metrics count them.
const KEPT_MAX: usize = 1_000;

/// A path with unexpected values of one type, and when webhooks with it were received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The path, with `[]` for every index.
    pub path: String,
    /// The type of the values: see [`Drift::class`].
    pub class: String,
    /// The class of the length of the first value: see [`Drift::length`].
    pub length: String,
    /// The time of receipt of the earliest webhook with it.
    pub first: Timestamp,
    /// The time of receipt of the latest webhook with it.
    pub last: Timestamp,
    /// The number of readings of webhooks with it: one that is retried, redelivered or sent twice counts
    /// again.
    pub webhooks: u64,
}

/// What has been seen since it was taken last.
#[derive(Debug, Default)]
pub struct Sightings {
    seen: HashMap<(SourceName, String, &'static str), Sighting>,
}

impl Sightings {
    /// Adds a value that a webhook of `source` had, which was received at `at`.
    pub fn add(&mut self, source: &SourceName, drift: &Drift, at: Timestamp) {
        let key = (source.clone(), drift.path.clone(), drift.class);
        if let Some(seen) = self.seen.get_mut(&key) {
            seen.first = seen.first.min(at);
            seen.last = seen.last.max(at);
            seen.webhooks += 1;
        } else if self.seen.len() < KEPT_MAX {
            let Drift { path, class, length } = drift.clone();
            let (class, length) = (class.to_owned(), length.to_owned());
            let sighting = Sighting { path, class, length, first: at, last: at, webhooks: 1 };
            self.seen.insert(key, sighting);
        }
    }

    /// Takes what has been seen, by source.
    pub fn take(&mut self) -> BTreeMap<SourceName, Vec<Sighting>> {
        let mut taken: BTreeMap<SourceName, Vec<Sighting>> = BTreeMap::new();
        for ((source, ..), sighting) in self.seen.drain() {
            taken.entry(source).or_default().push(sighting);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_path_is_counted_by_type_with_its_first_and_last_time_and_taken_once() {
        let (mut seen, source) = (Sightings::default(), "wavix".parse().expect("a name"));
        let drift = |class| Drift { path: "a.b".to_owned(), class, length: "1" };
        for (class, second) in [("string", 20), ("string", 10), ("number", 5), ("string", 30)] {
            seen.add(&source, &drift(class), at(second));
        }
        let mut taken = seen.take().remove(&source).expect("the source");
        taken.sort_by_key(|sighting| sighting.first);
        let told = |s: &Sighting| (s.class.clone(), s.first, s.last, s.webhooks);
        let told: Vec<_> = taken.iter().map(told).collect();
        assert_eq!(told, [("number".to_owned(), at(5), at(5), 1), ("string".to_owned(), at(10), at(30), 3)]);
        assert!(seen.take().is_empty());
    }

    #[test]
    fn a_sender_cannot_make_it_grow_without_bound() {
        let (mut seen, source) = (Sightings::default(), "wavix".parse().expect("a name"));
        for n in 0..2 * KEPT_MAX {
            seen.add(&source, &Drift { path: format!("p{n}"), class: "string", length: "1" }, at(0));
        }
        assert_eq!(seen.take().values().map(Vec::len).sum::<usize>(), KEPT_MAX);
    }
}
