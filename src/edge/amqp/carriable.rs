//! Whether a message can carry a webhook that no receiver accepted, such as one from a file.

use super::message::SHORT_STRING_MAX;
use crate::core::delivery::{head::Head, queued::QueuedWebhook};

/// A webhook that no message can carry as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncarriable {
    /// The content type is too long.
    #[error("the content type has {0} bytes, and AMQP permits {SHORT_STRING_MAX}")]
    ContentType(usize),
    /// All headers together are too large.
    #[error("its headers have {bytes} bytes as JSON: raise amqp.frame_max to at least {needed}")]
    TooLarge {
        /// Their size.
        bytes: usize,
        /// The frame that they need.
        needed: usize,
    },
}

/// The bytes that a head may gain on its way through the queues.
const GAIN: usize = 8 << 10;

/// Checks that a message can carry a webhook without loss, where frames have at most `frame_max` bytes.
///
/// # Errors
/// [`Uncarriable`]
pub fn check(queued: &QueuedWebhook, frame_max: u32) -> Result<(), Uncarriable> {
    if let Some(text) = queued.content_type.as_ref().filter(|text| text.len() > SHORT_STRING_MAX) {
        return Err(Uncarriable::ContentType(text.len()));
    }
    let bytes = Head::of(queued).to_json().len();
    // Seven eighths of a frame are for headers. An error text and ten deaths may be added.
    let needed = (bytes + GAIN) / 7 * 8;
    if needed > usize::try_from(frame_max).unwrap_or(usize::MAX) {
        return Err(Uncarriable::TooLarge { bytes, needed });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::core::{
        delivery::queued::History,
        providers::Provider,
        shard::Shard,
        webhook::{DeliveryId, Headers, Webhook},
    };

    fn queued() -> QueuedWebhook {
        let webhook = Webhook {
            delivery_id: DeliveryId::new(Uuid::nil()),
            source: "wavix-eu".parse().expect("a name"),
            provider: Provider::Wavix,
            received_at: Timestamp::UNIX_EPOCH,
            headers: Headers::default(),
            body: Default::default(),
        };
        let (entry, shard, history) = (None, Shard::FIRST, History::default());
        QueuedWebhook { webhook, content_type: None, entry, shard, trace: None, history }
    }

    #[test]
    fn a_webhook_that_no_message_can_carry_is_told_by_what_is_too_large() {
        let with = |name: &str, value: &str| {
            let mut queued = queued();
            queued.webhook.headers = Headers::from_iter([(name, value)]);
            check(&queued, 64 << 10)
        };
        assert_eq!(with("x", &"v".repeat(40 << 10)), Ok(()));
        assert!(matches!(with("x", &"v".repeat(50 << 10)), Err(Uncarriable::TooLarge { .. })));
        let value = "v".repeat(30 << 10);
        let mut twice = queued();
        twice.webhook.headers = Headers::from_iter([("x", &*value), ("x", &*value)]);
        assert!(matches!(check(&twice, 64 << 10), Err(Uncarriable::TooLarge { .. })));
        let content_type = Some("c".repeat(256));
        let queued = QueuedWebhook { content_type, ..queued() };
        assert_eq!(check(&queued, 64 << 10), Err(Uncarriable::ContentType(256)));
    }
}
