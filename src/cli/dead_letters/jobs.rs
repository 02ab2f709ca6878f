//! `hookswitch dead-letters jobs`

use indicatif::HumanCount;

use super::session::Session;
use crate::{
    cli::{
        exit::OK,
        moment::{age, moment},
        output::Out,
        table::{prose, whole, write_table},
    },
    config::Config,
    core::letters::{JobKind, JobSummary},
};

/// List the jobs: who did what to which letters, why, and with what result
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// At most this many, the newest
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Print whole lines, even where the terminal is narrower
    #[arg(long)]
    wide: bool,
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    let session = Session::open(config).await?;
    let journal = session.dead_letters().journal().await?;
    let busy = session.dead_letters().is_busy().await?;
    let jobs = journal.jobs();
    let jobs = &jobs[jobs.len().saturating_sub(args.limit)..];
    let mut out = Out::new();
    if args.json {
        for job in jobs {
            out.line(&serde_json::to_string(job)?)?;
        }
    } else if jobs.is_empty() {
        out.line("no jobs yet")?;
    } else {
        let unfinished = journal.unfinished().filter(|_| busy).map(|job| job.id);
        let rows: Vec<_> = jobs.iter().map(|job| row(job, unfinished == Some(job.id))).collect();
        let columns = [
            whole("began (UTC)"),
            whole("took"),
            whole("job"),
            whole("who"),
            prose("outcome"),
            prose("letters"),
            prose("which"),
            prose("note"),
        ];
        write_table(&mut out, &columns, &rows, args.wide)?;
    }
    out.finish()?;
    Ok(OK)
}

fn row(job: &JobSummary, is_running: bool) -> Vec<String> {
    let mut letters: Vec<_> = job
        .gone
        .iter()
        .map(|(fate, letters)| format!("{} {}", HumanCount(*letters), fate.as_str()))
        .collect();
    if job.handled > 0 {
        letters.push(format!("{} {}", HumanCount(job.handled), handled(job.kind)));
    }
    let letters = if letters.is_empty() { "0".to_owned() } else { letters.join(", ") };
    let outcome = match (job.outcome, &job.cause) {
        (Some(outcome), Some(cause)) => format!("{}: {cause}", outcome.as_str()),
        (Some(outcome), None) => outcome.as_str().to_owned(),
        (None, _) if is_running => "running".to_owned(),
        (None, _) if job.kind.is_exclusive() => "killed".to_owned(),
        (None, _) => "running or killed".to_owned(),
    };
    vec![
        moment(job.begun_at),
        job.ended_at.map_or_else(|| "?".to_owned(), |ended| age(job.begun_at, ended)),
        job.kind.as_str().to_owned(),
        job.actor.clone(),
        outcome,
        job.letters.map_or_else(|| letters.clone(), |of| format!("{letters} of {}", HumanCount(of))),
        job.filter.clone(),
        job.note.clone().unwrap_or_default(),
    ]
}

/// Returns the word for letters that a job handled without taking them out of their queue.
fn handled(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Reveal => "shown",
        JobKind::Export => "written",
        JobKind::Import => "imported",
        JobKind::Reindex => "listed",
        JobKind::Replay | JobKind::Discard => "left",
    }
}
