//! The journal of jobs: who did what to which letters, when, why, and what came of it.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    str::FromStr,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::LetterId;

/// Names a job: a UUIDv7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    /// Wraps a new id.
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

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Sends letters back to their raw queue.
    Replay,
    /// Throws letters away.
    Discard,
    /// Shows personal data.
    Reveal,
    /// Writes letters, whole, to a file.
    Export,
    /// Puts letters of a file into their dead-letter queue.
    Import,
    /// Makes the log agree with the queues.
    Reindex,
}

impl Kind {
    /// The word used on the command line and in the journal.
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

    /// Whether such a job moves letters, and so works alone.
    pub fn is_alone(self) -> bool {
        match self {
            Self::Replay | Self::Discard | Self::Import | Self::Reindex => true,
            Self::Reveal | Self::Export => false,
        }
    }
}

/// How a letter left its dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is back in its raw queue.
    Replayed,
    /// It is thrown away.
    Discarded,
    /// Its webhook had been done meanwhile; nothing was published.
    AlreadyDone,
    /// It was in the log and not in its queue: somebody took it away by other means.
    Missing,
}

impl Fate {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
            Self::AlreadyDone => "already done",
            Self::Missing => "missing",
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did all that it was to do.
    Finished,
    /// Somebody stopped it.
    Interrupted,
    /// It stopped by itself: too many letters failed again.
    Stopped,
    /// Something went wrong; the note says what.
    Failed,
}

impl Outcome {
    /// Of a job that went well, as far as it was let.
    pub fn unless(stopped: bool) -> Self {
        if stopped { Self::Interrupted } else { Self::Finished }
    }

    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// One record of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A job began.
    Begun {
        /// The job.
        job: JobId,
        /// When.
        at: Timestamp,
        /// What it does.
        kind: Kind,
        /// Who began it.
        actor: String,
        /// Why, in that person's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Which letters are meant, in words.
        filter: String,
        /// How many there were when it began, where that was known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        letters: Option<u64>,
        /// The version of the program.
        version: String,
    },
    /// Letters left their queue. Written after they are safe elsewhere and before they are acked.
    Gone {
        /// Through which job.
        job: JobId,
        /// How.
        fate: Fate,
        /// Their [`LetterId::key`]s.
        letters: Vec<u64>,
    },
    /// Letters that were counted as [`Fate::Missing`] are in their queue after all: somebody had held them.
    Found {
        /// Through which job.
        job: JobId,
        /// Their [`LetterId::key`]s.
        letters: Vec<u64>,
    },
    /// A job ended. A job that was killed has no such record.
    Ended {
        /// The job.
        job: JobId,
        /// When.
        at: Timestamp,
        /// How.
        outcome: Outcome,
        /// Letters that it has shown, written to a file, put back or listed.
        #[serde(default)]
        handled: u64,
        /// What else there is to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
}

/// A job, as the journal tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What it does.
    pub kind: Kind,
    /// Who began it.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// Which letters were meant.
    pub filter: String,
    /// How many there were when it began, where that was known.
    pub letters: Option<u64>,
    /// How many left their queue, and how.
    pub gone: BTreeMap<Fate, u64>,
    /// Letters that it has shown, written to a file, put back or listed.
    pub handled: u64,
    /// The version of the program that did it.
    pub version: String,
    /// When it began.
    pub begun_at: Timestamp,
    /// When it ended; none while it runs, and none if it was killed.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// What else there is to say.
    pub note: Option<String>,
}

/// The whole journal, read.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// Letters that left before this are in the log no more: their keys need not be remembered.
    forget_before: Option<Timestamp>,
    /// Safe elsewhere, or thrown away: a copy that is still in the queue may be acked.
    settled: HashSet<u64>,
    /// Nobody knows where they are.
    missing: HashSet<u64>,
    jobs: Vec<Job>,
}

impl Journal {
    /// A journal that remembers which letters have left only of jobs that began at this moment or later.
    pub fn since(forget_before: Timestamp) -> Self {
        Self { forget_before: Some(forget_before), ..Self::default() }
    }

    /// Reads one more record. One of a job whose beginning is not known any more counts for its letters only.
    pub fn note(&mut self, record: Record) {
        match record {
            Record::Begun { job, at, kind, actor, reason, filter, letters, version } => self.jobs.push(Job {
                id: job,
                kind,
                actor,
                reason,
                filter,
                letters,
                gone: BTreeMap::new(),
                handled: 0,
                version,
                begun_at: at,
                ended_at: None,
                outcome: None,
                note: None,
            }),
            Record::Gone { job, fate, letters } => {
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
            Record::Found { letters, .. } => {
                for letter in letters {
                    self.missing.remove(&letter);
                }
            }
            Record::Ended { job, at, outcome, handled, note } => {
                if let Some(job) = self.job(job) {
                    (job.ended_at, job.outcome) = (Some(at), Some(outcome));
                    (job.handled, job.note) = (handled, note);
                }
            }
        }
    }

    fn job(&mut self, id: JobId) -> Option<&mut Job> {
        self.jobs.iter_mut().rev().find(|job| job.id == id)
    }

    /// Whether the letter with this [`LetterId::key`] has left its queue, for all that is known.
    pub fn has_left(&self, key: u64) -> bool {
        self.settled.contains(&key) || self.missing.contains(&key)
    }

    /// Whether what was to be done to a letter is done: if a copy is still in its queue, somebody was killed before the
    /// ack.
    pub fn is_settled(&self, letter: LetterId) -> bool {
        self.settled.contains(&letter.key())
    }

    /// Whether a letter was not found in its queue.
    pub fn is_missing(&self, letter: LetterId) -> bool {
        self.missing.contains(&letter.key())
    }

    /// The last job that works alone, if it has no end: it runs, or was killed.
    pub fn unfinished(&self) -> Option<&Job> {
        self.jobs.iter().rev().find(|job| job.kind.is_alone()).filter(|job| job.outcome.is_none())
    }

    /// The jobs, the oldest first.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(job: JobId) -> Record {
        Record::Begun {
            job,
            at: "2026-01-02T03:00:00Z".parse().unwrap(),
            kind: Kind::Replay,
            actor: "ann".into(),
            reason: None,
            filter: "all".into(),
            letters: Some(3),
            version: "0.1.0".into(),
        }
    }

    #[test]
    fn a_job_that_was_killed_is_on_record_with_what_it_did() {
        let job = JobId::new(Uuid::now_v7());
        let letter = LetterId::new(Uuid::now_v7());
        let mut journal = Journal::default();
        let gone = Record::Gone { job, fate: Fate::Replayed, letters: vec![letter.key(), 7] };
        for record in [begun(job), gone] {
            let written = serde_json::to_string(&record).unwrap();
            let read: Record = serde_json::from_str(&written).unwrap();
            assert_eq!(read, record);
            journal.note(read);
        }
        assert!(journal.has_left(letter.key()));
        assert!(!journal.has_left(LetterId::new(Uuid::now_v7()).key()));
        let [job] = journal.jobs() else { panic!("{journal:?}") };
        assert_eq!((job.gone[&Fate::Replayed], job.outcome), (2, None));
    }

    #[test]
    fn letters_of_a_job_whose_beginning_is_forgotten_are_gone_all_the_same() {
        let letter = LetterId::new(Uuid::now_v7());
        let mut journal = Journal::default();
        let job = JobId::new(Uuid::now_v7());
        journal.note(Record::Gone { job, fate: Fate::Discarded, letters: vec![letter.key()] });
        assert!(journal.is_settled(letter));
    }

    #[test]
    fn what_left_before_the_log_began_is_counted_and_not_remembered() {
        let (old, new) = (JobId::new(Uuid::now_v7()), JobId::new(Uuid::now_v7()));
        let mut journal = Journal::since("2026-01-02T03:00:01Z".parse().unwrap());
        journal.note(begun(old));
        journal.note(Record::Gone { job: old, fate: Fate::Replayed, letters: vec![1] });
        let Record::Begun { kind, actor, reason, filter, letters, version, .. } = begun(new) else {
            panic!()
        };
        let at = "2026-01-02T03:00:02Z".parse().unwrap();
        journal.note(Record::Begun { job: new, at, kind, actor, reason, filter, letters, version });
        journal.note(Record::Gone { job: new, fate: Fate::Replayed, letters: vec![2] });
        assert_eq!((journal.has_left(1), journal.has_left(2)), (false, true));
        assert_eq!(journal.jobs()[0].gone[&Fate::Replayed], 1);
    }

    #[test]
    fn a_letter_that_was_missing_is_not_settled_and_may_be_found_again() {
        let letter = LetterId::new(Uuid::now_v7());
        let job = JobId::new(Uuid::now_v7());
        let mut journal = Journal::default();
        journal.note(Record::Gone { job, fate: Fate::Missing, letters: vec![letter.key()] });
        assert!(journal.has_left(letter.key()) && !journal.is_settled(letter));
        journal.note(Record::Found { job, letters: vec![letter.key()] });
        assert!(!journal.has_left(letter.key()));
    }
}
