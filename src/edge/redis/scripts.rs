//! The Lua scripts. Each says at its beginning what it does and what its arguments are.

use std::time::Duration;

use redis::Script;

/// Most keys, objects or numbers that one call gets: Redis does nothing else while it runs a script. No
/// script's work depends on anything but what its caller sends.
pub(super) const CALL_MAX: usize = 1_000;

/// The scripts of a [`Store`](super::Store), hashed once.
pub(super) struct Scripts {
    pub(super) claim: Script,
    pub(super) raise: Script,
    pub(super) release: Script,
    pub(super) record: Script,
    pub(super) mark: Script,
    pub(super) sum_up: Script,
    pub(super) note_fate: Script,
    pub(super) note_drift: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            claim: Script::new(include_str!("scripts/claim.lua")),
            raise: settling(include_str!("scripts/raise.lua")),
            release: Script::new(include_str!("scripts/release.lua")),
            record: settling(include_str!("scripts/record.lua")),
            mark: Script::new(include_str!("scripts/mark.lua")),
            sum_up: Script::new(include_str!("scripts/sum_up.lua")),
            note_fate: Script::new(include_str!("scripts/note_fate.lua")),
            note_drift: Script::new(include_str!("scripts/note_drift.lua")),
        }
    }
}

/// Returns the script that opens the ledger on a new connection.
pub(super) fn open() -> Script {
    Script::new(include_str!("scripts/open.lua"))
}

/// Returns the script that says whom the namespace belongs to.
pub(super) fn own() -> Script {
    Script::new(include_str!("scripts/own.lua"))
}

/// Returns the script that tries every command.
pub(super) fn probe() -> Script {
    settling(include_str!("scripts/probe.lua"))
}

/// Returns a script that calls `settle`.
fn settling(script: &str) -> Script {
    Script::new(&format!("{}{script}", include_str!("scripts/settle.lua")))
}

/// Returns a duration as scripts and commands take it: in milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
