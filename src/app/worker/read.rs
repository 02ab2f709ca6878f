//! From a webhook to the events that would be published: what a worker does first, and what trying a dead letter is.

use crate::{
    config::{Config, Unsupported},
    core::{
        delivery::fault::{Fault, Reason},
        events::{
            cloudevent::{self, Encoded},
            key::IdempotencyKey,
        },
        providers::{self, Drift, NormalizeError, Normalized},
        webhook::Webhook,
    },
    edge::panics,
};

/// What turns a webhook into events; a parameter, so that tests can make it fail.
pub type Normalize = for<'a> fn(&'a Webhook) -> Result<Normalized<'a>, NormalizeError>;

/// How many characters an error text may have: it names paths, a sender chooses how long those are, and it rides in a
/// message's headers, which must fit into one frame.
const ERROR_CHARS_MAX: usize = 1_000;

/// A webhook, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalizedWebhook {
    /// What makes another webhook the same fact.
    pub key: IdempotencyKey,
    /// The events, in the order of publishing.
    pub events: Vec<Encoded>,
    /// What the provider sent that we did not expect.
    pub drift: Vec<Drift>,
}

/// Reads a webhook; pure, but for catching panics.
///
/// # Errors
/// [`Fault`]: what is wrong with it.
pub fn read(config: &Config, normalize: Normalize, webhook: &Webhook) -> Result<NormalizedWebhook, Fault> {
    let Some(source) = config.sources.get(&webhook.source) else {
        return Err(permanent(
            Reason::UnknownSource,
            format!("no source `{}` is configured", webhook.source),
        ));
    };
    let normalized = panics::catch(|| match normalize(webhook) {
        Err(NormalizeError::UnsupportedEvent { .. }) if source.unsupported == Unsupported::PassOn => {
            providers::pass_on(webhook)
        }
        normalized => normalized,
    });
    let normalized = normalized
        .map_err(|location| Fault::Panicked { location })?
        .map_err(|error| permanent(error.reason(), error.to_string()))?;
    let mut events = Vec::with_capacity(normalized.events.len());
    for (position, event) in normalized.events.iter().enumerate() {
        let encoded = cloudevent::encode(webhook, &normalized.key, position, event);
        let (size, max) = (encoded.body.len(), config.worker.event_bytes_max);
        if size > max {
            let error = format!("an event of {size} bytes; worker.event_bytes_max is {max}");
            return Err(permanent(Reason::EventTooLarge, error));
        }
        events.push(encoded);
    }
    Ok(NormalizedWebhook { key: normalized.key, events, drift: normalized.drift })
}

fn permanent(reason: Reason, error: String) -> Fault {
    Fault::Permanent { reason, error: error.chars().take(ERROR_CHARS_MAX).collect() }
}
