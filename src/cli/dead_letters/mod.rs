//! `hookswitch dead-letters …`: the command line of [`crate::app::dead_letters`].

mod act;
mod choose;
mod files;
mod look;
mod output;

use std::{io::IsTerminal, time::Duration};

use clap::Subcommand;
use tokio_util::sync::CancellationToken;

use self::choose::{Aim, Choice};
use super::{Unreachable, block_on, connect, ledger::open_store};
use crate::{
    app::dead_letters::{DeadLetters, JobRequest, Progress, Services},
    config::Config,
    core::{delivery::fault::Reason, letters::JobKind},
    edge::{
        amqp::{Connection, publish::Publisher},
        metrics::LinkMetrics,
        redis::Store,
    },
};

const STORY: &str = "\
The usual way, in five commands:
  hookswitch dead-letters stats                        what died, where, why, since when
  hookswitch dead-letters show ID                      one of them, without personal data
  hookswitch dead-letters try --fingerprint F          would it work now?
  hookswitch dead-letters replay --fingerprint F       send them back: ten first, then more while they do well
  hookswitch dead-letters stats                        what is left

stats, list, show and try change nothing, however often they are run. The others are jobs, on record with who, what,
why and what came of it (`dead-letters jobs`); those that move letters run one at a time. Stopped or killed at any moment they lose
nothing; run again they finish. Who: --actor, else HOOKSWITCH_ACTOR, SUDO_USER or USER.

docs/runbook.md tells what to do for each state that is worth an alert.";

#[derive(Subcommand)]
#[command(after_help = STORY)]
pub(super) enum Action {
    /// Count them by source, reason, fingerprint and version, and show when they died: look at this first
    Stats(look::StatsArgs),
    /// List them, oldest first
    List(look::ListArgs),
    /// Show one whole, without personal data unless --reveal is given
    Show(look::ShowArgs),
    /// Run today's normalizer over them without publishing: how many would succeed now?
    Try(look::TryArgs),
    /// Send them back to be worked on again: same bytes, attempts from zero
    Replay(act::ReplayArgs),
    /// Throw them away for good, after writing them to a file
    Discard(act::DiscardArgs),
    /// Write them to a file, whole: to attach to a ticket, to try on a laptop, to put back
    Export(act::ExportArgs),
    /// Put the letters of a file back into their dead-letter queues; done twice it changes nothing
    Import(act::ImportArgs),
    /// Make what is listed agree with the queues, after somebody has moved letters by other means
    Reindex(act::ReindexArgs),
    /// List the jobs: who did what to which letters, why, and what came of it
    Jobs(look::JobsArgs),
}

/// Who asks for a job, and why.
#[derive(clap::Args, Clone)]
pub(in crate::cli) struct Who {
    /// Who you are; without it HOOKSWITCH_ACTOR, SUDO_USER or USER
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Why, in your words: goes on record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// A wrong command line that clap cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(String);

impl Who {
    fn order(&self, kind: JobKind, filter: String, letters: Option<u64>) -> Result<JobRequest, Usage> {
        let named = ["HOOKSWITCH_ACTOR", "SUDO_USER", "USER"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        let given = self.actor.clone().filter(|actor| !actor.trim().is_empty());
        let actor = given.or(named).ok_or_else(|| {
            Usage("who are you? Give --actor NAME or set HOOKSWITCH_ACTOR: it goes on record".to_owned())
        })?;
        // The mistake that would throw everything away.
        if let Some(reason) = self.reason.as_ref().filter(|reason| reason.parse::<Reason>().is_ok()) {
            return Err(Usage(format!(
                "--reason says why you do this; to choose letters that died of {reason} give --died-of {reason}"
            )));
        }
        Ok(JobRequest { kind, actor, reason: self.reason.clone(), filter, letters })
    }

    fn order_with_reason(
        &self,
        kind: JobKind,
        filter: String,
        letters: Option<u64>,
    ) -> Result<JobRequest, Usage> {
        if self.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
            return Err(Usage("say why with --reason \"…\": it goes on record".to_owned()));
        }
        self.order(kind, filter, letters)
    }
}

/// The connections of a command.
struct Session<'a> {
    config: &'a Config,
    connection: Connection,
}

impl<'a> Session<'a> {
    async fn open(config: &'a Config) -> Result<Self, Unreachable> {
        Ok(Self { config, connection: connect(&config.amqp).await? })
    }

    fn desk(&self) -> DeadLetters<'_> {
        DeadLetters::new(&self.connection, self.config)
    }

    async fn publisher(&self) -> Result<Publisher, Unreachable> {
        let publisher = Publisher::start(self.config.amqp.clone(), "dead letters", LinkMetrics::unexported());
        let mut trouble = publisher.watch();
        let up = tokio::time::timeout(self.config.amqp.connect_timeout, trouble.wait_for(Option::is_none));
        if up.await.is_err() {
            return Err(Unreachable("the broker takes no messages now; nothing was done".to_owned()));
        }
        Ok(publisher)
    }

    async fn tools(&self) -> anyhow::Result<OwnTools> {
        let (publisher, store) = (self.publisher().await?, open_store(self.config).await?);
        Ok(OwnTools { publisher, store, stop: stop_on_interrupt() })
    }
}

/// What jobs need.
struct OwnTools {
    publisher: Publisher,
    store: Store,
    stop: CancellationToken,
}

impl OwnTools {
    fn lend(&self) -> Services<'_> {
        Services { publisher: &self.publisher, store: &self.store, stop: &self.stop }
    }
}

/// The first Ctrl-C stops the job at the next letter; the second one ends the program, which loses nothing either.
fn stop_on_interrupt() -> CancellationToken {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            output::complain("stopping at the next letter; again to stop at once");
            asked.cancel();
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        }
    });
    stop
}

/// A bar on a terminal, nothing elsewhere. Of an unknown length where `total` is none.
fn bar(total: Option<u64>, what: &'static str) -> indicatif::ProgressBar {
    let bar = match total {
        Some(total) => indicatif::ProgressBar::new(total),
        None => indicatif::ProgressBar::new_spinner(),
    };
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let template = match total {
        Some(_) => "{prefix} {wide_bar} {human_pos}/{human_len} {per_sec} ETA {eta} {msg}",
        None => "{prefix} {spinner} {human_pos} {per_sec} {msg}",
    };
    if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Shows how many letters are through.
fn counted(progress: &indicatif::ProgressBar) -> impl FnMut(Progress) {
    |now| {
        if let Progress::Letters(letters) = now {
            progress.set_position(letters);
        }
    }
}

pub(super) fn run(action: &Action, config: &Config) -> anyhow::Result<u8> {
    block_on(async {
        match action {
            Action::Stats(args) => look::stats(config, args).await,
            Action::List(args) => look::list(config, args).await,
            Action::Show(args) => look::show(config, args).await,
            Action::Try(args) => look::attempt(config, args).await,
            Action::Jobs(args) => look::jobs(config, args).await,
            Action::Replay(args) => act::replay(config, args).await,
            Action::Discard(args) => act::discard(config, args).await,
            Action::Export(args) => act::export(config, args).await,
            Action::Import(args) => act::import(config, args).await,
            Action::Reindex(args) => act::reindex(config, args).await,
        }
    })
}
