//! The progress of a command on dead letters.

/// The progress of a command, for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The number of letters read, moved or put back so far.
    Letters(u64),
    /// A wave was sent, and its outcome is awaited.
    Waiting {
        /// The number of letters in the wave.
        sent: u64,
        /// The number of those without an outcome yet.
        open: u64,
    },
}
