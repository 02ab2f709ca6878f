//! A lane: takes the deliveries of one raw queue and has them processed, as many at a time as its share
//! permits.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    batch::{Batch, Flow, Processor},
    in_work::RawQueue,
};
use crate::{
    app::fairness::Fairness,
    config,
    core::delivery::retry::Reconnect,
    edge::{
        amqp::{
            self,
            consume::{delivery::Delivery, raw::RawConsumer},
        },
        trouble::Trouble,
    },
};

/// Batches of a queue that are in work at a time: while one waits for Redis, another waits for confirms.
const BATCHES_MAX: usize = 4;

/// Webhooks that a batch has room for even where there is no room for [`BATCHES_MAX`] batches of them.
const BATCH_MIN: usize = 16;

/// The most webhooks in a batch: the scripts of Redis take no more than some thousand values at once.
const BATCH_MAX: usize = 512;

/// Upper bound on a batch's body bytes: about 10 ms of normalizing.
const BATCH_BYTES: usize = 1 << 20;

/// One raw queue's part of the pool.
pub(super) struct Lane {
    pub(super) queue: RawQueue,
    pub(super) consumer: RawConsumer,
    pub(super) processor: Arc<Processor>,
    pub(super) fairness: Arc<Fairness>,
    /// Once cancelled, the lane lets go of its queue as soon as it holds no delivery. Then no message of the
    /// queue is with this process.
    pub(super) release: CancellationToken,
}

impl Lane {
    /// Processes the queue's deliveries until `stop`, then finishes those in work. Deliveries that are there
    /// are processed in batches; those that leave their batch are processed alone.
    ///
    /// # Errors
    /// The channel is gone.
    pub(super) async fn run(self, stop: CancellationToken) -> Result<(), amqp::Error> {
        let Self { queue, mut consumer, processor, fairness, release } = self;
        // Delivered and not in work: never more than the prefetch.
        let mut waiting: VecDeque<Delivery> = VecDeque::new();
        let (mut batches, mut alone) = (FuturesUnordered::new(), FuturesUnordered::new());
        let mut in_work = 0;
        let mut downstream = Downstream::default();
        let mut in_flight = processor.metrics.in_flight(&queue.source);
        let mut ended = None;
        while ended.is_none() || in_work > 0 {
            let share = share(&processor.config.worker, fairness.others_are_active(&queue.source));
            let places = share.saturating_sub(in_work);
            let begins = ended.is_none() && !waiting.is_empty() && places > 0 && batches.len() < BATCHES_MAX;
            tokio::select! {
                Some(Batch { settled, accepted, stragglers }) = batches.next(), if !batches.is_empty() => {
                    in_work -= settled;
                    downstream.note(accepted.then_some(Flow::Accepted));
                    alone.extend(stragglers.into_iter().map(|work| processor.process_alone(&queue, work)));
                }
                Some(flow) = alone.next(), if !alone.is_empty() => {
                    in_work -= 1;
                    if downstream.note(flow) {
                        processor.metrics.paused(Trouble::DownstreamFull);
                    }
                }
                deliveries = consumer.next(), if ended.is_none() => match deliveries {
                    Some(deliveries) => waiting.extend(deliveries),
                    None => ended = Some(Err(amqp::Error::Lost("the channel is gone".to_owned()))),
                },
                () = may_begin(&processor, &downstream), if begins => {
                    let size = batch_size(&waiting, share, places);
                    in_work += size;
                    batches.push(processor.process_batch(&queue, waiting.drain(..size).collect()));
                }
                () = release.cancelled(), if ended.is_none() && waiting.is_empty() && in_work == 0 => {
                    consumer.stop([]).await;
                    ended = Some(Ok(()));
                }
                () = stop.cancelled(), if ended.is_none() => {
                    consumer.stop(waiting.drain(..)).await;
                    ended = Some(Ok(()));
                }
            }
            in_flight.set(waiting.len() + in_work);
            fairness.note(&queue.source);
        }
        ended.unwrap_or(Ok(()))
    }
}

/// Returns how many deliveries a queue may have in work.
fn share(config: &config::Worker, others_are_active: bool) -> usize {
    let config::Worker { concurrency, concurrency_shared, .. } = *config;
    if others_are_active { concurrency_shared.min(concurrency) } else { concurrency }
}

/// Waits until the services are up and the source's downstream queues may be tried.
async fn may_begin(processor: &Processor, downstream: &Downstream) {
    processor.gate.open().await;
    if let Some(until) = downstream.pause_until {
        sleep_until(until).await;
    }
}

/// Returns how many of the waiting deliveries make the next batch, of which `places` have room. Their
/// normalizing must not hold up other queues.
fn batch_size(waiting: &VecDeque<Delivery>, share: usize, places: usize) -> usize {
    // A small share makes two batches, so that one can wait for Redis while the other waits for confirms.
    let worthwhile = BATCH_MIN.min(share.div_ceil(2));
    let most = places.min(share.div_ceil(BATCHES_MAX).max(worthwhile)).min(BATCH_MAX);
    let mut bytes = 0;
    let fits = |delivery: &&Delivery| {
        let before = bytes;
        bytes += delivery.queued.webhook.body.len();
        before < BATCH_BYTES
    };
    waiting.iter().take(most).take_while(fits).count()
}

/// Slows down a source whose events are refused, so that its backlog does not race through the delay queue.
#[derive(Default)]
struct Downstream {
    backoff: Reconnect,
    pause_until: Option<Instant>,
}

impl Downstream {
    /// Takes note of what a delivery showed. Returns whether a pause begins.
    fn note(&mut self, flow: Option<Flow>) -> bool {
        match flow {
            Some(Flow::Accepted) => {
                self.backoff.reset();
                self.pause_until = None;
                false
            }
            Some(Flow::Refused) if self.pause_until.is_none_or(|until| until <= Instant::now()) => {
                self.pause_until = Some(Instant::now() + self.backoff.next_delay());
                true
            }
            Some(Flow::Refused) | None => false,
        }
    }
}
