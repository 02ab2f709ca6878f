//! A model of Redis: what `src/edge/redis` asks of it, and when it forgets.

use hookswitch::core::{delivery::lifecycle::Claim, events::key::BodyHash};

use crate::plan::Time;

/// What a key holds.
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
        /// Whether any worker knows of it.
        acked: bool,
    },
}

/// Why Redis forgot something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgot {
    /// It lost what this key held.
    Lost(usize),
    /// The done mark of this key had ended.
    Expired(usize),
    /// Its clock jumped ahead.
    Jumped,
}

/// The model.
pub(crate) struct Store {
    pub(crate) up: bool,
    keys: Vec<Held>,
    forgot: Vec<(Time, Forgot)>,
    /// By how much its clock is ahead.
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

    /// What `key` holds now.
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

    /// Whether it forgot something for this reason in this time.
    pub(crate) fn forgot(&self, why: Forgot, from: Time, to: Time) -> bool {
        self.forgot.iter().any(|(at, what)| *what == why && (from..=to).contains(at))
    }

    pub(crate) fn holds(&mut self, key: usize, owner: u32, now: Time) -> bool {
        matches!(self.look(key, now), Held::Claim { owner: holder, .. } if holder == owner)
    }

    /// As the script: re-entrant for the same owner.
    pub(crate) fn claim(&mut self, key: usize, owner: u32, lease: Time, now: Time) -> Claim {
        match self.look(key, now) {
            Held::Done { fingerprint, .. } => Claim::Done { body: BodyHash::from(fingerprint) },
            Held::Claim { owner: holder, .. } if holder != owner => Claim::Busy,
            Held::Nothing | Held::Claim { .. } => {
                self.keys[key] = Held::Claim { owner, until: now + self.ahead + lease };
                Claim::Claimed
            }
        }
    }

    /// As the command: whoever holds it.
    pub(crate) fn done(&mut self, key: usize, fingerprint: u64, ttl: Time, now: Time) {
        let acked = matches!(self.look(key, now), Held::Done { acked: true, .. });
        self.keys[key] = Held::Done { fingerprint, until: now + self.ahead + ttl, acked };
    }

    /// A worker knows that it is done.
    pub(crate) fn acked(&mut self, key: usize) {
        if let Held::Done { acked, .. } = &mut self.keys[key] {
            *acked = true;
        }
    }

    /// As the script: only its owner.
    pub(crate) fn release(&mut self, key: usize, owner: u32, now: Time) {
        if self.holds(key, owner, now) {
            self.keys[key] = Held::Nothing;
        }
    }

    /// Forgets what it should have kept.
    pub(crate) fn lose(&mut self, key: usize, now: Time) {
        self.keys[key] = Held::Nothing;
        self.forgot.push((now, Forgot::Lost(key)));
    }

    /// Its clock jumps ahead: leases end early.
    pub(crate) fn jump(&mut self, by: Time, now: Time) {
        self.ahead += by;
        self.forgot.push((now, Forgot::Jumped));
    }
}
