//! The task that holds the publisher's connection, and replaces it when it fails.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt, stream::FuturesUnordered};
use lapin::{Channel, Event};
use tokio::sync::{Mutex, mpsc, watch};

use super::{
    failure::Failure,
    lane::{Closed, Lane, is_blocked, open_channel},
    publication::{Job, PublishError},
    rights,
};
use crate::{
    config::Amqp,
    core::delivery::retry::Reconnect,
    edge::{
        amqp::connect::{Connection, connect},
        metrics::LinkMetrics,
        trouble::Trouble,
    },
    faults::{self, Mutant},
};

/// What the next connection is to be.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) config: Amqp,
    /// The exchanges that must exist and be open to the user.
    pub(super) exchanges: Vec<String>,
}

/// Holds the connection and its lanes; replaces them all when any part of them fails.
pub(super) struct Keeper {
    /// The newest configuration: a connection keeps the one with which it was opened.
    pub(super) wanted: watch::Receiver<Wanted>,
    /// Names the connection in logs and in the broker's management interface.
    pub(super) purpose: &'static str,
    pub(super) inbox: Arc<Mutex<mpsc::Receiver<Job>>>,
    /// The infrastructure error that prevents publishing; none while it works.
    pub(super) state: watch::Sender<Option<Trouble>>,
    pub(super) metrics: Arc<LinkMetrics>,
}

impl Keeper {
    /// Runs until the last handle is dropped.
    pub(super) async fn run(self) {
        let mut reconnect = Reconnect::default();
        loop {
            let (connected_at, wanted) = (Instant::now(), self.wanted.borrow().clone());
            let Failure { trouble, cause } = match self.serve(&wanted).await {
                Ok(Closed) => return,
                Err(failure) => failure,
            };
            self.state.send_replace(Some(trouble));
            self.metrics.lost(trouble);
            // A connection that has outlived its heartbeats was a success: the next delay is the shortest
            // again.
            if connected_at.elapsed() > wanted.config.heartbeat * 2 {
                reconnect.reset();
            }
            let delay = reconnect.next_delay();
            let purpose = self.purpose;
            if trouble == Trouble::BrokerDown {
                tracing::warn!(purpose, %cause, ?delay, "no connection to the broker, retrying");
            } else {
                tracing::warn!(purpose, %cause, ?delay, "cannot publish, retrying: {trouble}");
            }
            if self.refuse_jobs_for(delay, trouble).await.is_err() {
                return;
            }
        }
    }

    /// Refuses the jobs that arrive while there is no connection.
    async fn refuse_jobs_for(&self, delay: Duration, trouble: Trouble) -> Result<(), Closed> {
        let mut inbox = self.inbox.lock().await;
        let until = tokio::time::Instant::now() + delay;
        loop {
            match tokio::time::timeout_at(until, inbox.recv()).await {
                Err(_) => return Ok(()),
                Ok(None) => return Err(Closed),
                Ok(Some(job)) => job.refuse(PublishError::NotSent(trouble)),
            }
        }
    }

    /// Connects and publishes until something fails.
    async fn serve(&self, wanted: &Wanted) -> Result<Closed, Failure> {
        let config = &wanted.config;
        self.metrics.set_pending_max(config.publish_window * config.publish_channels);
        let connection = connect(config, self.purpose).await?;
        let mut events = connection.events();
        let channels = match self.set_up(wanted, &connection, &mut events).await {
            Ok(channels) => channels,
            Err(failure) => {
                connection.close().await;
                return Err(failure);
            }
        };
        self.state.send_if_modified(|trouble| !is_blocked(trouble) && std::mem::take(trouble).is_some());
        self.metrics.connected(*self.state.borrow());
        tracing::info!(purpose = self.purpose, "connected to the broker");

        let lanes = channels.into_iter().map(|channel| {
            Lane {
                connection: &connection,
                channel,
                inbox: self.inbox.clone(),
                window: config.publish_window,
                confirm_timeout: config.confirm_timeout,
                trouble: self.state.subscribe(),
                metrics: &self.metrics,
            }
            .run()
        });
        let mut lanes: FuturesUnordered<_> = lanes.collect();
        let outcome = loop {
            tokio::select! {
                ended = lanes.next() => break ended.unwrap_or(Ok(Closed)),
                event = events.next() => {
                    if let Err(cause) = self.note(event) {
                        break Err(cause);
                    }
                }
            }
        };
        drop(lanes);
        connection.close().await;
        outcome
    }

    /// Checks the exchanges and opens the channels. Time during which the broker blocks publishers does not
    /// count.
    async fn set_up(
        &self,
        Wanted { config, exchanges }: &Wanted,
        connection: &Connection,
        events: &mut (impl Stream<Item = Event> + Unpin),
    ) -> Result<Vec<Channel>, Failure> {
        let work = async {
            rights::check(connection, exchanges).await?;
            open_channels(connection, config.publish_channels).await.map_err(Failure::from)
        };
        tokio::pin!(work);
        loop {
            let late = tokio::time::sleep(config.connect_timeout);
            let blocked = is_blocked(&self.state.borrow());
            tokio::select! {
                biased;
                done = &mut work => return done,
                event = events.next() => self.note(event)?,
                () = late, if !blocked => return Err(Failure::down("timed out opening channels")),
            }
        }
    }

    fn turn(&self, trouble: Option<Trouble>) {
        self.metrics.turned(trouble);
        self.state.send_replace(trouble);
    }

    /// Follows what the broker says about the connection; fails when the connection has.
    fn note(&self, event: Option<Event>) -> Result<(), Failure> {
        match event {
            Some(Event::ConnectionBlocked(reason)) => {
                tracing::warn!(purpose = self.purpose, %reason, "the broker blocks publishers");
                self.turn(Some(Trouble::BrokerBlocked));
            }
            Some(Event::ConnectionUnblocked) => {
                tracing::info!(purpose = self.purpose, "the broker accepts messages again");
                self.turn(None);
            }
            Some(Event::Error(error)) if rights::is_answer(&error) => {}
            Some(Event::Error(error)) => return Err(error.into()),
            Some(Event::Connected | Event::SendFlow(_)) => {}
            Some(_) => {}
            None => return Err(Failure::down("the connection closed")),
        }
        Ok(())
    }
}

async fn open_channels(connection: &Connection, count: usize) -> lapin::Result<Vec<Channel>> {
    let mut channels = Vec::new();
    for _ in 0..count {
        channels.push(open_channel(connection).await?);
    }
    if let Some(first) = channels.first().filter(|_| faults::is(Mutant::SharedChannel)).cloned() {
        channels.fill(first);
    }
    Ok(channels)
}
