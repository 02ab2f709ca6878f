//! Counts of what happened, over all schedules.

use std::fmt;

/// The reason for an event that was published twice although no process could have known better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Window {
    /// The worker died before it received the confirm.
    CrashBeforeConfirm,
    /// The worker died between the confirm and the done mark.
    CrashBeforeDone,
    /// The confirm never came.
    Unknown,
    /// The delivery's channel was lost between the confirm and the done mark.
    GivenOutAgain,
    /// One of the webhook's events was refused after others were confirmed.
    PartlyRefused,
    /// One queue refused the event, and another took it.
    HalfTaken,
    /// The done mark did not reach Redis before the lease ended.
    LeaseEnded,
    /// The same, but the done mark arrived and was acknowledged between the second claim and the second
    /// publish.
    Overtaken,
    /// The publish was under way for longer than the lease.
    LateArrival,
    /// Redis lost data.
    DataLoss,
    /// The clock of Redis jumped.
    EndedEarly,
    /// The worker's own clock stopped while its machine was suspended.
    ClockStopped,
    /// The done mark had expired as configured.
    Expired,
}

impl Window {
    pub(crate) const ALL: [Self; 13] = [
        Self::CrashBeforeConfirm,
        Self::CrashBeforeDone,
        Self::Unknown,
        Self::GivenOutAgain,
        Self::PartlyRefused,
        Self::HalfTaken,
        Self::LeaseEnded,
        Self::Overtaken,
        Self::LateArrival,
        Self::DataLoss,
        Self::EndedEarly,
        Self::ClockStopped,
        Self::Expired,
    ];
}

/// A counted occurrence.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Count {
    Schedules,
    /// Schedules without any fault.
    Calm,
    Steps,
    Accepted,
    Indeterminate,
    EventsTaken,
    WorkerCrashes,
    WorkerFreezes,
    ConnectionsCut,
    BrokerRestarts,
    StoreRestarts,
    StoreLosses,
    StoreClockJumps,
    Redelivered,
    Abandoned,
    Busy,
    DroppedAsDuplicate,
    Unmarked,
    Refused,
    Fenced,
    RetriesOfFaults,
    DeadLetters,
    DeadByDeliveryLimit,
    Replayed,
    /// Messages with several webhooks.
    Bundles,
    /// Webhooks of bundles that came back.
    TakenApart,
}

impl Count {
    pub(crate) const ALL: [Self; 26] = [
        Self::Schedules,
        Self::Calm,
        Self::Steps,
        Self::Accepted,
        Self::Indeterminate,
        Self::EventsTaken,
        Self::WorkerCrashes,
        Self::WorkerFreezes,
        Self::ConnectionsCut,
        Self::BrokerRestarts,
        Self::StoreRestarts,
        Self::StoreLosses,
        Self::StoreClockJumps,
        Self::Redelivered,
        Self::Abandoned,
        Self::Busy,
        Self::DroppedAsDuplicate,
        Self::Unmarked,
        Self::Refused,
        Self::Fenced,
        Self::RetriesOfFaults,
        Self::DeadLetters,
        Self::DeadByDeliveryLimit,
        Self::Replayed,
        Self::Bundles,
        Self::TakenApart,
    ];
}

/// Counts of many schedules.
#[derive(Default)]
pub(crate) struct Stats {
    counts: [u64; Count::ALL.len()],
    windows: [u64; Window::ALL.len()],
    /// Most deliveries that one crash left between confirm and done mark.
    pub(crate) most_in_window: u64,
    /// Most steps of one schedule after its faults had ended.
    pub(crate) longest_drain: u64,
}

impl Stats {
    pub(crate) fn count(&mut self, what: Count) {
        self.counts[what as usize] += 1;
    }

    pub(crate) fn duplicate(&mut self, window: Window) {
        self.windows[window as usize] += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, n) in self.counts.iter_mut().zip(other.counts) {
            *sum += n;
        }
        for (sum, n) in self.windows.iter_mut().zip(other.windows) {
            *sum += n;
        }
        self.most_in_window = self.most_in_window.max(other.most_in_window);
        self.longest_drain = self.longest_drain.max(other.longest_drain);
    }

    /// Returns what never happened: a fault that is never injected proves nothing.
    pub(crate) fn missing(&self) -> Vec<String> {
        let counts = Count::ALL.iter().filter(|what| self.counts[**what as usize] == 0);
        let windows = Window::ALL.iter().filter(|window| self.windows[**window as usize] == 0);
        counts.map(|what| format!("{what:?}")).chain(windows.map(|window| format!("{window:?}"))).collect()
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for what in Count::ALL {
            writeln!(f, "  {:<28}{:>14}", format!("{what:?}"), self.counts[what as usize])?;
        }
        writeln!(f, "  {:<28}{:>14}", "longest drain, in steps", self.longest_drain)?;
        writeln!(f, "  {:<28}{:>14}", "in the window at one crash", self.most_in_window)?;
        writeln!(f, "  events published twice, with the same id:")?;
        for window in Window::ALL {
            writeln!(f, "    {:<26}{:>14}", format!("{window:?}"), self.windows[window as usize])?;
        }
        Ok(())
    }
}
