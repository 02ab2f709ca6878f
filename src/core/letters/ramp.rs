//! Sending back a few letters first, and more only when they did well.

use std::ops::AddAssign;

use serde::Serialize;

/// Letters of the first wave.
const FIRST: usize = 10;

/// Each wave is so many times as large as the one before.
const GROWTH: usize = 5;

/// The largest wave. What became of its letters is kept in Redis while the wave lasts.
const LARGEST: usize = 1_000;

/// What became of letters that were sent back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fates {
    /// How many were sent back.
    pub sent: u64,
    /// Their events are published.
    pub done: u64,
    /// Their webhooks had been done before; nothing was published.
    pub duplicate: u64,
    /// They failed again: dead once more, waiting for another try, or taken for duplicates of other bodies.
    pub failed: u64,
}

impl Fates {
    /// How many of which nothing was heard.
    pub fn open(&self) -> u64 {
        self.sent.saturating_sub(self.done + self.duplicate + self.failed)
    }
}

impl AddAssign for Fates {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.done += other.done;
        self.duplicate += other.duplicate;
        self.failed += other.failed;
    }
}

/// What to do after a wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the next, larger wave.
    GoOn,
    /// Too many failed again.
    TooManyFailed,
    /// Nothing was heard of some: no worker may be running.
    Unheard,
}

/// How a replay grows.
#[derive(Clone, Copy, Debug)]
pub struct Ramp {
    size: usize,
    max_failing: f64,
}

impl Ramp {
    /// A ramp that ends when more than this share (0 to 1) of a wave fails again.
    pub fn new(max_failing: f64) -> Self {
        Self { size: FIRST, max_failing }
    }

    /// How many letters the next wave has.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Judges a wave by what became of it.
    pub fn judge(&mut self, wave: &Fates) -> Verdict {
        #[expect(clippy::cast_precision_loss, reason = "a wave has at most a thousand letters")]
        let too_many = wave.failed as f64 > self.max_failing * wave.sent as f64;
        if too_many {
            return Verdict::TooManyFailed;
        }
        if wave.open() > 0 {
            return Verdict::Unheard;
        }
        self.size = (self.size * GROWTH).min(LARGEST);
        Verdict::GoOn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_grow_while_they_do_well() {
        let mut ramp = Ramp::new(0.1);
        let mut sizes = Vec::new();
        for _ in 0..6 {
            sizes.push(ramp.size());
            let sent = ramp.size() as u64;
            let wave = Fates { sent, done: sent - 1, duplicate: 0, failed: 1 };
            assert_eq!(ramp.judge(&wave), Verdict::GoOn);
        }
        assert_eq!(sizes, [10, 50, 250, 1_000, 1_000, 1_000]);
    }

    #[test]
    fn a_wave_of_which_too_many_fail_or_nothing_is_heard_is_the_last() {
        let wave = Fates { sent: 10, done: 8, duplicate: 0, failed: 2 };
        assert_eq!(Ramp::new(0.1).judge(&wave), Verdict::TooManyFailed);
        assert_eq!(Ramp::new(0.2).judge(&wave), Verdict::GoOn);
        let silent = Fates { sent: 10, done: 8, duplicate: 1, failed: 0 };
        assert_eq!(Ramp::new(0.1).judge(&silent), Verdict::Unheard);
        assert_eq!(Ramp::new(0.0).judge(&Fates { sent: 1, done: 0, duplicate: 1, failed: 0 }), Verdict::GoOn);
    }
}
