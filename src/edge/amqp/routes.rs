//! Where messages go: a webhook to its raw queue, a delay queue or its dead-letter queue; a dead letter to
//! the log; a record to the journal of jobs.

use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    message, names,
    publish::{Publication, PublishError, Publisher},
};
use crate::core::{
    delivery::{
        bundle,
        disposition::Disposition,
        fault::{Attempt, Reason},
        queued::QueuedWebhook,
        retry::{Reconnect, Tier},
    },
    events::{cloudevent::Encoded, key::BodyHash},
    letters::{JournalRecord, Letter, LetterId},
    shard::Shard,
};

/// Time that a message may take to be sent and confirmed where an operator's command waits for it.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Time after which a webhook is not sent any more, unless the caller sets `not_after` itself.
const SEND_WITHIN: Duration = Duration::from_secs(3600);

/// Returns the message that brings a new webhook in.
pub fn accept(queued: &QueuedWebhook) -> Publication {
    publication(queued, names::RAW_EXCHANGE.to_owned())
}

/// Returns the message that brings new webhooks of one raw queue in: a bundle if they are several. None for
/// no webhook.
pub fn accept_together(webhooks: &[QueuedWebhook]) -> Option<Publication> {
    match webhooks {
        [] => None,
        [alone] => Some(accept(alone)),
        [first, ..] => Some(Publication {
            exchange: names::RAW_EXCHANGE.to_owned(),
            routing_key: names::raw_key(&first.webhook.source, first.shard),
            properties: message::bundle_properties(webhooks.len(), first.webhook.received_at),
            body: bundle::write(webhooks).into(),
            not_after: Instant::now() + SEND_WITHIN,
        }),
    }
}

/// Returns the message that a disposition sends the webhook on with, if any.
pub fn send_on(queued: &QueuedWebhook, disposition: &Disposition, now: Timestamp) -> Option<Publication> {
    match disposition {
        Disposition::Done { .. } | Disposition::Duplicate { .. } => None,
        Disposition::Retry { tier, attempt, error } => {
            Some(retry(queued, *tier, *attempt, error.as_deref(), now))
        }
        Disposition::DeadLetter { reason, error, attempts } => {
            Some(give_up(queued, *reason, error, *attempts, now))
        }
    }
}

/// Returns the exchange to which an event is published.
pub fn exchange_of(event: &Encoded) -> &'static str {
    if event.is_redacted { names::REDACTED_EXCHANGE } else { names::PUBLISHED_EXCHANGE }
}

/// Returns the message that puts a webhook into a delay queue.
fn retry(
    queued: &QueuedWebhook,
    tier: Tier,
    attempt: Attempt,
    error: Option<&str>,
    now: Timestamp,
) -> Publication {
    let mut waiting = queued.clone();
    waiting.history.attempt = attempt;
    if let Some(error) = error {
        waiting.history.error = Some(error.to_owned());
        waiting.history.first_failed_at.get_or_insert(now);
        waiting.history.last_failed_at = Some(now);
    }
    let seed = BodyHash::of(queued.webhook.delivery_id.to_string().as_bytes()).as_u64();
    let expiration = tier.delay_with_jitter(seed).as_millis().to_string();
    let mut publication = publication(&waiting, names::retry_exchange(tier));
    publication.properties = publication.properties.with_expiration(expiration.into());
    publication
}

/// Returns the message that makes a failed webhook a dead letter, with a new id.
fn give_up(
    queued: &QueuedWebhook,
    reason: Reason,
    error: &str,
    attempts: Attempt,
    now: Timestamp,
) -> Publication {
    let mut dead = queued.clone();
    let history = &mut dead.history;
    history.attempt = attempts;
    history.error = Some(error.to_owned());
    history.first_failed_at.get_or_insert(now);
    history.last_failed_at = Some(now);
    history.reason = Some(reason);
    history.version = Some(env!("CARGO_PKG_VERSION").to_owned());
    dead_letter(&Letter { id: LetterId::new(Uuid::now_v7()), queued: dead })
}

/// Returns the message that puts a letter into its source's dead-letter queue.
pub fn dead_letter(letter: &Letter) -> Publication {
    let webhook = &letter.queued.webhook;
    Publication {
        exchange: names::DEAD_EXCHANGE.to_owned(),
        routing_key: webhook.source.to_string(),
        properties: message::letter_properties(letter.id, &letter.queued),
        body: webhook.body.clone(),
        not_after: Instant::now() + SEND_WITHIN,
    }
}

/// Returns the message that lists a dead letter in the log. Publish it after the letter is confirmed in its
/// queue.
pub fn log_entry(dead_letter: Publication) -> Publication {
    Publication {
        exchange: names::DEFAULT_EXCHANGE.to_owned(),
        routing_key: names::DEAD_LOG.to_owned(),
        ..dead_letter
    }
}

/// Returns the message that sends a dead letter back to a raw queue. Its attempts start over; its earlier
/// deaths stay on record. The worker notes its outcome under `wave`.
pub fn replay(letter: &QueuedWebhook, shard: Shard, wave: Option<String>) -> Publication {
    let again = QueuedWebhook { shard, history: letter.history.replayed(wave), ..letter.clone() };
    publication(&again, names::RAW_EXCHANGE.to_owned())
}

/// Returns the message that is sent through a delay queue to see whether it comes out.
pub fn canary(tier: Tier, id: Uuid, now: Timestamp) -> Publication {
    Publication {
        exchange: names::retry_exchange(tier),
        routing_key: names::CANARY_KEY.to_owned(),
        properties: message::canary_properties(id, now),
        body: Bytes::new(),
        not_after: Instant::now() + PATIENCE,
    }
}

/// Returns the message that adds a record to the journal of jobs.
pub fn record(record: &JournalRecord, now: Timestamp) -> Publication {
    Publication {
        exchange: names::DEFAULT_EXCHANGE.to_owned(),
        routing_key: names::DEAD_JOBS.to_owned(),
        properties: message::record_properties(now),
        // Names, numbers and texts always serialize.
        body: serde_json::to_vec(record).unwrap_or_default().into(),
        not_after: Instant::now() + PATIENCE,
    }
}

/// Publishes a message that may arrive twice, and retries until it is confirmed or `patience` is over.
///
/// # Errors
/// The last try's error.
pub async fn publish_until_confirmed(
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

fn publication(queued: &QueuedWebhook, exchange: String) -> Publication {
    Publication {
        exchange,
        routing_key: names::raw_key(&queued.webhook.source, queued.shard),
        properties: message::properties(queued),
        body: queued.webhook.body.clone(),
        not_after: Instant::now() + SEND_WITHIN,
    }
}
