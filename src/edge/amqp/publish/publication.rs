//! A message to publish, and what becomes of it.

use std::time::Instant;

use bytes::Bytes;
use lapin::BasicProperties;
use tokio::sync::oneshot;

use crate::edge::trouble::Trouble;

/// One message to publish; always `mandatory`.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The exchange.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// The properties; `message_id` tells the messages of a batch apart.
    pub properties: BasicProperties,
    /// The body.
    pub body: Bytes,
    /// The message is not sent after this moment.
    pub not_after: Instant,
}

/// Why a message is not known to be in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Certainly not sent: the broker is down or blocks publishers, or `not_after` had passed.
    #[error("not sent: {0}")]
    NotSent(Trouble),
    /// Sent and not confirmed: it may or may not be in a queue.
    #[error("sent, but the broker did not confirm it")]
    Unknown,
    /// A queue refused it, most likely because it is full.
    #[error("a queue refused it")]
    Refused,
    /// No queue is bound for it: the topology is incomplete.
    #[error("no queue is bound for it: run `hookswitch topology check`")]
    Unroutable,
}

impl PublishError {
    /// Returns the infrastructure error to wait out before the next try.
    pub fn trouble(self) -> Trouble {
        match self {
            Self::NotSent(trouble) => trouble,
            Self::Unknown => Trouble::Late,
            Self::Unroutable => Trouble::Topology,
            Self::Refused => Trouble::DownstreamFull,
        }
    }
}

/// The result of a publication.
pub type Verdict = Result<(), PublishError>;

/// Publications that go over one channel in their order, and where their verdicts go.
pub(super) struct Job {
    pub(super) publications: Vec<Publication>,
    pub(super) verdicts: oneshot::Sender<Vec<Verdict>>,
}

impl Job {
    /// Answers every publication with `error`. A caller that has timed out does not receive it.
    pub(super) fn refuse(self, error: PublishError) {
        drop(self.verdicts.send(vec![Err(error); self.publications.len()]));
    }
}
