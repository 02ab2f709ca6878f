//! The trace of a request to the receiver.

use std::time::Instant;

use axum::http::Method;

use crate::{
    core::{
        trace::{SpanOf, Trace, TraceParent, span_of},
        webhook::{DeliveryId, Webhook},
    },
    edge::traces::{
        Clock, Tracer,
        conventions::{self, Frame, Request, Stored},
    },
};

/// What is known of a request until its answer, where traces are on.
pub(super) struct RequestTrace<'t> {
    tracer: &'t Tracer,
    delivery_id: DeliveryId,
    method: Method,
    began: Instant,
    webhook: Decision,
}

/// Whether the trace of a request is recorded.
enum Decision {
    /// Not known: what a sender says of its trace does not count before it has proved who it is.
    Open,
    /// It is not.
    No,
    /// It is.
    Yes(Traced),
}

/// A webhook whose trace is recorded.
struct Traced {
    trace: Trace,
    bytes: usize,
    /// The time at which it was sent to the broker.
    sent: Option<Instant>,
}

impl<'t> RequestTrace<'t> {
    pub(super) fn begin(tracer: &'t Tracer, id: DeliveryId, method: &Method, began: Instant) -> Self {
        Self { tracer, delivery_id: id, method: method.clone(), began, webhook: Decision::Open }
    }

    /// Decides whether the trace of the request's webhook is recorded. Returns the span of storing it.
    pub(super) fn decide(&mut self, webhook: &Webhook) -> Option<TraceParent> {
        let Some(trace) = Trace::of(webhook, self.tracer.ratio()) else {
            self.webhook = Decision::No;
            return None;
        };
        self.webhook = Decision::Yes(Traced { trace, bytes: webhook.body.len(), sent: None });
        Some(trace.span(span_of(self.delivery_id, SpanOf::Storing)))
    }

    /// Notes that the webhook is now sent to the broker.
    pub(super) fn sent(&mut self) {
        if let Decision::Yes(webhook) = &mut self.webhook {
            webhook.sent = Some(Instant::now());
        }
    }

    /// Records the spans of a request that is answered.
    pub(super) fn end(self, source: &str, status: u16, refusal: Option<&'static str>) {
        let Self { tracer, delivery_id, method, began, webhook } = self;
        let webhook = match webhook {
            Decision::No => return,
            Decision::Open => None,
            Decision::Yes(webhook) => Some(webhook),
        };
        let begun = || Trace::root(delivery_id.uuid(), tracer.ratio());
        let Some(trace) = webhook.as_ref().map(|webhook| webhook.trace).or_else(begun) else { return };
        let clock = Clock::read();
        let [start, end] = [began, clock.now()].map(|moment| clock.time_of(moment));
        let id = span_of(delivery_id, SpanOf::Receiving);
        let frame = Frame { trace, id, parent: trace.parent, start, end };
        let request = Request { method: method.as_str(), source, status, refusal };
        let storing = webhook.and_then(|Traced { bytes, sent, .. }| {
            let (parent, start) = (Some(id), clock.time_of(sent?));
            let frame = Frame { id: span_of(delivery_id, SpanOf::Storing), parent, start, ..frame };
            let stored = Stored { source, delivery_id: delivery_id.to_string(), bytes };
            Some(conventions::storing(frame, stored, refusal))
        });
        tracer.record([conventions::request(frame, request)].into_iter().chain(storing));
    }
}
