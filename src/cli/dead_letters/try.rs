//! `hookswitch dead-letters try`

use std::{
    io,
    path::{Path, PathBuf},
};

use indicatif::HumanCount;
use serde_json::{Value, json};

use super::{
    files::read_letters,
    filter::FilterArgs,
    progress::{bar, moving},
    selection::no_match,
    session::Session,
    settings::Compared,
    who::Who,
};
use crate::{
    app::{dead_letters::Trial, worker::read::NormalizedWebhook},
    cli::{
        connect::open_store,
        exit::{DATA, FAILED, OK, Usage},
        output::{Out, counted, counts, eprint_line, letters},
    },
    config::Config,
    core::{
        letters::{Filter, JobKind, Letter},
        printable::printable,
        redact,
    },
    edge::redis::Store,
};

/// Run this build's normalizer on dead letters without publishing: how many would succeed now?
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Try the letters of this file instead of those on the broker; needs neither broker nor Redis, and
    /// compares nothing with the settings of running workers
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print the events that each letter would give, without personal data unless --reveal is given
    #[arg(long)]
    events: bool,
    /// Print events with personal data, which is recorded; needs --note
    #[arg(long, requires = "events")]
    reveal: bool,
    /// At most this many letters
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true, value_name = "N")]
    limit: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    filter: FilterArgs,
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    let filter = args.filter.filter(config)?;
    let mut out = Out::new();
    let mut printed = Ok(());
    let mut each = |letter: &Letter, normalized: &NormalizedWebhook| {
        if args.events && printed.is_ok() {
            printed = print_events(letter, normalized, args, &mut out);
        }
    };
    let (trial, none, settings) = match &args.file {
        Some(path) => match try_file(config, path, (&filter, args), &mut each).await? {
            Some((trial, read)) => {
                let none = if trial.letters == 0 { no_match_in(path, read, &filter) } else { OK };
                let settings = Compared::ask(config, Err("with --file, Redis is not asked")).await;
                (trial, none, settings)
            }
            None => return Ok(DATA),
        },
        None => {
            let session = Session::open(config).await?;
            let store = open_store(config, session.connection()).await;
            if let Err(error) = &store {
                eprint_line(&format!("{error}; letters whose webhook was done meanwhile are not recognized"));
            }
            let store = store.ok();
            let trial = try_listed(&session, store.as_ref(), (&filter, args), &mut each).await?;
            let none = if trial.letters == 0 { no_match(&session, &filter, "").await? } else { OK };
            let store = store.as_ref().ok_or("Redis cannot be reached");
            (trial, none, Compared::ask(config, store).await)
        }
    };
    printed?;
    if args.json {
        out.line(&as_json(&trial, &settings).to_string())?;
    } else {
        print_trial(&trial, &settings, &mut out)?;
    }
    out.finish()?;
    Ok(none)
}

/// Reports that no letters of a file match, and returns the exit code.
fn no_match_in(path: &Path, read: u64, filter: &Filter) -> u8 {
    let held = counted(read, "letter", "letters");
    eprint_line(&format!("no dead letters match {}; {} holds {held}", filter.as_options(), path.display()));
    FAILED
}

/// Tries the letters of a file, and returns how many it holds as well. Returns none if a line cannot be read,
/// which is reported.
async fn try_file(
    config: &Config,
    path: &Path,
    (filter, args): (&Filter, &Args),
    each: &mut dyn FnMut(&Letter, &NormalizedWebhook),
) -> anyhow::Result<Option<(Trial, u64)>> {
    if args.reveal {
        let error = "--reveal is for letters on the broker: the file holds its letters with personal data";
        return Err(Usage(error.to_owned()).into());
    }
    let (mut trial, mut read) = (Trial::default(), 0);
    for letter in read_letters(path)? {
        if trial.letters == args.limit {
            break;
        }
        read += 1;
        match letter {
            Ok(letter) if filter.matches(&letter) => trial.add(config, None, &[letter], each).await?,
            Ok(_) => {}
            Err(error) => {
                eprint_line(&format!("hookswitch: {error:#}"));
                return Ok(None);
            }
        }
    }
    Ok(Some((trial, read)))
}

async fn try_listed(
    session: &Session<'_>,
    store: Option<&Store>,
    (filter, args): (&Filter, &Args),
    each: &mut dyn FnMut(&Letter, &NormalizedWebhook),
) -> anyhow::Result<Trial> {
    let dead_letters = session.dead_letters();
    let publisher = if args.reveal { Some(session.publisher().await?) } else { None };
    let reveal = match &publisher {
        Some(publisher) => {
            let request = args.who.request_with_note(JobKind::Reveal, filter.to_string(), None)?;
            Some(dead_letters.reveal(publisher, &request).await?)
        }
        None => None,
    };
    let progress = bar(None, "trying");
    let which = (filter.clone(), args.limit);
    let trial = dead_letters.try_all(store, which, each, &mut moving(&progress)).await;
    progress.finish_and_clear();
    let trial = trial?;
    if let Some(reveal) = reveal {
        reveal.end(trial.succeed).await?;
    }
    Ok(trial)
}

fn as_json(trial: &Trial, settings: &Compared) -> Value {
    let fail = trial.fail.iter().map(|((reason, fingerprint), (letters, error))| {
        let fingerprint = fingerprint.to_string();
        json!({ "reason": reason, "fingerprint": fingerprint, "letters": letters, "error": error })
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "settings": settings.as_json(),
        "letters": trial.letters,
        "succeed": trial.succeed,
        "already_done": trial.already_done,
        "done_by_another_body": trial.held_back,
        "fail": fail.collect::<Vec<_>>(),
    })
}

fn print_trial(trial: &Trial, settings: &Compared, out: &mut Out) -> io::Result<()> {
    let (tried, version) = (letters(trial.letters), env!("CARGO_PKG_VERSION"));
    out.line(&format!(
        "{tried}, tried with hookswitch {version} and the settings of this command; nothing was published"
    ))?;
    for line in settings.lines() {
        out.line(&format!("  {line}"))?;
    }
    out.line(&format!("  {} would succeed", HumanCount(trial.succeed)))?;
    let others = [
        (
            trial.already_done,
            "is done already: the provider sent its webhook again",
            "are done already: the provider sent their webhooks again",
        ),
        (
            trial.held_back,
            "has a key that is done by another body: `replay` skips it, `replay --again` sends it",
            "have a key that is done by another body: `replay` skips them, `replay --again` sends them",
        ),
    ];
    for line in counts("  ", &others) {
        out.line(&line)?;
    }
    for ((reason, fingerprint), (letters, error)) in &trial.fail {
        out.line(&format!(
            "  {} would fail: {reason} {fingerprint} {}",
            HumanCount(*letters),
            printable(error)
        ))?;
    }
    Ok(())
}

fn print_events(
    letter: &Letter,
    normalized: &NormalizedWebhook,
    args: &Args,
    out: &mut Out,
) -> io::Result<()> {
    let delivery_id = letter.queued.webhook.delivery_id;
    for event in &normalized.events {
        let shown = if args.reveal {
            String::from_utf8_lossy(&event.body).into_owned()
        } else {
            redact::event(&event.body)
        };
        if args.json {
            let value: Value = serde_json::from_str(&shown).unwrap_or(Value::String(shown));
            out.line(&json!({ "delivery_id": delivery_id, "event": value }).to_string())?;
        } else {
            out.line(&format!("{delivery_id} gives {}", event.kind))?;
            for line in shown.lines() {
                out.line(&format!("  {line}"))?;
            }
        }
    }
    Ok(())
}
