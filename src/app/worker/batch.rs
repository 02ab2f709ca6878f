//! The life of deliveries: what to do next is [`Life`]'s to say; here it is done.
//!
//! Every step takes any number of deliveries. Those that come together are claimed in one round trip, published in one
//! batch, marked done in one round trip and acked at once, which is where most of the time goes otherwise. Whoever must
//! do something else than the others, or meets trouble of ours, goes on alone, so that nobody waits for it.

use std::{
    collections::HashMap,
    sync::{MutexGuard, PoisonError, atomic::Ordering},
    time::Instant,
};

use futures_util::future::join_all;
use jiff::Timestamp;

use super::{Lane, Worker, read};
use crate::{
    core::{
        delivery::{
            disposition::Disposition,
            fault::{Fault, Reason},
            lifecycle::{self, Answer, Claim, Life, Step},
            queued::QueuedWebhook,
            retry::Reconnect,
        },
        events::{
            cloudevent::Encoded,
            key::{self, IdempotencyKey},
        },
        ledger::{Entry, State},
        webhook::SourceName,
    },
    edge::{
        amqp::{
            consume::{acks::Settler, delivery::Delivery},
            message, names,
            publish::{Publication, PublishError},
            routes,
        },
        redis::{ToClaim, ToMark},
        trouble::Trouble,
    },
    faults::{self, Point},
};

/// A delivery in work.
pub(super) struct InWork<'a> {
    delivery: Delivery,
    work: Work,
    life: Life<'a>,
    began: Instant,
    acked: bool,
    refused: bool,
    /// What is to be waited out before its next step.
    trouble: Option<Trouble>,
}

/// A webhook, read: what is published and under which key.
struct Work {
    /// See [`IdempotencyKey::store_name`].
    name: [u8; 18],
    fingerprint: u64,
    events: Vec<Encoded>,
    /// Tells this claim from every other; made up when it is first needed.
    owner: String,
    /// Where the claim's fence is.
    not_after: Instant,
}

/// What became of deliveries that were worked on together.
pub(super) struct Batch<'a> {
    /// How many are settled.
    pub(super) settled: usize,
    /// Whether downstream queues took events.
    pub(super) taken: bool,
    /// Those that go on alone.
    pub(super) stragglers: Vec<InWork<'a>>,
}

/// Whether a downstream queue takes events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Taken,
    Refused,
}

/// A key whose events are confirmed, and whose done mark is missing.
#[derive(Clone, Copy)]
pub(super) struct Unmarked {
    /// Of the webhook that was published.
    entry: Option<Entry>,
    fingerprint: u64,
    /// The mark would be gone by then.
    until: Instant,
}

/// A delivery that cannot be settled any more, since its channel is gone: the broker gives it out again.
struct Abandoned;

impl Work {
    fn new(source: &SourceName, key: &IdempotencyKey, body: &[u8], events: Vec<Encoded>) -> Self {
        let (name, fingerprint) = (key.store_name(source), key::body_fingerprint(body));
        Self { name, fingerprint, events, owner: String::new(), not_after: Instant::now() }
    }

    /// Of a webhook that cannot be read: no step of its life asks for any of it.
    fn none() -> Self {
        Self {
            name: [0; 18],
            fingerprint: 0,
            events: Vec::new(),
            owner: String::new(),
            not_after: Instant::now(),
        }
    }
}

impl InWork<'_> {
    fn inbound(&self) -> &QueuedWebhook {
        &self.delivery.inbound
    }

    /// Whether this is what it does next, with nothing to wait for.
    fn is_at(&self, step: &Step<'_>) -> bool {
        self.trouble.is_none() && self.life.step() == *step
    }

    fn answered(&mut self, answer: Result<Answer, Trouble>) {
        self.refused |= answer == Ok(Answer::Refused);
        self.trouble = answer.err();
        self.life.after(answer.unwrap_or(Answer::Trouble));
    }
}

fn at<'a, 'b>(all: &'a mut [InWork<'b>], step: &Step<'_>) -> Vec<&'a mut InWork<'b>> {
    all.iter_mut().filter(|work| work.is_at(step)).collect()
}

impl Worker {
    /// The life of deliveries that came together, as far as they do the same.
    pub(super) async fn process_together(&self, lane: &Lane, deliveries: Vec<Delivery>) -> Batch<'_> {
        let mut all: Vec<_> = deliveries.into_iter().map(|delivery| self.begin(delivery)).collect();
        self.claim(lane, at(&mut all, &Step::Claim)).await;
        // One event of each after the other: a webhook's events are published in their order.
        for position in 0.. {
            let publishing = at(&mut all, &Step::Publish(position));
            if publishing.is_empty() {
                break;
            }
            self.publish(lane, publishing, position).await;
        }
        self.mark_done(lane, at(&mut all, &Step::MarkDone)).await;
        lane.settler
            .leave_alone(all.iter().filter(|work| !work.is_at(&Step::Ack)).map(|work| &work.delivery));
        self.ack(lane, at(&mut all, &Step::Ack)).await;
        let (settled, stragglers): (Vec<_>, _) = all.into_iter().partition(|work| work.is_at(&Step::End));
        let flows = join_all(settled.iter().map(|work| self.finish(lane, work))).await;
        let taken = flows.contains(&Some(Flow::Taken));
        Batch { settled: settled.len(), taken, stragglers }
    }

    /// The life of one delivery to its end; every trouble of ours is waited out. Whether a downstream queue took its
    /// events, where there is something to say of that.
    pub(super) async fn process(&self, lane: &Lane, mut work: InWork<'_>) -> Option<Flow> {
        let mut backoff = Reconnect::default();
        loop {
            if let Some(trouble) = work.trouble.take() {
                self.wait_out(trouble, &mut backoff, &lane.settler).await.ok()?;
            }
            match work.life.step() {
                Step::Claim => self.claim(lane, vec![&mut work]).await,
                Step::Publish(position) => self.publish(lane, vec![&mut work], position).await,
                Step::MarkDone => self.mark_done(lane, vec![&mut work]).await,
                Step::Release => self.release(&mut work).await,
                Step::SendOn(_) => self.send_on(&mut work).await,
                Step::NoteDead => self.note_dead(lane, &mut work).await,
                Step::Ack => self.ack(lane, vec![&mut work]).await,
                Step::End => return self.finish(lane, &work).await,
            }
        }
    }

    /// Reads a delivery.
    fn begin(&self, delivery: Delivery) -> InWork<'_> {
        let began = Instant::now();
        let attempt = delivery.inbound.history.attempt;
        let (work, life) = match self.read(&delivery) {
            Ok(work) => {
                let life = Life::of_webhook(attempt, &self.schedule, work.fingerprint, work.events.len());
                (work, life)
            }
            Err(fault) => (Work::none(), Life::of_fault(attempt, &self.schedule, fault)),
        };
        faults::at(Point::Taken);
        InWork { delivery, work, life, began, acked: false, refused: false, trouble: None }
    }

    /// Turns the delivery into encoded events, or says what is wrong with it. Pure but for counting drift.
    fn read(&self, delivery: &Delivery) -> Result<Work, Fault> {
        let webhook = &delivery.inbound.webhook;
        if let Some(invalid) = &delivery.invalid {
            return Err(Fault::Permanent { reason: Reason::InvalidMessage, error: invalid.to_string() });
        }
        // One more crash, and the broker would dead-letter it without a word to the ledger.
        if delivery.redeliveries >= self.config.retry.delivery_limit {
            let error = format!(
                "given out {} times and never settled: it may kill its worker",
                delivery.redeliveries
            );
            return Err(Fault::Permanent { reason: Reason::DeliveryLimit, error });
        }
        let read = read::read(&self.config, self.normalize, webhook)?;
        for drift in &read.drift {
            if self.metrics.drifted(webhook.provider, drift) {
                let (path, class) = (&drift.path, drift.class);
                tracing::warn!(provider = %webhook.provider, source = %webhook.source, %path, class, "schema drift: the provider sends what we did not expect; it is carried under `unmapped`");
            }
        }
        Ok(Work::new(&webhook.source, &read.key, &webhook.body, read.events))
    }

    async fn claim(&self, lane: &Lane, mut claiming: Vec<&mut InWork<'_>>) {
        claiming.retain_mut(|work| {
            let known = self.unmarked().contains_key(&work.work.name);
            if known {
                work.answered(Ok(Answer::Claim(Claim::Unmarked)));
            }
            !known
        });
        if claiming.is_empty() {
            return;
        }
        let lease = self.config.dedup.lease;
        let not_after = Instant::now() + lifecycle::fence(lease, self.config.amqp.confirm_timeout);
        for InWork { work, .. } in claiming.iter_mut() {
            work.not_after = not_after;
            if work.owner.is_empty() {
                work.owner = self.next_owner();
            }
        }
        let claims: Vec<ToClaim<'_>> = claiming
            .iter()
            .map(|InWork { work, delivery, .. }| ToClaim {
                name: work.name,
                owner: &work.owner,
                entry: delivery.inbound.entry,
            })
            .collect();
        match self.store.claim(&lane.source, &claims, lease).await {
            Ok(answers) => {
                for (work, claim) in claiming.into_iter().zip(answers) {
                    if claim == Claim::Claimed {
                        faults::at(Point::Claimed);
                    }
                    work.answered(Ok(Answer::Claim(claim)));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "claim");
                claiming.into_iter().for_each(|work| work.answered(Err(Trouble::StoreDown)));
            }
        }
    }

    /// Publishes the event at `position` of each.
    async fn publish(&self, lane: &Lane, publishing: Vec<&mut InWork<'_>>, position: usize) {
        let publications = publishing.iter().map(|work| {
            let event = &work.work.events[position];
            Publication {
                exchange: names::PUBLISHED_EXCHANGE.to_owned(),
                routing_key: event.routing_key.clone(),
                properties: message::event_properties(event, &work.inbound().webhook),
                body: event.body.clone(),
                not_after: work.work.not_after,
            }
        });
        let timeout = self.config.amqp.confirm_timeout;
        let verdicts = self.publisher.publish_all(publications.collect(), timeout).await;
        for (work, verdict) in publishing.into_iter().zip(verdicts) {
            work.answered(match verdict {
                Ok(()) => {
                    faults::at(Point::Confirmed);
                    lane.metrics.published(work.work.events[position].kind);
                    Ok(Answer::Confirmed)
                }
                Err(PublishError::Refused) => Ok(Answer::Refused),
                Err(error) => Err(error.trouble()),
            });
        }
    }

    /// Marks the keys done: each by this webhook, or by the one whose mark is still missing.
    async fn mark_done(&self, lane: &Lane, marking: Vec<&mut InWork<'_>>) {
        if marking.is_empty() {
            return;
        }
        let until = Instant::now() + lane.done_ttl;
        let by: Vec<Unmarked> = {
            let unmarked = self.unmarked();
            let by = |work: &&mut InWork<'_>| {
                let (entry, fingerprint) = (work.inbound().entry, work.work.fingerprint);
                unmarked.get(&work.work.name).copied().unwrap_or(Unmarked { entry, fingerprint, until })
            };
            marking.iter().map(by).collect()
        };
        let pairs = || marking.iter().zip(&by);
        let marks: Vec<ToMark> = pairs()
            .map(|(work, by)| ToMark { name: work.work.name, fingerprint: by.fingerprint, entry: by.entry })
            .collect();
        let duplicates: Vec<Entry> = pairs()
            .filter_map(|(work, by)| work.inbound().entry.filter(|entry| Some(*entry) != by.entry))
            .collect();
        let marked = async {
            self.store.done(&lane.source, &marks, lane.done_ttl).await?;
            if duplicates.is_empty() {
                return Ok(());
            }
            self.store.record(&lane.source, duplicates.into_iter(), State::Duplicate).await
        };
        let marked = marked.await;
        let mut unmarked = self.unmarked();
        match marked {
            Ok(()) => {
                for work in marking {
                    faults::at(Point::Done);
                    unmarked.remove(&work.work.name);
                    work.answered(Ok(Answer::Settled));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "done");
                let now = Instant::now();
                // Another process may have marked it since, and then nobody comes here for it any more.
                unmarked.retain(|_, missing| missing.until > now);
                for (work, by) in marking.into_iter().zip(by) {
                    unmarked.insert(work.work.name, by);
                    work.answered(Err(Trouble::StoreDown));
                }
            }
        }
    }

    /// If this fails the lease ends by itself.
    async fn release(&self, work: &mut InWork<'_>) {
        drop(self.store.release(work.work.name, &work.work.owner).await);
        work.answered(Ok(Answer::Settled));
    }

    /// Publishes the webhook to where it waits or rests.
    async fn send_on(&self, work: &mut InWork<'_>) {
        let inbound = &work.delivery.inbound;
        let Step::SendOn(disposition) = work.life.step() else { return };
        let mut answer = Ok(Answer::Confirmed);
        if let Some(publication) = routes::send_on(inbound, disposition, Timestamp::now()) {
            let logged = matches!(disposition, Disposition::DeadLetter { .. }).then(|| publication.clone());
            let sent = self.publisher.publish(publication, self.config.amqp.confirm_timeout).await;
            match (sent, logged) {
                (Err(error), _) => answer = Err(error.trouble()),
                (Ok(()), logged) => {
                    faults::at(Point::SentOn);
                    if let Some(letter) = logged {
                        self.dead_log.write(letter).await;
                    }
                }
            }
        }
        work.answered(answer);
    }

    /// The dead letter is safe; where Redis cannot be told so, the ledger would miss one.
    async fn note_dead(&self, lane: &Lane, work: &mut InWork<'_>) {
        let noted = self.store.record(&lane.source, work.inbound().entry.into_iter(), State::Dead).await;
        work.answered(noted.map(|()| Answer::Settled).map_err(|error| {
            tracing::debug!(%error, "ledger");
            Trouble::StoreDown
        }));
    }

    async fn ack(&self, lane: &Lane, acking: Vec<&mut InWork<'_>>) {
        let acked = lane.settler.ack(acking.iter().map(|work| &work.delivery)).await;
        for work in acking {
            faults::at(Point::Acked);
            work.acked = acked;
            work.answered(Ok(Answer::Settled));
        }
    }

    fn next_owner(&self) -> String {
        format!("{}-{:x}", self.owner, self.claims.fetch_add(1, Ordering::Relaxed))
    }

    fn unmarked(&self) -> MutexGuard<'_, HashMap<[u8; 18], Unmarked>> {
        self.unmarked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it makes sense to try again; not longer than the delivery can be settled.
    async fn wait_out(
        &self,
        trouble: Trouble,
        backoff: &mut Reconnect,
        settler: &Settler,
    ) -> Result<(), Abandoned> {
        if matches!(trouble, Trouble::Topology) {
            tracing::error!("events cannot be routed: {trouble}");
        }
        let again = async {
            tokio::time::sleep(backoff.next_delay()).await;
            self.gate.open().await;
        };
        tokio::select! {
            () = again => Ok(()),
            () = settler.gone() => Err(Abandoned),
        }
    }

    /// Tells of a delivery that is settled: to the replay that waits for it, in the log, and in the metrics.
    async fn finish(&self, lane: &Lane, work: &InWork<'_>) -> Option<Flow> {
        let disposition = work.life.disposition()?;
        let inbound = work.inbound();
        if let Some(wave) = &inbound.history.wave {
            // Whoever waits for it says so if nothing is heard.
            drop(self.store.note_fate(wave, inbound.webhook.delivery_id, disposition).await);
        }
        report(lane, work, disposition);
        match disposition {
            Disposition::Done { .. } => Some(Flow::Taken),
            Disposition::Retry { .. } if work.refused => Some(Flow::Refused),
            Disposition::Duplicate { .. } | Disposition::Retry { .. } | Disposition::DeadLetter { .. } => {
                None
            }
        }
    }
}

/// The one log line of a delivery, and its numbers.
fn report(lane: &Lane, work: &InWork<'_>, disposition: &Disposition) {
    let took = work.began.elapsed();
    lane.metrics.settled(disposition, took);
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let (source, delivery_id, acked) = (&lane.source, work.inbound().webhook.delivery_id, work.acked);
    let word = disposition.as_str();
    match disposition {
        Disposition::Done { events } => {
            tracing::info!(%source, %delivery_id, disposition = word, acked, took_ms, events, "{word}");
        }
        Disposition::Duplicate { other_body } => {
            tracing::info!(%source, %delivery_id, disposition = word, acked, took_ms, other_body, "{word}");
        }
        Disposition::Retry { tier, attempt, error } => {
            let (tier, attempt, error) = (tier.name(), attempt.0, error.as_deref().unwrap_or_default());
            tracing::info!(%source, %delivery_id, disposition = word, acked, took_ms, tier, attempt, error, "{word}");
        }
        Disposition::DeadLetter { reason, error, attempts } => {
            let attempts = attempts.0;
            tracing::warn!(%source, %delivery_id, disposition = word, acked, took_ms, %reason, %error, attempts, "{word}");
        }
    }
}
