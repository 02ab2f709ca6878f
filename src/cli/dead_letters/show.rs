//! `hookswitch dead-letters show`

use std::io;

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    letter::{error_text, reason_word, summary},
    session::Session,
    who::{FormerNote, Who},
};
use crate::{
    cli::{
        exit::{FAILED, OK},
        moment::moment,
        output::{Out, eprint_line},
    },
    config::Config,
    core::{
        letters::{Archived, Filter, JobKind, Letter},
        printable::printable,
        redact,
    },
};

/// Show one dead letter, without personal data unless --reveal is given
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// A delivery id or letter id, as `list` prints it
    id: Uuid,
    /// Show personal data, which is recorded; needs --note
    #[arg(long)]
    reveal: bool,
    /// Print one JSON object a letter
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    former: FormerNote,
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    let session = Session::open(config).await?;
    let dead_letters = session.dead_letters();
    let mut found = Vec::new();
    let mut browsing = dead_letters.browse(Filter { ids: vec![args.id], ..Filter::default() }, None).await?;
    while let Some((_, letter)) = browsing.next().await? {
        found.push(letter);
    }
    browsing.close().await;
    if found.is_empty() {
        eprint_line(&format!("no dead letter has the id {}", args.id));
        return Ok(FAILED);
    }
    if args.reveal {
        let shown = found.len() as u64;
        let request = args.who.request_with_note(JobKind::Reveal, format!("id {}", args.id), Some(shown))?;
        dead_letters.reveal(&session.publisher().await?, &request).await?.end(shown).await?;
    }
    let mut out = Out::new();
    for letter in &found {
        if args.json {
            out.line(&as_json(letter, args.reveal)?)?;
        } else {
            print(letter, args.reveal, &mut out)?;
        }
    }
    out.finish()?;
    Ok(OK)
}

fn as_json(letter: &Letter, reveal: bool) -> serde_json::Result<String> {
    if reveal {
        return serde_json::to_string(&Archived::from(letter));
    }
    let webhook = &letter.queued.webhook;
    let mut shown = summary(letter);
    let header = |(name, value): (&str, &str)| {
        (name.to_owned(), Value::String(redact::header(webhook.provider, name, value)))
    };
    shown["headers"] = Value::Object(webhook.headers.iter().map(header).collect::<Map<_, _>>());
    shown["redacted_body"] = Value::String(redact::body(webhook.provider, &webhook.body));
    Ok(shown.to_string())
}

/// Prints a letter line by line, since a body can have millions of lines.
fn print(letter: &Letter, reveal: bool, out: &mut Out) -> io::Result<()> {
    for line in history_lines(letter) {
        out.line(&line)?;
    }
    let webhook = &letter.queued.webhook;
    let none = if webhook.headers.iter().next().is_none() { "none" } else { "" };
    out.line(format!("headers       {none}").trim_end())?;
    for (name, value) in webhook.headers.iter() {
        let value = if reveal { value.to_owned() } else { redact::header(webhook.provider, name, value) };
        out.line(&printable(&format!("  {name}: {value}")))?;
    }
    let redacted = if reveal { "" } else { ", personal data redacted: --reveal --note \"…\" shows it" };
    out.line(&format!("body          {} bytes{redacted}", webhook.body.len()))?;
    let body = if reveal {
        String::from_utf8_lossy(&webhook.body)
    } else {
        redact::body(webhook.provider, &webhook.body).into()
    };
    for line in body.lines() {
        out.line(&format!("  {line}"))?;
    }
    Ok(())
}

fn history_lines(letter: &Letter) -> Vec<String> {
    let (webhook, history) = (&letter.queued.webhook, &letter.queued.history);
    let at = |at: Option<Timestamp>| at.map_or_else(|| "?".to_owned(), moment);
    let mut lines = vec![
        format!("delivery id   {}", webhook.delivery_id),
        format!("letter id     {}", letter.id),
        format!("source        {} ({})", webhook.source, webhook.provider),
        format!("reason        {}", reason_word(history.reason)),
        format!("error         {}", error_text(letter)),
        format!("fingerprint   {}", letter.fingerprint()),
        format!("attempts      {}", history.attempt.0),
        format!("declared by   {}", history.version.as_deref().unwrap_or("the broker")),
        format!("received at   {}", moment(webhook.received_at)),
        format!("first failed  {}", at(history.first_failed_at)),
        format!("died at       {}", at(history.last_failed_at)),
        format!("replays       {}", history.replays),
    ];
    for death in &history.past {
        let version = death.version.as_deref().unwrap_or("the broker");
        let reason = reason_word(death.reason);
        lines.push(format!(
            "  died before {} of {reason} ({version}): {}",
            at(death.at),
            printable(&death.error)
        ));
    }
    lines
}
