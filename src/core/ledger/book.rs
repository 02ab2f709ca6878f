//! A receiver's book of one source: it numbers webhooks and knows how far they are answered.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use super::entry::{Entry, NUMBER_MAX, RUN_MAX, Run};
use crate::core::webhook::SourceName;

/// The most refused numbers that one [`Mark`] names; the rest waits for the next mark.
const REFUSED_MAX: usize = 500;

/// A receiver's report of how far a run has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The source's name.
    pub source: String,
    /// The run.
    pub run: Run,
    /// The number up to which every webhook was answered: with 200, unless a mark names it as refused.
    pub through: u64,
    /// Numbers up to `through` that were not answered with 200 and that no earlier mark named. The broker may
    /// hold such a webhook nevertheless; then it counts as accepted when it is settled.
    pub refused: Vec<u64>,
    /// Set on the last mark of a run: no more numbers will come.
    pub closed: bool,
}

/// The most refused numbers that a mark may name. It is more than [`REFUSED_MAX`], for other versions.
const REFUSED_BOUND: usize = 10_000;

/// The time by which a receiver's clock may be ahead of a worker's.
const AHEAD_MAX: Duration = Duration::from_secs(3_600);

/// The reason why a mark is not a receiver's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnlikelyMark {
    /// It goes further than a run.
    #[error("it counts more webhooks than a run can have")]
    TooFar,
    /// It names too many refused numbers, or some that are none of its run's.
    #[error("its refused numbers are too many, or beyond those of its run")]
    Refused,
    /// Its run begins in the future.
    #[error("its run begins in the future: check the clocks of the receivers")]
    Future,
}

impl Mark {
    /// Checks that a receiver can have sent it. Whoever may publish to the ledger's queue may send anything,
    /// and Redis must not work on it without a bound. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`UnlikelyMark`]
    pub fn check(&self, now: u64) -> Result<(), UnlikelyMark> {
        if self.through > NUMBER_MAX {
            return Err(UnlikelyMark::TooFar);
        }
        let is_of_run = |number: &u64| (1..=self.through).contains(number);
        if self.refused.len() > REFUSED_BOUND || !self.refused.iter().all(is_of_run) {
            return Err(UnlikelyMark::Refused);
        }
        if u128::from(self.run.began) > u128::from(now) + AHEAD_MAX.as_millis() {
            return Err(UnlikelyMark::Future);
        }
        Ok(())
    }
}

/// One source's runs in one receiver.
#[derive(Debug, Default)]
pub struct Book {
    /// A page per run. The last one takes new numbers; the others wait for answers and for their last mark.
    pages: Vec<Page>,
}

#[derive(Debug)]
struct Page {
    run: Run,
    /// The last number given to a webhook.
    issued: u64,
    /// The number up to which all are answered.
    through: u64,
    /// Numbers above `through` that are answered.
    answered: BTreeSet<u64>,
    /// Numbers that were refused and that no confirmed mark names.
    refused: BTreeSet<u64>,
    /// The highest `through` of a confirmed mark.
    reported: u64,
    /// Set when the run takes no more webhooks.
    ended: bool,
}

impl Page {
    fn new(run: Run) -> Self {
        let (answered, refused) = (BTreeSet::new(), BTreeSet::new());
        Self { run, issued: 0, through: 0, answered, refused, reported: 0, ended: false }
    }

    fn is_over(&self, now: u64) -> bool {
        self.issued >= NUMBER_MAX || u128::from(now.saturating_sub(self.run.began)) > RUN_MAX.as_millis()
    }

    fn is_closed(&self) -> bool {
        self.ended && self.through == self.issued
    }
}

impl Book {
    /// Gives the next webhook its entry. `now` is in milliseconds since 1970.
    pub fn enter(&mut self, now: u64, nonce: impl FnOnce() -> u32) -> Entry {
        if let Some(page) = self.pages.last_mut().filter(|page| page.is_over(now)) {
            page.ended = true;
        }
        if self.pages.last().is_none_or(|page| page.ended) {
            self.pages.push(Page::new(Run { began: now, nonce: nonce() }));
        }
        let last = self.pages.len() - 1;
        let page = &mut self.pages[last];
        page.issued += 1;
        Entry { run: page.run, number: page.issued }
    }

    /// Records that a webhook was answered; `accepted` means with 200.
    pub fn answered(&mut self, entry: Entry, accepted: bool) {
        let Some(page) = self.pages.iter_mut().find(|page| page.run == entry.run) else { return };
        page.answered.insert(entry.number);
        if !accepted {
            page.refused.insert(entry.number);
        }
        while page.answered.remove(&(page.through + 1)) {
            page.through += 1;
        }
    }

    /// Ends the runs that are older than [`RUN_MAX`]; the next webhook begins a new one. `now` is in
    /// milliseconds since 1970.
    pub fn end_old(&mut self, now: u64) {
        self.pages.iter_mut().filter(|page| page.is_over(now)).for_each(|page| page.ended = true);
    }

    /// Ends all runs: no more webhooks will come.
    pub fn end(&mut self) {
        for page in &mut self.pages {
            page.ended = true;
        }
    }

    /// Returns what is to be reported: a mark for each run that has news.
    pub fn marks(&self, source: &SourceName) -> Vec<Mark> {
        let news = self.pages.iter().filter(|page| page.through > page.reported || page.is_closed());
        news.map(|page| {
            let due = page.refused.range(..=page.through);
            let refused: Vec<u64> = due.clone().take(REFUSED_MAX).copied().collect();
            // The mark goes no further than its list of refused numbers.
            let next = due.clone().nth(REFUSED_MAX);
            let through = next.map_or(page.through, |next| next - 1);
            let closed = page.is_closed() && next.is_none();
            Mark { source: source.to_string(), run: page.run, through, refused, closed }
        })
        .collect()
    }

    /// Records that the broker has confirmed a mark.
    pub fn reported(&mut self, mark: &Mark) {
        let Some(page) = self.pages.iter_mut().find(|page| page.run == mark.run) else { return };
        page.reported = page.reported.max(mark.through);
        for number in &mark.refused {
            page.refused.remove(number);
        }
        self.pages.retain(|page| !(mark.closed && page.run == mark.run));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source() -> SourceName {
        "a".parse().expect("a name")
    }

    #[test]
    fn a_mark_comes_only_as_far_as_everything_is_answered() {
        let mut book = Book::default();
        let entries: Vec<_> = (0..4).map(|_| book.enter(1, || 7)).collect();
        book.answered(entries[0], true);
        book.answered(entries[1], false);
        book.answered(entries[3], true);
        let marks = book.marks(&source());
        assert_eq!((marks[0].through, marks[0].refused.as_slice(), marks[0].closed), (2, &[2][..], false));
        book.reported(&marks[0]);
        assert_eq!(book.marks(&source()), []);
        book.end();
        book.answered(entries[2], true);
        let last = book.marks(&source());
        assert_eq!((last[0].through, last[0].refused.len(), last[0].closed), (4, 0, true));
        book.reported(&last[0]);
        assert!(book.pages.is_empty());
    }

    #[test]
    fn a_mark_that_no_receiver_sends_is_told() {
        let run = Run { began: 1_000, nonce: 7 };
        let good = Mark { source: "a".to_owned(), run, through: 3, refused: vec![1, 3], closed: false };
        assert_eq!(good.check(1_000), Ok(()));
        assert_eq!(Mark { through: NUMBER_MAX, ..good.clone() }.check(1_000), Ok(()));
        for through in [NUMBER_MAX + 1, 9_007_199_254_740_992, u64::MAX] {
            assert_eq!(Mark { through, ..good.clone() }.check(1_000), Err(UnlikelyMark::TooFar));
        }
        for refused in [vec![0], vec![4], (1..=3).cycle().take(REFUSED_BOUND + 1).collect()] {
            assert_eq!(Mark { refused, ..good.clone() }.check(1_000), Err(UnlikelyMark::Refused));
        }
        for began in [1_000 + 3_600_001, u64::MAX] {
            let run = Run { began, ..run };
            assert_eq!(Mark { run, ..good.clone() }.check(1_000), Err(UnlikelyMark::Future));
        }
    }

    #[test]
    fn a_run_ends_after_its_time_and_the_next_begins_at_one() {
        let mut book = Book::default();
        let first = book.enter(0, || 1);
        let later = u64::try_from(RUN_MAX.as_millis()).expect("fits") + 1;
        let second = book.enter(later, || 2);
        assert_ne!(first.run, second.run);
        assert_eq!((first.number, second.number), (1, 1));
        book.answered(first, true);
        assert!(book.marks(&source()).iter().any(|mark| mark.run == first.run && mark.closed));
    }

    proptest! {
        /// In whatever order the answers come and whenever marks are taken, the marks name each refused
        /// number once.
        #[test]
        fn marks_name_every_refusal_once(
            answers in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..1500),
        ) {
            let mut book = Book::default();
            let entries: Vec<_> = answers.iter().map(|_| book.enter(1, || 7)).collect();
            let mut refused = BTreeSet::new();
            let mut report = |book: &mut Book| {
                for mark in book.marks(&source()) {
                    for number in &mark.refused {
                        prop_assert!(*number <= mark.through);
                        prop_assert!(refused.insert(*number));
                    }
                    book.reported(&mark);
                }
                Ok::<(), TestCaseError>(())
            };
            for (entry, (accepted, reports)) in entries.iter().zip(&answers).rev() {
                book.answered(*entry, *accepted);
                if *reports {
                    report(&mut book)?;
                }
            }
            book.end();
            while !book.pages.is_empty() {
                report(&mut book)?;
            }
            let all = entries.iter().zip(&answers);
            let expected: BTreeSet<u64> =
                all.filter(|(_, (accepted, _))| !accepted).map(|(entry, _)| entry.number).collect();
            prop_assert_eq!(refused, expected);
        }
    }
}
