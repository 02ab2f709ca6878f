//! The parts of a letter that `list` and `show` have in common.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::core::{delivery::fault::Reason, letters::Letter, printable::printable};

/// Returns a letter without its body and headers.
pub(super) fn summary(letter: &Letter) -> Value {
    let (webhook, history) = (&letter.queued.webhook, &letter.queued.history);
    json!({
        "id": webhook.delivery_id,
        "letter": letter.id.to_string(),
        "source": webhook.source,
        "provider": webhook.provider,
        "reason": history.reason,
        "fingerprint": letter.fingerprint().to_string(),
        "error": history.error,
        "attempts": history.attempt.0,
        "received_at": webhook.received_at,
        "first_failed_at": history.first_failed_at,
        "last_failed_at": history.last_failed_at,
        "version": history.version,
        "replays": history.replays,
        "past": history.past,
        "bytes": webhook.body.len(),
    })
}

/// Returns the error text in one line. A letter from the broker has none.
pub(super) fn error_text(letter: &Letter) -> Cow<'_, str> {
    printable(letter.queued.history.error.as_deref().unwrap_or("(none: dead-lettered by the broker)"))
}

/// Returns the word for a reason. A letter from the broker may have no known one.
pub(super) fn reason_word(reason: Option<Reason>) -> String {
    reason.map_or("unknown", Reason::as_str).to_owned()
}
