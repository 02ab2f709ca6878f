//! `hookswitch pause` and `hookswitch resume`

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{
    connect::{block_on, connect, read_record},
    dead_letters::who::Who,
    exit::{FAILED, OK},
    load::require_sources,
    moment::moment,
    output::{counted, eprint_line, print_line},
    sources::{Depth, depth_of},
};
use crate::{
    config::Config,
    core::{
        applied::{Declared, Pause, TopologyRecord},
        printable::printable,
        webhook::SourceName,
    },
    edge::amqp::{Connection, depth::Depths, topology},
};

/// Interval of looks at the consumers of a source's queues.
const LOOK_EVERY: Duration = Duration::from_millis(500);

const MANUAL: &str = "\
What happens
  Within 5 seconds every worker stops taking webhooks of SOURCE. It finishes those that it is working on, and
  gives the others back. Their attempts are not used up. Retries come back to the queue and wait there too.
  The receiver goes on accepting: senders notice nothing, and nothing is lost. Other sources are not affected.

  The pause stays until `hookswitch resume SOURCE`, through restarts of workers, RabbitMQ and Redis. It is
  recorded in RabbitMQ, beside the queues.

When to use it
  - the events of SOURCE do harm downstream, or their consumer is being mended
  - an adapter is wrong, and its webhooks should wait for the next release rather than die
  Do not use it against an outage of RabbitMQ or Redis: workers wait for those by themselves.

How long
  As long as the broker has room for what arrives: `hookswitch sources` shows how many webhooks wait.
  Consumers get their events late: tell them.

Where it shows
  hookswitch sources           state, since when, by whom, why, how many webhooks wait
  hookswitch_source_paused     1 for SOURCE, from every worker
  /readyz of workers           a note; a worker stays ready
  hookswitch topology check, hookswitch ledger, hookswitch dead-letters replay

Examples
  hookswitch pause varda-eu --note \"wrong totals, see the incident of today\"
  hookswitch sources
  hookswitch resume varda-eu

Exit codes
  0   it is paused, and no worker takes from its queues; also if it was paused before
  1   it is paused, and a worker still takes from its queues, or the output could not be written
  64  the command line or the configuration is wrong
  69  the broker is unreachable";

/// Let a source's webhooks wait in their queue: workers stop taking them, the receiver goes on accepting
#[derive(clap::Args)]
#[command(after_help = MANUAL)]
pub(super) struct PauseArgs {
    /// The source
    source: SourceName,
    /// The time to wait for workers to let go of its queues
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
    #[command(flatten)]
    who: Who,
}

/// Have workers take a paused source's webhooks again, oldest first; see `hookswitch pause --help`
#[derive(clap::Args)]
pub(super) struct ResumeArgs {
    /// The source
    source: SourceName,
    /// The time to wait for workers to take from its queues again
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
    #[command(flatten)]
    who: Who,
}

pub(super) fn pause(args: &PauseArgs, config: &Config) -> anyhow::Result<u8> {
    let PauseArgs { source, wait, who } = args;
    require_sources(std::slice::from_ref(source), config)?;
    let (by, note) = (who.actor()?, who.note());
    block_on(async {
        let connection = connect(&config.amqp).await?;
        let declared = read_record(&connection).await?;
        match declared.paused.get(source) {
            Some(paused) => print_line(&in_words(source, paused))?,
            None => {
                let record =
                    TopologyRecord::Paused { at: Timestamp::now(), source: source.clone(), by, note };
                topology::add_record(&connection, &record).await?;
                print_line(&format!("source {source} is paused from now on"))?;
            }
        }
        let depth =
            wait_for(&connection, &declared, config, source, *wait, |depth| depth.workers == 0).await?;
        let waiting = counted(depth.ready, "webhook waits", "webhooks wait");
        if depth.workers == 0 {
            print_line(&format!("no worker takes from its queues; {waiting} there"))?;
            return Ok(OK);
        }
        eprint_line(&format!(
            "{} from its queues after {wait} s; {waiting} there. A busy worker lets go later, and one of \
             an earlier version never: look at the workers' logs",
            counted(depth.workers, "consumer still takes", "consumers still take")
        ));
        Ok(FAILED)
    })
}

pub(super) fn resume(args: &ResumeArgs, config: &Config) -> anyhow::Result<u8> {
    let ResumeArgs { source, wait, who } = args;
    let by = who.actor()?;
    block_on(async {
        let connection = connect(&config.amqp).await?;
        let declared = read_record(&connection).await?;
        if declared.paused.contains_key(source) {
            let record = TopologyRecord::Resumed { at: Timestamp::now(), source: source.clone(), by };
            topology::add_record(&connection, &record).await?;
            print_line(&format!("source {source} is resumed"))?;
        } else {
            require_sources(std::slice::from_ref(source), config)?;
            print_line(&format!("source {source} is not paused"))?;
        }
        let depth =
            wait_for(&connection, &declared, config, source, *wait, |depth| depth.workers > 0).await?;
        let waiting = counted(depth.ready, "webhook waits", "webhooks wait");
        if depth.workers > 0 {
            print_line(&format!("workers take from its queues; {waiting} there"))?;
            return Ok(OK);
        }
        eprint_line(&format!(
            "no worker takes from its queues after {wait} s; {waiting} there. Is a worker running and ready, \
             and is the source in its configuration?"
        ));
        Ok(FAILED)
    })
}

/// Says that a source is paused.
pub(super) fn in_words(source: &SourceName, Pause { since, by, note }: &Pause) -> String {
    let note = note.as_ref().map(|note| format!(": {}", printable(note))).unwrap_or_default();
    format!("source {source} is paused since {} UTC by {}{note}", moment(*since), printable(by))
}

/// Looks at a source's queues until they are as they should be, but for at most `seconds`.
async fn wait_for(
    connection: &Connection,
    declared: &Declared,
    config: &Config,
    source: &SourceName,
    seconds: u64,
    is_right: impl Fn(&Depth) -> bool,
) -> anyhow::Result<Depth> {
    let (until, mut depths) = (Instant::now() + Duration::from_secs(seconds), Depths::new(connection));
    loop {
        let depth = depth_of(&mut depths, declared, config, source).await?;
        if is_right(&depth) || Instant::now() >= until {
            return Ok(depth);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
