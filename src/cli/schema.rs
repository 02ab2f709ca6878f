//! `hookswitch schema`

use std::{fs, path::PathBuf};

use super::{
    exit::{OK, Usage},
    output::{Out, counted, print_line},
};
use crate::core::{
    contract::{
        Schemas, Unknown,
        family::{Family, SCHEMA_BASE},
    },
    events::event::EventType,
};

/// Print the JSON Schemas of the events, or list them
///
/// Without a name, lists the types of events, each with the path of its schema and of the schema of its data.
/// Needs no configuration.
#[derive(clap::Args)]
pub(super) struct Args {
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

pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    let schemas = Schemas::new(args.base.trim_end_matches('/'), Unknown::Allowed);
    match (&args.name, &args.out) {
        (Some(name), _) => print(&schemas, name),
        (None, Some(folder)) => write_all(&schemas, folder),
        (None, None) => list(),
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

fn write_all(schemas: &Schemas<'_>, folder: &std::path::Path) -> anyhow::Result<u8> {
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
