//! The life of deliveries, from taken to settled. [`Life`] decides what to do next; [`Processor`] does it.
//!
//! Every step takes any number of deliveries. Those that came together are claimed in one round trip,
//! published in one batch, marked done in one round trip and acked at once: otherwise these waits would be
//! most of the work. A delivery that diverges or hits an infrastructure error leaves the batch and is
//! processed alone, so that the others do not wait for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use jiff::Timestamp;

use super::{
    dead_log::DeadLog,
    drift_log::DriftLog,
    former::FormerSources,
    gate::Gate,
    in_work::{InWork, Plan, RawQueue, first_received},
    owners::Owners,
    read::{self, Normalize, NormalizedWebhook},
    report::report,
    spans,
    traced::DeliveryTrace,
    unmarked::Unmarked,
    unroutable::Unroutable,
};
use crate::{
    config::Config,
    core::{
        delivery::{
            disposition::{Disposition, Outcome},
            fault::{Fault, Reason},
            lifecycle::{Life, Step},
            retry::{Reconnect, Schedule},
        },
        webhook::{SourceName, Webhook},
    },
    edge::{
        amqp::{
            consume::{acks::Settler, delivery::Delivery},
            publish::Publisher,
        },
        metrics::WorkerMetrics,
        panics::TaskFailed,
        redis::Store,
        traces::Tracer,
        trouble::Trouble,
    },
    faults::{self, Point},
};

/// Processes deliveries, of all raw queues, under one configuration. A delivery ends with the one with which
/// it began.
#[derive(Clone)]
pub(super) struct Processor {
    pub(super) config: Arc<Config>,
    pub(super) schedule: Arc<Schedule>,
    pub(super) publisher: Publisher,
    pub(super) store: Store,
    pub(super) gate: Gate,
    pub(super) metrics: Arc<WorkerMetrics>,
    pub(super) dead_log: Arc<DeadLog>,
    pub(super) drift_log: Arc<DriftLog>,
    pub(super) normalize: Normalize,
    /// Held while a large body is read, so that one at a time takes the memory for that.
    pub(super) reading: Arc<tokio::sync::Mutex<()>>,
    pub(super) owners: Arc<Owners>,
    pub(super) unmarked: Arc<Unmarked>,
    pub(super) unroutable: Arc<Unroutable>,
    pub(super) former: Arc<FormerSources>,
    pub(super) tracer: Option<Tracer>,
}

/// The result of a batch.
pub(super) struct Batch {
    /// The processor, which stragglers need too.
    pub(super) processor: Arc<Processor>,
    /// The number of deliveries that are settled.
    pub(super) settled: usize,
    /// The memory that they took.
    pub(super) size: usize,
    /// The time at which the oldest was received, of those that are tried for the first time.
    pub(super) received: Option<Timestamp>,
    /// Set if downstream queues accepted events.
    pub(super) accepted: bool,
    /// Deliveries that left the batch.
    pub(super) stragglers: Vec<InWork>,
}

/// The reaction of downstream queues to the events of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// They accepted its events.
    Accepted,
    /// One of them refused an event.
    Refused,
}

/// Reads a webhook.
type Read = fn(&Config, Normalize, &Webhook) -> Result<NormalizedWebhook, Fault>;

/// The size from which a body is read on a thread of its own. Reading it takes hundreds of microseconds,
/// which would hold up all other queues.
const LARGE: usize = 64 << 10;

/// A delivery that cannot be settled any more, since its channel is gone: the broker redelivers it.
struct Abandoned;

impl Processor {
    /// Returns one for another configuration. Both know the same keys and sources.
    pub(super) fn with(&self, config: Arc<Config>) -> Self {
        let schedule = Arc::new(config.retry.schedule());
        Self { config, schedule, ..self.clone() }
    }

    /// Returns the time to live of the done marks of a source.
    pub(super) fn done_ttl(&self, source: &SourceName) -> Duration {
        let of_source = self.config.sources.get(source).and_then(|source| source.done_ttl);
        of_source.unwrap_or(self.config.dedup.done_ttl)
    }

    /// Processes deliveries together, as far as they take the same steps.
    pub(super) async fn process_batch(self: Arc<Self>, queue: &RawQueue, deliveries: Vec<Delivery>) -> Batch {
        let (received, mut all) = (first_received(&deliveries), Vec::with_capacity(deliveries.len()));
        for delivery in deliveries {
            all.push(self.begin(delivery).await);
        }
        self.claim(queue, at(&mut all, &Step::Claim)).await;
        // Messages at the same position go together, so that a webhook's events are published in their order.
        for position in 0.. {
            let publishing = at(&mut all, &Step::Publish(position));
            if publishing.is_empty() {
                break;
            }
            self.publish(queue, publishing, position).await;
        }
        self.mark_done(queue, at(&mut all, &Step::MarkDone)).await;
        let leaving = all.iter().filter(|work| !work.is_at(&Step::Ack));
        queue.settler.leave_alone(leaving.map(|work| &work.delivery));
        self.ack(queue, at(&mut all, &Step::Ack)).await;
        if let Some(tracer) = &self.tracer {
            spans::record_batch(tracer, &queue.source, &all);
        }
        let (settled, stragglers): (Vec<_>, _) = all.into_iter().partition(|work| work.is_at(&Step::End));
        let flows = join_all(settled.iter().map(|work| self.finish(queue, work))).await;
        let size = settled.iter().map(InWork::size).sum();
        let (settled, accepted) = (settled.len(), flows.contains(&Some(Flow::Accepted)));
        Batch { processor: self, settled, size, received, accepted, stragglers }
    }

    /// Processes one delivery to its end, and waits out every infrastructure error. Returns what it showed
    /// about its downstream queues, if anything.
    pub(super) async fn process_alone(&self, queue: &RawQueue, mut work: InWork) -> Option<Flow> {
        let mut backoff = Reconnect::default();
        loop {
            if let Some(trouble) = work.trouble.take() {
                self.wait_out(trouble, &mut backoff, &queue.settler).await.ok()?;
            }
            match work.life.step() {
                Step::Claim => self.claim(queue, vec![&mut work]).await,
                Step::Publish(position) => self.publish(queue, vec![&mut work], position).await,
                Step::MarkDone => self.mark_done(queue, vec![&mut work]).await,
                Step::Release => self.release(&mut work).await,
                Step::SendOn(_) => self.send_on(&mut work).await,
                Step::NoteDead => self.note_dead(queue, &mut work).await,
                Step::Ack => self.ack(queue, vec![&mut work]).await,
                Step::End => return self.finish(queue, &work).await,
            }
        }
    }

    /// Reads a delivery, and so decides its first step.
    async fn begin(&self, delivery: Delivery) -> InWork {
        let began = Instant::now();
        let attempt = delivery.queued.history.attempt;
        let begin = |tracer| DeliveryTrace::begin(tracer, &delivery.queued);
        let trace = self.tracer.as_ref().and_then(begin);
        let (plan, life) = match self.plan(&delivery, trace.as_deref()).await {
            Ok(plan) => {
                let life = Life::of_webhook(attempt, self.schedule.clone(), plan.body, plan.messages.len());
                (plan, life)
            }
            Err(outcome) => (Plan::empty(), Life::of_unread(attempt, self.schedule.clone(), outcome)),
        };
        faults::at(Point::Taken);
        InWork { delivery, plan, life, began, acked: false, refused: false, trouble: None, trace }
    }

    /// Turns a delivery into encoded events, and counts schema drift. Otherwise returns what becomes of it.
    async fn plan(&self, delivery: &Delivery, trace: Option<&DeliveryTrace>) -> Result<Plan, Outcome> {
        let webhook = &delivery.queued.webhook;
        if let Some(invalid) = &delivery.invalid {
            return Err(Fault::Permanent { reason: invalid.reason(), error: invalid.to_string() }.into());
        }
        // After one more crash the broker would dead-letter it without an entry in the ledger.
        if delivery.redeliveries >= self.config.retry.delivery_limit {
            let error = format!(
                "delivered {} times and never settled: it may crash its worker; replay it alone and watch \
                 the worker",
                delivery.redeliveries
            );
            return Err(Fault::Permanent { reason: Reason::DeliveryLimit, error }.into());
        }
        if delivery.came_back {
            return Err(Outcome::CameBack);
        }
        let read = self.read(trace.map_or(webhook, |trace| &trace.webhook)).await?;
        self.drift_log.note(webhook, &read.drift);
        for drift in &read.drift {
            if self.metrics.drifted(webhook.provider, drift) {
                let (path, class, delivery_id) = (&drift.path, drift.class, webhook.delivery_id);
                tracing::warn!(
                    provider = %webhook.provider, source = %webhook.source, %delivery_id, %path, class,
                    "schema drift: the provider sends an unexpected value; it is carried under `unmapped`"
                );
            }
        }
        Ok(Plan::new(webhook, read))
    }

    /// Reads a webhook, on a thread of its own if it is large.
    async fn read(&self, webhook: &Webhook) -> Result<NormalizedWebhook, Fault> {
        let is_former =
            !self.config.sources.contains_key(&webhook.source) && self.former.contains(&webhook.source);
        let read: Read = if is_former { read::read_of_any_source } else { read::read };
        if webhook.body.len() < LARGE {
            return read(&self.config, self.normalize, webhook);
        }
        let reading = self.reading.clone().lock_owned().await;
        let (config, normalize, webhook) = (self.config.clone(), self.normalize, webhook.clone());
        let read = tokio::task::spawn_blocking(move || {
            let _reading = reading;
            read(&config, normalize, &webhook)
        });
        read.await.unwrap_or_else(|error| {
            let location = format!("a thread that reads a large body: {}", TaskFailed::from(error));
            Err(Fault::Panicked { location })
        })
    }

    /// Waits until the next try makes sense, but not longer than the delivery can be settled.
    async fn wait_out(
        &self,
        trouble: Trouble,
        backoff: &mut Reconnect,
        settler: &Settler,
    ) -> Result<(), Abandoned> {
        let _waiting = matches!(trouble, Trouble::Topology).then(|| self.unroutable.wait());
        let again = async {
            tokio::time::sleep(backoff.next_delay()).await;
            self.gate.open().await;
        };
        tokio::select! {
            () = again => Ok(()),
            () = settler.gone() => Err(Abandoned),
        }
    }

    /// Reports a settled delivery to the replay that waits for it, in the log and in the metrics.
    async fn finish(&self, queue: &RawQueue, work: &InWork) -> Option<Flow> {
        let disposition = work.life.disposition()?;
        let queued = work.queued();
        if let Some(wave) = &queued.history.wave {
            // If this fails, the replay reports that it heard nothing of the letter.
            drop(self.store.note_fate(wave, queued.webhook.delivery_id, disposition).await);
        }
        report(queue, work, disposition);
        if let Some(tracer) = &self.tracer {
            spans::record(tracer, work, disposition);
        }
        match disposition {
            Disposition::Done { .. } => Some(Flow::Accepted),
            Disposition::Retry { .. } if work.refused => Some(Flow::Refused),
            Disposition::Duplicate { .. } | Disposition::Retry { .. } | Disposition::DeadLetter { .. } => {
                None
            }
        }
    }
}

/// Selects the deliveries whose next step is `step`.
fn at<'a>(all: &'a mut [InWork], step: &Step<'_>) -> Vec<&'a mut InWork> {
    all.iter_mut().filter(|work| work.is_at(step)).collect()
}
