//! `hookswitch topology apply|check`

use clap::Subcommand;

use super::{FAILED, OK, block_on, connect};
use crate::{
    config::Config,
    edge::amqp::{
        Connection,
        depth::depth,
        names,
        topology::{self, Topology, TopologyError},
    },
};

#[derive(Subcommand)]
pub(super) enum Action {
    /// Make what is missing; what is there is never changed or deleted
    Apply,
    /// Look whether everything is as it must be, and say in words what is not; changes nothing. Bindings cannot be
    /// read over AMQP: `apply` makes them all
    Check,
}

pub(super) fn run(action: &Action, config: &Config) -> anyhow::Result<u8> {
    block_on(async {
        let connection = connect(&config.amqp).await?;
        let topology = Topology::of(config);
        let outcome = match action {
            Action::Apply => topology
                .apply(&connection)
                .await
                .map(|made| format!("{} exchanges and queues are there, with their bindings", made.len())),
            Action::Check => topology
                .check(&connection)
                .await
                .map(|count| format!("{count} exchanges and queues are as they must be")),
        };
        match outcome {
            Ok(text) => {
                println!("{text}");
                show_left_over(&connection, config).await?;
                Ok(OK)
            }
            Err(differs @ TopologyError::Differs(_)) => {
                println!("{differs}");
                Ok(FAILED)
            }
            Err(lost @ TopologyError::Lost(_)) => Err(lost.into()),
        }
    })
}

/// Raw queues that no shard has any more: no difference, since workers go on with them, but somebody's to tidy away.
async fn show_left_over(connection: &Connection, config: &Config) -> anyhow::Result<()> {
    for (source, shard) in topology::raw_shards(connection, config).await? {
        if config.sources.get(&source).is_some_and(|settings| !settings.sharding.has(shard)) {
            let queue = names::raw_queue(&source, shard);
            let ready = depth(connection, &queue).await?;
            println!(
                "queue {queue} is left from when the source had more shards, with {ready} messages ready; workers go on \
                 with it"
            );
        }
    }
    Ok(())
}
