//! `hookswitch dead-letters stats`

use std::collections::BTreeMap;

use indicatif::HumanCount;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    bars::bars,
    filter::FilterArgs,
    letter::reason_word,
    progress::{bar, moving},
    selection::no_match,
    session::Session,
};
use crate::{
    app::dead_letters::{Census, Difference},
    cli::{
        exit::OK,
        moment::age,
        output::{Out, counted, eprint_line},
        table::{cut, prose, table, whole, width_of_output},
    },
    config::Config,
    core::{
        json::Document,
        letters::{Filter, Group, GroupKey, Letter, Stats},
        pointer::Pointer,
        redact,
        webhook::SourceName,
    },
};

/// Bars of the histogram.
const BARS: usize = 24;

/// Groups in the table, unless --wide is given.
const ROWS_MAX: usize = 50;

/// Characters of a value that letters are grouped by.
const VALUE_CHARS_MAX: usize = 200;

/// Count dead letters by source, reason, fingerprint and version, and show when they died: start here
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Group by a value in the body, too, by JSON pointer, as in /payload/direction. Personal data is masked
    #[arg(long, value_name = "POINTER", value_parser = by)]
    by: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Print all groups and whole lines, even where the terminal is narrower
    #[arg(long)]
    wide: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

fn by(text: &str) -> Result<String, String> {
    let pointer = text.parse::<Pointer>().map(|_| text.to_owned());
    pointer.map_err(|_| "expected a JSON pointer, as in /payload/direction".to_owned())
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    let filter = args.filter.filter(config)?;
    let session = Session::open(config).await?;
    let progress = bar(None, "reading");
    let value = |letter: &Letter| args.by.as_ref().map(|pointer| value_at(letter, pointer));
    let census = session.dead_letters().count_by(&filter, value, &mut moving(&progress)).await;
    progress.finish_and_clear();
    let Census { stats, queued, differences } = census?;
    let mut out = Out::new();
    if args.json {
        out.line(&as_json(&stats, &queued).to_string())?;
    } else if stats.letters() == 0 && filter == Filter::default() {
        out.line("no dead letters")?;
    } else if stats.letters() > 0 {
        for line in as_lines(&stats, args, Timestamp::now()) {
            out.line(&line)?;
        }
    }
    out.finish()?;
    for difference in &differences {
        eprint_line(&describe(difference));
    }
    if stats.letters() > 0 || filter == Filter::default() {
        return Ok(OK);
    }
    no_match(&session, &filter, "").await
}

/// Returns the start of the value at a place in a letter's body, masked if it is personal.
fn value_at(letter: &Letter, pointer: &str) -> String {
    let webhook = &letter.queued.webhook;
    // The page of a large body is cut, and then no JSON.
    let shown: Result<Value, _> = serde_json::from_str(&redact::body(webhook.provider, &webhook.body));
    let value = match shown.as_ref().map(|body| body.pointer(pointer)) {
        Err(_) if Document::parse(&webhook.body).is_ok() => "(too large to show)".to_owned(),
        Err(_) => "(not JSON)".to_owned(),
        Ok(None) => "(absent)".to_owned(),
        Ok(Some(Value::String(text))) => text.clone(),
        Ok(Some(other)) => other.to_string(),
    };
    value.chars().take(VALUE_CHARS_MAX).collect()
}

fn as_json(stats: &Stats, queued: &BTreeMap<SourceName, u64>) -> Value {
    let groups = stats.groups().into_iter().map(|(key, group)| {
        json!({
            "source": key.source,
            "provider": key.provider,
            "reason": key.reason,
            "fingerprint": key.fingerprint.to_string(),
            "version": key.version,
            "value": key.value,
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

fn as_lines(stats: &Stats, args: &Args, now: Timestamp) -> Vec<String> {
    let groups = stats.groups();
    let most = if args.wide { usize::MAX } else { ROWS_MAX };
    let mut columns = vec![whole("letters"), whole("source"), whole("reason"), whole("fingerprint")];
    columns.extend(args.by.is_some().then_some(prose("value")));
    columns.extend([whole("version"), whole("ago"), whole("replayed"), prose("error of one of them")]);
    let rows: Vec<_> = groups.iter().take(most).map(|group| row(*group, args.by.is_some(), now)).collect();
    let width = width_of_output(args.wide);
    let mut lines = table(&columns, &rows, width);
    if let Some(more) = groups.len().checked_sub(most).filter(|more| *more > 0) {
        let more = counted(more as u64, "more group", "more groups");
        lines.push(format!("… and {more}, which --wide shows"));
    }
    lines.push(String::new());
    if let Some(histogram) = stats.histogram(BARS) {
        lines.push(format!("when they died (UTC, {} a bar)", bar_width(histogram.minutes)));
        lines.extend(bars(&histogram).iter().map(|line| cut(line, width)));
        lines.push(String::new());
    }
    let total = counted(stats.letters(), "dead letter", "dead letters");
    lines.push(format!("{total} in {}", counted(groups.len() as u64, "group", "groups")));
    lines
}

fn row((key, group): (&GroupKey, &Group), by: bool, now: Timestamp) -> Vec<String> {
    let old = |at: Option<Timestamp>| at.map_or_else(|| "?".to_owned(), |at| age(at, now));
    let mut row = vec![
        HumanCount(group.letters).to_string(),
        key.source.to_string(),
        reason_word(key.reason),
        key.fingerprint.to_string(),
    ];
    row.extend(by.then(|| key.value.clone().unwrap_or_else(|| "-".to_owned())));
    row.extend([
        key.version.clone().unwrap_or_else(|| "-".to_owned()),
        format!("{} … {}", old(group.oldest), old(group.newest)),
        if group.replayed > 0 { HumanCount(group.replayed).to_string() } else { "-".to_owned() },
        group.error.clone(),
    ]);
    row
}

fn bar_width(minutes: i64) -> String {
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
        let more = counted(queued - listed, "letter that is", "letters that are");
        format!("dead.{source} holds {more} not listed: run `hookswitch dead-letters reindex`")
    } else {
        let fewer = counted(listed - queued, "letter", "letters");
        format!(
            "dead.{source} holds {fewer} fewer than are listed: a running job holds them, or they \
             were removed by other means; if no job is running, run `hookswitch dead-letters reindex`"
        )
    }
}
