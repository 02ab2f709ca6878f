//! `hookswitch ledger`

use std::{
    io,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    connect::{block_on, connect, open_store},
    exit::{FAILED, OK, Unreachable},
    load::require_sources,
    output::{Out, counted, eprint_line, print_line},
};
use crate::{
    app::ledger::{Balance, BalanceError, Probe, REPORT_EVERY},
    config::Config,
    core::{applied::Pauses, ledger::Sum, shard::Shard, webhook::SourceName},
    edge::{
        amqp::{Connection, publish::Publisher, topology},
        metrics::LinkMetrics,
        redis::Store,
    },
};

/// The interval at which a check counts again.
const COUNT_EVERY: Duration = Duration::from_millis(500);

const EXPLANATION: &str = "\
  accepted = done + duplicate + discarded + dead + in system

  accepted    answered with 200, or kept by the broker after another answer
  done        events published and confirmed
  duplicate   the same fact was done before
  discarded   removed with `hookswitch dead-letters discard`
  dead        in a dead-letter queue
  in system   none of these yet: in a queue, or with a worker

A webhook that is in the system but in no queue is with a worker, or lost. While no webhooks arrive, the \
number of these must become 0: `--check 60` counts again for up to 60 seconds until it is 0, and otherwise \
exits with 1. Workers must be running, since they record the progress of the receivers: the check sends a \
mark of its own, and the result is \"not known\" if no worker records it.

\"not known\" is also the normal answer while raw queues hold messages, as on a busy system or while a \
source is paused: such a message may hold several webhooks, and the broker does not know how many. Nothing \
is missing then that the ledger can see. Check when raw queues are empty.

A replayed dead letter counts as dead until it is settled again. Until then it exists twice, so the number \
with workers may be below 0. Messages dead-lettered by the broker itself count as in the system.

Counting starts again when Redis restarts, since Redis may have lost data. Webhooks received before that, \
and for up to 15 minutes after, are left out.

Exit codes:
  0   the count; with --check, no counted webhook is missing
  1   with --check, it did not pass or is not known; or there is no count
  64  the command line or the configuration is wrong
  69  the broker or Redis is unreachable";

#[derive(clap::Args)]
#[command(after_help = EXPLANATION)]
pub(super) struct Args {
    /// Show only this source; `--check` always covers all sources
    #[arg(long)]
    source: Option<SourceName>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Fail if accepted webhooks are still neither settled nor in a queue after this time
    #[arg(long, value_name = "SECONDS")]
    check: Option<u64>,
}

pub(super) fn run(args: &Args, config: &Config) -> anyhow::Result<u8> {
    require_sources(args.source.as_slice(), config)?;
    block_on(async {
        let connection = connect(&config.amqp).await?;
        let store = open_store(config, &connection).await?;
        let declared = topology::known(&connection).await.map_err(|error| Unreachable(error.to_string()))?;
        let shards = topology::raw_shards(&connection, config, &declared).await;
        let shards = shards.map_err(|error| advise(error.into()))?;
        let (balance, result) = match args.check {
            None => (draw(&store, &connection, config, &shards).await?, None),
            Some(seconds) => {
                let patience = Duration::from_secs(seconds);
                let (balance, result) = check(&store, &connection, config, &shards, patience).await?;
                (balance, Some(result))
            }
        };
        if args.json {
            print_line(&as_json(&balance, args, result)?.to_string())?;
        } else {
            print(&balance, args.source.as_ref())?;
        }
        for (source, pause) in &declared.paused {
            eprint_line(&format!("source {source} is {pause}"));
        }
        report(&balance, &declared.paused, result, args.json)?;
        Ok(if matches!(result, None | Some(CheckResult::Balanced)) { OK } else { FAILED })
    })
}

fn as_json(balance: &Balance, args: &Args, result: Option<CheckResult>) -> serde_json::Result<Value> {
    let mut shown = serde_json::to_value(balance)?;
    shown["unaccounted"] = json!(balance.unaccounted());
    shown["blind_until"] = json!(balance.blind_until(Timestamp::now()));
    shown["check"] = json!(result.map(CheckResult::as_str));
    if let Some(source) = &args.source {
        shown["sources"] = json!({ source.as_str(): balance.sources.get(source.as_str()) });
    }
    Ok(shown)
}

/// Prints the result of a check, if there was one. With `--json`, success is not printed again.
fn report(balance: &Balance, paused: &Pauses, result: Option<CheckResult>, json: bool) -> io::Result<()> {
    match result {
        Some(CheckResult::Balanced) if !json => print_line("check passed: no counted webhook is missing")?,
        Some(CheckResult::Open) => {
            let open = balance.unaccounted().unsigned_abs();
            let open = counted(open, "accepted webhook is", "accepted webhooks are");
            eprint_line(&format!("{open} neither settled nor in a queue"));
        }
        Some(CheckResult::Unknown) => eprint_line(
            "not known: no worker has recorded the progress of the receivers; see that one is running and \
             ready, and use --check 10 or more",
        ),
        Some(CheckResult::Bundled) => {
            let messages = balance.messages.unsigned_abs();
            let messages = counted(messages, "message in raw queues may", "messages in raw queues may");
            eprint_line(&format!(
                "not known: {messages} hold several webhooks each, and only workers count these; check again \
                 when raw queues are empty"
            ));
            for source in paused.keys().filter(|source| balance.is_open(source)) {
                eprint_line(&format!(
                    "source {source} is paused: its raw queues do not become empty before `hookswitch resume \
                     {source}`"
                ));
            }
        }
        Some(CheckResult::Balanced) | None => {}
    }
    Ok(())
}

/// The result of a check.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CheckResult {
    /// No webhook is missing.
    Balanced,
    /// Some webhooks are neither settled nor in a queue.
    Open,
    /// No worker recorded the mark of the check.
    Unknown,
    /// Raw queues hold messages with several webhooks each, and it is not known how many.
    Bundled,
}

impl CheckResult {
    fn as_str(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Open => "open",
            Self::Unknown => "unknown",
            Self::Bundled => "bundled",
        }
    }
}

/// Counts until no webhook is missing, but not longer than `patience`.
async fn check(
    store: &Store,
    connection: &Connection,
    config: &Config,
    shards: &[(SourceName, Shard)],
    patience: Duration,
) -> anyhow::Result<(Balance, CheckResult)> {
    let began = Instant::now();
    let publisher = Publisher::start(config.amqp.clone(), "ledger", LinkMetrics::unexported());
    let mut trouble = publisher.watch();
    drop(tokio::time::timeout(config.amqp.connect_timeout, trouble.wait_for(Option::is_none)).await);
    // By then receivers have reported what they accepted before the check began.
    tokio::time::sleep(REPORT_EVERY * 2).await;
    let source = config.sources.keys().next().cloned();
    let source = source.ok_or_else(|| anyhow::anyhow!("no source is configured"))?;
    let probe = Probe::send(&publisher, source).await.map_err(|error| Unreachable(error.to_string()))?;
    loop {
        let noted = probe.is_noted(store).await.map_err(|error| Unreachable(error.to_string()))?;
        let balance = draw(store, connection, config, shards).await?;
        let result = match noted {
            false => CheckResult::Unknown,
            true if balance.unaccounted() > 0 => CheckResult::Open,
            true if balance.may_hide() => CheckResult::Bundled,
            true => CheckResult::Balanced,
        };
        if result == CheckResult::Balanced || began.elapsed() >= patience {
            return Ok((balance, result));
        }
        tokio::time::sleep(COUNT_EVERY).await;
    }
}

/// Draws up the balance.
async fn draw(
    store: &Store,
    connection: &Connection,
    config: &Config,
    shards: &[(SourceName, Shard)],
) -> anyhow::Result<Balance> {
    Balance::compute(store, connection, config, shards, 0).await.map_err(advise)
}

/// Adds what to do to an error, and the exit code.
fn advise(error: BalanceError) -> anyhow::Error {
    match error {
        BalanceError::NotKept => error.into(),
        BalanceError::Store(_) => Unreachable(error.to_string()).into(),
        BalanceError::Broker(_) => {
            Unreachable(format!("{error}; if a queue is missing, run `hookswitch topology apply`")).into()
        }
    }
}

fn print(balance: &Balance, only: Option<&SourceName>) -> io::Result<()> {
    let mut out = Out::new();
    let width = balance.sources.keys().map(String::len).max().unwrap_or(0).max(8);
    let header = ["accepted", "done", "duplicate", "discarded", "dead", "in system"];
    out.line(&format!("{:<width$}{}", "source", header.map(|name| format!("  {name:>10}")).concat()))?;
    let line = |name: &str, sum: &Sum| {
        let counts = [sum.accepted, sum.done, sum.duplicate, sum.discarded, sum.dead, sum.in_system];
        format!("{name:<width$}{}", counts.map(|count| format!("  {count:>10}")).concat())
    };
    for (source, sum) in &balance.sources {
        if only.is_none_or(|only| only.as_str() == source) {
            out.line(&line(source, sum))?;
        }
    }
    out.line(&line("total", &balance.total))?;
    out.line("")?;
    let (in_system, waiting) = (balance.total.in_system, balance.waiting);
    let queued = match balance.messages {
        messages if messages == balance.queued => format!("{messages} queued"),
        messages => format!("{} queued in {messages} messages", balance.queued),
    };
    let in_system = match balance.unaccounted() {
        with_workers @ 0.. => format!(
            "in the system {in_system} = {queued} + {waiting} waiting to be retried + {with_workers} \
             with workers"
        ),
        behind => format!(
            "in the system {in_system}; {queued} and {waiting} waiting to be retried: {} of them are \
             copies, replayed letters, or not counted yet (workers record accepted webhooks every second)",
            -behind
        ),
    };
    out.line(&in_system)?;
    out.line(&format!("counted since {}", balance.since.strftime("%Y-%m-%d %H:%M:%S UTC")))?;
    if let Some(until) = balance.blind_until(Timestamp::now()) {
        let until = until.strftime("%H:%M UTC");
        out.line(&format!("until {until}, webhooks of receivers started before the count may be left out"))?;
    }
    out.finish()
}
