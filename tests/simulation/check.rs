//! Promises 2, 3 and 6, checked whenever something could break them.

use hookswitch::core::delivery::fault::Attempt;

use crate::{
    broker::By,
    life::Fate,
    stats::{Count, Window},
    store::{Forgot, Held},
    world::{Fact, World},
};

impl World<'_> {
    /// Checks promise 6: nothing but a message's own faults uses up its attempts.
    pub(crate) fn check_attempt(&mut self, message: usize) {
        let it = self.broker.messages[message];
        if it.attempt != Attempt(it.faults) {
            let (says, was) = (it.attempt.0, it.faults);
            self.fail(format_args!("message {message} says that it failed {says} times, and it was {was}"));
        }
    }

    /// Checks promise 2 at an ack, the only moment at which a webhook can get lost. Either its consumers have
    /// all of its events, or the broker keeps another copy.
    pub(crate) fn check_ack(&mut self, message: usize, who: &str) {
        let index = self.broker.messages[message].webhook;
        let webhook = self.webhooks[index];
        let published = webhook.ill_for == 0 && self.facts[webhook.key].complete();
        if !published && webhook.copies < 2 {
            self.fail(format_args!("{who} acks message {message}, and webhook {index} is safe nowhere else"));
        }
    }

    /// Checks promise 3 at an ack: a life that knows its events to be published has marked the key done
    /// first.
    pub(crate) fn check_marked(&mut self, life: usize) {
        let it = &self.lives[life];
        let published = it.knows.count_ones() as usize == self.facts[it.key].events;
        if (published || it.unmarked) && !it.knows_marked {
            let key = it.key;
            self.fail(format_args!("life {life} acks, and has not marked key {key} done"));
        }
    }

    /// Returns why Redis does not hold a life's claim now; none if it does.
    fn why_not_held(&mut self, life: usize) -> Option<Window> {
        let it = &self.lives[life];
        let (key, worker) = (it.key, it.worker);
        let (claimed, claim_sent) = (it.claimed?, it.claim_sent?);
        if self.store.holds(key, life as u32, self.clock.now) {
            return None;
        }
        Some(if self.store.forgot(Forgot::Lost(key), claimed, self.clock.now) {
            Window::DataLoss
        } else if self.store.forgot(Forgot::Jumped, claimed, self.clock.now) {
            Window::EndedEarly
        } else if self.workers[worker].stopped_at.is_some_and(|at| at >= claim_sent) {
            Window::ClockStopped
        } else {
            match self.store.look(key, self.clock.now) {
                Held::Done { acked: true, .. } => Window::Overtaken,
                Held::Done { acked: false, .. } => Window::LeaseEnded,
                Held::Nothing | Held::Claim { .. } => Window::LateArrival,
            }
        })
    }

    /// Checks promise 3 when an event is sent: as far as its life can know, it holds the claim.
    pub(crate) fn check_sending(&mut self, life: usize, position: usize) {
        let it = &self.lives[life];
        let (key, readable) = (it.key, it.readable);
        if it.knows & (1 << position) != 0 {
            self.fail(format_args!(
                "life {life} publishes event {position} again, and knows that it is confirmed"
            ));
        } else if !readable {
            self.fail(format_args!("life {life} publishes events of what cannot be read"));
        } else if it.knows_marked {
            self.fail(format_args!("life {life} publishes, and knows that key {key} is done"));
        } else if it.claimed.is_none() {
            self.fail(format_args!("life {life} publishes without a claim on key {key}"));
        } else if self.why_not_held(life) == Some(Window::LateArrival) {
            self.fail(format_args!("life {life} publishes after its claim on key {key} has ended"));
        }
    }

    /// Records that the consumers have received an event; with `half`, one of two queues.
    pub(crate) fn check_taken(&mut self, op: usize, position: usize, half: bool) {
        let By::Life { life, .. } = self.broker.ops[op].by else { return };
        let (given_up, in_time) = (self.given_up(op), self.clock.now <= self.broker.ops[op].deadline);
        let why = self.why_not_held(life).map(|why| if given_up { Window::LateArrival } else { why });
        let key = self.lives[life].key;
        if why == Some(Window::LateArrival) && in_time && !given_up {
            self.fail(format_args!("life {life} published in time, and its claim on key {key} had ended"));
        }
        let taken = self.facts[key].taken[position];
        self.stats.count(Count::EventsTaken);
        trace!(
            self,
            "event {position} of key {key} is taken from life {life}{}",
            if half { ", by half" } else { "" }
        );
        if taken.times > 0 {
            match self.window(life, position, why) {
                Ok(window) => {
                    trace!(self, "it was taken before: {window:?}");
                    self.stats.duplicate(window);
                }
                Err(broken) => self.fail(format_args!("event {position} of key {key} twice: {broken}")),
            }
        }
        let taken = &mut self.facts[key].taken[position];
        taken.times += 1;
        taken.complete |= !half;
        (taken.last, taken.last_why, taken.last_half) = (life, why, half);
    }

    /// Returns why the event was published a second time, by `second`, if promise 3 allows for it.
    fn window(&self, second: usize, position: usize, why: Option<Window>) -> Result<Window, &'static str> {
        let second = &self.lives[second];
        let taken = &self.facts[second.key].taken[position];
        let first = &self.lives[taken.last];
        let knew = first.knows & (1 << position) != 0;
        if std::ptr::eq(first, second) {
            // A life publishes nothing again that it knows to be confirmed, so one of the two confirms never
            // came.
            return Ok(Window::Unknown);
        }
        if let Some(window) = why.or(taken.last_why) {
            return Ok(window);
        }
        if taken.last_half {
            return Ok(Window::HalfTaken);
        }
        let crashed = first.fate == Fate::Crashed;
        if !knew {
            return Ok(if crashed { Window::CrashBeforeConfirm } else { Window::Unknown });
        }
        let (Some(claimed), Some(first_claimed)) = (second.claimed, first.claimed) else {
            return Err("one of the two had no claim");
        };
        let forgot = |why, since| self.store.forgot(why, since, claimed);
        let (lost, expired) = (Forgot::Lost(second.key), Forgot::Expired(second.key));
        if let Some(marked) = first.marked.filter(|marked| first.knows_marked && *marked <= claimed) {
            return if forgot(lost, marked) {
                Ok(Window::DataLoss)
            } else if forgot(expired, marked) {
                Ok(Window::Expired)
            } else {
                Err("the key was known to be done")
            };
        }
        if forgot(lost, first_claimed) {
            return Ok(Window::DataLoss);
        }
        match first.fate {
            Fate::Crashed => Ok(Window::CrashBeforeDone),
            Fate::Abandoned => Ok(Window::GivenOutAgain),
            Fate::Alive | Fate::Ended if first.refused => Ok(Window::PartlyRefused),
            Fate::Alive | Fate::Ended if forgot(Forgot::Jumped, first_claimed) => Ok(Window::EndedEarly),
            Fate::Alive | Fate::Ended if claimed >= first_claimed + self.plan.lease => Ok(Window::LeaseEnded),
            Fate::Alive | Fate::Ended => Err("the first claim still stood"),
        }
    }

    /// Checks promise 2 at the end: every accepted webhook is accounted for. Without faults, every event was
    /// published once.
    pub(crate) fn check_end(&mut self) {
        let unfinished = self.broker.unfinished();
        if unfinished > 0 {
            return self
                .fail(format_args!("nothing happens any more, and {unfinished} messages are not settled"));
        }
        if self.plan.calm {
            self.stats.count(Count::Calm);
            let twice = |fact: &Fact| fact.taken.iter().any(|taken| taken.times > 1);
            if let Some(key) = self.facts.iter().position(twice) {
                self.fail(format_args!("nothing went wrong, and events of key {key} came twice"));
            }
        }
        for index in 0..self.webhooks.len() {
            let webhook = self.webhooks[index];
            let published = webhook.ill_for == 0 && self.facts[webhook.key].complete();
            if webhook.accepted && !published && webhook.dead == 0 {
                self.fail(format_args!("webhook {index} was accepted and is lost: {webhook:?}"));
            }
        }
    }
}
