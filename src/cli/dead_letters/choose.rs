//! Choosing letters on the command line.

use jiff::{SignedDuration, Timestamp};
use semver::Version;
use uuid::Uuid;

use super::Usage;
use crate::{
    config::{Config, units},
    core::{
        delivery::fault::Reason,
        letters::{Condition, Filter, Fingerprint},
        providers::Provider,
        webhook::SourceName,
    },
};

/// Which letters; all that is given must hold. What may be given again means any of them.
#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "Which letters (all that is given must hold)")]
pub(in crate::cli) struct Choice {
    /// Of this source; may be given again
    #[arg(long = "source", value_name = "SOURCE")]
    sources: Vec<SourceName>,
    /// In this provider's format; may be given again
    #[arg(long = "provider", value_name = "PROVIDER")]
    providers: Vec<Provider>,
    /// That died of this: malformed_json, unsupported_event, invalid_payload, unknown_source, invalid_message,
    /// event_too_large, unreadable_key, retries_exhausted, delivery_limit; may be given again
    #[arg(long = "died-of", value_name = "WORD")]
    died_of: Vec<Reason>,
    /// That failed like this, as `stats` prints it; may be given again
    #[arg(long = "fingerprint", value_name = "F")]
    fingerprints: Vec<Fingerprint>,
    /// With this delivery id or letter id; may be given again
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<Uuid>,
    /// That died since then: an age (90m, 2h, 3d) or a time (2026-01-02T03:04:05Z)
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Timestamp>,
    /// That died before then: an age or a time
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    before: Option<Timestamp>,
    /// That this version of hookswitch declared dead
    #[arg(long = "version", value_name = "VERSION")]
    version: Option<String>,
    /// That a version older than this declared dead: only what a fix in this version can have touched
    #[arg(long, value_name = "VERSION")]
    failed_before: Option<Version>,
    /// With this captured HTTP header; may be given again, then all must hold
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<Condition>,
    /// With this value in the body, by JSON pointer, as in /payload/call_id=17; may be given again, then all must hold.
    /// /from=@FILE takes the value from a file, since other users of the machine may see command lines
    #[arg(long = "pointer", value_name = "POINTER=VALUE", value_parser = pointer)]
    pointers: Vec<Condition>,
}

/// Which letters a job is to take out of their queues.
#[derive(clap::Args, Clone)]
pub(in crate::cli) struct Aim {
    /// Only say which letters are meant
    #[arg(long)]
    pub(super) dry_run: bool,
    /// All letters of all sources
    #[arg(long)]
    all: bool,
    /// At most this many, the oldest
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true, value_name = "N")]
    pub(super) limit: u64,
    #[command(flatten)]
    pub(super) choice: Choice,
}

impl Aim {
    /// The filter that is meant: it must say which letters, or that all are meant. A variable of a script that is empty
    /// must not mean all.
    pub(super) fn filter(&self, config: &Config) -> Result<Filter, Usage> {
        let filter = self.choice.filter(config)?;
        if filter != Filter::default() || self.all || self.dry_run {
            Ok(filter)
        } else {
            Err(Usage("say which letters, or --all for all of them".to_owned()))
        }
    }
}

impl Choice {
    /// The filter that is meant.
    pub(super) fn filter(&self, config: &Config) -> Result<Filter, Usage> {
        if let Some(unknown) = self.sources.iter().find(|source| !config.sources.contains_key(*source)) {
            let known: Vec<_> = config.sources.keys().map(SourceName::as_str).collect();
            return Err(Usage(format!(
                "no source `{unknown}` is configured; there are {}",
                known.join(", ")
            )));
        }
        Ok(Filter {
            sources: self.sources.clone(),
            providers: self.providers.clone(),
            reasons: self.died_of.clone(),
            fingerprints: self.fingerprints.clone(),
            ids: self.ids.clone(),
            since: self.since,
            before: self.before,
            version: self.version.clone(),
            failed_before: self.failed_before.clone(),
            headers: self.headers.clone(),
            pointers: self.pointers.clone(),
        })
    }

    /// The letters with this id.
    pub(super) fn of_id(id: Uuid) -> Self {
        Self { ids: vec![id], ..Self::default() }
    }

    /// Whether letters are asked for by their names: then none is a failure.
    pub(super) fn names_letters(&self) -> bool {
        !self.ids.is_empty()
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let age = units::parse_duration(text).and_then(|age| SignedDuration::try_from(age).ok());
    age.and_then(|age| Timestamp::now().checked_sub(age).ok()).ok_or_else(|| {
        "expected an age, as in 90m, 2h or 3d, or a time, as in 2026-01-02T03:04:05Z".to_owned()
    })
}

fn header(text: &str) -> Result<Condition, String> {
    let mut condition: Condition = text.parse().map_err(|_| "expected NAME=VALUE".to_owned())?;
    condition.name.make_ascii_lowercase();
    Ok(condition)
}

fn pointer(text: &str) -> Result<Condition, String> {
    let condition = text.parse::<Condition>().ok().filter(|condition| condition.name.starts_with('/'));
    let mut condition = condition
        .ok_or_else(|| "expected a JSON pointer and a value, as in /payload/call_id=17".to_owned())?;
    if let Some(file) = condition.value.strip_prefix('@') {
        let value = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        condition.value = value.trim_end_matches('\n').to_owned();
    }
    Ok(condition)
}
