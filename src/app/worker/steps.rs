//! The steps of a delivery. Each does one [`Step`] for the deliveries that are at it, and answers with its
//! result.

use std::time::Instant;

use jiff::Timestamp;

use super::{
    batch::Processor,
    in_work::{InWork, RawQueue},
    unmarked::MissingMark,
};
use crate::{
    core::{
        delivery::{
            disposition::Disposition,
            lifecycle::{self, Answer, Claim, Step},
        },
        ledger::{Entry, State},
    },
    edge::{
        amqp::{
            message,
            publish::{Publication, PublishError},
            routes,
        },
        redis::{ToClaim, ToMark},
    },
    faults::{self, Point},
};

impl Processor {
    /// Claims the keys.
    pub(super) async fn claim(&self, queue: &RawQueue, mut claiming: Vec<&mut InWork>) {
        claiming.retain_mut(|work| {
            let unmarked = self.unmarked.contains(work.plan.key);
            if unmarked {
                work.answered(Ok(Answer::Claim(Claim::Unmarked)));
            }
            !unmarked
        });
        if claiming.is_empty() {
            return;
        }
        let lease = self.config.dedup.lease;
        let not_after = Instant::now() + lifecycle::fence(lease, self.config.amqp.confirm_timeout);
        for InWork { plan, .. } in claiming.iter_mut() {
            plan.not_after = not_after;
            if plan.owner.is_empty() {
                plan.owner = self.owners.next();
            }
        }
        let claims = claiming.iter().map(|work| {
            let (plan, entry) = (&work.plan, work.queued().entry);
            ToClaim { key: plan.key, owner: &plan.owner, entry, object: plan.place.map(|place| place.object) }
        });
        let claims: Vec<ToClaim<'_>> = claims.collect();
        match self.store.claim(&queue.source, &claims, lease).await {
            Ok(answers) => {
                for (work, claim) in claiming.into_iter().zip(answers) {
                    if let Claim::Claimed { published } = claim {
                        work.plan.published = published;
                        faults::at(Point::Claimed);
                    }
                    work.answered(Ok(Answer::Claim(claim)));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "claim");
                claiming.into_iter().for_each(|work| work.answered(Err(error.trouble())));
            }
        }
    }

    /// Publishes the message at `position` of each: a copy or an event.
    pub(super) async fn publish(&self, queue: &RawQueue, publishing: Vec<&mut InWork>, position: usize) {
        let began = self.tracer.as_ref().map(|_| Instant::now());
        let publications = publishing.iter().map(|work| {
            let event = &work.plan.messages[position];
            Publication {
                exchange: routes::exchange_of(event).to_owned(),
                routing_key: event.routing_key.clone(),
                properties: message::event_properties(event, work.shown()),
                body: work.plan.message_body(position),
                not_after: work.plan.not_after,
            }
        });
        let timeout = self.config.amqp.confirm_timeout;
        let verdicts = self.publisher.publish_all(publications.collect(), timeout).await;
        for (work, verdict) in publishing.into_iter().zip(verdicts) {
            if let Some((trace, began)) = work.trace.as_mut().zip(began) {
                trace.published(began);
            }
            work.answered(match verdict {
                Ok(()) => {
                    faults::at(Point::Confirmed);
                    let event = &work.plan.messages[position];
                    if !event.is_redacted {
                        queue.metrics.published(event.kind);
                    }
                    Ok(Answer::Confirmed)
                }
                Err(PublishError::Refused) => Ok(Answer::Refused),
                Err(error) => Err(error.trouble()),
            });
        }
    }

    /// Marks the keys done, each by this webhook or by the one whose mark is still missing. In that case this
    /// webhook is a duplicate.
    pub(super) async fn mark_done(&self, queue: &RawQueue, marking: Vec<&mut InWork>) {
        if marking.is_empty() {
            return;
        }
        let done_ttl = self.done_ttl(&queue.source);
        let until = Instant::now() + done_ttl;
        let by = |work: &&mut InWork| {
            let (entry, body, place) = (work.queued().entry, work.plan.body, work.plan.place);
            self.unmarked.get(work.plan.key).unwrap_or(MissingMark { entry, body, place, until })
        };
        let by: Vec<MissingMark> = marking.iter().map(by).collect();
        let pairs = || marking.iter().zip(&by);
        let to_mark = |(work, by): (&&mut InWork, &MissingMark)| ToMark {
            key: work.plan.key,
            body: by.body,
            entry: by.entry,
            place: by.place,
        };
        let marks: Vec<ToMark> = pairs().map(to_mark).collect();
        let duplicates: Vec<Entry> = pairs()
            .filter_map(|(work, by)| work.queued().entry.filter(|entry| Some(*entry) != by.entry))
            .collect();
        let marked = async {
            self.store.mark_done(&queue.source, &marks, done_ttl).await?;
            if duplicates.is_empty() {
                return Ok(());
            }
            self.store.record(&queue.source, duplicates.into_iter(), State::Duplicate).await
        };
        let keys = || marks.iter().map(|mark| mark.key);
        let answer = match marked.await {
            Ok(()) => {
                self.unmarked.remove(keys());
                Ok(Answer::Settled)
            }
            Err(error) => {
                tracing::debug!(%error, "done");
                self.unmarked.add(keys().zip(by));
                Err(error.trouble())
            }
        };
        for work in marking {
            if answer.is_ok() {
                faults::at(Point::Done);
            }
            work.answered(answer.clone());
        }
    }

    /// Gives the claim back. If this fails the lease ends by itself.
    pub(super) async fn release(&self, work: &mut InWork) {
        drop(self.store.release(work.plan.key, &work.plan.owner).await);
        work.answered(Ok(Answer::Settled));
    }

    /// Publishes the webhook to its delay queue or dead-letter queue.
    pub(super) async fn send_on(&self, work: &mut InWork) {
        let Step::SendOn(disposition) = work.life.step() else { return };
        let mut answer = Ok(Answer::Confirmed);
        if let Some(publication) = routes::send_on(work.queued(), disposition, Timestamp::now()) {
            let logged = matches!(disposition, Disposition::DeadLetter { .. }).then(|| publication.clone());
            let sent = self.publisher.publish(publication, self.config.amqp.confirm_timeout).await;
            match (sent, logged) {
                (Err(error), _) => answer = Err(error.trouble()),
                (Ok(()), logged) => {
                    faults::at(Point::SentOn);
                    if let Some(letter) = logged {
                        self.dead_log.write(letter, work.queued().webhook.delivery_id).await;
                    }
                }
            }
        }
        work.answered(answer);
    }

    /// Records in the ledger that the webhook is a dead letter. The letter is safe in its queue already, but
    /// without this the ledger would miss it.
    pub(super) async fn note_dead(&self, queue: &RawQueue, work: &mut InWork) {
        let noted = self.store.record(&queue.source, work.queued().entry.into_iter(), State::Dead).await;
        work.answered(noted.map(|()| Answer::Settled).map_err(|error| {
            tracing::debug!(%error, delivery_id = %work.queued().webhook.delivery_id, "ledger");
            error.trouble()
        }));
    }

    /// Acks. If the ack is not written the broker redelivers, and the key is done by then.
    pub(super) async fn ack(&self, queue: &RawQueue, acking: Vec<&mut InWork>) {
        let acked = queue.settler.ack(acking.iter().map(|work| &work.delivery)).await;
        for work in acking {
            faults::at(Point::Acked);
            work.acked = acked;
            work.answered(Ok(Answer::Settled));
        }
    }
}
