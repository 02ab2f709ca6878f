//! `hookswitch dead-letters list`

use serde_json::json;

use super::{
    filter::FilterArgs,
    letter::{error_text, reason_word, summary},
    output::{Out, eprint_line, moment, table},
    session::Session,
};
use crate::{
    cli::exit::{FAILED, OK},
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
    #[command(flatten)]
    filter: FilterArgs,
}

pub(super) async fn run(config: &Config, args: &Args) -> anyhow::Result<u8> {
    let session = Session::open(config).await?;
    let mut browsing = session.dead_letters().browse(args.filter.filter(config)?, args.after).await?;
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
        let head = ["delivery id", "source", "died of", "fingerprint", "died at (UTC)", "replays", "error"];
        for line in table(&head, &rows) {
            out.line(&line)?;
        }
    }
    out.finish()?;
    match last {
        Some(last) if more => eprint_line(&format!("there are more: --after {last}")),
        None => eprint_line("no dead letters match"),
        Some(_) => {}
    }
    Ok(if listed == 0 && args.filter.names_letters() { FAILED } else { OK })
}

fn row(letter: &Letter) -> Vec<String> {
    let (webhook, history) = (&letter.queued.webhook, &letter.queued.history);
    vec![
        webhook.delivery_id.to_string(),
        webhook.source.to_string(),
        reason_word(history.reason),
        letter.fingerprint().to_string(),
        history.last_failed_at.map_or_else(|| "?".to_owned(), moment),
        history.replays.to_string(),
        error_text(letter).into_owned(),
    ]
}
