//! `hookswitch config`: check a configuration, or print one to start from.

use std::path::Path;

use clap::Subcommand;

use super::{
    exit::OK,
    load::{load, load_with_sources},
    output::{Out, counted, print_line},
};
use crate::config;

#[derive(Subcommand)]
pub(super) enum Action {
    /// Report every problem of the configuration at once, or that it is valid
    ///
    /// Reads the file and the environment as every other command does, and exits with 64 if there is a
    /// problem. Secrets are resolved: a variable or a file that a source names must exist. That there is no
    /// source is a problem, since no process starts then.
    Check {
        /// Print every value in force, with secrets redacted
        #[arg(long)]
        show: bool,
    },
    /// Print a commented configuration file with every key, its default and its meaning
    ///
    /// The file is valid as it is and sets the defaults; sources and subscriptions are commented out. Write
    /// it to hookswitch.toml and edit it there.
    Example,
}

pub(super) fn run(action: &Action, path: Option<&Path>) -> anyhow::Result<u8> {
    match action {
        Action::Check { show } => check(*show, path),
        Action::Example => {
            let mut out = Out::new();
            out.bytes(config::example().as_bytes())?;
            out.finish()?;
            Ok(OK)
        }
    }
}

fn check(show: bool, path: Option<&Path>) -> anyhow::Result<u8> {
    if show {
        print_line(&load(path)?.to_string())?;
    } else {
        let config = load_with_sources(path)?;
        let sources = counted(config.sources.len() as u64, "source", "sources");
        let subscriptions = counted(config.subscriptions.len() as u64, "subscription", "subscriptions");
        print_line(&format!("the configuration is valid: {sources}, {subscriptions}"))?;
    }
    Ok(OK)
}
