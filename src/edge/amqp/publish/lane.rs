//! One channel and the only task that publishes on it.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use lapin::{Channel, options::ConfirmSelectOptions};
use tokio::sync::{Mutex, mpsc, watch};

use super::{failure::Failure, publication::Job, window::Window};
use crate::edge::{amqp::connect::Connection, metrics::LinkMetrics, trouble::Trouble};

/// Returns whether the broker blocks publishers; it accepts what was written once it unblocks.
pub(super) fn is_blocked(trouble: &Option<Trouble>) -> bool {
    *trouble == Some(Trouble::BrokerBlocked)
}

/// Opens a channel in confirm mode.
pub(super) async fn open_channel(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.channel().await?;
    channel.confirm_select(ConfirmSelectOptions { nowait: false }).await?;
    Ok(channel)
}

/// One channel and the only task that publishes on it.
pub(super) struct Lane<'a> {
    pub(super) connection: &'a Connection,
    pub(super) channel: Channel,
    pub(super) inbox: Arc<Mutex<mpsc::Receiver<Job>>>,
    /// Most messages that may be unconfirmed at a time.
    pub(super) window: usize,
    /// Time that the oldest confirm may take.
    pub(super) confirm_timeout: Duration,
    pub(super) trouble: watch::Receiver<Option<Trouble>>,
    pub(super) metrics: &'a LinkMetrics,
}

/// The last handle was dropped.
pub(super) struct Closed;

/// Why a lane stops using its channel.
enum Ended {
    /// The last handle was dropped.
    Closed,
    /// A queue refused a message.
    Refused,
}

impl Lane<'_> {
    /// Publishes until the last handle is dropped or something fails.
    pub(super) async fn run(mut self) -> Result<Closed, Failure> {
        loop {
            match self.publish().await? {
                Ended::Closed => return Ok(Closed),
                Ended::Refused => self.renew_channel().await?,
            }
        }
    }

    /// Sends waiting jobs while the window has room, and answers each when its confirms have arrived. Ends
    /// when something fails or a queue refuses a message.
    async fn publish(&mut self) -> Result<Ended, Failure> {
        let channel = self.channel.clone();
        let (mut window, mut pending) = (Window::new(self.metrics), self.metrics.pending());
        let mut counts_from = tokio::time::Instant::now();
        let overdue = tokio::time::sleep(self.confirm_timeout);
        tokio::pin!(overdue);
        loop {
            if window.is_empty() && window.refused {
                return Ok(Ended::Refused);
            }
            // A message sent while the broker blocks publishers may go out long after its `not_after`.
            let blocked = is_blocked(&self.trouble.borrow());
            let sends = !blocked && !window.must_empty();
            pending.set(window.confirms.len());
            let room = if sends { self.window.saturating_sub(window.confirms.len()) } else { 0 };
            tokio::select! {
                biased;
                Some(first) = window.confirms.next(), if !window.is_empty() => window.note(first)?,
                jobs = take(&self.inbox, room), if room > 0 => match jobs {
                    Some(jobs) => jobs.into_iter().for_each(|job| window.send(&channel, job)),
                    None => return Ok(Ended::Closed),
                },
                changed = self.trouble.changed() => {
                    // Time during which the broker blocks publishers does not count.
                    counts_from = tokio::time::Instant::now();
                    changed.map_err(|_| Failure::down("the publisher's connection task ended"))?;
                }
                () = &mut overdue, if !window.is_empty() => {
                    let now = tokio::time::Instant::now();
                    let oldest = window.oldest().unwrap_or(counts_from).max(counts_from);
                    let due = if blocked { now } else { oldest } + self.confirm_timeout;
                    if due <= now {
                        // A dropped confirm stays in lapin's memory until its channel closes, so the channel
                        // must close.
                        return Err(Failure::down(format!("no confirm within {:?}", self.confirm_timeout)));
                    }
                    overdue.as_mut().reset(due);
                }
            }
        }
    }

    /// Continues over a new channel. Not every refusal comes from a full queue: RabbitMQ 3.10 ties a channel
    /// to a queue's leader, and if that node dies the channel refuses until it is back, even when another
    /// node leads by then.
    async fn renew_channel(&mut self) -> Result<(), Failure> {
        let renew = async {
            let new = open_channel(self.connection).await?;
            let old = std::mem::replace(&mut self.channel, new);
            old.close(200, "refused".into()).await
        };
        let renewed = tokio::time::timeout(self.confirm_timeout, renew).await;
        Ok(renewed.map_err(|_| Failure::down("timed out opening a channel"))??)
    }
}

/// Waits for the first job, and takes more while they have fewer than `room` publications. Returns none when
/// the last handle was dropped.
async fn take(inbox: &Mutex<mpsc::Receiver<Job>>, room: usize) -> Option<Vec<Job>> {
    let mut inbox = inbox.lock().await;
    let mut jobs = vec![inbox.recv().await?];
    let mut count = jobs[0].publications.len();
    while count < room
        && let Ok(job) = inbox.try_recv()
    {
        count += job.publications.len();
        jobs.push(job);
    }
    Some(jobs)
}
