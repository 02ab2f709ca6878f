//! `hookswitch normalize`

use std::{
    io::{Read, Write},
    path::PathBuf,
};

use jiff::Timestamp;
use uuid::Uuid;

use super::{DATA, OK};
use crate::core::{
    events::cloudevent,
    providers::{self, Provider},
    webhook::{DeliveryId, Headers, SourceName, Webhook},
};

/// Reads one webhook's body and prints its events, one CloudEvent a line. Drift (what the provider sends and we did
/// not expect) is noted on standard error. Exit code 65 and the JSON path if it cannot be normalized.
#[derive(clap::Args)]
pub(super) struct Args {
    #[arg(long, help = Provider::ALL.map(Provider::as_str).join(", "))]
    provider: Provider,
    /// The source's name in the events; the provider's if not given
    #[arg(long)]
    source: Option<SourceName>,
    /// A header of the webhook, as in 'x-varda-delivery: 1'; may be given again
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// When it was received (RFC 3339); now if not given
    #[arg(long)]
    received_at: Option<Timestamp>,
    /// The delivery id; a new one if not given
    #[arg(long)]
    delivery_id: Option<DeliveryId>,
    /// A file to read instead of standard input
    #[arg(long)]
    file: Option<PathBuf>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected 'name: value'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    let mut body = Vec::new();
    match &args.file {
        Some(path) => body = std::fs::read(path).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?,
        None => drop(std::io::stdin().read_to_end(&mut body)?),
    }
    let source = match &args.source {
        Some(source) => source.clone(),
        None => args.provider.as_str().parse()?,
    };
    let webhook = Webhook {
        delivery_id: args.delivery_id.unwrap_or_else(|| DeliveryId::new(Uuid::now_v7())),
        source,
        provider: args.provider,
        received_at: args.received_at.unwrap_or_else(Timestamp::now),
        headers: args.headers.iter().map(|(name, value)| (name, value.as_str())).collect::<Headers>(),
        body: body.into(),
    };
    let normalized = match providers::normalize(&webhook) {
        Ok(normalized) => normalized,
        Err(error) => {
            eprintln!("{}: {error}", error.reason());
            return Ok(DATA);
        }
    };
    let mut out = std::io::stdout().lock();
    for (position, event) in normalized.events.iter().enumerate() {
        out.write_all(&cloudevent::encode(&webhook, &normalized.key, position, event).body)?;
        out.write_all(b"\n")?;
    }
    for drift in &normalized.drift {
        eprintln!("drift: {} ({})", drift.path, drift.class);
    }
    Ok(OK)
}
