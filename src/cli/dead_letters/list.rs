//! `hookswitch dead-letters list`

use serde_json::json;

use super::{
    filter::FilterArgs,
    letter::{error_text, reason_word, summary},
    selection::no_match,
    session::Session,
};
use crate::{
    cli::{
        exit::OK,
        moment::moment,
        output::{Out, eprint_line},
        table::{prose, whole, write_table},
    },
    config::Config,
    core::letters::Letter,
};

/// List dead letters, oldest first
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: u64,
    /// Continue after this place, which the previous page printed
    #[arg(long, value_name = "PLACE")]
    after: Option<u64>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Print whole lines, even where the terminal is narrower
    #[arg(long)]
    wide: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    let session = Session::open(config).await?;
    let filter = args.filter.filter(config)?;
    let mut browsing = session.dead_letters().browse(filter.clone(), args.after).await?;
    let mut out = Out::new();
    let (mut listed, mut last, mut more) = (0, None, false);
    let mut rows = Vec::new();
    while let Some((place, letter)) = browsing.next().await? {
        if listed == args.limit {
            more = true;
            break;
        }
        (listed, last) = (listed + 1, Some(place));
        if args.json {
            let mut line = summary(&letter);
            line["place"] = json!(place);
            if !out.line(&line.to_string())? {
                break;
            }
        } else {
            rows.push(row(&letter));
        }
    }
    browsing.close().await;
    if !args.json && listed > 0 {
        let columns = [
            whole("delivery id"),
            whole("fingerprint"),
            whole("source"),
            whole("reason"),
            prose("error"),
            whole("died at (UTC)"),
            whole("replays"),
        ];
        write_table(&mut out, &columns, &rows, args.wide)?;
    }
    out.finish()?;
    match last {
        Some(last) if more => eprint_line(&format!("there are more: --after {last}")),
        None if args.after.is_some() => eprint_line("there are no more"),
        None => return no_match(&session, &filter, "").await,
        Some(_) => {}
    }
    Ok(OK)
}

fn row(letter: &Letter) -> Vec<String> {
    let (webhook, history) = (&letter.queued.webhook, &letter.queued.history);
    vec![
        webhook.delivery_id.to_string(),
        letter.fingerprint().to_string(),
        webhook.source.to_string(),
        reason_word(history.reason),
        error_text(letter).into_owned(),
        history.last_failed_at.map_or_else(|| "?".to_owned(), moment),
        history.replays.to_string(),
    ]
}
