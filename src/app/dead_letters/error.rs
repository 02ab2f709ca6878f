//! The errors of work on dead letters.

use crate::{
    core::{letters::JobSummary, webhook::SourceName},
    edge::{
        amqp::{
            self,
            consume::{dead_queue::DeadQueueError, stream::StreamError},
            publish::PublishError,
        },
        redis::StoreError,
    },
};

/// The reason why a command on dead letters failed. Everything done until then is done and in the journal.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// A dead-letter queue could not be read.
    #[error(transparent)]
    Queue(#[from] DeadQueueError),
    /// The log or the journal could not be read.
    #[error(transparent)]
    Log(#[from] StreamError),
    /// The connection to the broker failed. Letters not moved yet stay in their queues.
    #[error("the broker failed: {0}; run the command again to continue")]
    Lost(#[from] amqp::Error),
    /// The target queue did not confirm a letter, which stays in its dead-letter queue.
    #[error(
        "a letter could not be moved and stays in its dead-letter queue: {0}; fix the cause and run the \
         command again"
    )]
    NotMoved(PublishError),
    /// The journal could not be written. The letters in hand stay in their queues.
    #[error("cannot write to the journal of jobs, so letters stay in their queues: {0}")]
    NoJournal(PublishError),
    /// Redis could not be read or written. The letters in hand stay in their queues.
    #[error("the remaining letters stay in their queues: {0}")]
    NoStore(#[from] StoreError),
    /// The file could not be written. No letter has been moved.
    #[error("{0}; all letters stay in their queues")]
    NoFile(std::io::Error),
    /// The job needs the list to agree with the queues, and it does not.
    #[error(
        "dead.{source_name} holds fewer letters ({queued}) than are listed ({listed}): run `hookswitch \
         dead-letters reindex --source {source_name} --forget-missing` first, which saves the missing ones \
         in a file"
    )]
    Differs {
        /// The source of the queue.
        source_name: SourceName,
        /// The number of letters in the queue.
        queued: u64,
        /// The number of letters listed.
        listed: u64,
    },
    /// Another job holds the lock; the job, if its beginning is in the journal yet.
    #[error(
        "another job is working on dead letters{}: wait until it ends, or see `hookswitch dead-letters jobs`",
        in_parentheses(.0.as_deref())
    )]
    Busy(Option<Box<JobSummary>>),
}

fn in_parentheses(job: Option<&JobSummary>) -> String {
    let Some(job) = job else { return String::new() };
    let since = job.begun_at.strftime("%Y-%m-%d %H:%M:%S");
    format!(" ({} by {}, since {since})", job.kind.as_str(), job.actor)
}
