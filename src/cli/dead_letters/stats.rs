//! `hookswitch dead-letters stats`

use std::collections::BTreeMap;

use indicatif::HumanCount;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    filter::FilterArgs,
    letter::reason_word,
    output::{Out, age, bars, eprint_line, table},
    progress::{bar, counted},
    session::Session,
};
use crate::{
    app::dead_letters::{Census, Difference},
    cli::exit::OK,
    config::Config,
    core::{
        letters::{Filter, Stats},
        webhook::SourceName,
    },
};

/// Bars of the histogram.
const BARS: usize = 24;

/// Count dead letters by source, reason, fingerprint and version, and show when they died: start here
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    let filter = args.filter.filter(config)?;
    let session = Session::open(config).await?;
    let progress = bar(None, "reading");
    let census = session.dead_letters().count(&filter, &mut counted(&progress)).await;
    progress.finish_and_clear();
    let Census { stats, queued, differences } = census?;
    let mut out = Out::new();
    if args.json {
        out.line(&as_json(&stats, &queued).to_string())?;
    } else {
        for line in as_lines(&stats, filter == Filter::default(), Timestamp::now()) {
            out.line(&line)?;
        }
    }
    out.finish()?;
    for difference in &differences {
        eprint_line(&describe(difference));
    }
    Ok(OK)
}

fn as_json(stats: &Stats, queued: &BTreeMap<SourceName, u64>) -> Value {
    let groups = stats.groups().into_iter().map(|(key, group)| {
        json!({
            "source": key.source,
            "provider": key.provider,
            "reason": key.reason,
            "fingerprint": key.fingerprint.to_string(),
            "version": key.version,
            "letters": group.letters,
            "replayed_before": group.replayed,
            "oldest": group.oldest,
            "newest": group.newest,
            "error": group.error,
            "example": group.example,
        })
    });
    json!({
        "letters": stats.letters(),
        "groups": groups.collect::<Vec<_>>(),
        "histogram": stats.histogram(BARS),
        "in_queues": queued,
    })
}

fn as_lines(stats: &Stats, of_all: bool, now: Timestamp) -> Vec<String> {
    if stats.letters() == 0 {
        return vec![if of_all { "no dead letters" } else { "no dead letters match" }.to_owned()];
    }
    let old = |at: Option<Timestamp>| at.map_or_else(|| "?".to_owned(), |at| age(at, now));
    let rows: Vec<_> = stats
        .groups()
        .into_iter()
        .map(|(key, group)| {
            vec![
                HumanCount(group.letters).to_string(),
                key.source.to_string(),
                reason_word(key.reason),
                key.fingerprint.to_string(),
                key.version.clone().unwrap_or_else(|| "-".to_owned()),
                format!("{} … {}", old(group.oldest), old(group.newest)),
                if group.replayed > 0 { HumanCount(group.replayed).to_string() } else { "-".to_owned() },
                group.error.clone(),
            ]
        })
        .collect();
    let head =
        ["letters", "source", "died of", "fingerprint", "version", "ago", "replayed", "error of one of them"];
    let mut lines = table(&head, &rows);
    lines.push(String::new());
    if let Some(histogram) = stats.histogram(BARS) {
        lines.push(format!("when they died (UTC, {} a bar)", width(histogram.minutes)));
        lines.extend(bars(&histogram));
        lines.push(String::new());
    }
    lines.push(format!("{} dead letters in {} groups", HumanCount(stats.letters()), rows.len()));
    lines
}

fn width(minutes: i64) -> String {
    match minutes {
        1 => "1 minute".to_owned(),
        2..60 => format!("{minutes} minutes"),
        60 => "1 hour".to_owned(),
        61..1_440 => format!("{} hours", minutes / 60),
        1_440 => "1 day".to_owned(),
        _ => format!("{} days", minutes / 1_440),
    }
}

fn describe(difference: &Difference) -> String {
    let Difference { source, listed, queued } = difference;
    if queued > listed {
        let more = HumanCount(queued - listed);
        format!(
            "dead.{source} holds {more} letters that are not listed: run `hookswitch dead-letters reindex`"
        )
    } else {
        let fewer = HumanCount(listed - queued);
        format!(
            "dead.{source} holds {fewer} letters fewer than are listed: a running job holds them, or they \
             were removed by other means; if no job is running, run `hookswitch dead-letters reindex`"
        )
    }
}
