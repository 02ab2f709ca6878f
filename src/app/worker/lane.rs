//! A lane: takes the deliveries of one raw queue and has them processed, as many at a time as its share
//! permits.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    batch::{Batch, Flow, Processor},
    in_hand::InHand,
    in_work::{InWork, RawQueue},
    inbox::Inbox,
    memory::{LaneMemory, Memory},
};
use crate::{
    app::fairness::Fairness,
    config,
    core::{delivery::retry::Reconnect, providers::Provider, shard::Shard, webhook::SourceName},
    edge::{
        amqp::{
            self, Connection,
            consume::{delivery::Delivery, raw::RawConsumer},
        },
        metrics::WorkerMetrics,
        trouble::Trouble,
    },
};

/// Batches of a queue that are in work at a time: while one waits for Redis, another waits for confirms.
const BATCHES_MAX: usize = 4;

/// Webhooks that a batch has room for even where there is no room for [`BATCHES_MAX`] batches of them.
const BATCH_MIN: usize = 16;

/// The most webhooks in a batch: the scripts of Redis take no more than some thousand values at once.
const BATCH_MAX: usize = 512;

/// Time after which a lane that is to begin anew waits no longer for deliveries that left their batch. They
/// may wait until somebody mends something, and come again.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// A raw queue, and the provider that its lane takes for that of messages that name none.
pub(super) type LaneOf = (SourceName, Shard, Provider);

/// What the lanes of one connection have in common.
#[derive(Clone)]
pub(super) struct Common {
    /// The newest processor.
    pub(super) newest: watch::Receiver<Arc<Processor>>,
    pub(super) fairness: Arc<Fairness>,
    pub(super) memory: Arc<Memory>,
    pub(super) connection: Arc<Connection>,
}

impl Common {
    /// Opens the lane of a raw queue, which `stop` and `release` end (see [`Lane`]).
    ///
    /// # Errors
    /// The queue is missing, or the channel or connection failed.
    pub(super) async fn open(
        &self,
        (source, shard, provider): LaneOf,
        stop: CancellationToken,
        release: CancellationToken,
    ) -> Result<Lane, amqp::Error> {
        let Self { newest, fairness, memory, connection } = self.clone();
        let processor = newest.borrow().clone();
        let memory = memory.lane(processor.config.worker.prefetch);
        let messages = memory.messages();
        let consumer = RawConsumer::open(&connection, source.clone(), shard, provider, messages).await?;
        let metrics = processor.metrics.of_source(&source);
        let queue = RawQueue { settler: consumer.settler(), metrics, source };
        Ok(Lane { queue, consumer, newest, fairness, release, stop, memory, connection })
    }
}

/// One raw queue's part of the pool.
pub(super) struct Lane {
    queue: RawQueue,
    consumer: RawConsumer,
    /// The newest processor.
    newest: watch::Receiver<Arc<Processor>>,
    fairness: Arc<Fairness>,
    /// Once cancelled, the lane lets go of its queue as soon as it holds no delivery. Then no message of the
    /// queue is with this process.
    release: CancellationToken,
    /// Once cancelled, the lane finishes what is in work and requeues the rest.
    stop: CancellationToken,
    memory: LaneMemory,
    connection: Arc<Connection>,
}

/// The reason why a lane ends its consumer.
enum Ended {
    /// It is to stop.
    Stopped,
    /// Bodies had no room, or have more of it now: the prefetch changes.
    Resized,
}

impl Lane {
    /// Processes the queue's deliveries until its stop, then finishes those in work.
    ///
    /// # Errors
    /// The channel is gone.
    pub(super) async fn run(mut self) -> Result<(), amqp::Error> {
        while let Ended::Resized = self.consume().await? {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                () = self.release.cancelled() => return Ok(()),
                () = self.memory.change_prefetch() => {}
            }
            let messages = self.memory.messages();
            tracing::debug!(source = %self.queue.source, messages, "the prefetch changes");
            self.consumer = self.consumer.again(&self.connection, messages).await?;
            self.queue.settler = self.consumer.settler();
        }
        Ok(())
    }

    /// Processes deliveries until its stop, or until another prefetch fits better. Deliveries that are there
    /// are processed in batches; those that leave their batch are processed alone. Before it asks for another
    /// prefetch it drains: no more is taken, what waits is processed, and what had no room is requeued.
    async fn consume(&mut self) -> Result<Ended, amqp::Error> {
        let Self { queue, consumer, newest, fairness, release, stop, memory, .. } = self;
        let (mut downstream, mut processor) = (Downstream::default(), take_newest(newest, memory));
        let (queue, mut inbox) = (&*queue, Inbox::new(memory));
        let (mut batches, mut alone) = (FuturesUnordered::new(), FuturesUnordered::new());
        let (mut in_hand, mut drains, mut ended) = (InHand::new(queue, &processor.metrics), None, None);
        while ended.is_none() || in_hand.in_work > 0 {
            let share = share(&processor, inbox.memory, fairness.others_are_active(&queue.source));
            let places = share.saturating_sub(in_hand.in_work);
            let next =
                inbox.next_size().filter(|_| ended.is_none() && places > 0 && batches.len() < BATCHES_MAX);
            let takes = ended.is_none() && drains.is_none();
            let empties = ended.is_none() && inbox.next_size().is_none() && batches.is_empty();
            tokio::select! {
                Some(batch) = batches.next() => {
                    in_hand.end_batch(&batch);
                    let Batch { processor, size, accepted, stragglers, .. } = batch;
                    inbox.memory.finished(size);
                    downstream.note(accepted.then_some(Flow::Accepted), &processor.metrics);
                    let alone_with = |work| process_alone(processor.clone(), queue, work);
                    alone.extend(stragglers.into_iter().map(alone_with));
                }
                Some((size, received, flow)) = alone.next() => {
                    in_hand.end_one(received);
                    inbox.memory.finished(size);
                    downstream.note(flow, &processor.metrics);
                }
                deliveries = consumer.next(), if takes => match deliveries {
                    Some(arrived) => arrived.into_iter().for_each(|delivery| inbox.add(delivery, queue)),
                    None => ended = Some(Err(amqp::Error::Lost("the channel is gone".to_owned()))),
                },
                () = may_begin(&processor, &downstream, inbox.memory, next), if next.is_some() => {
                    let batch = inbox.next_batch(batch_max(share, places));
                    in_hand.begin(&batch, queue);
                    batches.push(processor.clone().process_batch(queue, batch));
                }
                Ok(()) = newest.changed() => processor = take_newest(newest, inbox.memory),
                () = release.cancelled(), if takes && in_hand.len(&inbox) == 0 => {
                    ended = Some(Ok(let_go(consumer, []).await));
                }
                () = drained(drains, &in_hand), if empties && drains.is_some() => {
                    ended = Some(consumer.close().await.map(|()| Ended::Resized));
                }
                () = stop.cancelled(), if ended.is_none() => {
                    let rest = inbox.take_rest();
                    in_hand.begin(&rest, queue);
                    batches.push(processor.clone().process_batch(queue, rest));
                    ended = Some(Ok(let_go(consumer, inbox.take_waiting()).await));
                }
            }
            if takes && ended.is_none() && inbox.memory.wants_other_prefetch(in_hand.len(&inbox)) {
                drains = Some(Instant::now() + DRAIN_MAX);
                ended = consumer.cancel(|delivery| inbox.add(delivery, queue)).await.err().map(Err);
            }
            in_hand.show(&inbox);
            fairness.note(&queue.source);
        }
        ended.unwrap_or(Ok(Ended::Stopped))
    }
}

/// Stops consuming, and gives back what waits.
async fn let_go(consumer: &mut RawConsumer, waiting: impl IntoIterator<Item = Delivery>) -> Ended {
    consumer.stop(waiting).await;
    Ended::Stopped
}

/// Processes one delivery to its end. Returns the memory that it took, when it was received if it is tried
/// for the first time, and what it showed.
async fn process_alone(
    processor: Arc<Processor>,
    queue: &RawQueue,
    work: InWork,
) -> (usize, Option<Timestamp>, Option<Flow>) {
    let (size, received) = (work.size(), work.queued().first_received());
    (size, received, processor.process_alone(queue, work).await)
}

/// Returns the newest processor. From now on its prefetch is the most for the lane.
fn take_newest(newest: &mut watch::Receiver<Arc<Processor>>, memory: &mut LaneMemory) -> Arc<Processor> {
    let processor = newest.borrow_and_update().clone();
    memory.set_prefetch_max(processor.config.worker.prefetch);
    processor
}

/// Returns how many deliveries a queue may have in work.
fn share(processor: &Processor, memory: &LaneMemory, others_are_active: bool) -> usize {
    let config::Worker { concurrency, concurrency_shared, .. } = processor.config.worker;
    let share = if others_are_active { concurrency_shared.min(concurrency) } else { concurrency };
    share.min(memory.concurrency_max())
}

/// Waits until the services are up, the source's downstream queues may be tried, and work on `next` bytes has
/// room.
async fn may_begin(processor: &Processor, downstream: &Downstream, memory: &LaneMemory, next: Option<usize>) {
    processor.gate.open().await;
    if let Some(until) = downstream.pause_until {
        sleep_until(until).await;
    }
    memory.room_to_begin(next.unwrap_or_default()).await;
}

/// Waits until nothing is in work any more, but not longer than until `drains`.
async fn drained(drains: Option<Instant>, in_hand: &InHand) {
    if let Some(until) = drains.filter(|_| in_hand.in_work > 0) {
        sleep_until(until).await;
    }
}

/// Returns the most webhooks of the next batch, if `places` have room.
fn batch_max(share: usize, places: usize) -> usize {
    // A small share makes two batches, so that one can wait for Redis while the other waits for confirms.
    let worthwhile = BATCH_MIN.min(share.div_ceil(2));
    places.min(share.div_ceil(BATCHES_MAX).max(worthwhile)).min(BATCH_MAX)
}

/// Slows down a source whose events are refused, so that its backlog does not race through the delay queue.
#[derive(Default)]
struct Downstream {
    backoff: Reconnect,
    pause_until: Option<Instant>,
}

impl Downstream {
    /// Takes note of what a delivery showed, and counts a pause that begins.
    fn note(&mut self, flow: Option<Flow>, metrics: &WorkerMetrics) {
        match flow {
            Some(Flow::Accepted) => {
                self.backoff.reset();
                self.pause_until = None;
            }
            Some(Flow::Refused) if self.pause_until.is_none_or(|until| until <= Instant::now()) => {
                self.pause_until = Some(Instant::now() + self.backoff.next_delay());
                metrics.paused(Trouble::DownstreamFull);
            }
            Some(Flow::Refused) | None => {}
        }
    }
}
