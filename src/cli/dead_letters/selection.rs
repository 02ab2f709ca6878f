//! Selecting the letters of a job, and reporting the selection, or that nothing matches.

use std::{collections::BTreeMap, io};

use indicatif::HumanCount;
use serde_json::json;

use super::{
    progress::{bar, moving},
    session::Session,
};
use crate::{
    app::dead_letters::Plan,
    cli::{
        exit::{FAILED, OK},
        output::{counted, eprint_line, letters, print_line},
    },
    core::letters::Filter,
};

/// Selects the matching letters, at most `limit`. Letters of sources that are not configured are skipped with
/// a notice.
pub(super) async fn select(session: &Session<'_>, filter: &Filter, limit: u64) -> anyhow::Result<Plan> {
    let progress = bar(None, "reading");
    let plan = session.dead_letters().plan(filter, limit, |_| progress.inc(1)).await;
    progress.finish_and_clear();
    let plan = plan?;
    for (source, skipped) in plan.unconfigured() {
        let skipped = letters(*skipped);
        eprint_line(&format!(
            "{skipped} skipped: source `{source}` is not configured; use a configuration that has it"
        ));
    }
    Ok(plan)
}

/// Returns the number of letters selected, and of each source.
pub(super) fn describe(plan: &Plan) -> String {
    let sources = plan.sources().map(|(source, letters)| format!("{} of {source}", HumanCount(letters)));
    let sources: Vec<_> = sources.collect();
    let in_parentheses =
        if sources.is_empty() { String::new() } else { format!(" ({})", sources.join(", ")) };
    format!("{}{in_parentheses}", letters(plan.len()))
}

/// Reports an empty selection and returns the exit code. Returns none if there is something to do: letters,
/// or the rest of a job that was killed.
pub(super) async fn report_if_empty(
    session: &Session<'_>,
    plan: &Plan,
    filter: &Filter,
    json: bool,
) -> anyhow::Result<Option<u8>> {
    if !plan.is_empty() {
        return Ok(None);
    }
    if session.dead_letters().was_killed().await? {
        eprint_line("no dead letters match; finishing the last job, which was killed");
        return Ok(None);
    }
    if json {
        print_line(&json!({ "letters": 0 }).to_string())?;
    }
    no_match(session, filter, "nothing was done").await.map(Some)
}

/// Reports that no letters match and how many there are, and returns the exit code: it is a failure, unless
/// all letters were meant and there are none.
pub(super) async fn no_match(session: &Session<'_>, filter: &Filter, then: &str) -> anyhow::Result<u8> {
    let then = if then.is_empty() { String::new() } else { format!("; {then}") };
    if *filter == Filter::default() {
        eprint_line(&format!("no dead letters{then}"));
        return Ok(OK);
    }
    let progress = bar(None, "counting");
    let all = session.dead_letters().count(&Filter::default(), &mut moving(&progress)).await;
    progress.finish_and_clear();
    let stats = all?.stats;
    let groups = counted(stats.groups().len() as u64, "group", "groups");
    let there = match stats.letters() {
        0 => "there are none at all".to_owned(),
        1 => format!("there is 1 in {groups}"),
        several => format!("there are {} in {groups}", HumanCount(several)),
    };
    eprint_line(&format!("no dead letters match {}; {there}{then}", filter.as_options()));
    Ok(FAILED)
}

/// Reports what a job would do, as in `would be replayed`.
pub(super) async fn report_dry_run(
    session: &Session<'_>,
    plan: &Plan,
    filter: &Filter,
    json: bool,
    done: &str,
) -> anyhow::Result<u8> {
    report_selection(plan, json, done)?;
    if plan.is_empty() { no_match(session, filter, "").await } else { Ok(OK) }
}

fn report_selection(plan: &Plan, json: bool, done: &str) -> io::Result<()> {
    if json {
        let sources: BTreeMap<_, _> = plan.sources().collect();
        print_line(&json!({ "dry_run": true, "letters": plan.len(), "sources": sources }).to_string())
    } else {
        print_line(&format!("{} would be {done}; nothing was done", describe(plan)))
    }
}

/// Returns the number of letters that another job moved, with the words for
/// [`counts`](crate::cli::output::counts).
pub(super) fn left_meanwhile(n: u64) -> (u64, &'static str, &'static str) {
    (n, "letter was moved by another job meanwhile", "letters were moved by another job meanwhile")
}

/// Returns the number of letters that were not in their queue, with the words for
/// [`counts`](crate::cli::output::counts).
pub(super) fn not_found(n: u64) -> (u64, &'static str, &'static str) {
    (
        n,
        "letter was not in its queue: it was removed by other means (run `dead-letters reindex`)",
        "letters were not in their queue: they were removed by other means (run `dead-letters reindex`)",
    )
}
