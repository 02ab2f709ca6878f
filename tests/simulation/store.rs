//! A model of Redis: the commands of `src/edge/redis`, and the ways in which it loses data.

use hookswitch::core::{
    delivery::lifecycle::{Answer, Claim},
    events::key::BodyHash,
};

use crate::{clock::Event, life::Waits, plan::Time, world::World};

/// A command to Redis.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    Claim,
    Done,
    Release,
    /// Note in the ledger that the webhook is a dead letter.
    NoteDead,
}

/// The value of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Nothing,
    Claim {
        owner: u32,
        until: Time,
    },
    Done {
        fingerprint: u64,
        until: Time,
        /// A worker knows that it is done.
        acked: bool,
    },
}

/// Why Redis no longer holds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgot {
    /// It lost the value of this key.
    Lost(usize),
    /// The done mark of this key had expired.
    Expired(usize),
    /// Its clock jumped ahead.
    Jumped,
}

/// The model's state.
pub(crate) struct Store {
    pub(crate) up: bool,
    keys: Vec<Held>,
    forgot: Vec<(Time, Forgot)>,
    /// Time by which its clock is ahead.
    ahead: Time,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self { up: true, keys: Vec::new(), forgot: Vec::new(), ahead: 0 }
    }

    pub(crate) fn reset(&mut self, keys: usize) {
        self.keys.clear();
        self.keys.resize(keys, Held::Nothing);
        self.forgot.clear();
        (self.up, self.ahead) = (true, 0);
    }

    /// Returns the value of `key` now.
    pub(crate) fn look(&mut self, key: usize, now: Time) -> Held {
        let clock = now + self.ahead;
        match self.keys[key] {
            Held::Claim { until, .. } if until <= clock => self.keys[key] = Held::Nothing,
            Held::Done { until, .. } if until <= clock => {
                self.keys[key] = Held::Nothing;
                self.forgot.push((now, Forgot::Expired(key)));
            }
            Held::Nothing | Held::Claim { .. } | Held::Done { .. } => {}
        }
        self.keys[key]
    }

    /// Returns true if it forgot something for this reason in this time.
    pub(crate) fn forgot(&self, why: Forgot, from: Time, to: Time) -> bool {
        self.forgot.iter().any(|(at, what)| *what == why && (from..=to).contains(at))
    }

    pub(crate) fn holds(&mut self, key: usize, owner: u32, now: Time) -> bool {
        matches!(self.look(key, now), Held::Claim { owner: holder, .. } if holder == owner)
    }

    /// Claims like the script: again for the same owner.
    pub(crate) fn claim(&mut self, key: usize, owner: u32, lease: Time, now: Time) -> Claim {
        match self.look(key, now) {
            Held::Done { fingerprint, .. } => Claim::Done { body: BodyHash::from(fingerprint) },
            Held::Claim { owner: holder, .. } if holder != owner => Claim::Busy,
            Held::Nothing | Held::Claim { .. } => {
                self.keys[key] = Held::Claim { owner, until: now + self.ahead + lease };
                Claim::Claimed { published: None }
            }
        }
    }

    /// Marks done like the command: regardless of the owner.
    pub(crate) fn done(&mut self, key: usize, fingerprint: u64, ttl: Time, now: Time) {
        let acked = matches!(self.look(key, now), Held::Done { acked: true, .. });
        self.keys[key] = Held::Done { fingerprint, until: now + self.ahead + ttl, acked };
    }

    /// Records that a worker knows the key to be done.
    pub(crate) fn acked(&mut self, key: usize) {
        if let Held::Done { acked, .. } = &mut self.keys[key] {
            *acked = true;
        }
    }

    /// Releases like the script: only for its owner.
    pub(crate) fn release(&mut self, key: usize, owner: u32, now: Time) {
        if self.holds(key, owner, now) {
            self.keys[key] = Held::Nothing;
        }
    }

    /// Loses the value of a key.
    pub(crate) fn lose(&mut self, key: usize, now: Time) {
        self.keys[key] = Held::Nothing;
        self.forgot.push((now, Forgot::Lost(key)));
    }

    /// Lets its clock jump ahead, so that leases end early.
    pub(crate) fn jump(&mut self, by: Time, now: Time) {
        self.ahead += by;
        self.forgot.push((now, Forgot::Jumped));
    }
}

impl World<'_> {
    /// Sends a life's command.
    pub(crate) fn ask(&mut self, life: usize, command: Command, waits: Waits) {
        let it = &mut self.lives[life];
        it.waits = Some(waits);
        let step = it.step;
        let deadline = self.clock.now + self.plan.store_timeout;
        let arrives = self.clock.now + self.hop();
        let never = self.fault(self.plan.rates.unasked);
        if never || arrives > deadline {
            self.at(deadline, Event::Hear { life, step, answer: Answer::Trouble });
        }
        if !never {
            self.at(arrives, Event::Execute { life, step, command, deadline });
        }
    }

    /// Runs a command, even if its life waits for it no longer.
    pub(crate) fn execute(&mut self, life: usize, step: u32, command: Command, deadline: Time) {
        let it = &mut self.lives[life];
        let (key, owner) = (it.key, life as u32);
        if !self.store.up {
            return self
                .at(deadline.max(self.clock.now), Event::Hear { life, step, answer: Answer::Trouble });
        }
        let answer = match command {
            Command::Claim => {
                let claim = self.store.claim(key, owner, self.plan.lease, self.clock.now);
                if matches!(claim, Claim::Claimed { .. }) {
                    it.claimed = Some(self.clock.now);
                }
                Answer::Claim(claim)
            }
            Command::Done => {
                let fingerprint = self.webhooks[it.webhook].fingerprint;
                self.store.done(key, fingerprint, self.plan.done_ttl, self.clock.now);
                it.marked = Some(self.clock.now);
                Answer::Settled
            }
            Command::Release => {
                self.store.release(key, owner, self.clock.now);
                Answer::Settled
            }
            Command::NoteDead => Answer::Settled,
        };
        trace!(self, "Redis does the {command:?} of life {life} on key {key}: {answer:?}");
        let heard = self.clock.now + self.hop();
        if self.fault(self.plan.rates.unanswered) || heard > deadline {
            self.at(deadline.max(self.clock.now), Event::Hear { life, step, answer: Answer::Trouble });
        } else {
            self.at(heard, Event::Hear { life, step, answer });
        }
    }
}
