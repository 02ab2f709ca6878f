//! The traces of deliveries.

use std::time::Instant;

use uuid::Uuid;

use crate::{
    core::{
        delivery::queued::QueuedWebhook,
        trace::{Trace, TraceParent, first_half},
        webhook::Webhook,
    },
    edge::traces::Tracer,
};

/// The trace of a delivery, if it is recorded.
pub(super) struct DeliveryTrace {
    pub(super) trace: Trace,
    /// The id of the delivery's span: each delivery of a webhook has its own.
    pub(super) span: [u8; 8],
    /// The webhook as its events show it.
    pub(super) webhook: Webhook,
    /// The times of the first message to publish and of the last confirm.
    pub(super) published: Option<(Instant, Instant)>,
}

impl DeliveryTrace {
    /// Begins the trace of a delivery. The span that stored the webhook decides, else the webhook itself.
    pub(super) fn begin(tracer: &Tracer, queued: &QueuedWebhook) -> Option<Box<Self>> {
        let of_webhook = || Trace::of(&queued.webhook, tracer.ratio());
        let trace = queued.trace.map_or_else(of_webhook, Trace::under)?;
        let webhook = trace.hand_on(&queued.webhook);
        let span = first_half(Uuid::new_v4());
        Some(Box::new(Self { trace, span, webhook, published: None }))
    }

    /// Notes that messages were published from `began` until now.
    pub(super) fn published(&mut self, began: Instant) {
        let (first, _) = self.published.unwrap_or((began, began));
        self.published = Some((first, Instant::now()));
    }

    /// Names the delivery's span.
    pub(super) fn named(&self) -> TraceParent {
        self.trace.span(self.span)
    }
}
