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
  working    workers take its webhooks
  paused     `hookswitch pause` was run: its webhooks wait until `hookswitch resume`
  no worker  nothing takes from its queues: no worker runs, or none that works on it
  no queue   its queues are missing: run `hookswitch topology apply`

`waiting` are the messages that are ready in its raw queues, without those that workers hold. The messages of
a busy queue hold several webhooks each. `dead` are its dead letters.";

/// List the sources: whether they are paused, since when and by whom, and how many webhooks wait
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
    let mut queues: BTreeSet<String> = declared.raw_queues(source).map(str::to_owned).collect();
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

pub(super) fn run(args: &Args, config: &Config) -> anyhow::Result<u8> {
    block_on(async {
        let connection = connect(&config.amqp).await?;
        let declared = read_record(&connection).await?;
        let (mut depths, mut rows, mut out) = (Depths::new(&connection), Vec::new(), Out::new());
        for (source, settings) in &config.sources {
            let depth = depth_of(&mut depths, &declared, config, source).await?;
            let dead = depths.of(&names::dead_queue(source)).await.ok();
            let pause = declared.paused.get(source);
            let state = match (pause, depth) {
                (Some(_), _) => "paused",
                (None, Depth { queues: 0, .. }) => "no queue",
                (None, Depth { workers: 0, .. }) => "no worker",
                (None, _) => "working",
            };
            if args.json {
                let line = json!({
                    "source": source,
                    "provider": settings.provider.as_str(),
                    "state": state,
                    "waiting": depth.ready,
                    "workers": depth.workers,
                    "dead": dead,
                    "pause": pause,
                });
                out.line(&line.to_string())?;
                continue;
            }
            let count = |count: Option<u64>| count.map_or("-".to_owned(), |n| HumanCount(n).to_string());
            let of_pause = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            rows.push(vec![
                source.to_string(),
                settings.provider.to_string(),
                state.to_owned(),
                count(Some(depth.ready)),
                count(dead.map(u64::from)),
                of_pause(pause.map(|pause| moment(pause.since))),
                of_pause(pause.map(|pause| pause.by.clone())),
                of_pause(pause.and_then(|pause| pause.note.clone())),
            ]);
        }
        if !args.json {
            let columns = [
                whole("source"),
                whole("provider"),
                whole("state"),
                whole("waiting"),
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
