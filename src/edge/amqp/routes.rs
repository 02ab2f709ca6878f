//! Sending a webhook on to where it waits or rests: a delay queue, the dead-letter queue, or back to its raw queue.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    message, names,
    publish::{Publication, PublishError, Publisher},
};
use crate::core::{
    delivery::{
        disposition::Disposition,
        fault::{Attempt, Reason},
        queued::QueuedWebhook,
        retry::{Reconnect, Tier},
    },
    events::key::BodyHash,
    letters::{JournalRecord, Letter, LetterId},
    shard::Shard,
};

/// How long an operator's command waits for a confirm.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The message that a disposition asks for; none where the events were all.
pub fn send_on(inbound: &QueuedWebhook, disposition: &Disposition, now: Timestamp) -> Option<Publication> {
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
    inbound: &QueuedWebhook,
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
    let seed = BodyHash::of(inbound.webhook.delivery_id.to_string().as_bytes()).as_u64();
    let expiration = tier.delay_with_jitter(seed).as_millis().to_string();
    let mut publication = publication(&waiting, names::retry_exchange(tier));
    publication.properties = publication.properties.with_expiration(expiration.into());
    publication
}

/// The message that puts a webhook into its source's dead-letter queue.
pub fn dead_letter(
    inbound: &QueuedWebhook,
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
    shelve(&Letter { id: LetterId::new(Uuid::now_v7()), queued: dead })
}

/// The message that puts a letter into its source's dead-letter queue.
pub fn shelve(letter: &Letter) -> Publication {
    Publication {
        routing_key: letter.queued.webhook.source.to_string(),
        properties: message::letter_properties(letter.id, &letter.queued),
        ..publication(&letter.queued, names::DEAD_EXCHANGE.to_owned())
    }
}

/// The message that writes a letter to the log: the same message, after it is safe in its queue.
pub fn log(shelved: Publication) -> Publication {
    Publication { exchange: String::new(), routing_key: names::DEAD_LOG.to_owned(), ..shelved }
}

/// The message that sends a dead letter back to a raw queue: attempts start anew, its past deaths stay on record.
/// What becomes of it is noted under `wave`.
pub fn replay(letter: &QueuedWebhook, shard: Shard, wave: Option<String>) -> Publication {
    let again = QueuedWebhook { shard, history: letter.history.replayed(wave), ..letter.clone() };
    publication(&again, names::RAW_EXCHANGE.to_owned())
}

/// A record for the journal of jobs.
pub fn record(record: &JournalRecord, now: Timestamp) -> Publication {
    Publication {
        exchange: String::new(),
        routing_key: names::DEAD_JOBS.to_owned(),
        properties: message::record_properties(now),
        // Names, numbers and texts: nothing that could not be written.
        body: serde_json::to_vec(record).unwrap_or_default().into(),
        not_after: Instant::now() + PATIENCE,
    }
}

/// Publishes what may be published twice, trying again until `patience` is over.
///
/// # Errors
/// What the last try came to.
pub async fn publish_surely(
    publisher: &Publisher,
    patience: Duration,
    publication: impl Fn() -> Publication,
) -> Result<(), PublishError> {
    let (began, mut backoff) = (Instant::now(), Reconnect::default());
    loop {
        match publisher.publish(publication(), PATIENCE).await {
            Ok(()) => return Ok(()),
            Err(error) if began.elapsed() > patience => return Err(error),
            Err(_) => tokio::time::sleep(backoff.next_delay()).await,
        }
    }
}

/// The message that brings a new webhook in.
pub fn accept(inbound: &QueuedWebhook) -> Publication {
    publication(inbound, names::RAW_EXCHANGE.to_owned())
}

fn publication(inbound: &QueuedWebhook, exchange: String) -> Publication {
    Publication {
        exchange,
        routing_key: names::raw_key(&inbound.webhook.source, inbound.shard),
        properties: message::properties(inbound),
        body: inbound.webhook.body.clone(),
        not_after: Instant::now() + Duration::from_secs(3600),
    }
}
