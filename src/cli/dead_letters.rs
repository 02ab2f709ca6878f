//! `hookswitch dead-letters list|show|replay|discard`

use std::{
    io::{IsTerminal, Write},
    ops::ControlFlow,
    sync::Arc,
};

use clap::Subcommand;
use serde_json::{Value, json};

use super::{FAILED, OK, block_on, connect, ledger::open_store};
use crate::{
    app::dead_letters::{self, Action as Deed, DeadLetterError, Filter, Tally},
    config::Config,
    core::{
        disposition::Reason,
        webhook::{DeliveryId, SourceName},
    },
    edge::{
        amqp::{message::Inbound, publisher::Publisher},
        metrics::LinkMetrics,
    },
};

#[derive(Subcommand)]
pub(super) enum Action {
    /// List dead letters, oldest first; they stay where they are
    List(Choice),
    /// Show one dead letter whole, its body included (it may hold personal data)
    Show {
        /// The delivery id, as `list` prints it
        id: DeliveryId,
        /// Only look at this source
        #[arg(long)]
        source: Option<SourceName>,
    },
    /// Send dead letters back to be worked on again: same bytes, attempts from zero
    Replay(Choice),
    /// Throw dead letters away for good
    Discard {
        #[command(flatten)]
        choice: Choice,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Which letters; all that is given must hold.
#[derive(clap::Args, Clone)]
pub(super) struct Choice {
    /// Only letters of this source
    #[arg(long)]
    source: Option<SourceName>,
    /// Only letters that died for this reason
    #[arg(long)]
    reason: Option<Reason>,
    /// Only this letter
    #[arg(long)]
    id: Option<DeliveryId>,
    /// At most this many
    #[arg(long, default_value_t = u32::MAX, hide_default_value = true, value_name = "N")]
    limit: u32,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(action: &Action, config: &Config) -> anyhow::Result<u8> {
    block_on(async {
        match action {
            Action::List(choice) => {
                let tally =
                    each_source(config, choice, &Deed::Look, |letter| print_line(letter, choice.json))
                        .await?;
                report(choice, tally, "listed");
                Ok(OK)
            }
            Action::Show { id, source } => show(config, *id, source.clone()).await,
            Action::Replay(choice) => replay(config, choice).await,
            Action::Discard { choice, yes } => discard(config, choice, *yes).await,
        }
    })
}

async fn show(config: &Config, id: DeliveryId, source: Option<SourceName>) -> anyhow::Result<u8> {
    let choice = Choice { source, reason: None, id: Some(id), limit: 1, dry_run: false, json: true };
    let tally = each_source(config, &choice, &Deed::Look, |letter| {
        let mut whole = summary(letter);
        let headers: serde_json::Map<_, _> =
            letter.webhook.headers.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        whole["headers"] = Value::Object(headers);
        // The body as text where it is text; else its bytes in base64.
        match std::str::from_utf8(&letter.webhook.body) {
            Ok(text) => whole["body"] = json!(text),
            Err(_) => {
                use base64::Engine as _;
                whole["body_base64"] =
                    json!(base64::engine::general_purpose::STANDARD.encode(&letter.webhook.body));
            }
        }
        println!("{whole:#}");
    })
    .await?;
    if tally.matched == 0 {
        eprintln!("no dead letter {id}");
    }
    Ok(if tally.matched == 0 { FAILED } else { OK })
}

async fn replay(config: &Config, choice: &Choice) -> anyhow::Result<u8> {
    let publisher = Publisher::start(config.amqp.clone(), "replay", Arc::new(LinkMetrics::default()));
    let mut trouble = publisher.watch();
    let up = trouble.wait_for(Option::is_none);
    if tokio::time::timeout(config.amqp.connect_timeout, up).await.is_err() {
        anyhow::bail!("the broker takes no messages now; nothing was moved");
    }
    let deed = if choice.dry_run { Deed::Look } else { Deed::Replay(&publisher) };
    let tally = each_source(config, choice, &deed, |letter| print_line(letter, choice.json)).await?;
    report(choice, tally, if choice.dry_run { "would be sent back" } else { "sent back" });
    Ok(OK)
}

async fn discard(config: &Config, choice: &Choice, yes: bool) -> anyhow::Result<u8> {
    if !choice.dry_run && !yes {
        let tally = each_source(config, choice, &Deed::Look, |_| {}).await?;
        if !std::io::stdin().is_terminal() {
            anyhow::bail!(
                "{} letters would be gone for good: add --yes, or look first with --dry-run",
                tally.matched
            );
        }
        eprint!("{} letters will be gone for good. Type yes: ", tally.matched);
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if answer.trim() != "yes" {
            eprintln!("nothing was discarded");
            return Ok(FAILED);
        }
    }
    let store = open_store(config).await?;
    let deed = if choice.dry_run { Deed::Look } else { Deed::Discard(&store) };
    let tally = each_source(config, choice, &deed, |letter| print_line(letter, choice.json)).await?;
    report(choice, tally, if choice.dry_run { "would be discarded" } else { "discarded" });
    Ok(OK)
}

/// Does `deed` over every source that is meant. A source that was never applied has no letters.
async fn each_source(
    config: &Config,
    choice: &Choice,
    deed: &Deed<'_>,
    mut each: impl FnMut(&Inbound),
) -> anyhow::Result<Tally> {
    let connection = connect(&config.amqp).await?;
    let filter = Filter { id: choice.id, reason: choice.reason };
    let mut total = Tally::default();
    for (source, settings) in &config.sources {
        if choice.source.as_ref().is_some_and(|only| only != source) || total.matched >= choice.limit {
            continue;
        }
        let left = choice.limit - total.matched;
        let run = dead_letters::run(&connection, source, settings.provider, &filter, left, deed, |letter| {
            each(letter);
            ControlFlow::Continue(())
        });
        let tally = match run.await {
            Err(DeadLetterError::NoQueue(_)) if choice.source.is_none() => continue,
            other => other?,
        };
        total.seen += tally.seen;
        total.matched += tally.matched;
        total.done += tally.done;
    }
    if let Some(source) = choice.source.as_ref().filter(|source| !config.sources.contains_key(*source)) {
        anyhow::bail!("no source `{source}` is configured");
    }
    Ok(total)
}

fn report(choice: &Choice, tally: Tally, what: &str) {
    if !choice.json {
        println!("{} of {} letters {what}", tally.matched, tally.seen);
    }
}

fn summary(letter: &Inbound) -> Value {
    let (webhook, history) = (&letter.webhook, &letter.history);
    json!({
        "id": webhook.delivery_id.to_string(),
        "source": webhook.source.as_str(),
        "provider": webhook.provider.as_str(),
        "reason": history.reason.map(Reason::as_str),
        "error": history.error,
        "attempts": history.attempt.0,
        "received_at": webhook.received_at,
        "first_failed_at": history.first_failed_at,
        "last_failed_at": history.last_failed_at,
        "version": history.version,
        "replays": history.replays,
        "bytes": webhook.body.len(),
    })
}

fn print_line(letter: &Inbound, json: bool) {
    if json {
        println!("{}", summary(letter));
        return;
    }
    let (webhook, history) = (&letter.webhook, &letter.history);
    println!(
        "{}  {:<12} {:<20} {}  {}",
        webhook.delivery_id,
        webhook.source.as_str(),
        history.reason.map_or("unknown", Reason::as_str),
        webhook.received_at.strftime("%Y-%m-%d %H:%M:%S"),
        history.error.as_deref().unwrap_or("(the broker gives no text)"),
    );
}
