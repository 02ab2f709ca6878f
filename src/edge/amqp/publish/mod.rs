//! Publishing with confirms: one connection, a few channels, each owned by one task.
//!
//! Two defects of lapin 4.12.3 shape this (see ARCHITECTURE.md): two tasks that publish on one channel can get
//! each other's confirm, and a returned message is handed to whichever confirm resolves next. So a channel belongs
//! to one task, which looks at everything that has resolved before it believes a confirm, and matches returned
//! messages by their ids (see `Window`).

use std::{
    collections::{BTreeMap, HashSet, btree_map::Entry},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel, Confirmation, Event,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::connect::{Connection, connect};
use crate::{
    config::Amqp,
    core::delivery::retry::Reconnect,
    edge::{metrics::LinkMetrics, trouble::Trouble},
    faults::{self, Mutant, Point},
};

/// One message to publish; always `mandatory`.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The exchange.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// The properties; `message_id` tells messages of a batch apart.
    pub properties: BasicProperties,
    /// The body.
    pub body: Bytes,
    /// It is not sent after this moment.
    pub not_after: Instant,
}

/// Why a message is not known to be in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Certainly not sent: the broker is away or takes nothing, or `not_after` had passed.
    #[error("not sent: {0}")]
    NotSent(Trouble),
    /// Sent, but nobody knows whether it arrived.
    #[error("sent, but the broker did not confirm it")]
    Unknown,
    /// A queue refused it: it is full.
    #[error("a queue refused it")]
    Refused,
    /// No queue is bound for it: the topology is not as it must be.
    #[error("no queue is bound for it: run `hookswitch topology check`")]
    Unroutable,
}

impl PublishError {
    /// What to wait out before trying again.
    pub fn trouble(self) -> Trouble {
        match self {
            Self::NotSent(trouble) => trouble,
            Self::Unknown => Trouble::Late,
            Self::Unroutable => Trouble::Topology,
            Self::Refused => Trouble::DownstreamFull,
        }
    }
}

/// What became of a publication.
pub type Verdict = Result<(), PublishError>;

/// Publications that belong together, in their order.
struct Job {
    publications: Vec<Publication>,
    verdicts: oneshot::Sender<Vec<Verdict>>,
}

impl Job {
    /// Whoever asked may have lost patience; then nobody listens.
    fn refuse(self, error: PublishError) {
        drop(self.verdicts.send(vec![Err(error); self.publications.len()]));
    }
}

/// The handle that everybody publishes with; cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    jobs: mpsc::Sender<Job>,
    trouble: watch::Receiver<Option<Trouble>>,
}

impl Publisher {
    /// Starts the task that keeps the connection. It ends when the last handle is dropped.
    pub fn start(config: Amqp, purpose: &'static str, metrics: Arc<LinkMetrics>) -> Self {
        let (jobs, inbox) = mpsc::channel(4096);
        let (state, trouble) = watch::channel(Some(Trouble::BrokerDown));
        let inbox = Arc::new(Mutex::new(inbox));
        tokio::spawn(Keeper { config, purpose, inbox, state, metrics }.run());
        Self { jobs, trouble }
    }

    /// What keeps us from publishing now.
    pub fn trouble(&self) -> Option<Trouble> {
        *self.trouble.borrow()
    }

    /// Tells of every change of [`Publisher::trouble`].
    pub fn watch(&self) -> watch::Receiver<Option<Trouble>> {
        self.trouble.clone()
    }

    /// Publishes and waits for the confirm, for at most `patience`; while the broker has blocked us, time does not
    /// count, since it takes what is written when it goes on.
    ///
    /// # Errors
    /// [`PublishError`] says whether the message may be in a queue all the same.
    pub async fn publish(&self, publication: Publication, patience: Duration) -> Verdict {
        let verdicts = self.publish_all(vec![publication], patience).await;
        verdicts.into_iter().next().unwrap_or(Err(PublishError::Unknown))
    }

    /// Publishes several on one channel, in their order, and waits for all of their confirms, as
    /// [`Publisher::publish`] does for one; a verdict for each.
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

/// Keeps the connection and its channels; makes new ones when anything of them fails.
struct Keeper {
    config: Amqp,
    purpose: &'static str,
    inbox: Arc<Mutex<mpsc::Receiver<Job>>>,
    state: watch::Sender<Option<Trouble>>,
    metrics: Arc<LinkMetrics>,
}

/// The last handle is gone.
struct Closed;

impl Keeper {
    async fn run(self) {
        let mut reconnect = Reconnect::default();
        loop {
            let connected_at = Instant::now();
            let cause = match self.serve().await {
                Ok(Closed) => return,
                Err(cause) => cause,
            };
            self.state.send_replace(Some(Trouble::BrokerDown));
            // A connection that lived is a success: the next delay is the shortest again.
            if connected_at.elapsed() > self.config.heartbeat * 2 {
                reconnect.reset();
            }
            let delay = reconnect.next_delay();
            tracing::warn!(purpose = self.purpose, %cause, ?delay, "no connection to the broker, trying again");
            self.metrics.reconnects.inc();
            if self.refuse_jobs_for(delay).await.is_err() {
                return;
            }
        }
    }

    /// Refuses what arrives while there is no connection.
    async fn refuse_jobs_for(&self, delay: Duration) -> Result<(), Closed> {
        let mut inbox = self.inbox.lock().await;
        let until = tokio::time::Instant::now() + delay;
        loop {
            match tokio::time::timeout_at(until, inbox.recv()).await {
                Err(_) => return Ok(()),
                Ok(None) => return Err(Closed),
                Ok(Some(job)) => job.refuse(PublishError::NotSent(Trouble::BrokerDown)),
            }
        }
    }

    /// Connects and publishes until something fails.
    async fn serve(&self) -> Result<Closed, String> {
        let connection = connect(&self.config, self.purpose).await.map_err(|e| e.to_string())?;
        let mut events = connection.events();
        let setup = async {
            let mut channels = Vec::new();
            for _ in 0..self.config.publish_channels {
                channels.push(open_channel(&connection).await?);
            }
            if let Some(first) = channels.first().filter(|_| faults::is(Mutant::SharedChannel)).cloned() {
                channels.fill(first);
            }
            Ok::<_, lapin::Error>(channels)
        };
        let channels = tokio::time::timeout(self.config.connect_timeout, setup)
            .await
            .map_err(|_| "opening channels took too long".to_owned())?
            .map_err(|e| e.to_string())?;
        self.state.send_replace(None);
        tracing::info!(purpose = self.purpose, "connected to the broker");

        let lanes = channels.into_iter().map(|channel| {
            Lane {
                connection: &connection,
                channel,
                inbox: self.inbox.clone(),
                window: self.config.publish_window,
                confirm_timeout: self.config.confirm_timeout,
                trouble: self.state.subscribe(),
            }
            .run()
        });
        let mut lanes: FuturesUnordered<_> = lanes.collect();
        let outcome = loop {
            tokio::select! {
                ended = lanes.next() => break ended.unwrap_or(Ok(Closed)),
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(purpose = self.purpose, %reason, "the broker takes no messages");
                        self.state.send_replace(Some(Trouble::BrokerBlocked));
                    }
                    Some(Event::ConnectionUnblocked) => {
                        tracing::info!(purpose = self.purpose, "the broker takes messages again");
                        self.state.send_replace(None);
                    }
                    Some(Event::Error(error)) => break Err(error.to_string()),
                    Some(Event::Connected | Event::SendFlow(_)) => {}
                    Some(_) => {}
                    None => break Err("the connection ended".to_owned()),
                },
            }
        };
        drop(lanes);
        connection.close().await;
        outcome
    }
}

async fn open_channel(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.channel().await?;
    channel.confirm_select(ConfirmSelectOptions { nowait: false }).await?;
    Ok(channel)
}

/// One channel and the only task that publishes on it.
struct Lane<'a> {
    connection: &'a Connection,
    channel: Channel,
    inbox: Arc<Mutex<mpsc::Receiver<Job>>>,
    window: usize,
    confirm_timeout: Duration,
    trouble: watch::Receiver<Option<Trouble>>,
}

/// Why a lane is done with its channel.
enum Ended {
    Closed,
    Refused,
}

impl Lane<'_> {
    async fn run(mut self) -> Result<Closed, String> {
        loop {
            match self.publish().await? {
                Ended::Closed => return Ok(Closed),
                Ended::Refused => self.renew_channel().await?,
            }
        }
    }

    /// Sends what is waiting as long as the window has room, and tells each owner when its confirms are in; until
    /// something fails or a message is refused.
    async fn publish(&mut self) -> Result<Ended, String> {
        let channel = self.channel.clone();
        let mut window = Window::default();
        let mut counts_from = tokio::time::Instant::now();
        let overdue = tokio::time::sleep(self.confirm_timeout);
        tokio::pin!(overdue);
        loop {
            if window.is_empty() && window.refused {
                return Ok(Ended::Refused);
            }
            // What is sent while the broker blocks us may go out long after it was due.
            let blocked = is_blocked(&self.trouble.borrow());
            let sends = !blocked && !window.must_empty();
            let room = if sends { self.window.saturating_sub(window.confirms.len()) } else { 0 };
            tokio::select! {
                biased;
                Some(first) = window.confirms.next(), if !window.is_empty() => window.note(first)?,
                jobs = take(&self.inbox, room), if room > 0 => match jobs {
                    Some(jobs) => jobs.into_iter().for_each(|job| window.send(&channel, job)),
                    None => return Ok(Ended::Closed),
                },
                changed = self.trouble.changed() => {
                    // While the broker blocks us, time does not count: it takes what is written when it goes on.
                    counts_from = tokio::time::Instant::now();
                    changed.map_err(|_| "nobody keeps the connection".to_owned())?;
                }
                () = &mut overdue, if !window.is_empty() => {
                    let oldest = window.oldest().unwrap_or(counts_from).max(counts_from);
                    let due = if blocked { tokio::time::Instant::now() } else { oldest } + self.confirm_timeout;
                    if due <= tokio::time::Instant::now() {
                        // A confirm that is dropped stays in lapin's memory until its channel ends, so the channel ends.
                        return Err(format!("no confirm within {:?}", self.confirm_timeout));
                    }
                    overdue.as_mut().reset(due);
                }
            }
        }
    }

    /// Goes on over a new channel. Not every refusal comes from a full queue: a channel that RabbitMQ 3.10 has pointed
    /// to a leader that died goes on refusing until that node is back, whoever leads the queue by then.
    async fn renew_channel(&mut self) -> Result<(), String> {
        let renew = async {
            let new = open_channel(self.connection).await?;
            let old = std::mem::replace(&mut self.channel, new);
            old.close(200, "refused".into()).await
        };
        let renewed = tokio::time::timeout(self.confirm_timeout, renew).await;
        renewed.map_err(|_| "opening a channel took too long".to_owned())?.map_err(|e| e.to_string())
    }
}

/// As many publications as there is room for, or a job more, as soon as there are any.
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

/// Waits for the confirms, but not for ever; while the broker has blocked us, time does not count.
async fn within_deadline<T>(
    confirms: impl Future<Output = T>,
    timeout: Duration,
    trouble: &mut watch::Receiver<Option<Trouble>>,
) -> Option<T> {
    let unblocked_for_too_long = async {
        while matches!(tokio::time::timeout(timeout, trouble.wait_for(is_blocked)).await, Ok(Ok(_)))
            && trouble.wait_for(|trouble| !is_blocked(trouble)).await.is_ok()
        {}
    };
    tokio::select! {
        biased;
        confirms = confirms => Some(confirms),
        () = unblocked_for_too_long => None,
    }
}

/// Whether the broker takes nothing now, but will take what is written when it goes on.
fn is_blocked(trouble: &Option<Trouble>) -> bool {
    *trouble == Some(Trouble::BrokerBlocked)
}

/// What is sent over a channel and not confirmed yet.
///
/// A returned message comes before its own confirm, and lapin gives it to whichever confirm resolves next. So once
/// everything that has resolved was looked at,
/// - a confirm that brought nothing found no returned message waiting: if its own message was returned, an earlier confirm
///   has brought it, and it is among `misattributed`;
/// - a confirm that brought another's leaves it open whether its own is still waiting. Nothing is sent then until all
///   confirms are in, when nothing can be waiting any more.
///
/// Two messages with one id may have each other's verdict: then they are copies of each other, and one is in a queue.
#[derive(Default)]
struct Window<'a> {
    confirms: FuturesUnordered<Pin<Box<dyn Future<Output = Confirmed> + Send + 'a>>>,
    /// The jobs that they belong to, in the order in which they were sent.
    flights: BTreeMap<u64, Flight>,
    next: u64,
    /// Ids of returned messages that came with the confirm of another.
    misattributed: HashSet<ShortString>,
    /// Taken by the broker, if they do not turn out to be returned.
    open: Vec<(Place, ShortString)>,
    refused: bool,
}

/// Which message of which flight.
type Place = (u64, usize);

/// What a confirm says.
struct Confirmed {
    place: Place,
    id: ShortString,
    confirm: lapin::Result<Confirmation>,
}

/// A job whose messages are sent. Whatever ends it, its owner is told what is known by then.
struct Flight {
    verdicts: Vec<Verdict>,
    unconfirmed: usize,
    owner: Option<oneshot::Sender<Vec<Verdict>>>,
    sent: tokio::time::Instant,
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.take() {
            // Whoever asked may have lost patience; then nobody listens.
            drop(owner.send(std::mem::take(&mut self.verdicts)));
        }
    }
}

impl<'a> Window<'a> {
    fn is_empty(&self) -> bool {
        self.confirms.is_empty()
    }

    /// Whether nothing more may be sent until all confirms are in.
    fn must_empty(&self) -> bool {
        self.refused || !self.misattributed.is_empty()
    }

    /// Since when the oldest waits.
    fn oldest(&self) -> Option<tokio::time::Instant> {
        self.flights.first_key_value().map(|(_, flight)| flight.sent)
    }

    fn send(&mut self, channel: &'a Channel, job: Job) {
        let Job { publications, verdicts: owner } = job;
        if owner.is_closed() {
            return;
        }
        let now = Instant::now();
        let mut flight = Flight {
            verdicts: vec![Err(PublishError::Unknown); publications.len()],
            unconfirmed: 0,
            owner: Some(owner),
            sent: tokio::time::Instant::now(),
        };
        for (n, publication) in publications.into_iter().enumerate() {
            if publication.not_after < now {
                flight.verdicts[n] = Err(PublishError::NotSent(Trouble::Late));
                continue;
            }
            flight.unconfirmed += 1;
            let mut sending = Box::pin(confirm(channel, publication, (self.next, n)));
            // The first poll takes the delivery tag and queues the frames; only one task may poll.
            match sending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => self.confirms.push(sending),
                Poll::Ready(confirmed) => self.confirms.push(Box::pin(std::future::ready(confirmed))),
            }
        }
        if flight.unconfirmed > 0 {
            self.flights.insert(self.next, flight);
            self.next += 1;
        }
    }

    /// Looks at all confirms that have resolved, of which this is the first.
    fn note(&mut self, first: Confirmed) -> Result<(), String> {
        let mut confirmed = vec![first];
        drain(&mut self.confirms, &mut confirmed);
        for Confirmed { id, confirm, .. } in &confirmed {
            let returned = confirm.as_ref().ok().and_then(returned_id);
            self.misattributed.extend(returned.filter(|returned| returned != id));
        }
        let mut failure = None;
        for Confirmed { place, id, confirm } in confirmed {
            let verdict = match confirm {
                Ok(Confirmation::Ack(own)) if faults::is(Mutant::TrustReturned) => {
                    own.map_or(Ok(()), |_| Err(PublishError::Unroutable))
                }
                Ok(Confirmation::Ack(None)) if !self.misattributed.contains(&id) => Ok(()),
                Ok(Confirmation::Ack(Some(returned))) if message_id(&returned.delivery.properties) != id => {
                    self.open.push((place, id));
                    continue;
                }
                Ok(Confirmation::Ack(_)) => Err(PublishError::Unroutable),
                Ok(Confirmation::Nack(_)) => {
                    self.refused = true;
                    Err(PublishError::Refused)
                }
                Ok(Confirmation::NotRequested) => Err(PublishError::Unknown),
                Err(error) => {
                    failure = Some(error.to_string());
                    Err(PublishError::Unknown)
                }
            };
            self.settle(place, verdict);
        }
        if self.is_empty() || failure.is_some() {
            self.settle_open(failure.is_some());
        }
        failure.map_or(Ok(()), Err)
    }

    /// Those that are left open: every return is known now, or the confirm that would have brought it failed.
    fn settle_open(&mut self, failed: bool) {
        for (place, id) in std::mem::take(&mut self.open) {
            let verdict = match (self.misattributed.contains(&id), failed) {
                (true, _) => Err(PublishError::Unroutable),
                (false, true) => Err(PublishError::Unknown),
                (false, false) => Ok(()),
            };
            self.settle(place, verdict);
        }
        self.misattributed.clear();
    }

    fn settle(&mut self, (flight, n): Place, verdict: Verdict) {
        let Entry::Occupied(mut entry) = self.flights.entry(flight) else { return };
        let flight = entry.get_mut();
        flight.verdicts[n] = verdict;
        flight.unconfirmed -= 1;
        if flight.unconfirmed == 0 {
            entry.remove();
        }
    }
}

/// Takes what is ready. `FuturesUnordered` may pause before it has looked at everything; then it wakes its task.
fn drain<F: Future<Output = Confirmed>>(confirms: &mut FuturesUnordered<F>, into: &mut Vec<Confirmed>) {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    loop {
        match confirms.poll_next_unpin(&mut Context::from_waker(&waker)) {
            Poll::Ready(Some(confirmed)) => into.push(confirmed),
            Poll::Pending if woken.0.swap(false, Ordering::SeqCst) => {}
            Poll::Ready(None) | Poll::Pending => break,
        }
    }
}

/// Whether somebody wanted to be polled again.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

async fn confirm(channel: &Channel, publication: Publication, place: Place) -> Confirmed {
    let Publication { exchange, routing_key, properties, body, .. } = publication;
    let id = message_id(&properties);
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let confirm = async {
        let sent =
            channel.basic_publish(exchange.into(), routing_key.into(), options, &body, properties).await?;
        faults::at(Point::Sent);
        if faults::is(Mutant::NoConfirm) {
            return Ok(Confirmation::Ack(None));
        }
        sent.await
    };
    Confirmed { place, id, confirm: confirm.await }
}

fn message_id(properties: &BasicProperties) -> ShortString {
    properties.message_id().clone().unwrap_or_default()
}

fn returned_id(confirmation: &Confirmation) -> Option<ShortString> {
    let returned = match confirmation {
        Confirmation::Ack(returned) | Confirmation::Nack(returned) => returned.as_ref()?,
        Confirmation::NotRequested => return None,
    };
    Some(message_id(&returned.delivery.properties))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a confirm that comes after 29 s is waited for, if the trouble changes after so many seconds. The
    /// time-out is 10 s.
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

    #[tokio::test]
    async fn all_that_is_ready_is_drained_though_the_set_pauses() {
        type Boxed = Pin<Box<dyn Future<Output = Confirmed>>>;
        let confirmed = |n| Confirmed { place: (0, n), id: "".into(), confirm: Ok(Confirmation::Ack(None)) };
        // Two that want to be polled again at once make the set pause.
        let restless = |n| -> Boxed {
            let mut first = true;
            Box::pin(std::future::poll_fn(move |context| {
                if std::mem::take(&mut first) {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(confirmed(n))
            }))
        };
        let ready = |n| -> Boxed { Box::pin(std::future::ready(confirmed(n))) };
        let mut confirms: FuturesUnordered<Boxed> =
            [restless(0), restless(1), ready(2)].into_iter().collect();
        let paused = confirms.poll_next_unpin(&mut Context::from_waker(Waker::noop()));
        assert!(paused.is_pending(), "then there is nothing to guard against");
        let mut drained = Vec::new();
        drain(&mut confirms, &mut drained);
        assert_eq!(drained.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_in_which_the_broker_blocks_us_does_not_count() {
        const BLOCKED: Option<Trouble> = Some(Trouble::BrokerBlocked);
        assert!(!waits(&[]).await);
        assert!(!waits(&[(5, Some(Trouble::BrokerDown))]).await);
        assert!(waits(&[(5, BLOCKED)]).await);
        assert!(waits(&[(5, BLOCKED), (20, None)]).await);
        assert!(!waits(&[(5, BLOCKED), (15, None)]).await);
        assert!(waits(&[(5, BLOCKED), (12, None), (21, BLOCKED), (28, None)]).await);
    }
}
