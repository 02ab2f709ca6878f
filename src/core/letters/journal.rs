//! The journal of jobs: who did what to which dead letters, when, why, and with what result.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    str::FromStr,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::letter::LetterId;

/// A job's id, a UUIDv7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    /// Wraps a UUIDv7 made by the caller.
    pub fn new(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// The kind of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Sends letters back to their raw queue.
    Replay,
    /// Removes letters for good.
    Discard,
    /// Shows letters, or the events of a tail, with their personal data.
    Reveal,
    /// Writes letters to a file, with their personal data.
    Export,
    /// Puts letters from a file back into their dead-letter queues.
    Import,
    /// Corrects the log so that it agrees with the queues.
    Reindex,
}

impl JobKind {
    /// Returns the word used on the command line and in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
            Self::Reveal => "reveal",
            Self::Export => "export",
            Self::Import => "import",
            Self::Reindex => "reindex",
        }
    }

    /// Returns true if such a job moves letters, and therefore holds the lock.
    pub fn is_exclusive(self) -> bool {
        match self {
            Self::Replay | Self::Discard | Self::Import | Self::Reindex => true,
            Self::Reveal | Self::Export => false,
        }
    }
}

/// The way a letter left its dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It was sent back to its raw queue.
    Replayed,
    /// It was discarded.
    Discarded,
    /// Its webhook had been done by another delivery; nothing was published.
    AlreadyDone,
    /// It was in the log but not in its queue: it was removed by other means than hookswitch.
    Missing,
}

impl Fate {
    /// Returns the text shown to operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
            Self::AlreadyDone => "already done",
            Self::Missing => "missing",
        }
    }
}

/// The result of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// It did everything requested.
    Finished,
    /// The operator stopped it.
    Interrupted,
    /// It stopped by itself: too many letters failed again, or had no outcome in time.
    Stopped,
    /// It met an error, which the note holds.
    Failed,
}

impl JobOutcome {
    /// Returns the outcome of a job without errors that was or was not stopped early.
    pub fn unless(stopped: bool) -> Self {
        if stopped { Self::Interrupted } else { Self::Finished }
    }

    /// Returns the text shown to operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// One record of the journal. A job writes several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum JournalRecord {
    /// A job began.
    Begun {
        /// The job's id.
        job: JobId,
        /// The time it began.
        at: Timestamp,
        /// Its kind.
        kind: JobKind,
        /// The operator who started it.
        actor: String,
        /// The operator's reason, in the operator's words.
        #[serde(default, alias = "reason", skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// The selected letters, in words.
        filter: String,
        /// The number of letters selected, if known when it began.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        letters: Option<u64>,
        /// The version of hookswitch.
        version: String,
    },
    /// Letters leave their queue. Written after they are safe elsewhere and before they are acked.
    Gone {
        /// The job's id.
        job: JobId,
        /// The way they left.
        fate: Fate,
        /// Their [`LetterId::key`]s.
        letters: Vec<u64>,
    },
    /// Letters recorded as [`Fate::Missing`] are in their queue after all: another consumer had held them.
    Found {
        /// The job's id.
        job: JobId,
        /// Their [`LetterId::key`]s.
        letters: Vec<u64>,
    },
    /// A job ended. A job that was killed has no such record.
    Ended {
        /// The job's id.
        job: JobId,
        /// The time it ended.
        at: Timestamp,
        /// Its result.
        outcome: JobOutcome,
        /// The number of letters shown, exported, imported or listed.
        #[serde(default)]
        handled: u64,
        /// The error, or why it stopped.
        #[serde(default, alias = "note", skip_serializing_if = "Option::is_none")]
        cause: Option<String>,
    },
}

/// A job as its journal records describe it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// Its kind.
    pub kind: JobKind,
    /// The operator who started it.
    pub actor: String,
    /// The operator's reason, in the operator's words.
    pub note: Option<String>,
    /// The selected letters, in words.
    pub filter: String,
    /// The number of letters selected, if known when it began.
    pub letters: Option<u64>,
    /// The number of letters that left their queue, by the way they left.
    pub gone: BTreeMap<Fate, u64>,
    /// The number of letters shown, exported, imported or listed.
    pub handled: u64,
    /// The version of hookswitch that ran it.
    pub version: String,
    /// The time it began.
    pub begun_at: Timestamp,
    /// The time it ended; none while it runs, and none if it was killed.
    pub ended_at: Option<Timestamp>,
    /// Its result; none while it runs, and none if it was killed.
    pub outcome: Option<JobOutcome>,
    /// The error, or why it stopped.
    pub cause: Option<String>,
}

/// The state that follows from the journal's records: jobs, and letters that left their queues.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// Letters of jobs before this have aged out of the log, so their keys are not kept.
    forget_before: Option<Timestamp>,
    /// Keys of letters that were replayed, discarded or already done: a copy left in the queue may be acked.
    settled: HashSet<u64>,
    /// Keys of letters that were listed and not found in their queue.
    missing: HashSet<u64>,
    jobs: Vec<JobSummary>,
}

impl Journal {
    /// Returns an empty journal that keeps the letter keys of jobs begun at this time or later.
    pub fn since(forget_before: Timestamp) -> Self {
        Self { forget_before: Some(forget_before), ..Self::default() }
    }

    /// Applies the next record. If its job's beginning has aged out, only the letters are kept.
    pub fn apply(&mut self, record: JournalRecord) {
        match record {
            JournalRecord::Begun { job, at, kind, actor, note, filter, letters, version } => {
                self.jobs.push(JobSummary {
                    id: job,
                    kind,
                    actor,
                    note,
                    filter,
                    letters,
                    gone: BTreeMap::new(),
                    handled: 0,
                    version,
                    begun_at: at,
                    ended_at: None,
                    outcome: None,
                    cause: None,
                })
            }
            JournalRecord::Gone { job, fate, letters } => {
                let forget_before = self.forget_before;
                if let Some(job) = self.job(job) {
                    *job.gone.entry(fate).or_default() += letters.len() as u64;
                    if forget_before.is_some_and(|before| job.begun_at < before) {
                        return;
                    }
                }
                match fate {
                    Fate::Replayed | Fate::Discarded | Fate::AlreadyDone => self.settled.extend(letters),
                    Fate::Missing => self.missing.extend(letters),
                }
            }
            JournalRecord::Found { letters, .. } => {
                for letter in letters {
                    self.missing.remove(&letter);
                }
            }
            JournalRecord::Ended { job, at, outcome, handled, cause } => {
                if let Some(job) = self.job(job) {
                    (job.ended_at, job.outcome) = (Some(at), Some(outcome));
                    (job.handled, job.cause) = (handled, cause);
                }
            }
        }
    }

    fn job(&mut self, id: JobId) -> Option<&mut JobSummary> {
        self.jobs.iter_mut().rev().find(|job| job.id == id)
    }

    /// Returns true if the letter with this [`LetterId::key`] is recorded as having left its queue.
    pub fn has_left(&self, key: u64) -> bool {
        self.settled.contains(&key) || self.missing.contains(&key)
    }

    /// Returns true if a letter was replayed, discarded or already done. A copy still in its queue was left
    /// by a job that was killed before the ack.
    pub fn is_settled(&self, letter: LetterId) -> bool {
        self.settled.contains(&letter.key())
    }

    /// Returns true if a letter is recorded as missing from its queue.
    pub fn is_missing(&self, letter: LetterId) -> bool {
        self.missing.contains(&letter.key())
    }

    /// Returns the last exclusive job if it has no end: it is running, or was killed.
    pub fn unfinished(&self) -> Option<&JobSummary> {
        self.jobs.iter().rev().find(|job| job.kind.is_exclusive()).filter(|job| job.outcome.is_none())
    }

    /// Returns the jobs, oldest first.
    pub fn jobs(&self) -> &[JobSummary] {
        &self.jobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(job: JobId) -> JournalRecord {
        JournalRecord::Begun {
            job,
            at: "2026-01-02T03:00:00Z".parse().unwrap(),
            kind: JobKind::Replay,
            actor: "ann".into(),
            note: None,
            filter: "all".into(),
            letters: Some(3),
            version: "0.1.0".into(),
        }
    }

    #[test]
    fn a_killed_job_stays_on_record_with_the_letters_it_moved() {
        let job = JobId::new(Uuid::now_v7());
        let letter = LetterId::new(Uuid::now_v7());
        let mut journal = Journal::default();
        let gone = JournalRecord::Gone { job, fate: Fate::Replayed, letters: vec![letter.key(), 7] };
        for record in [begun(job), gone] {
            let written = serde_json::to_string(&record).unwrap();
            let read: JournalRecord = serde_json::from_str(&written).unwrap();
            assert_eq!(read, record);
            journal.apply(read);
        }
        assert!(journal.has_left(letter.key()));
        assert!(!journal.has_left(LetterId::new(Uuid::now_v7()).key()));
        let [job] = journal.jobs() else { panic!("{journal:?}") };
        assert_eq!((job.gone[&Fate::Replayed], job.outcome), (2, None));
    }

    #[test]
    fn a_journal_of_the_first_version_is_understood() {
        let job = JobId::new(Uuid::now_v7());
        let mut journal = Journal::default();
        for line in [
            r#"{"record":"begun","job":"JOB","at":"2026-01-02T03:00:00Z","kind":"discard","actor":"ann",
                "reason":"ticket 7","filter":"all","version":"0.1.0"}"#,
            r#"{"record":"ended","job":"JOB","at":"2026-01-02T03:00:01Z","outcome":"failed","handled":0,
                "note":"the disk is full"}"#,
        ] {
            journal.apply(serde_json::from_str(&line.replace("JOB", &job.to_string())).unwrap());
        }
        let [job] = journal.jobs() else { panic!("{journal:?}") };
        assert_eq!((job.note.as_deref(), job.cause.as_deref()), (Some("ticket 7"), Some("the disk is full")));
    }

    #[test]
    fn letters_of_a_job_whose_beginning_aged_out_are_still_settled() {
        let letter = LetterId::new(Uuid::now_v7());
        let mut journal = Journal::default();
        let job = JobId::new(Uuid::now_v7());
        journal.apply(JournalRecord::Gone { job, fate: Fate::Discarded, letters: vec![letter.key()] });
        assert!(journal.is_settled(letter));
    }

    #[test]
    fn letters_older_than_the_log_are_counted_but_their_keys_are_not_kept() {
        let (old, new) = (JobId::new(Uuid::now_v7()), JobId::new(Uuid::now_v7()));
        let mut journal = Journal::since("2026-01-02T03:00:01Z".parse().unwrap());
        journal.apply(begun(old));
        journal.apply(JournalRecord::Gone { job: old, fate: Fate::Replayed, letters: vec![1] });
        let JournalRecord::Begun { kind, actor, note, filter, letters, version, .. } = begun(new) else {
            panic!()
        };
        let at = "2026-01-02T03:00:02Z".parse().unwrap();
        journal.apply(JournalRecord::Begun { job: new, at, kind, actor, note, filter, letters, version });
        journal.apply(JournalRecord::Gone { job: new, fate: Fate::Replayed, letters: vec![2] });
        assert_eq!((journal.has_left(1), journal.has_left(2)), (false, true));
        assert_eq!(journal.jobs()[0].gone[&Fate::Replayed], 1);
    }

    #[test]
    fn a_missing_letter_is_not_settled_and_may_be_found_again() {
        let letter = LetterId::new(Uuid::now_v7());
        let job = JobId::new(Uuid::now_v7());
        let mut journal = Journal::default();
        journal.apply(JournalRecord::Gone { job, fate: Fate::Missing, letters: vec![letter.key()] });
        assert!(journal.has_left(letter.key()) && !journal.is_settled(letter));
        journal.apply(JournalRecord::Found { job, letters: vec![letter.key()] });
        assert!(!journal.has_left(letter.key()));
    }
}
