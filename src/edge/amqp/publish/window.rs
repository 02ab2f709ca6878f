//! The publications of one channel that are not confirmed yet, and what their confirms say.

use std::{
    collections::{BTreeMap, HashSet, btree_map::Entry},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Instant,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use lapin::{BasicProperties, Channel, Confirmation, options::BasicPublishOptions, types::ShortString};
use tokio::sync::oneshot;

use super::{
    failure::Failure,
    publication::{Job, Publication, PublishError, Verdict},
};
use crate::{
    edge::{metrics::LinkMetrics, trouble::Trouble},
    faults::{self, Mutant, Point},
};

/// The messages sent over a channel and not confirmed yet.
///
/// The broker sends a returned message before its confirm, and lapin attaches it to the confirm that resolves
/// next. So once every confirm that has resolved was looked at:
/// - A confirm without a returned message found none waiting. If its own message was returned, an earlier
///   confirm carried it, and its id is in `misattributed`.
/// - A confirm with another's returned message leaves open whether its own is still waiting. Nothing more is
///   sent until all confirms have arrived: then no returned message can be waiting.
///
/// Two messages with one id may get each other's verdict. They are copies of each other, and one is in a
/// queue.
pub(super) struct Window<'a> {
    metrics: &'a LinkMetrics,
    pub(super) confirms: FuturesUnordered<Pin<Box<dyn Future<Output = Confirmed> + Send + 'a>>>,
    /// The jobs that the confirms belong to, in the order in which they were sent.
    flights: BTreeMap<u64, Flight>,
    next: u64,
    /// Ids of returned messages that came with another message's confirm.
    misattributed: HashSet<ShortString>,
    /// Acked by the broker, and in a queue unless they turn out to be returned.
    open: Vec<(Place, ShortString)>,
    /// A queue refused a message.
    pub(super) refused: bool,
}

/// A flight, and the index of a message in it.
type Place = (u64, usize);

/// A resolved confirm.
pub(super) struct Confirmed {
    place: Place,
    id: ShortString,
    confirm: lapin::Result<Confirmation>,
}

/// A job whose messages were sent. However it ends, its owner receives what is known by then.
struct Flight {
    verdicts: Vec<Verdict>,
    unconfirmed: usize,
    owner: Option<oneshot::Sender<Vec<Verdict>>>,
    sent: tokio::time::Instant,
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.take() {
            // An owner that has timed out does not receive it.
            drop(owner.send(std::mem::take(&mut self.verdicts)));
        }
    }
}

impl<'a> Window<'a> {
    /// Creates an empty window.
    pub(super) fn new(metrics: &'a LinkMetrics) -> Self {
        Self {
            metrics,
            confirms: FuturesUnordered::new(),
            flights: BTreeMap::new(),
            next: 0,
            misattributed: HashSet::new(),
            open: Vec::new(),
            refused: false,
        }
    }

    /// Returns whether every confirm has arrived.
    pub(super) fn is_empty(&self) -> bool {
        self.confirms.is_empty()
    }

    /// Returns whether nothing more may be sent until all confirms have arrived.
    pub(super) fn must_empty(&self) -> bool {
        self.refused || !self.misattributed.is_empty()
    }

    /// Returns when the oldest unconfirmed job was sent.
    pub(super) fn oldest(&self) -> Option<tokio::time::Instant> {
        self.flights.first_key_value().map(|(_, flight)| flight.sent)
    }

    /// Sends the messages of a job, unless its owner has timed out.
    pub(super) fn send(&mut self, channel: &'a Channel, job: Job) {
        let Job { publications, verdicts: owner } = job;
        if owner.is_closed() {
            return;
        }
        let now = Instant::now();
        let mut flight = Flight {
            verdicts: vec![Err(PublishError::Unknown); publications.len()],
            unconfirmed: 0,
            owner: Some(owner),
            sent: tokio::time::Instant::now(),
        };
        for (n, publication) in publications.into_iter().enumerate() {
            if publication.not_after < now {
                flight.verdicts[n] = Err(PublishError::NotSent(Trouble::Late));
                continue;
            }
            flight.unconfirmed += 1;
            let mut sending = Box::pin(confirm(channel, publication, (self.next, n)));
            // The first poll takes the delivery tag and queues the frames; only one task may poll.
            match sending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => self.confirms.push(sending),
                Poll::Ready(confirmed) => self.confirms.push(Box::pin(std::future::ready(confirmed))),
            }
        }
        if flight.unconfirmed > 0 {
            self.flights.insert(self.next, flight);
            self.next += 1;
        }
    }

    /// Settles every confirm that has resolved, of which this is the first.
    ///
    /// # Errors
    /// A confirm failed: the channel is unusable.
    pub(super) fn note(&mut self, first: Confirmed) -> Result<(), Failure> {
        let mut confirmed = vec![first];
        drain(&mut self.confirms, &mut confirmed);
        for Confirmed { id, confirm, .. } in &confirmed {
            let returned = confirm.as_ref().ok().and_then(returned_id);
            self.misattributed.extend(returned.filter(|returned| returned != id));
        }
        let mut failure = None;
        for Confirmed { place, id, confirm } in confirmed {
            let verdict = match confirm {
                Ok(Confirmation::Ack(own)) if faults::is(Mutant::TrustReturned) => {
                    own.map_or(Ok(()), |_| Err(PublishError::Unroutable))
                }
                Ok(Confirmation::Ack(None)) if !self.misattributed.contains(&id) => Ok(()),
                Ok(Confirmation::Ack(Some(returned))) if message_id(&returned.delivery.properties) != id => {
                    self.open.push((place, id));
                    continue;
                }
                Ok(Confirmation::Ack(_)) => Err(PublishError::Unroutable),
                Ok(Confirmation::Nack(_)) => {
                    self.refused = true;
                    Err(PublishError::Refused)
                }
                Ok(Confirmation::NotRequested) => Err(PublishError::Unknown),
                Err(error) => {
                    failure = Some(Failure::from(error));
                    Err(PublishError::Unknown)
                }
            };
            self.settle(place, verdict);
        }
        if self.is_empty() || failure.is_some() {
            self.settle_open(failure.is_some());
        }
        failure.map_or(Ok(()), Err)
    }

    /// Settles what was left open: every returned message is known now, or the confirm that would have
    /// carried it failed.
    fn settle_open(&mut self, failed: bool) {
        for (place, id) in std::mem::take(&mut self.open) {
            let verdict = match (self.misattributed.contains(&id), failed) {
                (true, _) => Err(PublishError::Unroutable),
                (false, true) => Err(PublishError::Unknown),
                (false, false) => Ok(()),
            };
            self.settle(place, verdict);
        }
        self.misattributed.clear();
    }

    fn settle(&mut self, (flight, n): Place, verdict: Verdict) {
        let Entry::Occupied(mut entry) = self.flights.entry(flight) else { return };
        let flight = entry.get_mut();
        flight.verdicts[n] = verdict;
        flight.unconfirmed -= 1;
        if flight.unconfirmed == 0 {
            // What failed with its channel was not answered.
            if verdict != Err(PublishError::Unknown) {
                self.metrics.answered(flight.sent.elapsed());
            }
            entry.remove();
        }
    }
}

/// Takes every confirm that is ready. `FuturesUnordered` may yield before it has polled everything; then it
/// wakes its task.
fn drain<F: Future<Output = Confirmed>>(confirms: &mut FuturesUnordered<F>, into: &mut Vec<Confirmed>) {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    loop {
        match confirms.poll_next_unpin(&mut Context::from_waker(&waker)) {
            Poll::Ready(Some(confirmed)) => into.push(confirmed),
            Poll::Pending if woken.0.swap(false, Ordering::SeqCst) => {}
            Poll::Ready(None) | Poll::Pending => break,
        }
    }
}

/// Records that a future asked to be polled again.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Publishes a message and waits for its confirm.
async fn confirm(channel: &Channel, publication: Publication, place: Place) -> Confirmed {
    let Publication { exchange, routing_key, properties, body, .. } = publication;
    let id = message_id(&properties);
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let confirm = async {
        let sent =
            channel.basic_publish(exchange.into(), routing_key.into(), options, &body, properties).await?;
        faults::at(Point::Sent);
        if faults::is(Mutant::NoConfirm) {
            return Ok(Confirmation::Ack(None));
        }
        sent.await
    };
    Confirmed { place, id, confirm: confirm.await }
}

fn message_id(properties: &BasicProperties) -> ShortString {
    properties.message_id().clone().unwrap_or_default()
}

fn returned_id(confirmation: &Confirmation) -> Option<ShortString> {
    let returned = match confirmation {
        Confirmation::Ack(returned) | Confirmation::Nack(returned) => returned.as_ref()?,
        Confirmation::NotRequested => return None,
    };
    Some(message_id(&returned.delivery.properties))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_that_is_ready_is_drained_though_the_set_yields() {
        type Boxed = Pin<Box<dyn Future<Output = Confirmed>>>;
        let confirmed = |n| Confirmed { place: (0, n), id: "".into(), confirm: Ok(Confirmation::Ack(None)) };
        // Two that ask to be polled again at once make the set yield.
        let restless = |n| -> Boxed {
            let mut first = true;
            Box::pin(std::future::poll_fn(move |context| {
                if std::mem::take(&mut first) {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(confirmed(n))
            }))
        };
        let ready = |n| -> Boxed { Box::pin(std::future::ready(confirmed(n))) };
        let mut confirms: FuturesUnordered<Boxed> =
            [restless(0), restless(1), ready(2)].into_iter().collect();
        let yielded = confirms.poll_next_unpin(&mut Context::from_waker(Waker::noop()));
        assert!(yielded.is_pending(), "else there is nothing to guard against");
        let mut drained = Vec::new();
        drain(&mut confirms, &mut drained);
        assert_eq!(drained.len(), 3);
    }
}
