//! `hookswitch schema`

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    exit::{FAILED, OK, Usage},
    output::{Out, counted, print_line},
};
use crate::core::{
    contract::{
        Schemas, Unknown,
        compare::{Change, Effect, compare, compare_all},
        family::{Family, SCHEMA_BASE},
    },
    events::event::EventType,
};

/// Print the JSON Schemas of the events, or list or compare them
///
/// Without a name, lists the types of events, each with the path of its schema and of the schema of its data.
/// Needs no configuration.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// A type, as in `call.ended`, for its whole events; or a family, as in `call`, for the data alone
    name: Option<String>,
    /// Write every schema to the folder that --out names
    #[arg(long, requires = "out", conflicts_with = "name")]
    all: bool,
    /// The folder for --all, created if it is missing
    #[arg(long, value_name = "DIR", requires = "all")]
    out: Option<PathBuf>,
    /// The start of the schemas' ids, as in the setting `events.schema_base`
    #[arg(long, value_name = "URL", default_value = SCHEMA_BASE)]
    base: String,
}

#[derive(Subcommand)]
enum Action {
    /// Compare two schemas, or two folders of schemas, and print what has changed for consumers. Exits with 1
    /// if a change is breaking and the version in the path is the same
    Compare {
        /// A schema, or a folder as `schema --all` writes it
        old: PathBuf,
        /// The same, later
        new: PathBuf,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    let schemas = Schemas::new(args.base.trim_end_matches('/'), Unknown::Allowed);
    match (&args.action, &args.name, &args.out) {
        (Some(Action::Compare { old, new, json }), _, _) => tell(&changes(old, new)?, *json),
        (None, Some(name), _) => print(&schemas, name),
        (None, None, Some(folder)) => write_all(&schemas, folder),
        (None, None, None) => list(),
    }
}

fn list() -> anyhow::Result<u8> {
    let mut out = Out::new();
    for kind in EventType::ALL {
        let (events, data) = (Schemas::path(*kind), Family::of_type(*kind).path);
        out.line(&format!("{:<34} {events:<46} {data}", kind.as_str()))?;
    }
    out.finish()?;
    Ok(OK)
}

fn print(schemas: &Schemas<'_>, name: &str) -> anyhow::Result<u8> {
    let kind = EventType::ALL.iter().find(|kind| kind.as_str() == name);
    let family = Family::ALL.iter().find(|family| family.name == name);
    let schema = match (kind, family) {
        (Some(kind), _) => schemas.bundle(*kind),
        (None, Some(family)) => schemas.data(family),
        (None, None) => {
            let problem = format!("unknown type or family {name}: `hookswitch schema` lists the types");
            return Err(Usage(problem).into());
        }
    };
    print_line(schema.pretty().trim_end())?;
    Ok(OK)
}

fn write_all(schemas: &Schemas<'_>, folder: &Path) -> anyhow::Result<u8> {
    let all = schemas.all();
    for (path, schema) in &all {
        let file = folder.join(path);
        let written = file.parent().map_or(Ok(()), fs::create_dir_all);
        written
            .and_then(|()| fs::write(&file, schema.pretty()))
            .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", file.display()))?;
    }
    let count = u64::try_from(all.len())?;
    print_line(&format!("{} written to {}", counted(count, "schema", "schemas"), folder.display()))?;
    Ok(OK)
}

fn changes(old: &Path, new: &Path) -> anyhow::Result<Vec<Change>> {
    if old.is_dir() != new.is_dir() {
        let problem = "compare two schemas or two folders, not one with the other".to_owned();
        return Err(Usage(problem).into());
    }
    Ok(if old.is_dir() {
        compare_all(&read_all(old)?, &read_all(new)?)
    } else {
        compare(&read(old)?, &read(new)?)
    })
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let problem = |error: &dyn std::fmt::Display| anyhow::anyhow!("cannot read {}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| problem(&error))?;
    serde_json::from_str(&text).map_err(|error| problem(&error))
}

/// Reads the schemas below a folder, by their paths in it. Other files have no `$schema`.
fn read_all(folder: &Path) -> anyhow::Result<BTreeMap<String, Value>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![PathBuf::new()]);
    while let Some(relative) = folders.pop() {
        for entry in fs::read_dir(folder.join(&relative))? {
            let entry = entry?;
            let path = relative.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                let schema = read(&entry.path())?;
                if schema.get("$schema").is_some() {
                    found.insert(path.to_string_lossy().into_owned(), schema);
                }
            }
        }
    }
    Ok(found)
}

fn tell(changes: &[Change], as_json: bool) -> anyhow::Result<u8> {
    let mut out = Out::new();
    for Change { effect, place, what } in changes {
        let effect = effect.as_str();
        out.line(&if as_json {
            json!({ "effect": effect, "place": place, "what": what }).to_string()
        } else {
            format!("{effect:<10}  {place}: {what}")
        })?;
    }
    if changes.is_empty() && !as_json {
        out.line("nothing has changed for consumers")?;
    }
    out.finish()?;
    Ok(if changes.iter().any(|change| change.effect == Effect::Breaking) { FAILED } else { OK })
}
