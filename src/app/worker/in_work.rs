//! A delivery in work, and the queue that it came from.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use jiff::Timestamp;

use super::{memory::LaneMemory, read::NormalizedWebhook, traced::DeliveryTrace};
use crate::{
    core::{
        delivery::{
            lifecycle::{Answer, Life, Step},
            queued::QueuedWebhook,
            retry::Schedule,
        },
        events::{
            cloudevent::Encoded,
            key::{BodyHash, StoreKey},
            order::Place,
        },
        webhook::{SourceName, Webhook},
    },
    edge::{
        amqp::consume::{acks::Settler, delivery::Delivery},
        metrics::SourceMetrics,
        trouble::Trouble,
    },
};

/// A raw queue, as far as the steps of its deliveries need to know it.
pub(super) struct RawQueue {
    pub(super) source: SourceName,
    pub(super) settler: Settler,
    pub(super) metrics: SourceMetrics,
}

/// A delivery in work.
pub(super) struct InWork {
    pub(super) delivery: Delivery,
    pub(super) plan: Plan,
    pub(super) life: Life<Arc<Schedule>>,
    /// The time at which work on it began.
    pub(super) began: Instant,
    /// Set if its ack was written, or an ack that includes it will be.
    pub(super) acked: bool,
    /// Set if a downstream queue refused one of its events.
    pub(super) refused: bool,
    /// The infrastructure error to wait out before the next step.
    pub(super) trouble: Option<Trouble>,
    /// Its trace, if that is recorded.
    pub(super) trace: Option<Box<DeliveryTrace>>,
}

/// The events to publish for a webhook, and the key under which they are published.
pub(super) struct Plan {
    pub(super) key: StoreKey,
    pub(super) body: BodyHash,
    /// The redacted copies, then the events: `Topology::apply` says why in this order.
    pub(super) messages: Vec<Encoded>,
    /// The last place of the events.
    pub(super) place: Option<Place>,
    /// The last place of the events about their object that were published before the claim.
    pub(super) published: Option<Place>,
    /// The token of the claim; issued when it is first needed.
    pub(super) owner: String,
    /// The claim's fence: nothing is published after it.
    pub(super) not_after: Instant,
}

impl Plan {
    pub(super) fn new(webhook: &Webhook, normalized: NormalizedWebhook) -> Self {
        let (key, body) = (normalized.key.store_key(&webhook.source), BodyHash::of(&webhook.body));
        let place = Place::last(normalized.events.iter().filter_map(|event| event.place));
        let mut messages = normalized.copies;
        messages.extend(normalized.events);
        let (published, owner, not_after) = (None, String::new(), Instant::now());
        Self { key, body, messages, place, published, owner, not_after }
    }

    /// Creates the plan of a webhook that cannot be read: no step of its life uses it.
    pub(super) fn empty() -> Self {
        let (key, body, messages) = (StoreKey::default(), BodyHash::default(), Vec::new());
        let (place, published, owner, not_after) = (None, None, String::new(), Instant::now());
        Self { key, body, messages, place, published, owner, not_after }
    }

    /// Returns how many events there are, without their copies.
    pub(super) fn events(&self) -> usize {
        self.messages.iter().filter(|message| !message.is_redacted).count()
    }

    /// Returns the JSON text of the message at `position`, which says whether its event is late.
    pub(super) fn message_body(&self, position: usize) -> Bytes {
        let message = &self.messages[position];
        let is_late =
            message.place.zip(self.published).is_some_and(|(own, published)| own.is_before(&published));
        if is_late { message.late_body() } else { message.body.clone() }
    }
}

impl InWork {
    /// Returns the webhook.
    pub(super) fn queued(&self) -> &QueuedWebhook {
        &self.delivery.queued
    }

    /// Returns the webhook as its events show it.
    pub(super) fn shown(&self) -> &Webhook {
        self.trace.as_ref().map_or(&self.queued().webhook, |trace| &trace.webhook)
    }

    /// Returns the memory that its delivery took while it waited.
    pub(super) fn size(&self) -> usize {
        LaneMemory::size(&self.queued().webhook.body)
    }

    /// Returns whether `step` is next, with nothing to wait for.
    pub(super) fn is_at(&self, step: &Step<'_>) -> bool {
        self.trouble.is_none() && self.life.step() == *step
    }

    /// Advances with the result of the current step.
    pub(super) fn answered(&mut self, answer: Result<Answer, Trouble>) {
        self.refused |= answer == Ok(Answer::Refused);
        self.trouble = answer.as_ref().err().copied();
        self.life.after(answer.unwrap_or(Answer::Trouble));
    }
}

/// Returns when the oldest webhook of a batch was received, of those that are tried for the first time.
pub(super) fn first_received(batch: &[Delivery]) -> Option<Timestamp> {
    batch.iter().filter_map(|delivery| delivery.queued.first_received()).min()
}
