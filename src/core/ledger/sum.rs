//! The states of webhooks, and their sum.

use serde::Serialize;

/// The state of a webhook in the ledger: four bits per number, 0 while the webhook is in the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Its events are published.
    Done = 1,
    /// The same fact was done before.
    Duplicate = 2,
    /// An operator has discarded it.
    Discarded = 3,
    /// It was not answered with 200, and is not known to be in the system.
    Refused = 4,
    /// It is a dead letter.
    Dead = 5,
}

impl State {
    /// Returns whether this state may replace `old`.
    ///
    /// A report that is repeated or late changes nothing that is settled. A dead letter that is replayed
    /// stays dead until it is settled again.
    pub fn may_follow(self, old: Option<Self>) -> bool {
        match self {
            Self::Done => old != Some(Self::Done),
            Self::Duplicate | Self::Discarded => matches!(old, None | Some(Self::Refused | Self::Dead)),
            Self::Dead => matches!(old, None | Some(Self::Refused)),
            Self::Refused => old.is_none(),
        }
    }
}

/// The sum over some runs, in webhooks. Signed, since a late report on a run that is already summed up counts
/// against the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// Answered with 200, and those of the rest that the broker kept.
    pub accepted: i64,
    /// Published.
    pub done: i64,
    /// Duplicates of done ones.
    pub duplicate: i64,
    /// Discarded by an operator.
    pub discarded: i64,
    /// Dead letters, and replayed ones that are not settled again.
    pub dead: i64,
    /// In a queue or with a worker.
    pub in_system: i64,
}

impl Sum {
    /// Sums up one run.
    ///
    /// Workers may be ahead of the receiver's mark, and what they settled was accepted.
    pub fn of_run(run: &Counts) -> Self {
        let Counts { through, refused, done, duplicate, discarded, dead, summed } = *run;
        let settled = done + duplicate + discarded + dead;
        let accepted = (through - refused - summed).max(settled);
        Self { accepted, done, duplicate, discarded, dead, in_system: accepted - settled }
    }
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

/// The counts that Redis holds of a run, or of a source's total. Negative where a late report takes something
/// back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The receiver's [`Mark::through`](super::Mark::through).
    pub through: i64,
    /// Numbers that the receiver did not answer with 200.
    pub refused: i64,
    /// Numbers in [`State::Done`].
    pub done: i64,
    /// Numbers in [`State::Duplicate`].
    pub duplicate: i64,
    /// Numbers in [`State::Discarded`].
    pub discarded: i64,
    /// Numbers in [`State::Dead`].
    pub dead: i64,
    /// Settled numbers that were moved from the run to its source's total.
    pub summed: i64,
}
