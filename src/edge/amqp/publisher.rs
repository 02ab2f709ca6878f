//! Publishing with confirms: one connection, a few channels, each owned by one task.
//!
//! Two defects of lapin 4.12.3 shape this (see ARCHITECTURE.md): two tasks that publish on one channel can get
//! each other's confirm, and a returned message is handed to whichever confirm resolves next. So a channel belongs
//! to one task, which publishes a batch, awaits every confirm of it, and only then looks for returned messages, by
//! id, over the whole batch.

use std::{
    collections::HashSet,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, future::maybe_done, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, Event,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::connect;
use crate::{
    config::Amqp,
    core::backoff::Reconnect,
    edge::metrics::LinkMetrics,
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

/// What keeps us from working.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// There is no connection to the broker.
    BrokerDown,
    /// The broker takes no messages: it is short of memory or disk.
    BrokerBlocked,
    /// There is no connection to Redis, or it refuses.
    StoreDown,
    /// It took too long.
    Late,
    /// A queue or binding is missing.
    Topology,
    /// A downstream queue is full.
    DownstreamFull,
    /// The services are there, but no queue is being consumed yet, or not any more.
    NotConsuming,
}

impl Trouble {
    /// The word used in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BrokerDown => "broker_down",
            Self::BrokerBlocked => "broker_blocked",
            Self::StoreDown => "store_down",
            Self::Late => "late",
            Self::Topology => "topology",
            Self::DownstreamFull => "downstream_full",
            Self::NotConsuming => "not_consuming",
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::BrokerDown => "the broker is not reachable",
            Self::BrokerBlocked => "the broker takes no messages (memory or disk alarm)",
            Self::StoreDown => "Redis is not reachable or refuses",
            Self::Late => "it took too long",
            Self::Topology => "a queue or binding is missing: run `hookswitch topology check`",
            Self::DownstreamFull => "a downstream queue is full",
            Self::NotConsuming => "no queue is being consumed",
        })
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
        let mut events = connection.events_listener();
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
                batch: self.config.publish_batch,
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
        // Closing may hang on a dead or blocked connection; the broker notices either way.
        let closing = connection.close(200, "done".into());
        drop(tokio::time::timeout(Duration::from_secs(1), closing).await);
        outcome
    }
}

async fn open_channel(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions { nowait: false }).await?;
    Ok(channel)
}

/// One channel and the only task that publishes on it.
struct Lane<'a> {
    connection: &'a Connection,
    channel: Channel,
    inbox: Arc<Mutex<mpsc::Receiver<Job>>>,
    batch: usize,
    confirm_timeout: Duration,
    trouble: watch::Receiver<Option<Trouble>>,
}

impl Lane<'_> {
    /// Takes what is waiting, publishes it, awaits all of its confirms, tells; until something fails.
    async fn run(mut self) -> Result<Closed, String> {
        while let Some(jobs) = self.take().await {
            self.publish_all(jobs).await?;
        }
        Ok(Closed)
    }

    /// About a batch of publications, as soon as there are any.
    async fn take(&self) -> Option<Vec<Job>> {
        let mut inbox = self.inbox.lock().await;
        let mut jobs = vec![inbox.recv().await?];
        let mut count = jobs[0].publications.len();
        while count < self.batch
            && let Ok(job) = inbox.try_recv()
        {
            count += job.publications.len();
            jobs.push(job);
        }
        Some(jobs)
    }

    async fn publish_all(&mut self, mut jobs: Vec<Job>) -> Result<(), String> {
        jobs.retain(|job| !job.verdicts.is_closed());
        let now = Instant::now();
        let on_time = |publication: &Publication| now <= publication.not_after;
        let publications = jobs.iter_mut().flat_map(|job| &mut job.publications);
        let mut sent: Vec<_> = publications.filter(|publication| on_time(publication)).collect();
        let ids: Vec<ShortString> = sent.iter().map(|sent| message_id(&sent.properties)).collect();
        let confirms = confirm_all(&self.channel, &mut sent);
        let Some(confirms) = within_deadline(confirms, self.confirm_timeout, &mut self.trouble).await else {
            // Dropping the jobs tells their owners that the outcome is unknown. A confirm that is dropped stays
            // in lapin's memory until its channel ends, so the channel ends.
            return Err(format!("no confirm within {:?}", self.confirm_timeout));
        };
        let returned: HashSet<ShortString> = confirms.iter().flatten().filter_map(returned_id).collect();
        let failure = confirms.iter().find_map(|confirm| Some(confirm.as_ref().err()?.to_string()));
        let mut refused = false;
        let mut verdicts = confirms.into_iter().zip(ids).map(|(confirm, id)| match confirm {
            Ok(Confirmation::Ack(own)) if faults::is(Mutant::TrustReturned) => {
                own.map_or(Ok(()), |_| Err(PublishError::Unroutable))
            }
            Ok(Confirmation::Ack(_)) if returned.contains(&id) => Err(PublishError::Unroutable),
            // Returned messages queue for confirms: this one's own may stand behind the one that came with its
            // confirm, and the confirm that would have brought it failed.
            Ok(Confirmation::Ack(Some(_))) if failure.is_some() => Err(PublishError::Unknown),
            Ok(Confirmation::Ack(_)) => Ok(()),
            Ok(Confirmation::Nack(_)) => {
                refused = true;
                Err(PublishError::Refused)
            }
            Ok(Confirmation::NotRequested) | Err(_) => Err(PublishError::Unknown),
        });
        for Job { publications, verdicts: owner } in jobs {
            let of_job = publications.iter().map(|publication| match on_time(publication) {
                true => verdicts.next().unwrap_or(Err(PublishError::Unknown)),
                false => Err(PublishError::NotSent(Trouble::Late)),
            });
            // Whoever asked may have lost patience; then nobody listens.
            drop(owner.send(of_job.collect()));
        }
        drop(verdicts);
        match failure {
            Some(failure) => Err(failure),
            None if refused => self.renew_channel().await,
            None => Ok(()),
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

/// Waits for the confirms, but not for ever; while the broker has blocked us, time does not count.
async fn within_deadline<T>(
    confirms: impl Future<Output = T>,
    timeout: Duration,
    trouble: &mut watch::Receiver<Option<Trouble>>,
) -> Option<T> {
    let is_blocked = |trouble: &Option<Trouble>| *trouble == Some(Trouble::BrokerBlocked);
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

/// Publishes all, then awaits the confirm of each.
///
/// The first poll of each takes its delivery tag and queues its frames; only one task may poll. Their properties are
/// taken out.
async fn confirm_all(
    channel: &Channel,
    publications: &mut [&mut Publication],
) -> Vec<lapin::Result<Confirmation>> {
    let sending =
        publications.iter_mut().map(|publication| Box::pin(maybe_done(confirm(channel, publication))));
    let mut sending: Vec<_> = sending.collect();
    let queue_all = std::future::poll_fn(|context| {
        for one in &mut sending {
            // Whether it is done already is seen below.
            let _ = one.as_mut().poll(context);
        }
        Poll::Ready(())
    });
    queue_all.await;
    let mut confirms = Vec::with_capacity(sending.len());
    for mut one in sending {
        one.as_mut().await;
        // It is done, and nobody else takes it.
        confirms.extend(one.as_mut().take_output());
    }
    confirms
}

async fn confirm(channel: &Channel, publication: &mut Publication) -> lapin::Result<Confirmation> {
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let sent = channel.basic_publish(
        publication.exchange.as_str().into(),
        publication.routing_key.as_str().into(),
        options,
        &publication.body,
        std::mem::take(&mut publication.properties),
    );
    let confirmed = sent.await?;
    faults::at(Point::Sent);
    if faults::is(Mutant::NoConfirm) {
        return Ok(Confirmation::Ack(None));
    }
    confirmed.await
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
