//! `hookswitch ledger`

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{FAILED, OK, Unreachable, block_on, connect};
use crate::{
    app::ledger::{self, Balance, BalanceError},
    config::Config,
    core::{ledger::Sum, webhook::SourceName},
    edge::{metrics::LinkMetrics, store::Store},
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
receivers are. A dead letter that was sent back counts as dead until it is settled anew, and then, as a message that is
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
        let began = Instant::now();
        let patience = Duration::from_secs(args.check.unwrap_or(0));
        let mut balance = draw(&store, &connection, config).await?;
        // Receivers have told everything of before we began, and workers have noted it.
        let known = |balance: &Balance| balance.marks == 0 && began.elapsed() >= ledger::TELL_EVERY * 2;
        while began.elapsed() < patience && !(known(&balance) && balance.unaccounted() <= 0) {
            tokio::time::sleep(LOOK_AGAIN_EVERY).await;
            balance = draw(&store, &connection, config).await?;
        }
        let fails = args.check.is_some() && !(known(&balance) && balance.unaccounted() <= 0);
        if let Some(source) = &args.source {
            balance.sources.retain(|name, _| name == source.as_str());
        }
        if args.json {
            let mut shown = serde_json::to_value(&balance)?;
            shown["unaccounted"] = json!(balance.unaccounted());
            println!("{shown}");
        } else {
            print(&balance, args.source.is_none());
        }
        if fails && balance.unaccounted() > 0 {
            let missing = balance.unaccounted();
            eprintln!("{missing} accepted webhooks are neither settled nor in a queue");
        } else if fails {
            eprintln!(
                "not known: no worker notes what receivers tell; start one, and check for 10 seconds or more"
            );
        }
        Ok(if fails { FAILED } else { OK })
    })
}

/// Connects to Redis for a command.
pub(super) async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let store = Store::start(&config.redis, Arc::new(LinkMetrics::default()))?;
    let mut link = store.watch();
    let up = link.wait_for(Option::is_some);
    if !matches!(tokio::time::timeout(config.redis.timeout * 3, up).await, Ok(Ok(_))) {
        let advice =
            "Redis does not answer; is it running, and does redis.url or HOOKSWITCH_REDIS_URL name it?";
        return Err(Unreachable(advice.to_owned()).into());
    }
    Ok(store)
}

async fn draw(store: &Store, connection: &lapin::Connection, config: &Config) -> anyhow::Result<Balance> {
    ledger::balance(store, connection, config).await.map_err(|error| match error {
        BalanceError::NotKept => error.into(),
        BalanceError::Store(_) => Unreachable(error.to_string()).into(),
        BalanceError::Broker(_) => {
            Unreachable(format!("{error}; was `hookswitch topology apply` run?")).into()
        }
    })
}

fn print(balance: &Balance, whole: bool) {
    let width = balance.sources.keys().map(String::len).max().unwrap_or(0).max(8);
    let header = ["accepted", "done", "duplicate", "discarded", "dead", "in system"];
    println!("{:<width$}{}", "source", header.map(|name| format!("  {name:>11}")).concat());
    let line = |name: &str, sum: &Sum| {
        let counts = [sum.accepted, sum.done, sum.duplicate, sum.discarded, sum.dead, sum.in_system];
        println!("{name:<width$}{}", counts.map(|count| format!("  {count:>11}")).concat());
    };
    for (source, sum) in &balance.sources {
        line(source, sum);
    }
    if whole {
        line("total", &balance.total);
        println!();
        println!(
            "in the system {} = {} queued + {} waiting to be retried + {} with workers",
            balance.total.in_system,
            balance.queued,
            balance.waiting,
            balance.unaccounted()
        );
    }
    println!("counted since {}", balance.since.strftime("%Y-%m-%d %H:%M:%S UTC"));
}
