//! Publishing with confirms: one connection, a few channels, each owned by one task.
//!
//! Two defects of lapin 4.12.3 shape this (see docs/design/lapin.md):
//! - Two tasks that publish on one channel can receive each other's confirms. So each channel belongs to one
//!   task, a `Lane`.
//! - A returned message is attached to the confirm that resolves next, which may be another message's. So a
//!   lane looks at every confirm that has resolved before it trusts one, and matches returned messages by
//!   their ids (see `Window`).
//!
//! A `Publisher` hands jobs to the lanes through one queue. The `Keeper` holds the connection, and replaces
//! it and all lanes when any part of them fails.

mod failure;
mod keeper;
mod lane;
mod publication;
mod rights;
mod window;

use std::{sync::Arc, time::Duration};

use tokio::sync::{Mutex, mpsc, oneshot, watch};

pub use self::publication::{Publication, PublishError, Verdict};
use self::{
    keeper::{Keeper, Wanted},
    lane::is_blocked,
    publication::Job,
};
use crate::{
    config::Amqp,
    edge::{metrics::LinkMetrics, trouble::Trouble},
};

/// The handle for publishing; cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    jobs: mpsc::Sender<Job>,
    trouble: watch::Receiver<Option<Trouble>>,
    wanted: watch::Sender<Wanted>,
}

impl Publisher {
    /// Starts the task that keeps the connection. It ends when the last handle is dropped.
    pub fn start(config: Amqp, purpose: &'static str, metrics: Arc<LinkMetrics>) -> Self {
        Self::start_to(config, purpose, Vec::new(), metrics)
    }

    /// Starts the task as [`Publisher::start`] does. It reports trouble until the broker would let it publish
    /// to all of these exchanges.
    pub fn start_to(
        config: Amqp,
        purpose: &'static str,
        exchanges: Vec<String>,
        metrics: Arc<LinkMetrics>,
    ) -> Self {
        let (jobs, inbox) = mpsc::channel(4096);
        let (state, trouble) = watch::channel(Some(Trouble::BrokerDown));
        let inbox = Arc::new(Mutex::new(inbox));
        let (wanted, newest) = watch::channel(Wanted { config, exchanges });
        tokio::spawn(Keeper { wanted: newest, purpose, inbox, state, metrics }.run());
        Self { jobs, trouble, wanted }
    }

    /// Changes the configuration and the exchanges for the next connection; the present one stays as it is.
    pub fn reconfigure(&self, config: Amqp, exchanges: Vec<String>) {
        self.wanted.send_replace(Wanted { config, exchanges });
    }

    /// Returns what prevents publishing now.
    pub fn trouble(&self) -> Option<Trouble> {
        *self.trouble.borrow()
    }

    /// Returns a receiver of every change of [`Publisher::trouble`].
    pub fn watch(&self) -> watch::Receiver<Option<Trouble>> {
        self.trouble.clone()
    }

    /// Publishes and waits for the confirm, for at most `patience`. Time during which the broker blocks
    /// publishers does not count: it still accepts what was written once it unblocks.
    ///
    /// # Errors
    /// [`PublishError`] tells whether the message may be in a queue nevertheless.
    pub async fn publish(&self, publication: Publication, patience: Duration) -> Verdict {
        let verdicts = self.publish_all(vec![publication], patience).await;
        verdicts.into_iter().next().unwrap_or(Err(PublishError::Unknown))
    }

    /// Publishes several messages on one channel, in their order, and waits for all of their confirms as
    /// [`Publisher::publish`] does for one. Returns a verdict for each.
    pub async fn publish_all(&self, publications: Vec<Publication>, patience: Duration) -> Vec<Verdict> {
        let count = publications.len();
        let all = |error| vec![Err(error); count];
        if let Some(trouble) = self.trouble() {
            return all(PublishError::NotSent(trouble));
        }
        let (verdicts, answer) = oneshot::channel();
        let wait = async {
            if self.jobs.send(Job { publications, verdicts }).await.is_err() {
                return all(PublishError::NotSent(Trouble::BrokerDown));
            }
            answer.await.unwrap_or_else(|_| all(PublishError::Unknown))
        };
        let mut trouble = self.trouble.clone();
        let answered = within_deadline(wait, patience, &mut trouble).await;
        answered.unwrap_or_else(|| all(PublishError::Unknown))
    }
}

/// Waits for the confirms until `timeout` has passed. Time during which the broker blocks publishers does not
/// count.
async fn within_deadline<T>(
    confirms: impl Future<Output = T>,
    timeout: Duration,
    trouble: &mut watch::Receiver<Option<Trouble>>,
) -> Option<T> {
    let timed_out = async {
        while matches!(tokio::time::timeout(timeout, trouble.wait_for(is_blocked)).await, Ok(Ok(_)))
            && trouble.wait_for(|trouble| !is_blocked(trouble)).await.is_ok()
        {}
    };
    tokio::select! {
        biased;
        confirms = confirms => Some(confirms),
        () = timed_out => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether a confirm that comes after 29 s is waited for, if the trouble changes after the given
    /// seconds. The timeout is 10 s.
    async fn waits(changes: &[(u64, Option<Trouble>)]) -> bool {
        let (sender, mut trouble) = watch::channel(None);
        let begin = tokio::time::Instant::now();
        let second = |n| tokio::time::sleep_until(begin + Duration::from_secs(n));
        let change = async {
            for (at, trouble) in changes {
                second(*at).await;
                sender.send_replace(*trouble);
            }
        };
        let waiting = within_deadline(second(29), Duration::from_secs(10), &mut trouble);
        tokio::join!(waiting, change).0.is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn time_during_which_the_broker_blocks_publishers_does_not_count() {
        const BLOCKED: Option<Trouble> = Some(Trouble::BrokerBlocked);
        assert!(!waits(&[]).await);
        assert!(!waits(&[(5, Some(Trouble::BrokerDown))]).await);
        assert!(waits(&[(5, BLOCKED)]).await);
        assert!(waits(&[(5, BLOCKED), (20, None)]).await);
        assert!(!waits(&[(5, BLOCKED), (15, None)]).await);
        assert!(waits(&[(5, BLOCKED), (12, None), (21, BLOCKED), (28, None)]).await);
    }
}
