//! The ledger: `accepted = done + duplicate + discarded + dead + in the system`, for every source, at any time.
//!
//! A receiver numbers the webhooks of each source, 1, 2, 3…, within a [`Run`]; the number travels with the webhook as
//! its [`Entry`]. Redis holds for every number what became of it, written in the same script that marks its key
//! done, so that counting costs no round trip and a delivery that comes twice is counted once. Once a second the
//! receiver tells over a queue how far its run has come: a [`Mark`]. What is accepted and neither done, duplicate,
//! discarded nor dead must be in a queue or with a worker; if it is in neither, it is lost, and the sum says so.
//!
//! What Redis forgets cannot be counted: a run that began before Redis was started last is left out of the sum.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use super::webhook::SourceName;

/// A run takes no new webhooks after this long; the next one begins. What Redis forgets spoils the sum of the runs
/// that had begun by then, and of no other, so this is how long "unknown" lasts.
pub const RUN_MAX: Duration = Duration::from_secs(15 * 60);

/// Numbers that one [`Mark`] names as refused; the rest waits for the next.
const REFUSED_MAX: usize = 500;

/// Names a stretch of one source's numbers: when it began, in milliseconds since 1970, and a random part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Run {
    /// Milliseconds since 1970.
    pub began: u64,
    /// Tells apart what began in the same millisecond.
    pub nonce: u32,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.began, self.nonce)
    }
}

/// A text that names no [`Run`] or [`Entry`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an entry of the ledger")]
pub struct NoEntry;

impl FromStr for Run {
    type Err = NoEntry;

    fn from_str(text: &str) -> Result<Self, NoEntry> {
        let (began, nonce) = text.split_once('-').ok_or(NoEntry)?;
        let began = u64::from_str_radix(began, 16).map_err(|_| NoEntry)?;
        let nonce = u32::from_str_radix(nonce, 16).map_err(|_| NoEntry)?;
        Ok(Self { began, nonce })
    }
}

impl TryFrom<String> for Run {
    type Error = NoEntry;

    fn try_from(text: String) -> Result<Self, NoEntry> {
        text.parse()
    }
}

impl From<Run> for String {
    fn from(run: Run) -> Self {
        run.to_string()
    }
}

/// A webhook's place in the ledger, as it travels with it: `<run>:<number>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The run.
    pub run: Run,
    /// From 1.
    pub number: u64,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.run, self.number)
    }
}

impl FromStr for Entry {
    type Err = NoEntry;

    fn from_str(text: &str) -> Result<Self, NoEntry> {
        let (run, number) = text.split_once(':').ok_or(NoEntry)?;
        let number = number.parse().ok().filter(|number| *number > 0).ok_or(NoEntry)?;
        Ok(Self { run: run.parse()?, number })
    }
}

/// How far a run has come, as its receiver tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The source's name.
    pub source: String,
    /// The run.
    pub run: Run,
    /// Every number up to this one was answered: 200, or else it is or was among the refused.
    pub through: u64,
    /// Numbers up to `through` that were not answered 200, so far as no earlier mark named them. The broker may hold
    /// such a webhook all the same; then it counts as accepted when it is settled.
    pub refused: Vec<u64>,
    /// No more numbers will come.
    pub closed: bool,
}

/// One source's runs in one receiver.
#[derive(Debug, Default)]
pub struct Book {
    /// The last one takes new numbers; the others are on their way to being closed.
    pages: Vec<Page>,
}

#[derive(Debug)]
struct Page {
    run: Run,
    issued: u64,
    through: u64,
    /// Answered, above `through`.
    answered: BTreeSet<u64>,
    /// Not told of in a mark yet.
    refused: BTreeSet<u64>,
    told: u64,
    ended: bool,
}

impl Page {
    fn closed(&self) -> bool {
        self.ended && self.through == self.issued
    }
}

impl Book {
    /// Gives the next webhook its entry. `now` is in milliseconds since 1970.
    pub fn enter(&mut self, now: u64, nonce: impl FnOnce() -> u32) -> Entry {
        let old =
            |page: &Page| page.ended || u128::from(now.saturating_sub(page.run.began)) > RUN_MAX.as_millis();
        if let Some(page) = self.pages.last_mut().filter(|page| old(page)) {
            page.ended = true;
        }
        if self.pages.last().is_none_or(|page| page.ended) {
            let run = Run { began: now, nonce: nonce() };
            let (answered, refused) = (BTreeSet::new(), BTreeSet::new());
            self.pages.push(Page { run, issued: 0, through: 0, answered, refused, told: 0, ended: false });
        }
        let last = self.pages.len() - 1;
        let page = &mut self.pages[last];
        page.issued += 1;
        Entry { run: page.run, number: page.issued }
    }

    /// Notes how a webhook was answered: `accepted` if with 200.
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

    /// Ends what has had its time; the next webhook begins a new run.
    pub fn end_old(&mut self, now: u64) {
        let old = |page: &Page| u128::from(now.saturating_sub(page.run.began)) > RUN_MAX.as_millis();
        self.pages.iter_mut().filter(|page| old(page)).for_each(|page| page.ended = true);
    }

    /// No more webhooks will come.
    pub fn end(&mut self) {
        for page in &mut self.pages {
            page.ended = true;
        }
    }

    /// What there is to tell.
    pub fn marks(&self, source: &SourceName) -> Vec<Mark> {
        let news = self.pages.iter().filter(|page| page.through > page.told || page.closed());
        news.map(|page| {
            let due = page.refused.range(..=page.through);
            let refused: Vec<u64> = due.clone().take(REFUSED_MAX).copied().collect();
            // Only as far as the refused ones are named.
            let next = due.clone().nth(REFUSED_MAX);
            let through = next.map_or(page.through, |next| next - 1);
            let closed = page.closed() && next.is_none();
            Mark { source: source.to_string(), run: page.run, through, refused, closed }
        })
        .collect()
    }

    /// The mark has arrived.
    pub fn told(&mut self, mark: &Mark) {
        let Some(page) = self.pages.iter_mut().find(|page| page.run == mark.run) else { return };
        page.told = page.told.max(mark.through);
        for number in &mark.refused {
            page.refused.remove(number);
        }
        self.pages.retain(|page| !(mark.closed && page.run == mark.run));
    }
}

/// What became of a webhook, as the ledger keeps it: four bits a number, 0 while it is in the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Its events are published.
    Done = 1,
    /// The same fact was done before.
    Duplicate = 2,
    /// Thrown away by an operator.
    Discarded = 3,
    /// Not answered 200, and not seen in the system either.
    Refused = 4,
    /// A dead letter.
    Dead = 5,
}

impl State {
    /// What this may take the place of: what comes twice, or late, changes nothing that is settled. A dead letter that
    /// is sent back stays dead until it is settled anew.
    pub fn may_follow(self, old: Option<Self>) -> bool {
        match self {
            Self::Done => old != Some(Self::Done),
            Self::Duplicate | Self::Discarded => matches!(old, None | Some(Self::Refused | Self::Dead)),
            Self::Dead => matches!(old, None | Some(Self::Refused)),
            Self::Refused => old.is_none(),
        }
    }
}

/// The sum of some runs. Signed, since what comes late for a run that is summed up already counts against the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// Answered 200, and what the broker kept of the rest.
    pub accepted: i64,
    /// Their events are published.
    pub done: i64,
    /// Duplicates of done ones.
    pub duplicate: i64,
    /// Thrown away by an operator.
    pub discarded: i64,
    /// Dead letters, and those sent back that are not settled anew.
    pub dead: i64,
    /// None of these: in a queue or with a worker.
    pub in_system: i64,
}

impl Sum {
    /// Of one run: `through` and `refused` are the receiver's; the rest is the workers', `summed` being what was moved
    /// to the source's total.
    ///
    /// Workers may be ahead of the receiver's mark, and what they settled was accepted.
    pub fn of_run(run: &Counts) -> Self {
        let Counts { through, refused, done, duplicate, discarded, dead, summed } = *run;
        let settled = done + duplicate + discarded + dead;
        let accepted = (through - refused - summed).max(settled);
        Self { accepted, done, duplicate, discarded, dead, in_system: accepted - settled }
    }
}

/// What Redis holds of a run, or of a source's total. Less than nothing where what comes late takes something back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in `Sum`, `Mark` and `State`")]
pub struct Counts {
    pub through: i64,
    pub refused: i64,
    pub done: i64,
    pub duplicate: i64,
    pub discarded: i64,
    pub dead: i64,
    /// How many settled ones were moved to the total.
    pub summed: i64,
}

impl std::ops::AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.done += other.done;
        self.duplicate += other.duplicate;
        self.discarded += other.discarded;
        self.dead += other.dead;
        self.in_system += other.in_system;
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
    fn an_entry_reads_as_it_is_written() {
        let entry = Entry { run: Run { began: 1_763_700_000_000, nonce: 0xabc }, number: 17 };
        assert_eq!(entry.to_string(), format!("{:x}-abc:17", 1_763_700_000_000_u64));
        assert_eq!(entry.to_string().parse(), Ok(entry));
        for bad in ["", "1-2", "1-2:0", "1-2:x", "x:1", "1:2", "-:1"] {
            assert_eq!(bad.parse::<Entry>(), Err(NoEntry), "{bad}");
        }
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
        book.told(&marks[0]);
        assert_eq!(book.marks(&source()), []);
        book.end();
        book.answered(entries[2], true);
        let last = book.marks(&source());
        assert_eq!((last[0].through, last[0].refused.len(), last[0].closed), (4, 0, true));
        book.told(&last[0]);
        assert!(book.pages.is_empty());
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
        /// Whatever order the answers come in, and whenever marks are taken, they sum up to what happened.
        #[test]
        fn marks_tell_every_refusal_once(answers in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..1500)) {
            let mut book = Book::default();
            let entries: Vec<_> = answers.iter().map(|_| book.enter(1, || 7)).collect();
            let mut refused = BTreeSet::new();
            let mut told = |book: &mut Book| {
                for mark in book.marks(&source()) {
                    for number in &mark.refused {
                        prop_assert!(*number <= mark.through);
                        prop_assert!(refused.insert(*number));
                    }
                    book.told(&mark);
                }
                Ok::<(), TestCaseError>(())
            };
            for (entry, (accepted, tell)) in entries.iter().zip(&answers).rev() {
                book.answered(*entry, *accepted);
                if *tell {
                    told(&mut book)?;
                }
            }
            book.end();
            while !book.pages.is_empty() {
                told(&mut book)?;
            }
            let expected: BTreeSet<u64> =
                entries.iter().zip(&answers).filter(|(_, (accepted, _))| !accepted).map(|(e, _)| e.number).collect();
            prop_assert_eq!(refused, expected);
        }
    }
}
