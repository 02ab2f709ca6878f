//! The report of a settled delivery.

use super::in_work::{InWork, RawQueue};
use crate::core::delivery::disposition::Disposition;

/// Writes the one log line of a delivery, and counts it.
pub(super) fn report(queue: &RawQueue, work: &InWork, disposition: &Disposition) {
    let took = work.began.elapsed();
    queue.metrics.settled(disposition, took);
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let (source, delivery_id, acked) = (&queue.source, work.queued().webhook.delivery_id, work.acked);
    let word = disposition.as_str();
    match disposition {
        Disposition::Done { .. } => {
            let events = work.plan.events();
            tracing::info!(%source, %delivery_id, disposition = word, acked, took_ms, events, "{word}");
        }
        Disposition::Duplicate { other_body } => {
            tracing::info!(%source, %delivery_id, disposition = word, acked, took_ms, other_body, "{word}");
        }
        Disposition::Retry { tier, attempt, error } => {
            let (tier, attempt, error) = (tier.name(), attempt.0, error.as_deref().unwrap_or_default());
            tracing::info!(
                %source, %delivery_id, disposition = word, acked, took_ms, tier, attempt, error, "{word}"
            );
        }
        Disposition::DeadLetter { reason, error, attempts } => {
            let attempts = attempts.0;
            tracing::warn!(
                %source, %delivery_id, disposition = word, acked, took_ms, %reason, %error, attempts, "{word}"
            );
        }
    }
}
