//! `hookswitch drift`

use indicatif::HumanCount;
use jiff::Timestamp;
use serde_json::json;

use super::{
    connect::{block_on, connect, open_store},
    exit::{OK, Unreachable, Usage},
    help,
    load::require_sources,
    moment::{self, moment},
    output::{Out, counted, eprint_line},
    table::{prose, whole, write_table},
};
use crate::{
    config::Config,
    core::{
        providers::{Provider, Sighting},
        webhook::SourceName,
    },
    edge::redis::{OTHERS, StoreError},
};

const NOTES: &str =
    "A value has drifted if the adapter does not expect its field, or its type there. Nothing is lost: an \
event carries it under `unmapped`. No value is shown or kept: `length` is a class, of the first such value, \
in characters of a text or digits of a number.

Workers record drift in Redis every 10 seconds and at their end. The record is not exact: what Redis does \
not take, as during an outage, is not recorded again (hookswitch_schema_drift_total counts it). 200 paths \
of a source are kept, until no drift of it has come for 90 days; what is new beyond them is one row, \
`(others)`. Times are those of receipt. `webhooks` counts readings: \
a webhook that is retried, redelivered or sent twice counts again.

What to do: see in an event what it is (`hookswitch tail --source S --reveal --note …`), and whether the \
provider documents it. Once an upgrade knows the field, --forget begins the list anew.

Exit codes:
  0   success, also if there is no drift
  1   the output could not be written
  64  the command line or the configuration is wrong
  69  the broker or Redis is unreachable (the broker's name tells whose keys they are)";

/// List what providers sent that the contract does not know: where, since when, how often
#[derive(clap::Args)]
#[command(after_help = NOTES)]
pub(super) struct Args {
    /// Of this source; repeatable
    #[arg(long = "source", value_name = "SOURCE")]
    sources: Vec<SourceName>,
    #[arg(
        long = "provider",
        value_name = "PROVIDER",
        help = format!("Of a source of this provider; repeatable: {}", help::providers())
    )]
    providers: Vec<Provider>,
    #[arg(
        long,
        value_name = "WHEN",
        value_parser = moment::argument,
        help = format!("Last seen at or after this time: {}", moment::FORMS)
    )]
    since: Option<Timestamp>,
    /// First seen at or after this time, in the same forms: only what is new
    #[arg(long, value_name = "WHEN", value_parser = moment::argument)]
    new_since: Option<Timestamp>,
    /// Forget the recorded drift of the selected sources, after printing it
    #[arg(long, conflicts_with_all = ["since", "new_since"])]
    forget: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Print whole lines, even where the terminal is narrower
    #[arg(long)]
    wide: bool,
}

pub(super) fn run(args: &Args, config: &Config) -> anyhow::Result<u8> {
    block_on(list(args, config))
}

async fn list(args: &Args, config: &Config) -> anyhow::Result<u8> {
    let sources = args.select(config)?;
    let connection = connect(&config.amqp).await?;
    let store = open_store(config, &connection).await?;
    connection.close().await;
    let mut found = Vec::new();
    for &(source, provider) in &sources {
        let drift = store.drift_of(source).await.map_err(unreachable)?;
        let drift = drift.into_iter().filter(|sighting| args.selects(sighting));
        found.extend(drift.map(|sighting| (source, provider, sighting)));
    }
    found.sort_by(|(a, _, x), (b, _, y)| (a, y.webhooks, &x.path).cmp(&(b, x.webhooks, &y.path)));
    print(args, &found)?;
    if args.forget {
        for (source, _) in &sources {
            store.forget_drift(source).await.map_err(unreachable)?;
        }
        eprint_line(&format!("forgot the drift of {}", counted(sources.len() as u64, "source", "sources")));
    }
    Ok(OK)
}

fn unreachable(error: StoreError) -> Unreachable {
    Unreachable(error.to_string())
}

impl Args {
    /// Returns the selected sources. Those that are named must be configured.
    fn select<'a>(&self, config: &'a Config) -> Result<Vec<(&'a SourceName, Provider)>, Usage> {
        require_sources(&self.sources, config)?;
        let sources = config.sources.iter().map(|(source, settings)| (source, settings.provider));
        let is_selected = |(source, provider): &(&SourceName, Provider)| {
            (self.sources.is_empty() || self.sources.contains(source))
                && (self.providers.is_empty() || self.providers.contains(provider))
        };
        Ok(sources.filter(is_selected).collect())
    }

    fn selects(&self, sighting: &Sighting) -> bool {
        self.since.is_none_or(|since| sighting.last >= since)
            && self.new_since.is_none_or(|since| sighting.first >= since)
    }
}

fn print(args: &Args, found: &[(&SourceName, Provider, Sighting)]) -> anyhow::Result<()> {
    let mut out = Out::new();
    if args.json {
        for (source, provider, sighting) in found {
            let Sighting { path, class, length, first, last, webhooks } = sighting;
            let line = json!({
                "source": source, "provider": provider, "path": path, "type": class, "length": length,
                "webhooks": webhooks, "first_seen": first, "last_seen": last,
            });
            out.line(&line.to_string())?;
        }
    } else if found.is_empty() {
        out.line("no drift is recorded")?;
    } else {
        let columns = [
            whole("source"),
            whole("provider"),
            prose("path"),
            whole("type"),
            whole("length"),
            whole("webhooks"),
            whole("first seen (UTC)"),
            whole("last seen (UTC)"),
        ];
        let rows: Vec<_> = found.iter().map(row).collect();
        write_table(&mut out, &columns, &rows, args.wide)?;
    }
    out.finish()?;
    Ok(())
}

fn row((source, provider, sighting): &(&SourceName, Provider, Sighting)) -> Vec<String> {
    let is_rest = sighting.class == OTHERS;
    vec![
        source.to_string(),
        provider.to_string(),
        if is_rest { "(others)".to_owned() } else { sighting.path.clone() },
        if is_rest { "-".to_owned() } else { sighting.class.clone() },
        sighting.length.clone(),
        HumanCount(sighting.webhooks).to_string(),
        moment(sighting.first),
        moment(sighting.last),
    ]
}
