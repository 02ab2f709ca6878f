//! Sending a webhook on to where it waits or rests: a delay queue, the dead-letter queue, or back to its raw queue.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::{
    core::{
        backoff::Tier,
        disposition::{Attempt, Disposition, Reason},
        key,
    },
    edge::amqp::{
        message::{self, Inbound},
        names,
        publisher::Publication,
    },
};

/// The message that a disposition asks for; none where the events were all.
pub fn send_on(inbound: &Inbound, disposition: &Disposition, now: Timestamp) -> Option<Publication> {
    match disposition {
        Disposition::Done { .. } | Disposition::Duplicate { .. } => None,
        Disposition::Retry { tier, attempt, error } => {
            Some(retry(inbound, *tier, *attempt, error.as_deref(), now))
        }
        Disposition::DeadLetter { reason, error, attempts } => {
            Some(dead_letter(inbound, *reason, error, *attempts, now))
        }
    }
}

/// The message that puts a webhook into a delay queue.
pub fn retry(
    inbound: &Inbound,
    tier: Tier,
    attempt: Attempt,
    error: Option<&str>,
    now: Timestamp,
) -> Publication {
    let mut waiting = inbound.clone();
    waiting.history.attempt = attempt;
    if let Some(error) = error {
        waiting.history.error = Some(error.to_owned());
        waiting.history.first_failed_at.get_or_insert(now);
        waiting.history.last_failed_at = Some(now);
    }
    let seed = key::body_fingerprint(inbound.webhook.delivery_id.to_string().as_bytes());
    let expiration = tier.delay_with_jitter(seed).as_millis().to_string();
    let mut publication = publication(&waiting, names::retry_exchange(tier));
    publication.properties = publication.properties.with_expiration(expiration.into());
    publication
}

/// The message that puts a webhook into its source's dead-letter queue.
pub fn dead_letter(
    inbound: &Inbound,
    reason: Reason,
    error: &str,
    attempts: Attempt,
    now: Timestamp,
) -> Publication {
    let mut dead = inbound.clone();
    let history = &mut dead.history;
    history.attempt = attempts;
    history.error = Some(error.to_owned());
    history.first_failed_at.get_or_insert(now);
    history.last_failed_at = Some(now);
    history.reason = Some(reason);
    history.version = Some(env!("CARGO_PKG_VERSION").to_owned());
    publication(&dead, names::DEAD_EXCHANGE.to_owned())
}

/// The message that sends a dead letter back to its raw queue: attempts start anew, the count of replays stays.
pub fn replay(letter: &Inbound) -> Publication {
    let mut again = letter.clone();
    again.history =
        message::History { replays: letter.history.replays.saturating_add(1), ..Default::default() };
    publication(&again, names::RAW_EXCHANGE.to_owned())
}

/// The message that brings a new webhook in.
pub fn accept(inbound: &Inbound) -> Publication {
    publication(inbound, names::RAW_EXCHANGE.to_owned())
}

fn publication(inbound: &Inbound, exchange: String) -> Publication {
    Publication {
        exchange,
        routing_key: inbound.webhook.source.to_string(),
        properties: message::properties(inbound),
        body: inbound.webhook.body.clone(),
        not_after: Instant::now() + Duration::from_secs(3600),
    }
}
