//! Catching panics of our own code over a message, and saying where they happened.
//!
//! A panic's text can quote the message, so only its place is kept.

use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
};

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Replaces the default hook, which would print the panic's text, by one that logs the place.
pub fn install_hook() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!(%place, "panic");
        LAST.with(|last| *last.borrow_mut() = Some(place));
    }));
}

/// Runs `work`; a panic becomes the place where it happened.
///
/// # Errors
/// The file, line and column of the panic, where [`install_hook`] was called before.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        LAST.with(|last| last.borrow_mut().take()).unwrap_or_else(|| "an unknown place".to_owned())
    })
}
