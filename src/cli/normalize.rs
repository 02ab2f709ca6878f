//! `hookswitch normalize`

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    exit::{DATA, OK, Usage},
    help,
    load::load,
    moment,
    output::{Out, eprint_line},
    recorded::{self, Prefer, header},
};
use crate::core::{
    events::{cloudevent, phone::PhoneRegion},
    providers::{self, Provider},
    webhook::{DeliveryId, Headers, SourceName, Webhook},
};

const EXIT_CODES: &str = "Exit codes:
  0   success
  1   the result could not be written
  64  the command line or the configuration is wrong
  65  the webhook cannot be normalized; with --webhooks, the file or folder cannot be read";

/// Turn webhooks into events locally, without broker or Redis
///
/// Reads the body of one webhook and prints its events, one CloudEvent a line. Schema drift (fields and
/// values unknown to the adapter) is reported on standard error. If the webhook cannot be normalized, prints
/// the JSON path and exits with 65.
///
/// With --webhooks, reads many and prints one JSON object a webhook, for `hookswitch diff`: its events, or
/// why it cannot be normalized. They hold personal data.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Args {
    #[arg(
        long,
        required_unless_present = "webhooks",
        help = format!("The webhook's provider: {}", help::providers())
    )]
    provider: Option<Provider>,
    /// Read many webhooks: a file of `dead-letters export`, or a folder with <provider>/<case>/body.json and
    /// headers.txt
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with_all = [
            "provider", "source", "headers", "received_at", "delivery_id", "phone_region", "file"
        ]
    )]
    webhooks: Option<PathBuf>,
    /// The source name in the events [default: the provider's name]
    #[arg(long)]
    source: Option<SourceName>,
    /// A header of the webhook, as in 'x-varda-delivery: 1'; repeatable
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The time of receipt, as in 2026-01-02T03:04:05Z or 2h for two hours ago [default: now]
    #[arg(long, value_name = "WHEN", value_parser = moment::argument)]
    received_at: Option<Timestamp>,
    /// The delivery id [default: a new one]
    #[arg(long)]
    delivery_id: Option<DeliveryId>,
    /// The region whose phone numbers are written as they are dialled there, as in DE
    #[arg(long)]
    phone_region: Option<PhoneRegion>,
    /// A file to read the body from instead of standard input
    #[arg(long)]
    file: Option<PathBuf>,
}

pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<u8> {
    match (&args.webhooks, args.provider) {
        (Some(webhooks), _) => normalize_many(webhooks, config),
        (None, Some(provider)) => normalize_one(args, provider),
        (None, None) => Err(Usage("give --provider or --webhooks".to_owned()).into()),
    }
}

/// Prints a record of each webhook of a file or folder.
fn normalize_many(webhooks: &Path, config: Option<&Path>) -> anyhow::Result<u8> {
    let mut out = Out::new();
    recorded::read(&load(config)?, webhooks, Prefer::ThisBuild, &mut |record| {
        out.line(&serde_json::to_string(&record)?)?;
        Ok(())
    })?;
    out.finish()?;
    Ok(OK)
}

/// Prints the events of one webhook.
fn normalize_one(args: &Args, provider: Provider) -> anyhow::Result<u8> {
    let mut body = Vec::new();
    match &args.file {
        Some(path) => body = std::fs::read(path).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?,
        None => drop(std::io::stdin().read_to_end(&mut body)?),
    }
    let source = match &args.source {
        Some(source) => source.clone(),
        None => provider.as_str().parse()?,
    };
    let webhook = Webhook {
        delivery_id: args.delivery_id.unwrap_or_else(|| DeliveryId::new(Uuid::now_v7())),
        source,
        provider,
        received_at: args.received_at.unwrap_or_else(Timestamp::now),
        headers: args.headers.iter().map(|(name, value)| (name, value.as_str())).collect::<Headers>(),
        body: body.into(),
    };
    let mut normalized = match providers::normalize(&webhook) {
        Ok(normalized) => normalized,
        Err(error) => {
            eprint_line(&format!("{}: {error}", error.reason()));
            return Ok(DATA);
        }
    };
    if let Some(region) = args.phone_region {
        normalized.add_e164(region);
    }
    let mut out = Out::new();
    for event in cloudevent::encode(&webhook, &normalized.key, &normalized.events) {
        out.line(&String::from_utf8_lossy(&event.body))?;
    }
    out.finish()?;
    for drift in &normalized.drift {
        eprint_line(&format!("drift: {} ({})", drift.path, drift.class));
    }
    Ok(OK)
}
