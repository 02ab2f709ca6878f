//! `hookswitch topology apply|check|prune|replace`

use std::{
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Subcommand;
use tokio::time::sleep;

use super::{
    connect::{block_on, connect},
    exit::{DATA, FAILED, OK, Usage},
    output::{counted, eprint_line, print_line},
};
use crate::{
    config::Config,
    core::{applied::RawQueueOf, rabbitmq},
    edge::amqp::{
        self, Connection,
        topology::{
            self, Applied, Checked, LeftOver, Policies, PoliciesError, PolicyEffect, Pruned, Topology,
            TopologyError,
        },
    },
};

const WITH_POLICIES: &str = "On the broker's machine, with the virtual host in place of /:
  (rabbitmqctl list_policies -p / --formatter json
   rabbitmqctl list_operator_policies -p / --formatter json) > policies.json
then, where hookswitch runs:
  hookswitch topology check --policies policies.json";

/// Time that `apply` waits for queues that do not answer.
const LEADERLESS_MAX: Duration = Duration::from_secs(30);

/// Pause between two attempts.
const LEADERLESS_PAUSE: Duration = Duration::from_secs(1);

/// How many exchanges and queues are named in a line.
const NAMED_MAX: usize = 3;

#[derive(Subcommand)]
pub(super) enum Action {
    /// Create missing exchanges, queues and bindings, and remove bindings of earlier configurations; never
    /// change or delete anything else
    Apply,
    /// Compare exchanges and queues with the configuration and print the differences; change nothing.
    /// Bindings cannot be read over AMQP: compare those that `apply` has recorded, and `apply` makes all of
    /// them again. Policies cannot be read, either: see --policies
    #[command(after_help = WITH_POLICIES)]
    Check {
        /// Also check the broker's policies, as rabbitmqctl prints them; - for standard input
        #[arg(long, value_name = "FILE")]
        policies: Option<PathBuf>,
    },
    /// Delete the queues that earlier configurations have left, if they are empty
    Prune,
    /// Replace a queue whose arguments differ, and keep its messages. Meanwhile receivers answer 503 to its
    /// webhooks, and workers let go of it by themselves
    Replace {
        /// The queue's name, as `topology check` prints it
        queue: String,
        /// The time that consumers have to let go of it; after it, the queue is as it was
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        wait: u64,
    },
}

pub(super) fn run(action: &Action, config: &Config) -> anyhow::Result<u8> {
    let mut policies = None;
    if let Action::Check { policies: Some(path) } = action {
        match read_policies(path, config)? {
            Ok(read) => policies = Some(read),
            Err(error) => {
                eprint_line(&format!("hookswitch: {}: {error}", path.display()));
                return Ok(DATA);
            }
        }
    }
    block_on(async {
        let connection = connect(&config.amqp).await?;
        let topology = Topology::of(config);
        match action {
            Action::Apply => {
                finish(apply(&topology, &connection).await.map(tell_applied), &connection, config).await
            }
            Action::Check { .. } => {
                let checked = check(&topology, &connection).await.map(describe);
                let code = finish(checked, &connection, config).await?;
                let policies = policies.map_or(Ok(OK), |policies| show_effects(&topology, &policies))?;
                Ok(code.max(policies))
            }
            Action::Prune => {
                let Pruned { deleted, kept } = topology.prune(&connection).await?;
                deleted.iter().try_for_each(|queue| print_line(&format!("queue {queue} is deleted")))?;
                kept.iter()
                    .try_for_each(|(queue, why)| print_line(&format!("queue {queue} is kept: {why}")))?;
                if deleted.is_empty() && kept.is_empty() {
                    print_line("nothing is left of earlier configurations")?;
                }
                Ok(if kept.is_empty() { OK } else { FAILED })
            }
            Action::Replace { queue, wait } => {
                let moved = topology.replace(&connection, queue, Duration::from_secs(*wait)).await?;
                let moved = counted(moved, "message was", "messages were");
                print_line(&format!("queue {queue} is replaced; {moved} moved"))?;
                Ok(OK)
            }
        }
    })
}

/// Applies the topology. Waits for queues that do not answer yet: a broker that starts takes connections
/// before all of its queues have a leader.
async fn apply(topology: &Topology, connection: &Connection) -> Result<Applied, TopologyError> {
    let end = Instant::now() + LEADERLESS_MAX;
    loop {
        match topology.apply(connection).await {
            Err(error) if error.is_passing() && Instant::now() < end => {
                eprint_line(&format!("hookswitch: {error}; trying again"));
                sleep(LEADERLESS_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// Checks the topology, and the bindings as far as they are on record.
async fn check(topology: &Topology, connection: &Connection) -> Result<Checked, TopologyError> {
    let checked = topology.check(connection).await?;
    topology.check_bindings(&topology::known(connection).await?)?;
    Ok(checked)
}

/// Reads what rabbitmqctl printed. The inner error says why it is not that.
fn read_policies(path: &Path, config: &Config) -> anyhow::Result<Result<Policies, PoliciesError>> {
    let text = if path == Path::new("-") {
        if io::stdin().is_terminal() {
            return Err(Usage(format!("--policies - reads standard input. {WITH_POLICIES}")).into());
        }
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        text
    } else {
        std::fs::read_to_string(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?
    };
    Ok(Policies::read(&text, &amqp::vhost(&config.amqp)?))
}

/// Prints what policies do to the exchanges and queues, and returns the exit code.
fn show_effects(topology: &Topology, policies: &Policies) -> io::Result<u8> {
    let effects = topology.effects(policies);
    for PolicyEffect { policy, what, objects } in &effects {
        let named = objects.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        let on = match objects.len().saturating_sub(NAMED_MAX) {
            _ if objects.is_empty() => String::new(),
            0 => format!(" ({named})"),
            more => format!(" ({named} and {more} more)"),
        };
        print_line(&format!("policy {policy} {what}{on}"))?;
    }
    if effects.is_empty() {
        let count = counted(policies.len() as u64, "policy", "policies");
        print_line(&format!("{count} in the broker: nothing that hookswitch needs is changed by any"))?;
        return Ok(OK);
    }
    print_line(
        "no policy may change these: narrow its pattern, or shield them as docs/design/topology.md says",
    )?;
    Ok(FAILED)
}

/// Prints the result of applying or checking, and what is left of earlier configurations.
async fn finish(
    outcome: Result<String, TopologyError>,
    connection: &Connection,
    config: &Config,
) -> anyhow::Result<u8> {
    match outcome {
        Ok(text) => {
            print_line(&text)?;
            if let Some(advice) = rabbitmq::advice(&amqp::greeting(&config.amqp).await?.version) {
                print_line(&format!("note: {advice}"))?;
            }
            show_left_over(connection, config).await
        }
        Err(differs @ TopologyError::Differs(_)) => {
            print_line(&differs.to_string())?;
            Ok(FAILED)
        }
        Err(error) => Err(error.into()),
    }
}

/// Says what was applied.
fn tell_applied(applied: Applied) -> String {
    let Applied { present, unbound } = applied;
    let mut text = format!("{present} exchanges and queues exist, with their bindings");
    for binding in unbound {
        text.push_str(&format!("\nremoved a binding of an earlier configuration: {binding}"));
    }
    text
}

/// Says what a check found.
fn describe(checked: Checked) -> String {
    let Checked { whole, by_name, unseen } = checked;
    if by_name + unseen == 0 {
        return format!("{whole} exchanges and queues are as configured");
    }
    let unseen = match unseen {
        0 => String::new(),
        unseen => format!(", and {unseen} could not be looked up at all"),
    };
    format!(
        "{} exchanges and queues exist; {by_name} of them were looked up by name only{unseen}, since the \
         user of amqp.url may not configure them: check with the user that applies the topology",
        whole + by_name
    )
}

/// Prints the queues that no configuration needs any more, and the replacements that were killed. Only the
/// latter are a fault.
async fn show_left_over(connection: &Connection, config: &Config) -> anyhow::Result<u8> {
    let mut code = OK;
    let declared = topology::declared(connection).await?;
    for queue in declared.replacing.keys() {
        print_line(&format!(
            "queue {queue} is being replaced, or that was interrupted: then run `hookswitch topology replace \
             {queue}` again"
        ))?;
        code = FAILED;
    }
    for (source, pause) in &declared.paused {
        print_line(&format!("source {source} is {pause}"))?;
    }
    let left_over = Topology::of(config).left_over(connection, &declared).await?;
    for LeftOver { name, look, is_applied, raw, stream, .. } in left_over {
        let paused = raw.filter(|raw| declared.paused.contains_key(&raw.source));
        let next = match (paused, is_applied, stream) {
            (Some(RawQueueOf { source, .. }), ..) => {
                &format!("source {source} is paused: `hookswitch resume {source}`, or it is never drained")
            }
            (None, true, _) => "run `hookswitch topology apply`, and workers drain it if it is a raw queue",
            (None, false, false) => "once it is empty, `hookswitch topology prune` deletes it",
            (None, false, true) => "it is a stream, so delete it by hand once its events are needed no more",
        };
        print_line(&format!(
            "queue {name} is left over from an earlier configuration, with {} and {}: {next}",
            counted(look.ready.into(), "message ready", "messages ready"),
            counted(look.consumers.into(), "consumer", "consumers")
        ))?;
    }
    Ok(code)
}
