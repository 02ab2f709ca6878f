//! The task that holds the publisher's connection, and replaces it when it fails.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use lapin::{Channel, Event};
use tokio::sync::{Mutex, mpsc, watch};

use super::{
    lane::{Closed, Lane, open_channel},
    publication::{Job, PublishError},
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

/// Holds the connection and its lanes; replaces them all when any part of them fails.
pub(super) struct Keeper {
    pub(super) config: Amqp,
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
            let connected_at = Instant::now();
            let cause = match self.serve().await {
                Ok(Closed) => return,
                Err(cause) => cause,
            };
            self.state.send_replace(Some(Trouble::BrokerDown));
            // A connection that has outlived its heartbeats was a success: the next delay is the shortest
            // again.
            if connected_at.elapsed() > self.config.heartbeat * 2 {
                reconnect.reset();
            }
            let delay = reconnect.next_delay();
            tracing::warn!(purpose = self.purpose, %cause, ?delay, "no connection to the broker, retrying");
            self.metrics.reconnects.inc();
            if self.refuse_jobs_for(delay).await.is_err() {
                return;
            }
        }
    }

    /// Refuses the jobs that arrive while there is no connection.
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
        let channels = tokio::time::timeout(self.config.connect_timeout, self.open_channels(&connection))
            .await
            .map_err(|_| "timed out opening channels".to_owned())?
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

    async fn open_channels(&self, connection: &Connection) -> lapin::Result<Vec<Channel>> {
        let mut channels = Vec::new();
        for _ in 0..self.config.publish_channels {
            channels.push(open_channel(connection).await?);
        }
        if let Some(first) = channels.first().filter(|_| faults::is(Mutant::SharedChannel)).cloned() {
            channels.fill(first);
        }
        Ok(channels)
    }

    /// Follows what the broker says about the connection; fails when the connection has.
    fn note(&self, event: Option<Event>) -> Result<(), String> {
        match event {
            Some(Event::ConnectionBlocked(reason)) => {
                tracing::warn!(purpose = self.purpose, %reason, "the broker blocks publishers");
                self.state.send_replace(Some(Trouble::BrokerBlocked));
            }
            Some(Event::ConnectionUnblocked) => {
                tracing::info!(purpose = self.purpose, "the broker accepts messages again");
                self.state.send_replace(None);
            }
            Some(Event::Error(error)) => return Err(error.to_string()),
            Some(Event::Connected | Event::SendFlow(_)) => {}
            Some(_) => {}
            None => return Err("the connection closed".to_owned()),
        }
        Ok(())
    }
}
