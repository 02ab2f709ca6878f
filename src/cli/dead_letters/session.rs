//! The connections of a command.

use std::{io, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    app::dead_letters::{DeadLetters, Services},
    cli::{
        connect::{connect, open_store},
        exit::{INTERRUPTED, Unreachable},
        output::eprint_line,
        signals::{self, Hangup},
    },
    config::Config,
    edge::{
        amqp::{Connection, publish::Publisher},
        metrics::LinkMetrics,
        redis::Store,
    },
};

/// A command's connection to the broker.
pub(in crate::cli) struct Session<'a> {
    config: &'a Config,
    connection: Connection,
}

impl<'a> Session<'a> {
    pub(in crate::cli) async fn open(config: &'a Config) -> Result<Self, Unreachable> {
        Ok(Self { config, connection: connect(&config.amqp).await? })
    }

    pub(in crate::cli) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(in crate::cli) fn dead_letters(&self) -> DeadLetters<'_> {
        DeadLetters::new(&self.connection, self.config)
    }

    /// Starts a publisher and waits until the broker accepts messages.
    pub(in crate::cli) async fn publisher(&self) -> Result<Publisher, Unreachable> {
        let publisher = Publisher::start(self.config.amqp.clone(), "dead letters", LinkMetrics::unexported());
        let mut trouble = publisher.watch();
        let limit: Duration = self.config.amqp.connect_timeout;
        if tokio::time::timeout(limit, trouble.wait_for(Option::is_none)).await.is_err() {
            return Err(Unreachable("the broker does not accept messages now; nothing was done".to_owned()));
        }
        Ok(publisher)
    }

    /// Connects to everything that a job needs.
    pub(in crate::cli) async fn job_services(&self) -> anyhow::Result<JobServices> {
        let (publisher, store) = (self.publisher().await?, open_store(self.config, &self.connection).await?);
        Ok(JobServices { publisher, store, stop: stop_on_signals()? })
    }
}

/// The services of a job, owned by its command.
pub(in crate::cli) struct JobServices {
    publisher: Publisher,
    store: Store,
    stop: CancellationToken,
}

impl JobServices {
    pub(in crate::cli) fn borrow(&self) -> Services<'_> {
        Services { publisher: &self.publisher, store: &self.store, stop: &self.stop }
    }
}

/// Returns a token that a signal cancels, which stops a job after the letters in hand. A second signal ends
/// the process at once, which loses nothing either.
pub(in crate::cli) fn stop_on_signals() -> io::Result<CancellationToken> {
    let say = || eprint_line("stopping after the letters in hand; press Ctrl-C again to stop at once");
    signals::stop_on_signals(Hangup::IsStop, say, || INTERRUPTED)
}
