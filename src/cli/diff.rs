//! `hookswitch diff`

use std::{collections::HashMap, path::PathBuf};

use indicatif::HumanCount;
use serde_json::json;

use super::{
    exit::{FAILED, OK},
    output::{Out, counted},
    recorded::{self, Prefer},
    table::{prose, whole, write_table},
};
use crate::{
    config::Config,
    core::{
        comparison::{Change, Comparison, Group},
        printable::printable,
    },
};

const EXAMPLES: &str = "OLD and NEW are each one of:
  - what a build recorded with `hookswitch normalize --webhooks …`
  - a file of `hookswitch dead-letters export`: this build normalizes its webhooks now
  - a folder of cases, <provider>/<case>/{body.json, headers.txt, expected.json}, such as tests/golden: \
    what expected.json says; this build normalizes the cases without one

Webhooks are matched by letter id or case, their events by type and place among those of the type, as event \
ids are. Neither broker nor Redis is needed. Sources take their settings (phone_region, unsupported) from \
the configuration, if they are in it.

Examples:
  hookswitch-0.1 normalize --webhooks letters.ndjson > old.ndjson
  hookswitch diff old.ndjson letters.ndjson            the build of then, and this one
  hookswitch diff ../before/tests/golden tests/golden  what a change of the adapters means for consumers

Exit codes:
  0   no difference
  1   differences, or the result could not be written
  64  the command line or the configuration is wrong
  65  OLD or NEW cannot be read";

/// Compare what two builds make of the same webhooks: newly broken, newly fixed, changes of fields
///
/// Equal differences are grouped, the gravest first, without values: a field is named by its path. --reveal
/// adds the values of one example.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// What the older build made
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// What the newer build made
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Show the values of an example of each change: personal data, which the files hold anyway
    #[arg(long)]
    reveal: bool,
    /// Print one JSON object a line: one for each group of equal differences
    #[arg(long)]
    json: bool,
    /// Print whole lines, even where the terminal is narrower
    #[arg(long)]
    wide: bool,
}

pub(super) fn run(args: &Args, config: &Config) -> anyhow::Result<u8> {
    let comparison = compare(args, config)?;
    let groups = comparison.groups();
    let mut out = Out::new();
    if args.json {
        for group in &groups {
            out.line(&as_json(group, args.reveal).to_string())?;
        }
    } else {
        let (webhooks, unchanged) = comparison.counts();
        out.line(&format!(
            "{} compared, {} without a difference",
            counted(webhooks, "webhook", "webhooks"),
            HumanCount(unchanged)
        ))?;
        print(&groups, args, &mut out)?;
    }
    out.finish()?;
    Ok(if groups.is_empty() { OK } else { FAILED })
}

fn compare(args: &Args, config: &Config) -> anyhow::Result<Comparison> {
    let mut old = HashMap::new();
    recorded::read(config, &args.old, Prefer::Recorded, &mut |record| {
        old.insert(record.id.clone(), record);
        Ok(())
    })?;
    let mut comparison = Comparison::default();
    recorded::read(config, &args.new, Prefer::Recorded, &mut |new| {
        let old = old.remove(&new.id);
        let old = old.as_ref().map(|record| &record.outcome);
        comparison.add(new.provider.as_str(), &new.id, old, Some(&new.outcome));
        Ok(())
    })?;
    let mut rest: Vec<_> = old.into_values().collect();
    rest.sort_by(|a, b| a.id.cmp(&b.id));
    for old in rest {
        comparison.add(old.provider.as_str(), &old.id, Some(&old.outcome), None);
    }
    Ok(comparison)
}

fn print(groups: &[&Group], args: &Args, out: &mut Out) -> anyhow::Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    let mut columns = vec![
        whole("change"),
        whole("count"),
        whole("provider"),
        whole("event type"),
        prose("field or error"),
        prose("for example"),
    ];
    if args.reveal {
        columns.extend([prose("was"), prose("is")]);
    }
    let rows: Vec<_> = groups.iter().map(|group| row(group, args.reveal)).collect();
    write_table(out, &columns, &rows, args.wide)?;
    Ok(())
}

fn row(group: &Group, reveal: bool) -> Vec<String> {
    let difference = &group.difference;
    let mut cells = vec![
        in_words(difference.change).to_owned(),
        HumanCount(group.count).to_string(),
        group.provider.clone(),
        difference.kind.clone().unwrap_or_default(),
        difference.what.clone(),
        group.example.clone(),
    ];
    if reveal {
        cells.extend([&difference.old, &difference.new].map(|value| value.clone().unwrap_or_default()));
    }
    cells
}

fn as_json(group: &Group, reveal: bool) -> serde_json::Value {
    let difference = &group.difference;
    let mut line = json!({
        "change": difference.change.as_str(),
        "count": group.count,
        "provider": group.provider,
        "type": difference.kind,
        "what": printable(&difference.what),
        "example": group.example,
    });
    if reveal {
        line["was"] = json!(difference.old);
        line["is"] = json!(difference.new);
    }
    line
}

/// Returns the words for people.
fn in_words(change: Change) -> &'static str {
    match change {
        Change::Broken => "newly broken",
        Change::FailsOtherwise => "fails otherwise",
        Change::Fixed => "newly fixed",
        Change::OnlyOld => "only in OLD",
        Change::OnlyNew => "only in NEW",
        Change::Key => "other key and ids",
        Change::EventGone => "event gone",
        Change::EventNew => "event new",
        Change::FieldGone => "field gone",
        Change::FieldType => "field's type",
        Change::FieldValue => "field's value",
        Change::FieldNew => "field new",
        Change::DriftNew => "drift new",
        Change::DriftGone => "drift gone",
    }
}
