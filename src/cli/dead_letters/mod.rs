//! `hookswitch dead-letters …`: the command line of [`crate::app::dead_letters`].
//!
//! A command is one file with `Args`, whose doc is the command's help, and `run`; and one line in
//! [`commands!`].

mod bars;
mod discard;
mod export;
mod files;
mod filter;
mod guards;
mod import;
mod jobs;
mod letter;
mod list;
mod progress;
mod reindex;
mod replay;
mod selection;
pub(super) mod session;
mod settings;
mod show;
mod stats;
mod r#try;
pub(super) mod who;

use clap::Subcommand;

use super::connect::block_on;
use crate::config::Config;

const OVERVIEW: &str = "The usual way, in five commands:
  hookswitch dead-letters stats                     what died, where, why
  hookswitch dead-letters show ID                   one letter, masked
  hookswitch dead-letters try --fingerprint F       would it work now?
  hookswitch dead-letters replay --fingerprint F    ten, then more if they work
  hookswitch dead-letters stats                     what is left

stats, list, show and try change nothing. The other commands are jobs: each is recorded with who, what, \
why and its result (`dead-letters jobs`), and jobs that move letters run one at a time. A job stopped or \
killed at any moment loses nothing; run again, it finishes. The operator's name is --actor, else \
HOOKSWITCH_ACTOR, SUDO_USER or USER.

docs/runbook.md says what to do in each state that raises an alert.";

/// Declares the commands: the enum that clap reads, and the call of each command's `run`.
macro_rules! commands {
    ($($Command:ident($module:ident),)+) => {
        #[derive(Subcommand)]
        #[command(after_help = OVERVIEW)]
        pub(super) enum Action {
            $($Command($module::Args),)+
        }

        async fn run_command(action: &Action, config: &Config) -> anyhow::Result<u8> {
            match action {
                $(Action::$Command(args) => $module::run(config, args).await,)+
            }
        }
    };
}

commands! {
    Stats(stats),
    List(list),
    Show(show),
    Try(r#try),
    Replay(replay),
    Discard(discard),
    Export(export),
    Import(import),
    Reindex(reindex),
    Jobs(jobs),
}

pub(super) fn run(action: &Action, config: &Config) -> anyhow::Result<u8> {
    block_on(run_command(action, config))
}
