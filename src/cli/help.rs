//! Help texts that derive from the lists of words they name.

use crate::core::{delivery::fault::Reason, providers::Provider};

/// Returns the names of all providers, for a help text.
pub(super) fn providers() -> String {
    Provider::ALL.iter().map(|provider| provider.as_str()).collect::<Vec<_>>().join(", ")
}

/// Returns all dead-letter reasons, for a help text.
pub(super) fn reasons() -> String {
    Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(", ")
}
