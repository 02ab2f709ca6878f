//! Files and folders of webhooks, and of what a build made of them: for `normalize --webhooks` and `diff`.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::exit::BadInput;
use crate::{
    app::worker::read::{NormalizedWebhook, read_of_any_source},
    config::Config,
    core::{
        comparison::{FORMAT, Failure, Outcome, Record, Unexpected},
        letters::Archived,
        providers::{self, Provider},
        webhook::{Headers, Webhook},
    },
};

/// The delivery id and time of receipt of every case in a folder, so that two builds make the same events.
const CASE_DELIVERY: &str = "01900000-0000-7000-8000-000000000001";
const CASE_RECEIVED: &str = "2026-01-02T03:04:05.678Z";

/// The outcomes to prefer where both are there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefer {
    /// Those that a build has recorded.
    Recorded,
    /// Those of this build.
    ThisBuild,
}

/// Calls `each` with a record of every webhook of a file or folder, in order. Webhooks without a recorded
/// outcome are normalized by this build, with the settings of their sources in `config`.
///
/// # Errors
/// [`BadInput`] if something cannot be read, or an id comes twice; and the errors of `each`.
pub(super) fn read(
    config: &Config,
    path: &Path,
    prefer: Prefer,
    each: &mut dyn FnMut(Record) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    items(path, prefer, &mut |item| {
        each(match item {
            Item::Record(record) => record,
            Item::Webhook(id, webhook) => normalized(config, id, &webhook),
        })
    })
}

/// Calls `each` with the id of every webhook of a file or folder, and the webhook, in order.
///
/// # Errors
/// As [`read`]; and [`BadInput`] if the file holds what a build made of webhooks.
pub(super) fn webhooks(
    path: &Path,
    each: &mut dyn FnMut(String, Webhook) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    items(path, Prefer::ThisBuild, &mut |item| match item {
        Item::Webhook(id, webhook) => each(id, webhook),
        Item::Record(Record { id, .. }) => {
            let path = path.display();
            Err(BadInput(format!("{path}: {id} has no webhook: give the file that was normalized")).into())
        }
    })
}

/// What a file or folder holds.
enum Item {
    /// What a build made of a webhook.
    Record(Record),
    /// A webhook with its id.
    Webhook(String, Webhook),
}

/// Calls `each` with every item of a file or folder, in order.
fn items(
    path: &Path,
    prefer: Prefer,
    each: &mut dyn FnMut(Item) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut ids = HashSet::new();
    let mut once = |item: Item| {
        let (Item::Record(Record { id, .. }) | Item::Webhook(id, _)) = &item;
        if !ids.insert(id.clone()) {
            return Err(BadInput(format!("{}: {id} comes twice", path.display())).into());
        }
        each(item)
    };
    if !path.is_dir() {
        return read_file(path, &mut once);
    }
    let cases = cases(path)?;
    if cases.is_empty() {
        let path = path.display();
        return Err(BadInput(format!("{path} holds no <provider>/<case>/body.json")).into());
    }
    cases.iter().try_for_each(|(provider, case)| once(read_case(*provider, case, prefer)?))
}

/// The first field of a line.
#[derive(Deserialize)]
struct Head {
    format: String,
}

fn read_file(path: &Path, each: &mut dyn FnMut(Item) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let wrong = |n: usize, error: &dyn std::fmt::Display| {
        BadInput(format!("{}, line {}: {error}", path.display(), n + 1))
    };
    let file = File::open(path).map_err(|error| BadInput(format!("{}: {error}", path.display())))?;
    for (n, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|error| wrong(n, &error))?;
        let line = line.trim().trim_start_matches('\u{feff}');
        if line.is_empty() {
            continue;
        }
        let is_record = serde_json::from_str::<Head>(line).is_ok_and(|head| head.format == FORMAT);
        each(if is_record {
            Item::Record(Record::read(line).map_err(|error| wrong(n, &error))?)
        } else {
            let letter = Archived::read(line).map_err(|error| wrong(n, &error))?;
            Item::Webhook(letter.id.to_string(), letter.queued.webhook)
        })?;
    }
    Ok(())
}

/// Normalizes a webhook with this build.
fn normalized(config: &Config, id: String, webhook: &Webhook) -> Record {
    let outcome = match read_of_any_source(config, providers::normalize, webhook) {
        Ok(NormalizedWebhook { key, events, drift, .. }) => Outcome {
            key: Some(key.to_string()),
            // What was encoded is JSON.
            events: events.iter().filter_map(|event| serde_json::from_slice(&event.body).ok()).collect(),
            drift: drift
                .into_iter()
                .map(|drift| Unexpected { path: drift.path, class: drift.class.to_owned() })
                .collect(),
            error: None,
        },
        Err(fault) => {
            let error = Failure { reason: fault.reason().as_str().to_owned(), text: fault.to_string() };
            Outcome { error: Some(error), ..Outcome::default() }
        }
    };
    Record::new(id, webhook.provider, webhook.source.clone(), outcome)
}

/// Finds the cases of a folder, `<provider>/<case>/body.json`, sorted by name.
fn cases(folder: &Path) -> Result<Vec<(Provider, PathBuf)>, BadInput> {
    let mut found = Vec::new();
    for provider in Provider::ALL {
        let folder = folder.join(provider.as_str());
        if !folder.is_dir() {
            continue;
        }
        let entries =
            fs::read_dir(&folder).map_err(|error| BadInput(format!("{}: {error}", folder.display())))?;
        let cases = entries.filter_map(|entry| Some(entry.ok()?.path()));
        found.extend(cases.filter(|case| case.join("body.json").is_file()).map(|case| (provider, case)));
    }
    found.sort_by(|(_, a), (_, b)| a.cmp(b));
    Ok(found)
}

/// Parses a header, as in `x-varda-delivery: 1`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected 'name: value'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn read_case(provider: Provider, case: &Path, prefer: Prefer) -> anyhow::Result<Item> {
    let wrong = |file: &Path, error: &dyn std::fmt::Display| BadInput(format!("{}: {error}", file.display()));
    let name = case.file_name().unwrap_or_default().to_string_lossy();
    let (id, source) = (format!("{provider}/{name}"), provider.as_str().parse()?);
    let expected = case.join("expected.json");
    if prefer == Prefer::Recorded && expected.is_file() {
        let text = fs::read(&expected).map_err(|error| wrong(&expected, &error))?;
        let outcome = serde_json::from_slice(&text);
        let outcome = outcome.map_err(|error| wrong(&expected, &format!("line {}", error.line())))?;
        return Ok(Item::Record(Record::new(id, provider, source, outcome)));
    }
    let body = case.join("body.json");
    let body = fs::read(&body).map_err(|error| wrong(&body, &error))?;
    let headers = fs::read_to_string(case.join("headers.txt")).unwrap_or_default();
    let headers = headers.lines().filter_map(|line| header(line).ok());
    let webhook = Webhook {
        delivery_id: CASE_DELIVERY.parse()?,
        source,
        provider,
        received_at: CASE_RECEIVED.parse()?,
        headers: headers.collect::<Headers>(),
        body: body.into(),
    };
    Ok(Item::Webhook(id, webhook))
}
