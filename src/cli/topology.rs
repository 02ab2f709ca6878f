//! `hookswitch topology apply|check`

use clap::Subcommand;

use super::{
    connect::{block_on, connect},
    exit::{FAILED, OK},
};
use crate::{
    config::Config,
    edge::amqp::{
        Connection,
        depth::depth,
        names,
        topology::{self, Checked, Topology, TopologyError},
    },
};

#[derive(Subcommand)]
pub(super) enum Action {
    /// Create missing exchanges, queues and bindings; never change or delete existing ones
    Apply,
    /// Compare exchanges and queues with the configuration and print the differences; change nothing.
    /// Bindings cannot be read over AMQP: `apply` creates them all
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
                .map(|made| format!("{} exchanges and queues exist, with their bindings", made.len())),
            Action::Check => topology.check(&connection).await.map(describe),
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

/// Says what a check found.
fn describe(checked: Checked) -> String {
    match checked {
        Checked { whole, by_name: 0 } => format!("{whole} exchanges and queues are as configured"),
        Checked { whole, by_name } => format!(
            "{} exchanges and queues exist; {by_name} of them were looked up by name only, since the user of \
             amqp.url may not configure them: check with the user that applies the topology",
            whole + by_name
        ),
    }
}

/// Prints the raw queues above the configured number of shards. Workers still consume them, so they are no
/// difference, but they may be deleted once empty.
async fn show_left_over(connection: &Connection, config: &Config) -> anyhow::Result<()> {
    for (source, shard) in topology::raw_shards(connection, config).await? {
        if config.sources.get(&source).is_some_and(|settings| !settings.sharding.has(shard)) {
            let queue = names::raw_queue(&source, shard);
            let ready = depth(connection, &queue).await?;
            println!(
                "queue {queue} is left over from a larger number of shards, with {ready} messages ready; \
                 workers still consume it"
            );
        }
    }
    Ok(())
}
