//! `hookswitch pause` and `hookswitch resume`

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{
    connect::{block_on, connect, read_record},
    dead_letters::who::Who,
    exit::{FAILED, OK},
    load::require_sources,
    output::{counted, eprint_line, print_line},
    sources::{Depth, depth_of},
};
use crate::{
    config::Config,
    core::{
        applied::{Declared, TopologyRecord},
        webhook::SourceName,
    },
    edge::amqp::{Connection, depth::Depths, topology},
};

/// Interval of looks at the consumers of a source's queues.
const LOOK_EVERY: Duration = Duration::from_millis(500);

const MANUAL: &str = "\
What happens
  Within 5 seconds every worker stops taking webhooks of SOURCE. It finishes those that it is working on, \
and gives the others back. Their attempts are not used up. Retries come back to the queue and wait there \
too. The receiver goes on accepting: senders notice nothing, and nothing is lost. Other sources are not \
affected.

  The pause stays until `hookswitch resume SOURCE`, through restarts of workers, RabbitMQ and Redis. It is \
recorded in RabbitMQ, beside the queues, with your name and your note. A second `pause` changes nothing: \
the first name and note stay.

  It also stays if SOURCE is removed from the configuration. Its messages are not drained until it is \
resumed: `hookswitch sources` lists it as `removed, paused`, and `resume` takes its name.

When to use it
  - the events of SOURCE do harm downstream, or their consumer is being mended
  - an adapter is wrong, and its webhooks should wait for the next release
  Do not use it against an outage of RabbitMQ or Redis: workers wait for those by themselves.

How long
  As long as the broker has room for what arrives: `hookswitch sources` shows how many messages wait. A \
message of a busy source holds several webhooks; `hookswitch ledger` counts webhooks. Consumers get their \
events late: tell them.

Where it shows
  hookswitch sources          since when, by whom, why, how many messages wait
  hookswitch_source_paused    1 for SOURCE, from every worker
  /readyz of workers          a note; a worker stays ready
  and hookswitch topology check, ledger, dead-letters replay

Examples
  hookswitch pause varda-eu --note \"wrong totals, see the incident of today\"
  hookswitch pause varda-eu --actor ann     where USER is not set
  hookswitch sources
  hookswitch resume varda-eu

Exit codes
  0   it is paused, and no worker takes from its queues; also if it was before
  1   a worker still takes from its queues, or output could not be written
  64  the command line or the configuration is wrong
  69  the broker is unreachable";

const RESUMING: &str = "\
Workers notice within 5 seconds, and take the oldest webhooks first. It is recorded with your name and \
your note: `hookswitch sources --json` shows the last one, and the logs of workers have the name.

A source that is no longer configured can be resumed too: once `hookswitch topology apply` was run without \
it, workers make events of what its queues hold.

Examples
  hookswitch resume varda-eu --note \"totals are right again\"
  hookswitch resume varda-eu --wait 120     workers are being restarted

Exit codes
  0   workers take from its queues, or it was removed and its queues are empty
  1   no worker takes from its queues, or the output could not be written
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
#[command(after_help = RESUMING)]
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
            Some(pause) => {
                print_line(&format!("source {source} is {pause}"))?;
                print_line(&unrecorded("it was paused already", note.as_deref()))?;
            }
            None => {
                let record =
                    TopologyRecord::Paused { at: Timestamp::now(), source: source.clone(), by, note };
                topology::add_record(&connection, &record).await?;
                print_line(&format!("source {source} is paused from now on"))?;
            }
        }
        let depth =
            wait_for(&connection, &declared, config, source, *wait, |depth| depth.workers == 0).await?;
        let waiting = waiting(depth);
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
    let (by, note) = (who.actor()?, who.note());
    block_on(async {
        let connection = connect(&config.amqp).await?;
        let declared = read_record(&connection).await?;
        if declared.paused.contains_key(source) {
            let record = TopologyRecord::Resumed { at: Timestamp::now(), source: source.clone(), by, note };
            topology::add_record(&connection, &record).await?;
            print_line(&format!("source {source} is resumed"))?;
        } else {
            require_sources(std::slice::from_ref(source), config)?;
            print_line(&unrecorded(&format!("source {source} is not paused"), note.as_deref()))?;
        }
        // Workers let go of a removed source's queue once it is empty, so that may be all that is seen.
        let is_removed = !config.sources.contains_key(source);
        let is_right = |depth: &Depth| depth.workers > 0 || is_removed && depth.ready == 0;
        let depth = wait_for(&connection, &declared, config, source, *wait, is_right).await?;
        let waiting = waiting(depth);
        if depth.workers > 0 {
            print_line(&format!("workers take from its queues; {waiting} there"))?;
            return Ok(OK);
        }
        if is_right(&depth) {
            print_line("it is not in the configuration, and nothing waits in its queues")?;
            return Ok(OK);
        }
        let why = match is_removed {
            true => "and was `hookswitch topology apply` run without the source?",
            false => "and is the source in its configuration?",
        };
        eprint_line(&format!(
            "no worker takes from its queues after {wait} s; {waiting} there. Is a worker running and ready, \
             {why}"
        ));
        Ok(FAILED)
    })
}

/// Returns a text, and adds that a note was not recorded, if one was given.
fn unrecorded(text: &str, note: Option<&str>) -> String {
    let more = note.map_or("", |_| "; this note is not recorded");
    format!("{text}{more}")
}

/// Says how many messages wait. Each may hold several webhooks, and only the ledger in Redis knows how many.
fn waiting(depth: Depth) -> String {
    counted(depth.ready, "message waits", "messages wait")
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
