//! The lives of deliveries in a worker: each drives the real [`Life`] step by step, and waits for each
//! result.

use hookswitch::core::{
    delivery::{
        disposition::{Disposition, Outcome},
        fault::{Attempt, Fault, Reason},
        lifecycle::{Answer, Claim, Life, Step},
    },
    events::key::BodyHash,
};

use crate::{
    broker::{By, Message, Place, What},
    clock::Event,
    mutant::{Mutant, MutantLife},
    plan::Time,
    stats::Count,
    store::Command,
    world::{Ill, Webhook, World},
};

/// The state of a life's process side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Alive,
    Ended,
    Crashed,
    Abandoned,
}

/// A delivery's life, and what the simulation knows of it.
pub(crate) struct Living<'s> {
    pub(crate) life: MutantLife<'s>,
    pub(crate) worker: usize,
    pub(crate) conn: u32,
    pub(crate) message: usize,
    pub(crate) webhook: usize,
    pub(crate) source: usize,
    pub(crate) key: usize,
    pub(crate) fate: Fate,
    pub(crate) readable: bool,
    /// Number of its step, so that a late answer is not taken for that of another step.
    pub(crate) step: u32,
    pub(crate) waits: Option<Waits>,
    /// Its fence, by the worker's own clock.
    pub(crate) not_after: Time,
    pub(crate) claim_sent: Option<Time>,
    pub(crate) claimed: Option<Time>,
    /// Events whose confirm it has received, a bit each.
    pub(crate) knows: u8,
    pub(crate) refused: bool,
    /// Its process knew that the key's events are confirmed.
    pub(crate) unmarked: bool,
    /// When Redis marked the key done for it.
    pub(crate) marked: Option<Time>,
    /// It knows that the key is marked done, by itself or by another life.
    pub(crate) knows_marked: bool,
    backoff: Time,
}

/// The result that a life waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    Claim,
    Publish(usize),
    Done,
    Release,
    SendOn,
    NoteDead,
    /// The end of its backoff after an infrastructure error.
    Backoff,
}

/// A life's next step, without borrowing the life.
enum Next {
    Claim,
    Publish(usize),
    MarkDone,
    Release,
    SendOn { attempt: Attempt, to: Place, expires: Time },
    NoteDead,
    Ack,
    End,
}

impl World<'_> {
    /// Reads the webhook and begins its life; returns false if that killed the worker.
    pub(crate) fn begin_life(&mut self, worker: usize, conn: u32, message: usize) -> bool {
        let Message { webhook, attempt, bundle, given_out, .. } = self.broker.messages[message];
        self.check_attempt(message);
        let came_back = bundle.is_some() && given_out > 0;
        let Webhook { source, key, fingerprint, ill, ill_for, .. } = self.webhooks[webhook];
        if !came_back && ill_for > 0 && ill_for < u32::MAX {
            self.webhooks[webhook].ill_for -= 1;
        }
        let schedule = self.plan.schedule;
        let permanent = |reason| Fault::Permanent { reason, error: String::new() };
        let fault = match (ill_for, ill) {
            (_, _) if came_back => None,
            (0, _) => None,
            (_, Ill::Unsupported) => Some(permanent(Reason::UnsupportedEvent)),
            (_, Ill::Invalid) => Some(permanent(Reason::InvalidPayload)),
            (_, Ill::Panics) => Some(Fault::Panicked { location: String::new() }),
            (_, Ill::Poison) => {
                trace!(self, "worker {worker} reads message {message}, which kills it");
                self.crash(worker);
                return false;
            }
        };
        let readable = fault.is_none();
        let life = match fault {
            None if came_back => {
                self.stats.count(Count::TakenApart);
                Life::of_unread(attempt, schedule, Outcome::CameBack)
            }
            None => Life::of_webhook(attempt, schedule, BodyHash::from(fingerprint), self.facts[key].events),
            Some(fault) => Life::of_unread(attempt, schedule, fault.into()),
        };
        self.lives.push(Living {
            life: MutantLife::new(life, fingerprint, self.mutant),
            worker,
            conn,
            message,
            webhook,
            source,
            key,
            fate: Fate::Alive,
            readable,
            step: 0,
            waits: None,
            not_after: 0,
            claim_sent: None,
            claimed: None,
            knows: 0,
            refused: false,
            unmarked: false,
            marked: None,
            knows_marked: false,
            backoff: 50,
        });
        let life = self.lives.len() - 1;
        trace!(
            self,
            "worker {worker} takes message {message} (webhook {webhook}, key {key}, attempt {}): life {life}",
            attempt.0
        );
        self.workers[worker].running[source] += 1;
        self.workers[worker].lives.push(life);
        self.perform(life);
        // It may have died of a fault by now.
        self.workers[worker].alive
    }

    /// Continues after a freeze or a backoff.
    pub(crate) fn go(&mut self, life: usize, step: u32) {
        if self.lives[life].fate == Fate::Alive && self.lives[life].step == step {
            self.perform(life);
        }
    }

    /// Performs the next step, and the steps after it, up to one that needs an answer from another process.
    fn perform(&mut self, life: usize) {
        loop {
            let worker = self.lives[life].worker;
            if self.fault(self.plan.rates.crash_before) {
                return self.crash(worker);
            }
            if self.fault(self.plan.rates.cut) {
                self.cut(worker);
            }
            self.lives[life].step += 1;
            if self.fault(self.plan.rates.freeze) {
                self.freeze(worker);
                let step = self.lives[life].step;
                return self.after(0, Event::Go { life, step });
            }
            let key = self.lives[life].key;
            match self.next(life) {
                Next::Claim if self.workers[worker].unmarked & (1 << key) != 0 => {
                    trace!(self, "life {life} is of a key that this process knows to be confirmed");
                    self.stats.count(Count::Unmarked);
                    self.lives[life].unmarked = true;
                    self.lives[life].life.after(Answer::Claim(Claim::Unmarked));
                }
                Next::Claim => {
                    let it = &mut self.lives[life];
                    it.claim_sent = Some(self.clock.now);
                    it.not_after = self.workers[worker].clock(self.clock.now) + self.plan.fence;
                    return self.ask(life, Command::Claim, Waits::Claim);
                }
                Next::Publish(position) => {
                    self.lives[life].waits = Some(Waits::Publish(position));
                    let step = self.lives[life].step;
                    self.publish(By::Life { life, step }, What::Event { position });
                    return;
                }
                Next::MarkDone => return self.ask(life, Command::Done, Waits::Done),
                Next::Release => return self.ask(life, Command::Release, Waits::Release),
                Next::NoteDead => return self.ask(life, Command::NoteDead, Waits::NoteDead),
                Next::SendOn { attempt, to, expires } => return self.send_on(life, attempt, to, expires),
                Next::Ack => {
                    self.ack(life);
                    if self.fault(self.plan.rates.crash_after) {
                        return self.crash(worker);
                    }
                    self.lives[life].life.after(Answer::Settled);
                }
                Next::End => return self.end(life),
            }
        }
    }

    fn next(&self, life: usize) -> Next {
        let it = &self.lives[life];
        match it.life.step() {
            Step::Claim => Next::Claim,
            Step::Publish(position) => Next::Publish(position),
            Step::MarkDone => Next::MarkDone,
            Step::Release => Next::Release,
            Step::SendOn(Disposition::Retry { tier, attempt, .. }) => {
                let number = self.plan.tiers.iter().position(|other| other == tier);
                let number = number.expect("a schedule's tiers are all that it uses");
                let delay = tier.delay_with_jitter(it.webhook as u64 * 397).as_millis() as Time;
                Next::SendOn { attempt: *attempt, to: Place::Waiting(number), expires: delay }
            }
            Step::SendOn(Disposition::DeadLetter { attempts, .. }) => {
                Next::SendOn { attempt: *attempts, to: Place::Dead, expires: 0 }
            }
            Step::SendOn(Disposition::Done { .. } | Disposition::Duplicate { .. }) => {
                unreachable!("what is done is not sent on")
            }
            Step::NoteDead => Next::NoteDead,
            Step::Ack => Next::Ack,
            Step::End => Next::End,
        }
    }

    fn send_on(&mut self, life: usize, attempt: Attempt, to: Place, delay: Time) {
        let it = &mut self.lives[life];
        it.waits = Some(Waits::SendOn);
        let (step, webhook, readable) = (it.step, it.webhook, it.readable);
        let faults = self.broker.messages[it.message].faults + u32::from(!readable);
        if to == Place::Dead && readable {
            self.fail(format_args!("life {life} makes webhook {webhook} a dead letter, and it can be read"));
        }
        let message = Message { webhook, attempt, faults, delay, ..Message::default() };
        let message = self.broker.make(message);
        self.publish(By::Life { life, step }, What::Copy { message, to });
    }

    /// Writes the ack, which may or may not arrive.
    fn ack(&mut self, life: usize) {
        let Living { worker, conn, message, .. } = self.lives[life];
        trace!(self, "life {life} acks message {message}");
        if self.broker.messages[message].place == (Place::Unacked { worker, conn }) {
            self.check_ack(message, "a life");
            self.check_marked(life);
        }
        self.broker.messages[message].settled = true;
        let bundle = self.bundle_of(message);
        let is_settled = bundle.iter().all(|part| self.broker.messages[*part].settled);
        let acks = is_settled || self.mutant == Some(Mutant::AckBundleEarly);
        if acks && self.workers[worker].connected {
            let delay = self.hop();
            self.after(delay, Event::Acked { worker, conn, message });
        }
    }

    fn end(&mut self, life: usize) {
        let it = &self.lives[life];
        let disposition = it.life.disposition().expect("it has ended");
        trace!(self, "life {life} has ended: {disposition:?}");
        let count = match disposition {
            Disposition::Done { .. } => None,
            Disposition::Duplicate { .. } => Some(Count::DroppedAsDuplicate),
            Disposition::Retry { .. } if it.readable => None,
            Disposition::Retry { .. } => Some(Count::RetriesOfFaults),
            Disposition::DeadLetter { .. } => Some(Count::DeadLetters),
        };
        if let Some(count) = count {
            self.stats.count(count);
        }
        self.leave(life, Fate::Ended);
        let Living { worker, source, .. } = self.lives[life];
        self.take(worker, source);
    }

    /// Removes a life from its process. The last one on a lost connection lets the process connect again.
    fn leave(&mut self, life: usize, fate: Fate) {
        let it = &mut self.lives[life];
        it.fate = fate;
        let worker = it.worker;
        let process = &mut self.workers[worker];
        process.running[it.source] -= 1;
        process.lives.retain(|other| *other != life);
        if !process.connected && process.lives.is_empty() {
            let (incarnation, delay) = (process.incarnation, self.random.within(10, 500));
            self.after(delay, Event::Connect { worker, incarnation });
        }
    }

    /// Advances a life with the answer to its step.
    pub(crate) fn hear(&mut self, life: usize, step: u32, answer: Answer) {
        let it = &self.lives[life];
        if it.fate != Fate::Alive || it.step != step {
            return;
        }
        let (worker, key, Some(waits)) = (it.worker, it.key, it.waits) else { return };
        if self.fault(self.plan.rates.crash_after) {
            return self.crash(worker);
        }
        trace!(self, "life {life} hears of its {waits:?}: {answer:?}");
        let it = &mut self.lives[life];
        it.step += 1;
        it.waits = None;
        match (waits, &answer) {
            (Waits::Publish(position), Answer::Confirmed) => it.knows |= 1 << position,
            (Waits::Publish(_), Answer::Refused) => {
                it.refused = true;
                self.stats.count(Count::Refused);
            }
            (Waits::Done, Answer::Settled) => {
                it.knows_marked = true;
                self.workers[worker].unmarked &= !(1 << key);
                self.store.acked(key);
            }
            (Waits::Done, Answer::Trouble) => self.workers[worker].unmarked |= 1 << key,
            (Waits::Claim, Answer::Claim(Claim::Done { .. })) => it.knows_marked = true,
            (Waits::Claim, Answer::Claim(Claim::Busy)) => self.stats.count(Count::Busy),
            (
                Waits::Claim
                | Waits::Publish(_)
                | Waits::Done
                | Waits::Release
                | Waits::SendOn
                | Waits::NoteDead
                | Waits::Backoff,
                _,
            ) => {}
        }
        let in_trouble = answer == Answer::Trouble;
        self.lives[life].life.after(answer);
        if in_trouble {
            self.wait_out(life);
        } else {
            self.perform(life);
        }
    }

    /// Waits before a retry of the step, for a backoff that doubles up to 2 s.
    fn wait_out(&mut self, life: usize) {
        let it = &mut self.lives[life];
        if !self.workers[it.worker].connected {
            return self.abandon(life);
        }
        it.waits = Some(Waits::Backoff);
        it.backoff = (it.backoff * 2).min(2_000);
        let (step, most) = (it.step, it.backoff);
        let delay = self.random.within(most / 2, most);
        self.after(delay, Event::Go { life, step });
    }

    pub(crate) fn abandon(&mut self, life: usize) {
        trace!(self, "life {life} is abandoned");
        self.stats.count(Count::Abandoned);
        self.leave(life, Fate::Abandoned);
    }
}
