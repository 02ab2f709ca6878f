//! Exit codes, and the errors that choose one.

use crate::config::ConfigProblems;

/// Success.
pub(super) const OK: u8 = 0;
/// The operation failed, or a check did not pass.
pub(super) const FAILED: u8 = 1;
/// The command line or the configuration is wrong (EX_USAGE of sysexits.h).
pub(super) const USAGE: u8 = 64;
/// The input is wrong (EX_DATAERR).
pub(super) const DATA: u8 = 65;
/// The broker, Redis or the receiver is unreachable (EX_UNAVAILABLE).
const UNAVAILABLE: u8 = 69;
/// A second signal ended a job at once (128 and SIGINT, as shells say it).
pub(super) const INTERRUPTED: u8 = 130;

/// The help text about exit codes and where settings come from.
pub(super) const HELP: &str = "Exit codes:
  0   success
  1   the operation or a check failed, or the result could not be written
  64  the command line or the configuration is wrong
  65  the input is wrong
  69  the broker, Redis or the receiver is unreachable
  130 a second Ctrl-C ended a job on dead letters at once

A command whose reader stops early, as in `hookswitch tail | head`, ends quietly with the code of its work.

Settings come from the file and are overridden by environment variables: HOOKSWITCH_AMQP_URL, \
HOOKSWITCH_REDIS_URL and HOOKSWITCH_<SECTION>_<KEY> for every key; `hookswitch config example` explains \
them all.";

/// A mistake on the command line that clap cannot detect.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// A service that the command needs cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreachable(pub(super) String);

/// A file that the command reads is missing or wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadInput(pub(super) String);

/// The configuration has no sources, and the command has nothing to work on without one.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSources {
    /// No file was read.
    #[error(
        "no source is configured: there is no ./hookswitch.toml; name the configuration file with --config \
         or HOOKSWITCH_CONFIG"
    )]
    NoFile,
    /// This file has none.
    #[error("no source is configured: {0} has no [sources.<name>] section")]
    InFile(String),
}

/// Returns the exit code for an error that ended the program.
pub(super) fn code_of(error: &anyhow::Error) -> u8 {
    if error.is::<ConfigProblems>() || error.is::<NoSources>() || error.is::<Usage>() {
        USAGE
    } else if error.is::<BadInput>() {
        DATA
    } else if error.is::<Unreachable>() {
        UNAVAILABLE
    } else {
        FAILED
    }
}

/// Returns an error and its causes in one line. A cause that the text contains already is left out.
pub(super) fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}
