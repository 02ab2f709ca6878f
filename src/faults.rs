//! Injected faults, for the tests that prove that nothing is lost: crash points and mutants.
//!
//! They exist only in builds with the feature `faults`, which no release has. Without it every function here
//! is empty and compiled away.
//!
//! - `HOOKSWITCH_CRASH_AT=confirmed:1/500,done:1/1000` ends the process at these points of a delivery's
//!   life, by chance, as `kill -9` would.
//! - `HOOKSWITCH_MUTANT=no_confirm` builds one known mistake in. A test that does not notice it proves
//!   nothing.

/// A point in the life of a delivery at which the worker can be made to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// P0: received and read, nothing claimed.
    Taken,
    /// P1: the key is claimed, nothing published.
    Claimed,
    /// P2: an event is sent, its confirm has not arrived.
    Sent,
    /// P3: events are confirmed, the key is not marked done. This window cannot be closed.
    Confirmed,
    /// P4: the key is marked done, the delivery is not acked.
    Done,
    /// P5: a retry or a dead letter is confirmed, the delivery is not acked.
    SentOn,
    /// P6: the ack is handed to the connection, but may not be written.
    Acked,
}

impl Point {
    /// Every point, in the order of a delivery's life.
    pub const ALL: [Self; 7] =
        [Self::Taken, Self::Claimed, Self::Sent, Self::Confirmed, Self::Done, Self::SentOn, Self::Acked];

    /// Returns the word used in `HOOKSWITCH_CRASH_AT`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Claimed => "claimed",
            Self::Sent => "sent",
            Self::Confirmed => "confirmed",
            Self::Done => "done",
            Self::SentOn => "sent_on",
            Self::Acked => "acked",
        }
    }
}

/// A known mistake of the program's edges and commands that can be built in, to show that the tests notice
/// it.
///
/// Those of the delivery's life are in `tests/simulation/mutant.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// A publish counts as confirmed when it is written.
    NoConfirm,
    /// Two tasks publish on one channel.
    SharedChannel,
    /// A message counts as returned if its own confirm says so, and only then.
    TrustReturned,
    /// A dead letter is removed before its replay is confirmed.
    RemoveBeforeReplay,
    /// A bundle is acked when the first of its webhooks is settled.
    AckBundleEarly,
}

impl Mutant {
    /// Every mutant.
    pub const ALL: [Self; 5] = [
        Self::NoConfirm,
        Self::SharedChannel,
        Self::TrustReturned,
        Self::RemoveBeforeReplay,
        Self::AckBundleEarly,
    ];

    /// Returns the word used in `HOOKSWITCH_MUTANT`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoConfirm => "no_confirm",
            Self::SharedChannel => "shared_channel",
            Self::TrustReturned => "trust_returned",
            Self::RemoveBeforeReplay => "remove_before_replay",
            Self::AckBundleEarly => "ack_bundle_early",
        }
    }
}

#[cfg(not(feature = "faults"))]
mod switch {
    use super::{Mutant, Point};

    /// Does nothing.
    #[inline]
    pub fn at(_point: Point) {}

    /// Returns false.
    #[inline]
    pub fn is(_mutant: Mutant) -> bool {
        false
    }
}

#[cfg(feature = "faults")]
mod switch {
    use std::sync::LazyLock;

    use super::{Mutant, Point};

    /// Crash points with their chances: die once in this many times.
    static CRASHES: LazyLock<Vec<(Point, u32)>> = LazyLock::new(|| {
        let Ok(text) = std::env::var("HOOKSWITCH_CRASH_AT") else { return Vec::new() };
        let chance = |part: &str| {
            let (name, chance) = part.split_once(":1/")?;
            let point = Point::ALL.into_iter().find(|point| point.as_str() == name)?;
            Some((point, chance.parse().ok().filter(|n| *n > 0)?))
        };
        let bad = |part: &str| panic!("HOOKSWITCH_CRASH_AT: `{part}` is invalid; write confirmed:1/500");
        text.split(',').map(|part| chance(part).unwrap_or_else(|| bad(part))).collect()
    });

    static MUTANT: LazyLock<Option<Mutant>> = LazyLock::new(|| {
        let name = std::env::var("HOOKSWITCH_MUTANT").ok()?;
        let mutant = Mutant::ALL.into_iter().find(|mutant| mutant.as_str() == name);
        Some(mutant.unwrap_or_else(|| panic!("HOOKSWITCH_MUTANT: unknown mutant `{name}`")))
    });

    /// Ends the process by chance, if this is one of the crash points.
    pub fn at(point: Point) {
        for (_, chance) in CRASHES.iter().filter(|(at, _)| *at == point) {
            if rand::random_range(0..*chance) == 0 {
                std::process::abort();
            }
        }
    }

    /// Returns true if this mistake is built in.
    pub fn is(mutant: Mutant) -> bool {
        *MUTANT == Some(mutant)
    }
}

pub use switch::{at, is};
