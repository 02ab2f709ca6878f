//! Catches panics of the program's own code while it works on a message, and reports where they happened.
//!
//! The text of a panic can quote the message, so only its location is kept.

use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
};

use tokio::task::JoinError;

const UNKNOWN: &str = "an unknown location";

thread_local! {
    /// The location of this thread's last panic.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Replaces the default panic hook, which would print the text of the panic, by one that logs only the
/// location.
pub fn install_hook() {
    panic::set_hook(Box::new(|info| {
        let location = info.location().map_or_else(|| UNKNOWN.to_owned(), ToString::to_string);
        tracing::error!(%location, "panicked");
        LAST.with(|last| *last.borrow_mut() = Some(location));
    }));
}

/// A task that did not end by itself. tokio's own error quotes the text of the panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskFailed {
    /// It panicked.
    #[error("it panicked; the line \"panicked\" in the log says where")]
    Panicked,
    /// It was aborted.
    #[error("it was aborted")]
    Aborted,
}

impl From<JoinError> for TaskFailed {
    fn from(error: JoinError) -> Self {
        if error.is_panic() { Self::Panicked } else { Self::Aborted }
    }
}

/// Runs `work` and turns a panic into its location.
///
/// # Errors
/// The file, line and column of the panic, if [`install_hook`] was called before.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| LAST.with(|last| last.borrow_mut().take()).unwrap_or_else(|| UNKNOWN.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_task_does_not_quote_its_panic() {
        let quoted = "a line of somebody's body";
        let error = tokio::spawn(async move { panic!("{quoted}") }).await.map(|()| "it ended").unwrap_err();
        assert!(error.to_string().contains(quoted), "else there is nothing to guard against");
        let failed = TaskFailed::from(error);
        assert!(!format!("{failed} {failed:?}").contains(quoted));
    }
}
