//! The command line: one file per command, and what they share.

mod asyncapi;
mod config;
mod connect;
mod dead_letters;
mod diff;
mod drift;
mod exit;
mod explain;
mod fields;
mod health;
mod help;
mod https;
mod ledger;
mod load;
mod moment;
mod normalize;
mod output;
mod pause;
mod recorded;
mod schema;
mod send_samples;
mod serve;
mod signals;
mod sources;
mod stream;
mod table;
mod tail;
mod topology;

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use self::{
    exit::{FAILED, OK, USAGE, code_of, in_one_line},
    load::{load, load_with_sources, loader},
    output::eprint_line,
};

/// Receives telephony and CRM webhooks and delivers normalized events over RabbitMQ: deduplicated, retried,
/// never lost.
#[derive(Parser)]
#[command(name = "hookswitch", version, after_help = exit::HELP)]
struct Cli {
    /// The configuration file; without it, ./hookswitch.toml if it exists, else the defaults
    #[arg(long, short, global = true, env = "HOOKSWITCH_CONFIG", value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Receive webhooks over HTTP and publish them to the broker
    ///
    /// It reads a changed configuration by itself within 10 seconds, and on SIGHUP.
    Receiver,
    /// Consume webhooks from the broker and publish their events
    ///
    /// It reads a changed configuration by itself within 10 seconds, and on SIGHUP.
    Worker,
    /// Run receiver and worker in one process
    ///
    /// It reads a changed configuration by itself within 10 seconds, and on SIGHUP.
    All,
    Normalize(normalize::Args),
    Diff(diff::Args),
    Schema(schema::Args),
    /// Print the AsyncAPI document of the events: exchange, routing keys, messages, schemas
    Asyncapi,
    /// Create or check exchanges, queues and bindings
    #[command(subcommand)]
    Topology(topology::Action),
    /// Check the configuration, or print an example of one
    #[command(subcommand)]
    Config(config::Action),
    Sources(sources::Args),
    Pause(pause::PauseArgs),
    Resume(pause::ResumeArgs),
    /// Inspect, replay or discard dead letters
    #[command(subcommand)]
    DeadLetters(Box<dead_letters::Action>),
    /// Account for every accepted webhook: accepted = done + duplicate + discarded + dead + in system
    Ledger(ledger::Args),
    Tail(tail::Args),
    Drift(drift::Args),
    Explain(explain::Args),
    /// Post sample webhooks of all providers to a receiver
    SendSamples(send_samples::Args),
    /// Query the health of a running process, for health checks
    Health(health::Args),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(explain(&error)),
    };
    match run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprint_line(&format!("hookswitch: {}", in_one_line(&error)));
            ExitCode::from(code_of(&error))
        }
    }
}

/// Prints a mistake on the command line, or the help or version that was asked for. Returns the exit code.
fn explain(error: &clap::Error) -> u8 {
    match error.print() {
        // If standard error is gone, the exit code must do.
        _ if error.use_stderr() => USAGE,
        Err(failed) if failed.kind() != ErrorKind::BrokenPipe => {
            eprint_line(&format!("hookswitch: cannot write to standard output: {failed}"));
            FAILED
        }
        Ok(()) | Err(_) => OK,
    }
}

fn serve(path: Option<&Path>, roles: serve::Roles) -> anyhow::Result<u8> {
    serve::run(load_with_sources(path)?, loader(path), roles)
}

fn run(cli: Cli) -> anyhow::Result<u8> {
    let path = cli.config.as_deref();
    match cli.command {
        Command::Normalize(args) => normalize::run(&args, path),
        Command::Diff(args) => diff::run(&args, &load(path)?),
        Command::Schema(args) => schema::run(&args),
        Command::Asyncapi => asyncapi::run(),
        Command::Health(args) => health::run(&args, path),
        Command::Config(action) => config::run(&action, path),
        Command::Receiver => serve(path, serve::Roles { receiver: true, worker: false }),
        Command::Worker => serve(path, serve::Roles { receiver: false, worker: true }),
        Command::All => serve(path, serve::Roles { receiver: true, worker: true }),
        Command::Topology(action) => topology::run(&action, &load(path)?),
        Command::Sources(args) => sources::run(&args, &load_with_sources(path)?),
        Command::Pause(args) => pause::pause(&args, &load_with_sources(path)?),
        Command::Resume(args) => pause::resume(&args, &load_with_sources(path)?),
        Command::DeadLetters(action) => dead_letters::run(&action, &load_with_sources(path)?),
        Command::Ledger(args) => ledger::run(&args, &load_with_sources(path)?),
        Command::Explain(args) => explain::run(&args, &load_with_sources(path)?),
        Command::Drift(args) => drift::run(&args, &load_with_sources(path)?),
        Command::Tail(args) => tail::run(&args, &load(path)?),
        Command::SendSamples(args) => send_samples::run(&args, &load_with_sources(path)?),
    }
}
