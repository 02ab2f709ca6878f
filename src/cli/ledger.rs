//! `hookswitch ledger`

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;

use super::{FAILED, OK, Unreachable, block_on, connect};
use crate::{
    app::ledger::{Balance, BalanceError, Probe, REPORT_EVERY},
    config::Config,
    core::{ledger::Sum, shard::Shard, webhook::SourceName},
    edge::{
        amqp::{Connection, publish::Publisher, topology},
        metrics::LinkMetrics,
        redis::Store,
    },
};

const LOOK_AGAIN_EVERY: Duration = Duration::from_millis(500);

const EXPLANATION: &str = "\
  accepted = done + duplicate + discarded + dead + in system

  accepted    answered 200 (and what the broker kept of the rest)
  done        events published and confirmed
  duplicate   the same fact was done before
  discarded   thrown away with `hookswitch dead-letters discard`
  dead        in the dead-letter queues
  in system   none of these: in a queue, or with a worker

What is in the system and in no queue is with a worker, or lost. When nothing comes in it must be 0: `--check 60` looks
again for up to 60 seconds until it is, and else ends with exit code 1. Workers must run, since they note how far
receivers are: the check sends them a mark of its own, and the answer is \"not known\" if none of them notes it. A dead letter that was sent back counts as dead until it is settled anew, and then, as a message that is
there twice, makes the number with workers less than 0. What the broker itself dead-lettered counts as in the system.

The count begins anew when Redis is started anew, since it may have forgotten something then; what was received before,
and up to 15 minutes after, is left out.";

#[derive(clap::Args)]
#[command(after_help = EXPLANATION)]
pub(super) struct Args {
    /// Show only this source; `--check` is of all
    #[arg(long)]
    source: Option<SourceName>,
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Fail if after this long there is still something that is neither settled nor in a queue
    #[arg(long, value_name = "SECONDS")]
    check: Option<u64>,
}

pub(super) fn run(args: &Args, config: &Config) -> anyhow::Result<u8> {
    if let Some(source) = args.source.as_ref().filter(|source| !config.sources.contains_key(*source)) {
        anyhow::bail!("no source `{source}` is configured");
    }
    block_on(async {
        let connection = connect(&config.amqp).await?;
        let store = open_store(config).await?;
        let shards = topology::raw_shards(&connection, config).await;
        let shards = shards.map_err(|error| advise(error.into()))?;
        let (balance, verdict) = match args.check {
            None => (draw(&store, &connection, config, &shards).await?, None),
            Some(seconds) => {
                let patience = Duration::from_secs(seconds);
                let (balance, verdict) = check(&store, &connection, config, &shards, patience).await?;
                (balance, Some(verdict))
            }
        };
        let blind = balance.blind_until(Timestamp::now());
        if args.json {
            let mut shown = serde_json::to_value(&balance)?;
            shown["unaccounted"] = json!(balance.unaccounted());
            shown["blind_until"] = json!(blind);
            shown["check"] = json!(verdict.map(Verdict::as_str));
            if let Some(source) = &args.source {
                shown["sources"] = json!({ source.as_str(): balance.sources.get(source.as_str()) });
            }
            println!("{shown}");
        } else {
            print(&balance, args.source.as_ref());
            if let Some(until) = blind {
                let until = until.strftime("%H:%M UTC");
                println!("until {until} webhooks of receivers that were at work before that may be left out");
            }
        }
        match verdict {
            Some(Verdict::Balanced) if !args.json => {
                println!("checked: nothing is missing of what is counted")
            }
            Some(Verdict::Open) => {
                let missing = balance.unaccounted();
                eprintln!("{missing} accepted webhooks are neither settled nor in a queue");
            }
            Some(Verdict::Unknown) => eprintln!(
                "not known: no worker has noted how far the receivers are; is one running and well? Check for 10 \
                 seconds or more"
            ),
            Some(Verdict::Balanced) | None => {}
        }
        Ok(if matches!(verdict, None | Some(Verdict::Balanced)) { OK } else { FAILED })
    })
}

/// What a check came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing is missing.
    Balanced,
    /// Something is neither settled nor in a queue.
    Open,
    /// No worker notes marks.
    Unknown,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Open => "open",
            Self::Unknown => "unknown",
        }
    }
}

/// Looks until nothing is missing, but not longer than `patience`.
async fn check(
    store: &Store,
    connection: &Connection,
    config: &Config,
    shards: &[(SourceName, Shard)],
    patience: Duration,
) -> anyhow::Result<(Balance, Verdict)> {
    let began = Instant::now();
    let publisher = Publisher::start(config.amqp.clone(), "ledger", LinkMetrics::unexported());
    let mut trouble = publisher.watch();
    drop(tokio::time::timeout(config.amqp.connect_timeout, trouble.wait_for(Option::is_none)).await);
    // Receivers have told by then what they accepted before we began.
    tokio::time::sleep(REPORT_EVERY * 2).await;
    let source = config.sources.keys().next().cloned();
    let source = source.ok_or_else(|| anyhow::anyhow!("no source is configured"))?;
    let probe = Probe::send(&publisher, source).await.map_err(|error| Unreachable(error.to_string()))?;
    loop {
        let noted = probe.is_noted(store).await.map_err(|error| Unreachable(error.to_string()))?;
        let balance = draw(store, connection, config, shards).await?;
        let verdict = match (noted, balance.unaccounted() > 0) {
            (false, _) => Verdict::Unknown,
            (true, true) => Verdict::Open,
            (true, false) => Verdict::Balanced,
        };
        if verdict == Verdict::Balanced || began.elapsed() >= patience {
            return Ok((balance, verdict));
        }
        tokio::time::sleep(LOOK_AGAIN_EVERY).await;
    }
}

/// Connects to Redis for a command.
pub(super) async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let store = Store::start(&config.redis, LinkMetrics::unexported())?;
    let mut link = store.watch();
    let up = link.wait_for(Option::is_some);
    if !matches!(tokio::time::timeout(config.redis.timeout * 3, up).await, Ok(Ok(_))) {
        let advice =
            "Redis does not answer; is it running, and does redis.url or HOOKSWITCH_REDIS_URL name it?";
        return Err(Unreachable(advice.to_owned()).into());
    }
    Ok(store)
}

async fn draw(
    store: &Store,
    connection: &Connection,
    config: &Config,
    shards: &[(SourceName, Shard)],
) -> anyhow::Result<Balance> {
    Balance::compute(store, connection, config, shards).await.map_err(advise)
}

fn advise(error: BalanceError) -> anyhow::Error {
    match error {
        BalanceError::NotKept => error.into(),
        BalanceError::Store(_) => Unreachable(error.to_string()).into(),
        BalanceError::Broker(_) => {
            Unreachable(format!("{error}; was `hookswitch topology apply` run?")).into()
        }
    }
}

fn print(balance: &Balance, only: Option<&SourceName>) {
    let width = balance.sources.keys().map(String::len).max().unwrap_or(0).max(8);
    let header = ["accepted", "done", "duplicate", "discarded", "dead", "in system"];
    println!("{:<width$}{}", "source", header.map(|name| format!("  {name:>11}")).concat());
    let line = |name: &str, sum: &Sum| {
        let counts = [sum.accepted, sum.done, sum.duplicate, sum.discarded, sum.dead, sum.in_system];
        println!("{name:<width$}{}", counts.map(|count| format!("  {count:>11}")).concat());
    };
    for (source, sum) in &balance.sources {
        if only.is_none_or(|only| only.as_str() == source) {
            line(source, sum);
        }
    }
    line("total", &balance.total);
    println!();
    let (in_system, queued, waiting) = (balance.total.in_system, balance.queued, balance.waiting);
    match balance.unaccounted() {
        with_workers @ 0.. => println!(
            "in the system {in_system} = {queued} queued + {waiting} waiting to be retried + {with_workers} with workers"
        ),
        behind => println!(
            "in the system {in_system}; {queued} queued and {waiting} waiting to be retried: {} of them are copies, \
             letters sent back, or not counted yet (workers note every second what was accepted)",
            -behind
        ),
    }
    println!("counted since {}", balance.since.strftime("%Y-%m-%d %H:%M:%S UTC"));
}
