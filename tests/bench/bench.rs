//! `make bench`: what a webhook costs, compared with the least code that could do the work.
//!
//! Figures of two runs cannot be compared: the same work was seen to take 1.7 times as long an hour later. So
//! ours and the yardstick take turns on the same broker, and what counts is the ratio of each pair.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a measurement that cannot go on fails"
)]

mod chain;
mod chart;
mod fairness;
mod flame;
mod growth;
mod idle;
mod latency;
mod load;
mod meter;
mod node;
mod pairs;
mod report;
#[path = "../it/support/services.rs"]
#[allow(dead_code, reason = "other tests ask it for more")]
mod services;
mod webhook;
mod world;
mod yardstick;

use clap::{Args, Parser, Subcommand};

const PROGRAM: &str = env!("CARGO_BIN_EXE_hookswitch");

/// Measures hookswitch beside a yardstick, on a RabbitMQ and a Redis of its own.
#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What `cargo bench` adds
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Worker and receiver, ours and the yardstick or Node in turn
    Pairs(pairs::Options),
    /// A receiver and a worker with nothing to do
    Idle(idle::Options),
    /// How long a webhook takes at a fixed rate: until it is answered, until its event is there
    Latency(latency::Options),
    /// How a quiet source fares while another floods
    Fairness(fairness::Options),
    /// What an event costs against the number of everything
    Growth(growth::Options),
    /// Where the time of a worker and of a receiver goes; needs perf and inferno
    Flame(flame::Options),
    /// The yardstick's worker
    #[command(hide = true)]
    Worker(Addresses),
    /// The yardstick's receiver
    #[command(hide = true)]
    Receiver(Addresses),
}

#[derive(Args)]
struct Addresses {
    #[arg(long)]
    amqp: String,
    #[arg(long)]
    redis: String,
    #[arg(long)]
    listen: String,
    #[arg(long)]
    lean: bool,
}

impl Addresses {
    fn wiring(&self) -> yardstick::Wiring {
        if self.lean { yardstick::LEAN } else { yardstick::SAME }
    }
}

fn main() {
    let cli = Cli::parse();
    // One thread, which is what serves the yardstick best; the load generator must not crowd out what it
    // measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match cli.command {
            Command::Pairs(options) => pairs::run(&options).await,
            Command::Idle(options) => idle::run(&options).await,
            Command::Latency(options) => latency::run(&options).await,
            Command::Fairness(options) => fairness::run(&options).await,
            Command::Growth(options) => growth::run(&options).await,
            Command::Flame(options) => flame::run(&options).await,
            Command::Worker(at) => yardstick::work(at.wiring(), &at.amqp, &at.redis).await,
            Command::Receiver(at) => yardstick::receive(at.wiring(), &at.amqp, &at.listen).await,
        }
    });
}
