//! The size of a replay's waves: a few letters first, and more only after they succeeded.

use std::ops::AddAssign;

use serde::Serialize;

/// Number of letters in the first wave.
const FIRST: usize = 10;

/// Factor by which each wave is larger than the one before.
const GROWTH: usize = 5;

/// Number of letters in the largest wave. Redis keeps the outcome of each letter while the wave lasts.
const LARGEST: usize = 1_000;

/// The number of letters sent back in a wave, and of their outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WaveCounts {
    /// Letters sent back.
    pub sent: u64,
    /// Letters whose events were published.
    pub done: u64,
    /// Letters whose webhook had been done before; nothing was published for them.
    pub duplicate: u64,
    /// Letters that failed again: dead-lettered, waiting for a retry, or taken for duplicates of another
    /// body.
    pub failed: u64,
}

impl WaveCounts {
    /// Returns the number of letters without an outcome yet.
    pub fn open(&self) -> u64 {
        self.sent.saturating_sub(self.done + self.duplicate + self.failed)
    }
}

impl AddAssign for WaveCounts {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.done += other.done;
        self.duplicate += other.duplicate;
        self.failed += other.failed;
    }
}

/// The decision after a wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaveVerdict {
    /// Send the next, larger wave.
    Continue,
    /// Stop: too many failed again.
    TooManyFailed,
    /// Stop: some have no outcome, so perhaps no worker runs.
    NoOutcome,
}

/// The growing size of a replay's waves.
#[derive(Clone, Copy, Debug)]
pub struct Ramp {
    size: usize,
    max_failing: f64,
}

impl Ramp {
    /// Returns a ramp that stops when more than this share (0 to 1) of a wave fails again.
    pub fn new(max_failing: f64) -> Self {
        Self { size: FIRST, max_failing }
    }

    /// Returns the number of letters for the next wave.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Decides whether to continue after a wave, and grows if so.
    pub fn judge(&mut self, wave: &WaveCounts) -> WaveVerdict {
        #[expect(clippy::cast_precision_loss, reason = "a wave has at most a thousand letters")]
        let too_many = wave.failed as f64 > self.max_failing * wave.sent as f64;
        if too_many {
            return WaveVerdict::TooManyFailed;
        }
        if wave.open() > 0 {
            return WaveVerdict::NoOutcome;
        }
        self.size = (self.size * GROWTH).min(LARGEST);
        WaveVerdict::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_grow_while_they_succeed() {
        let mut ramp = Ramp::new(0.1);
        let mut sizes = Vec::new();
        for _ in 0..6 {
            sizes.push(ramp.size());
            let sent = ramp.size() as u64;
            let wave = WaveCounts { sent, done: sent - 1, duplicate: 0, failed: 1 };
            assert_eq!(ramp.judge(&wave), WaveVerdict::Continue);
        }
        assert_eq!(sizes, [10, 50, 250, 1_000, 1_000, 1_000]);
    }

    #[test]
    fn a_wave_with_too_many_failures_or_missing_outcomes_is_the_last() {
        let wave = WaveCounts { sent: 10, done: 8, duplicate: 0, failed: 2 };
        assert_eq!(Ramp::new(0.1).judge(&wave), WaveVerdict::TooManyFailed);
        assert_eq!(Ramp::new(0.2).judge(&wave), WaveVerdict::Continue);
        let silent = WaveCounts { sent: 10, done: 8, duplicate: 1, failed: 0 };
        assert_eq!(Ramp::new(0.1).judge(&silent), WaveVerdict::NoOutcome);
        assert_eq!(
            Ramp::new(0.0).judge(&WaveCounts { sent: 1, done: 0, duplicate: 1, failed: 0 }),
            WaveVerdict::Continue
        );
    }
}
