//! Reading a webhook: from its body to the events to publish. It is a worker's first step, and the trial of a
//! dead letter.

use std::collections::BTreeMap;

use crate::{
    config::{Config, Secret, Source, Subscription, TestRouting, Unsupported},
    core::{
        delivery::fault::{Fault, Reason},
        events::{
            cloudevent::{self, Encoded},
            event::Event,
            key::IdempotencyKey,
            redaction::{self, Profile, Redaction},
            topic,
        },
        providers::{self, Drift, NormalizeError, Normalized},
        webhook::Webhook,
    },
    edge::{amqp::names, panics},
};

/// The function that turns a webhook into events: a parameter, so that tests can make it fail.
pub type Normalize = for<'a> fn(&'a Webhook) -> Result<Normalized<'a>, NormalizeError>;

/// The most characters of an error text. It names paths whose length the sender chooses, and it travels in
/// the headers of a message, which must fit into one frame.
const ERROR_CHARS_MAX: usize = 1_000;

/// The events of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalizedWebhook {
    /// The idempotency key.
    pub key: IdempotencyKey,
    /// The redacted copies of the events, each for one subscription.
    pub copies: Vec<Encoded>,
    /// The events, in the order of publishing.
    pub events: Vec<Encoded>,
    /// The values that the provider's schema does not expect.
    pub drift: Vec<Drift>,
}

/// Reads a webhook. Pure but for catching panics.
///
/// # Errors
/// [`Fault`]
pub fn read(config: &Config, normalize: Normalize, webhook: &Webhook) -> Result<NormalizedWebhook, Fault> {
    let Some(source) = config.sources.get(&webhook.source) else {
        return Err(permanent(
            Reason::UnknownSource,
            format!("source `{}` is not configured: add it, then replay", webhook.source),
        ));
    };
    read_with(config, normalize, webhook, Some(source))
}

/// Reads a webhook as [`read`] does if its source is configured, otherwise with default settings.
///
/// # Errors
/// [`Fault`]
pub fn read_of_any_source(
    config: &Config,
    normalize: Normalize,
    webhook: &Webhook,
) -> Result<NormalizedWebhook, Fault> {
    read_with(config, normalize, webhook, config.sources.get(&webhook.source))
}

fn read_with(
    config: &Config,
    normalize: Normalize,
    webhook: &Webhook,
    source: Option<&Source>,
) -> Result<NormalizedWebhook, Fault> {
    let passes_on = source.is_some_and(|source| source.unsupported == Unsupported::PassOn);
    let region = source.and_then(|source| source.phone_region);
    let normalized = panics::catch(|| match normalize(webhook) {
        Err(NormalizeError::UnsupportedEvent(unknown)) if passes_on => providers::pass_on(webhook, *unknown),
        Ok(mut normalized) => {
            if let Some(region) = region {
                normalized.add_e164(region);
            }
            Ok(normalized)
        }
        Err(error) => Err(error),
    });
    let normalized = normalized
        .map_err(|location| Fault::Panicked { location })?
        .map_err(|error| permanent(error.reason(), error.to_string()))?;
    let (mut copies, mut events) = (Vec::new(), Vec::with_capacity(normalized.events.len()));
    let schema_base = &config.events.schema_base;
    let encoded = cloudevent::encode_with(schema_base, webhook, &normalized.key, &normalized.events);
    for (event, mut encoded) in normalized.events.iter().zip(encoded) {
        route(config, event, &mut encoded);
        check_size(config, &encoded, "an event")?;
        redact(config, webhook, &normalized.key, event, &encoded, &mut copies)?;
        events.push(encoded);
    }
    Ok(NormalizedWebhook { key: normalized.key, copies, events, drift: normalized.drift })
}

/// Refuses an event, or a copy, that the broker would refuse.
fn check_size(config: &Config, event: &Encoded, what: &str) -> Result<(), Fault> {
    let (size, max) = (event.bytes_max(), config.worker.event_bytes_max);
    if size <= max {
        return Ok(());
    }
    let error = format!("{what} can have {size} bytes, more than worker.event_bytes_max ({max})");
    Err(permanent(Reason::EventTooLarge, error))
}

/// Keeps a test apart if that is configured, and finds the subscriptions with a filter that get the event.
fn route(config: &Config, event: &Event<'_>, encoded: &mut Encoded) {
    if event.test && config.events.test_routing == TestRouting::Apart {
        encoded.routing_key.insert_str(0, cloudevent::TEST_PREFIX);
    }
    let gets = |subscription: &Subscription| {
        subscription.redact.profile().is_none()
            && !subscription.filter.is_empty()
            && asks_for(subscription, event, &encoded.routing_key)
    };
    let filtered = config.subscriptions.iter().filter(|(_, subscription)| gets(subscription));
    encoded.addressed_to = filtered.map(|(name, _)| name.clone()).collect();
}

/// Returns whether an event is one that the subscription asks for.
fn asks_for(subscription: &Subscription, event: &Event<'_>, routing_key: &str) -> bool {
    subscription.filter.accepts(event)
        && subscription.patterns.iter().any(|pattern| topic::is_match(pattern, routing_key))
}

/// Adds the redacted copies of an event: one for each subscription under its own key, so that the broker
/// tells of each whether its queue is bound. Those with the same profile share a body.
///
/// Tokens are longer than what they stand for, so a copy may be too large where its event is not.
fn redact(
    config: &Config,
    webhook: &Webhook,
    key: &IdempotencyKey,
    event: &Event<'_>,
    encoded: &Encoded,
    copies: &mut Vec<Encoded>,
) -> Result<(), Fault> {
    let mut made: Vec<(Profile, Encoded)> = Vec::new();
    for (name, subscription) in &config.subscriptions {
        let Some(profile) = subscription.redact.profile() else { continue };
        if !asks_for(subscription, event, &encoded.routing_key) {
            continue;
        }
        let known = made.iter().find(|(of, _)| *of == profile).map(|(_, copy)| copy.clone());
        let copy = known.unwrap_or_else(|| {
            let redaction =
                Redaction { profile, key: config.events.redaction_key.as_ref().map(Secret::reveal) };
            let schema_base = &config.events.schema_base;
            let copy = cloudevent::encode_redacted(schema_base, webhook, key, event, encoded, redaction);
            made.push((profile, copy.clone()));
            copy
        });
        check_size(config, &copy, &format!("the redacted copy for subscription `{name}`"))?;
        copies.push(Encoded { routing_key: names::addressed_key(name), ..copy });
    }
    Ok(())
}

/// Returns the version and the settings on which the result of [`read`] depends.
pub fn settings(config: &Config) -> BTreeMap<String, String> {
    let decides = |name: &str| {
        let is_of = |tables: &str, keys: &[&str]| {
            name.starts_with(tables) && keys.iter().any(|key| name.ends_with(&format!(".{key}")))
        };
        let filter = ["patterns", "test", "direction", "tenant", "connector"];
        let profile = ["redact", "redact_numbers", "redact_emails", "redact_names", "redact_texts"];
        ["worker.event_bytes_max", "events.test_routing", "events.schema_base"].contains(&name)
            || is_of("sources.", &["provider", "unsupported", "phone_region"])
            || is_of("subscriptions.", &filter)
            || is_of("subscriptions.", &profile)
    };
    let mut settings = config.values();
    settings.retain(|name, _| decides(name));
    if let Some(key) = &config.events.redaction_key {
        let fingerprint = format!("the key with the fingerprint {}", redaction::fingerprint(key.reveal()));
        settings.insert("events.redaction_key".to_owned(), fingerprint);
    }
    settings.insert("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    settings
}

fn permanent(reason: Reason, error: String) -> Fault {
    Fault::Permanent { reason, error: error.chars().take(ERROR_CHARS_MAX).collect() }
}
