//! `hookswitch sources`

use std::collections::BTreeSet;

use indicatif::HumanCount;
use serde_json::json;

use super::{
    connect::{block_on, connect, read_record},
    exit::{OK, Unreachable},
    moment::moment,
    output::Out,
    table::{prose, whole, write_table},
};
use crate::{
    config::Config,
    core::{applied::Declared, webhook::SourceName},
    edge::amqp::{self, depth::Depths, names},
};

const NOTES: &str = "\
States:
  working          workers take its webhooks
  paused           its webhooks wait: see `hookswitch pause --help`
  removed, paused  not configured any more, nor drained until it is resumed
  no worker        no worker runs, or none works on it
  no queue         its queues are missing: run `hookswitch topology apply`

`messages` are those that are ready in its raw queues, without those that workers hold. A message of a \
busy source holds several webhooks; `hookswitch ledger` counts webhooks. `dead` are its dead letters. `-` \
stands for what is not there.

With --json, `waiting` is the number of these messages, and there are also `workers`, the consumers of its \
raw queues, one for each worker and queue; `pause` with `since`, `by` and `note`; and `resumed`, the end \
of its last pause, with `at`, `by` and `note`. What is not there is null.

The broker is asked, and Redis is not.

Exit codes:
  0   success
  1   the output could not be written
  64  the command line or the configuration is wrong
  69  the broker is unreachable";

/// List the sources: whether they are paused, since when and by whom, and how many messages wait
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub(super) struct Args {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Print whole lines, even where the terminal is narrower
    #[arg(long)]
    wide: bool,
}

/// What a source's raw queues hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Depth {
    /// Messages that are ready.
    pub(super) ready: u64,
    /// Consumers, one for each worker and queue.
    pub(super) workers: u64,
    /// Queues that exist.
    queues: usize,
}

/// Looks at a source's raw queues: those of its shards, and those that are left of more.
pub(super) async fn depth_of(
    depths: &mut Depths<'_>,
    declared: &Declared,
    config: &Config,
    source: &SourceName,
) -> Result<Depth, Unreachable> {
    let mut queues: BTreeSet<String> = declared.raw_queues(source).map(|(name, _)| name.to_owned()).collect();
    if let Some(settings) = config.sources.get(source) {
        queues.extend(settings.sharding.shards().map(|shard| names::raw_queue(source, shard)));
    }
    let mut depth = Depth::default();
    for queue in queues {
        match depths.look(&queue).await {
            Ok(look) => {
                depth.ready += u64::from(look.ready);
                depth.workers += u64::from(look.consumers);
                depth.queues += 1;
            }
            Err(amqp::Error::Missing(_)) => {}
            Err(error) => return Err(Unreachable(error.to_string())),
        }
    }
    Ok(depth)
}

/// Returns the paused sources that are not configured any more. Workers do not drain their queues.
fn removed<'a>(declared: &'a Declared, config: &Config) -> impl Iterator<Item = &'a SourceName> {
    declared.paused.keys().filter(|source| !config.sources.contains_key(*source))
}

/// Returns the state of a source, which is configured or paused or both.
fn state_of(is_configured: bool, is_paused: bool, depth: Depth) -> &'static str {
    match (is_configured, is_paused, depth) {
        (false, ..) => "removed, paused",
        (true, true, _) => "paused",
        (true, false, Depth { queues: 0, .. }) => "no queue",
        (true, false, Depth { workers: 0, .. }) => "no worker",
        (true, false, _) => "working",
    }
}

pub(super) fn run(args: &Args, config: &Config) -> anyhow::Result<u8> {
    block_on(async {
        let connection = connect(&config.amqp).await?;
        let declared = read_record(&connection).await?;
        let (mut depths, mut rows, mut out) = (Depths::new(&connection), Vec::new(), Out::new());
        for source in config.sources.keys().chain(removed(&declared, config)) {
            let depth = depth_of(&mut depths, &declared, config, source).await?;
            let waiting = (depth.queues > 0).then_some(depth.ready);
            let dead = depths.of(&names::dead_queue(source)).await.ok();
            let (settings, pause) = (config.sources.get(source), declared.paused.get(source));
            let provider = match settings {
                Some(settings) => Some(settings.provider.as_str()),
                None => declared.raw_queues(source).next().map(|(_, raw)| &*raw.provider),
            };
            let state = state_of(settings.is_some(), pause.is_some(), depth);
            if args.json {
                let line = json!({
                    "source": source,
                    "provider": provider,
                    "state": state,
                    "waiting": waiting,
                    "workers": depth.workers,
                    "dead": dead,
                    "pause": pause,
                    "resumed": declared.resumed.get(source),
                });
                out.line(&line.to_string())?;
                continue;
            }
            let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let count = |count: Option<u64>| or_none(count.map(|n| HumanCount(n).to_string()));
            rows.push(vec![
                source.to_string(),
                or_none(provider.map(str::to_owned)),
                state.to_owned(),
                count(waiting),
                count(dead.map(u64::from)),
                or_none(pause.map(|pause| moment(pause.since))),
                or_none(pause.map(|pause| pause.by.clone())),
                or_none(pause.and_then(|pause| pause.note.clone())),
            ]);
        }
        if !args.json {
            let columns = [
                whole("source"),
                whole("provider"),
                whole("state"),
                whole("messages"),
                whole("dead"),
                whole("paused since (UTC)"),
                whole("by"),
                prose("note"),
            ];
            write_table(&mut out, &columns, &rows, args.wide)?;
        }
        out.finish()?;
        Ok(OK)
    })
}
