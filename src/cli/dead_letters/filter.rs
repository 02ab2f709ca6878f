//! The options that select letters.

use clap::Args;
use jiff::Timestamp;
use semver::Version;
use uuid::Uuid;

use crate::{
    cli::{exit::Usage, help, load::require_sources, moment},
    config::Config,
    core::{
        delivery::fault::Reason,
        letters::{Condition, Filter, Fingerprint},
        providers::Provider,
        webhook::SourceName,
    },
};

/// The criteria that select letters.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Which letters (criteria are ANDed; several values of one criterion are ORed)")]
pub(super) struct FilterArgs {
    /// From this source; repeatable
    #[arg(long = "source", value_name = "SOURCE")]
    sources: Vec<SourceName>,
    #[arg(
        long = "provider",
        value_name = "PROVIDER",
        help = format!("From a source of this provider; repeatable: {}", help::providers())
    )]
    providers: Vec<Provider>,
    #[arg(
        long = "reason",
        value_name = "REASON",
        value_parser = reason,
        help = format!("Died for this reason; repeatable: {}", help::reasons())
    )]
    reasons: Vec<Reason>,
    /// The former name of --reason
    #[arg(long = "died-of", hide = true, value_parser = died_of)]
    died_of: Option<Reason>,
    /// With this failure fingerprint, as `stats` prints it; repeatable
    #[arg(long = "fingerprint", value_name = "F")]
    fingerprints: Vec<Fingerprint>,
    /// With this delivery id or letter id; repeatable
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<Uuid>,
    #[arg(
        long,
        value_name = "WHEN",
        value_parser = moment::argument,
        help = format!("Died at or after this time: {}", moment::FORMS)
    )]
    since: Option<Timestamp>,
    /// Died before this time, in the same forms
    #[arg(long, value_name = "WHEN", value_parser = moment::argument)]
    before: Option<Timestamp>,
    /// Dead-lettered by this version of hookswitch
    #[arg(long = "version", value_name = "VERSION")]
    version: Option<String>,
    /// Dead-lettered by a version older than this: only letters that a fix in this version can affect
    #[arg(long, value_name = "VERSION")]
    failed_before: Option<Version>,
    /// With this captured HTTP header; repeatable, and all must match
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<Condition>,
    /// With this value in the body, by JSON pointer, as in /payload/call_id=17; repeatable, and all must
    /// match. /from=@FILE reads the value from a file, since other users of the machine may see command lines
    #[arg(long = "pointer", value_name = "POINTER=VALUE", value_parser = pointer)]
    pointers: Vec<Condition>,
}

/// The letters that a job is to take out of their queues.
#[derive(Args, Clone)]
pub(super) struct TargetArgs {
    /// Only count the matching letters and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// All letters of all sources
    #[arg(long)]
    pub(super) all: bool,
    /// At most this many, oldest first
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true, value_name = "N")]
    pub(super) limit: u64,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
}

impl TargetArgs {
    /// Returns the filter. It must have a criterion, unless `--all` or `--dry-run` is given: a script's
    /// variable that is empty must not select everything.
    pub(super) fn filter(&self, config: &Config) -> Result<Filter, Usage> {
        let filter = self.filter.filter(config)?;
        if filter != Filter::default() || self.all || self.dry_run {
            Ok(filter)
        } else {
            Err(Usage(
                "no letters are selected: give at least one criterion, or --all for all letters".to_owned(),
            ))
        }
    }
}

impl FilterArgs {
    /// Returns the filter. Its sources must be configured.
    pub(super) fn filter(&self, config: &Config) -> Result<Filter, Usage> {
        require_sources(&self.sources, config)?;
        Ok(Filter {
            sources: self.sources.clone(),
            providers: self.providers.clone(),
            reasons: self.reasons.clone(),
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
}

fn reason(text: &str) -> Result<Reason, String> {
    text.parse().map_err(|error| {
        format!("{error}; --reason is why a webhook died; to say why you do this, use --note")
    })
}

fn died_of(text: &str) -> Result<Reason, String> {
    Err(format!("--died-of is called --reason now: write --reason {text}"))
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
