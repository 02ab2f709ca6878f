//! The spans of deliveries and batches.

use uuid::Uuid;

use super::{in_work::InWork, traced::DeliveryTrace};
use crate::{
    core::{
        delivery::disposition::Disposition,
        trace::{SampleRatio, SpanOf, Trace, first_half, span_of},
        webhook::SourceName,
    },
    edge::traces::{
        Clock, Tracer,
        conventions::{self, Frame},
    },
};

/// Records the spans of a settled delivery.
pub(super) fn record(tracer: &Tracer, work: &InWork, disposition: &Disposition) {
    let Some(DeliveryTrace { trace, span, published, .. }) = work.trace.as_deref() else { return };
    let (clock, queued) = (Clock::read(), work.queued());
    let [start, end] = [work.began, clock.now()].map(|moment| clock.time_of(moment));
    let frame = Frame { trace: *trace, id: *span, parent: trace.parent, start, end };
    // The span of events that were refused is that of their next publishing, which has the same id.
    let is_done = matches!(disposition, Disposition::Done { .. });
    let publishing = published.filter(|_| is_done).map(|(first, last)| {
        let id = span_of(queued.webhook.delivery_id, SpanOf::Publishing);
        let [start, end] = [first, last].map(|moment| clock.time_of(moment));
        let frame = Frame { id, parent: Some(*span), start, end, ..frame };
        conventions::publishing(frame, queued, &work.plan.messages)
    });
    tracer.record([conventions::processing(frame, queued, disposition)].into_iter().chain(publishing));
}

/// Records the span of a batch, if a trace of its deliveries is recorded.
pub(super) fn record_batch(tracer: &Tracer, source: &SourceName, all: &[InWork]) {
    let ([first, _, ..], mut traced) = (all, all.iter().filter_map(|work| work.trace.as_deref()).peekable())
    else {
        return;
    };
    let Some(trace) = traced.peek().and_then(|_| Trace::root(Uuid::new_v4(), SampleRatio::ALL)) else {
        return;
    };
    let deliveries: Vec<_> = traced.map(DeliveryTrace::named).collect();
    let clock = Clock::read();
    let [start, end] = [first.began, clock.now()].map(|moment| clock.time_of(moment));
    let frame = Frame { trace, id: first_half(Uuid::new_v4()), parent: None, start, end };
    let shard = first.queued().shard;
    tracer.record([conventions::batch(frame, source, shard, all.len(), &deliveries)]);
}
