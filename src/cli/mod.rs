//! The command line: one file per command, and what they share.

mod config;
mod dead_letters;
mod health;
mod ledger;
mod normalize;
mod send_samples;
mod serve;
mod tail;
mod topology;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    config::{Amqp, Config, ConfigProblems},
    edge::amqp,
};

/// Everything went well.
pub const OK: u8 = 0;
/// It did not work, or the answer is no.
pub const FAILED: u8 = 1;
/// The command line or the configuration is wrong (EX_USAGE).
pub const USAGE: u8 = 64;
/// The input is wrong (EX_DATAERR).
pub const DATA: u8 = 65;
/// The broker, Redis or the receiver cannot be reached (EX_UNAVAILABLE).
pub const UNAVAILABLE: u8 = 69;

const EXIT_CODES: &str = "Exit codes:
  0   it worked
  1   it did not work, or the answer is no
  64  the command line or the configuration is wrong
  65  the input is wrong
  69  the broker, Redis or the receiver cannot be reached

Settings come from the file, then from the environment: HOOKSWITCH_AMQP_URL, HOOKSWITCH_REDIS_URL and
HOOKSWITCH_<SECTION>_<KEY> for every key; `hookswitch config example` explains them all.";

/// Takes telephony and CRM webhooks and delivers normalized events over RabbitMQ: deduplicated, retried, never lost.
#[derive(Parser)]
#[command(name = "hookswitch", version, after_help = EXIT_CODES)]
struct Cli {
    /// The configuration file; without it, ./hookswitch.toml if there is one, else the defaults
    #[arg(long, short, global = true, env = "HOOKSWITCH_CONFIG", value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take webhooks over HTTP and put them on the broker
    Receiver,
    /// Take webhooks off the broker and publish their events
    Worker,
    /// Receiver and worker in one process
    All,
    /// Turn one webhook into events, here and now: no broker, no Redis
    Normalize(normalize::Args),
    /// Make or check exchanges, queues and bindings
    #[command(subcommand)]
    Topology(topology::Action),
    /// Check the configuration, or print an example of one
    #[command(subcommand)]
    Config(config::Action),
    /// Look at dead letters, send them back, throw them away: what to do at 3 a.m.
    #[command(subcommand)]
    DeadLetters(Box<dead_letters::Action>),
    /// Show what became of every webhook: accepted = done + duplicate + discarded + dead + in the system
    Ledger(ledger::Args),
    /// Follow the normalized events without taking one away from anybody
    Tail(tail::Args),
    /// Post sample webhooks of all providers to a receiver
    SendSamples(send_samples::Args),
    /// Ask a running process whether it is well: for health checks
    Health(health::Args),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing to be done if the terminal is gone.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { USAGE } else { OK });
        }
    };
    match run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("hookswitch: {}", in_one_line(&error));
            ExitCode::from(code_of(&error))
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<u8> {
    let path = cli.config.as_deref();
    match cli.command {
        Command::Normalize(args) => normalize::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Config(action) => config::run(&action, path),
        Command::Receiver => serve::run(&load(path)?, serve::Roles { receiver: true, worker: false }),
        Command::Worker => serve::run(&load(path)?, serve::Roles { receiver: false, worker: true }),
        Command::All => serve::run(&load(path)?, serve::Roles { receiver: true, worker: true }),
        Command::Topology(action) => topology::run(&action, &load(path)?),
        Command::DeadLetters(action) => dead_letters::run(&action, &load_sources(path)?),
        Command::Ledger(args) => ledger::run(&args, &load_sources(path)?),
        Command::Tail(args) => tail::run(&args, &load(path)?),
        Command::SendSamples(args) => send_samples::run(&args, &load(path)?),
    }
}

fn load(path: Option<&std::path::Path>) -> Result<Config, ConfigProblems> {
    let default = std::path::Path::new("hookswitch.toml");
    let path = path.or_else(|| default.exists().then_some(default));
    Config::load(path, &std::env::vars().collect())
}

/// A configuration for commands that would say "nothing" of no sources, which must not look like "all is well".
fn load_sources(path: Option<&std::path::Path>) -> anyhow::Result<Config> {
    let config = load(path)?;
    if config.sources.is_empty() { Err(NoSources.into()) } else { Ok(config) }
}

/// There is nothing to look at.
#[derive(Debug, thiserror::Error)]
#[error("no source is configured; name the configuration file with --config or HOOKSWITCH_CONFIG")]
struct NoSources;

/// An error and its causes; most errors of ours say their cause themselves.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// Which exit code an error of the top deserves.
fn code_of(error: &anyhow::Error) -> u8 {
    if error.is::<ConfigProblems>() || error.is::<NoSources>() || error.is::<dead_letters::Usage>() {
        USAGE
    } else if error.is::<Unreachable>() {
        UNAVAILABLE
    } else {
        FAILED
    }
}

/// A service that a command needs is not there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unreachable(String);

/// The runtime of the commands that do one thing and end.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Connects to the broker for a command.
async fn connect(config: &Amqp) -> Result<amqp::Connection, Unreachable> {
    amqp::connect(config, "command").await.map_err(|error| {
        Unreachable(format!("{error}; is it running, and does amqp.url or HOOKSWITCH_AMQP_URL name it?"))
    })
}
