//! `hookswitch normalize`

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{
    exit::{DATA, OK, Usage},
    fields::{self, Show, Traced},
    help,
    load::load,
    moment,
    output::{Out, eprint_line},
    recorded::{self, Prefer, header},
};
use crate::{
    app::worker::read::{Normalize, NormalizedWebhook, read_of_any_source},
    core::{
        delivery::fault::Fault,
        events::{cloudevent, phone::PhoneRegion},
        printable::printable,
        providers::{self, NormalizeError, Provider},
        webhook::{DeliveryId, Headers, SourceName, Webhook},
    },
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
///
/// With --fields, says instead of the events where each of their fields comes from: the JSON pointers of
/// field and source, and the rule; and how the idempotency key is made. This is found by changing one value
/// of the webhook at a time, and reading it again.
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
    /// Say where each field of the events comes from, without personal data
    #[arg(long)]
    fields: bool,
    /// With --fields: show personal data, which the input holds anyway
    #[arg(long, requires = "fields")]
    reveal: bool,
    /// With --fields: print one JSON object a webhook
    #[arg(long, requires = "fields")]
    json: bool,
    /// With --fields: print whole lines, even where the terminal is narrower
    #[arg(long, requires = "fields")]
    wide: bool,
}

pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<u8> {
    match (&args.webhooks, args.provider) {
        (Some(webhooks), _) if args.fields => fields_of_many(args, webhooks, config),
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

/// Prints where the fields of each webhook of a file or folder come from.
fn fields_of_many(args: &Args, webhooks: &Path, config: Option<&Path>) -> anyhow::Result<u8> {
    let config = load(config)?;
    let mut out = Out::new();
    recorded::webhooks(webhooks, &mut |id, webhook| {
        let read = |normalize: Normalize, webhook: &Webhook| {
            let in_words = |fault: Fault| format!("{}: {fault}", fault.reason());
            read_of_any_source(&config, normalize, webhook).map_err(in_words)
        };
        match fields::trace(&webhook, read) {
            Ok(traced) => print_fields(args, Some(&id), &traced, &mut out),
            Err(error) if args.json => {
                out.line(&json!({ "webhook": id, "error": error }).to_string())?;
                Ok(())
            }
            Err(error) => {
                out.line(&format!("webhook {id}\nnot normalized: {}", printable(&error)))?;
                Ok(())
            }
        }
    })?;
    out.finish()?;
    Ok(OK)
}

/// Prints where the fields of a webhook come from. One of many has an id.
fn print_fields(args: &Args, id: Option<&str>, traced: &Traced, out: &mut Out) -> anyhow::Result<()> {
    let show = Show { reveal: args.reveal, wide: args.wide };
    if args.json {
        let mut json = traced.fields_as_json(show);
        json["key"] = traced.key_as_json(show);
        if let Some(id) = id {
            json["webhook"] = id.into();
        }
        out.line(&json.to_string())?;
        return Ok(());
    }
    if let Some(id) = id {
        out.line(&format!("webhook {}", printable(id)))?;
    }
    out.line(&format!("key made of {}", printable(&traced.key_in_words(show))))?;
    traced.print(show, out)
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
    let read = |normalize: Normalize, webhook: &Webhook| read(normalize, webhook, args.phone_region);
    let mut out = Out::new();
    if args.fields {
        match fields::trace(&webhook, read) {
            Ok(traced) => print_fields(args, None, &traced, &mut out)?,
            Err(error) => return refuse(&error),
        }
        out.finish()?;
        return Ok(OK);
    }
    let NormalizedWebhook { events, drift, .. } = match read(providers::normalize, &webhook) {
        Ok(normalized) => normalized,
        Err(error) => return refuse(&error),
    };
    for event in events {
        out.line(&String::from_utf8_lossy(&event.body))?;
    }
    out.finish()?;
    for drift in &drift {
        eprint_line(&format!("drift: {} ({})", drift.path, drift.class));
    }
    Ok(OK)
}

/// Says why a webhook cannot be normalized.
fn refuse(error: &str) -> anyhow::Result<u8> {
    eprint_line(error);
    Ok(DATA)
}

/// Reads a webhook without a configuration.
fn read(
    normalize: Normalize,
    webhook: &Webhook,
    region: Option<PhoneRegion>,
) -> Result<NormalizedWebhook, String> {
    let in_words = |error: NormalizeError| format!("{}: {error}", error.reason());
    let mut normalized = normalize(webhook).map_err(in_words)?;
    if let Some(region) = region {
        normalized.add_e164(region);
    }
    let events = cloudevent::encode(webhook, &normalized.key, &normalized.events).collect();
    Ok(NormalizedWebhook { copies: Vec::new(), events, key: normalized.key, drift: normalized.drift })
}
