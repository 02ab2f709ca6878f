//! `make bench`: the cost of a webhook, compared with the least code that could do the work.
//!
//! Figures of two runs cannot be compared: the same work has taken 1.7 times as long an hour later. So
//! hookswitch and the yardstick take turns on the same broker, and the ratio of each pair counts.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a measurement fails by panicking"
)]

mod chain;
mod chains;
mod chart;
#[path = "../cluster/cluster.rs"]
#[allow(dead_code, reason = "other tests ask it for more")]
mod cluster;
mod commit;
mod compare;
mod fairness;
mod flame;
mod growth;
mod idle;
mod latency;
mod load;
mod meter;
#[path = "../cluster/network.rs"]
#[allow(dead_code, reason = "other tests cut it")]
mod network;
mod node;
mod pairs;
mod rabbitmq;
#[path = "../it/support/redis_cluster.rs"]
#[allow(dead_code, reason = "other tests ask it for more")]
mod redis_cluster;
mod report;
#[path = "../it/support/services.rs"]
#[allow(dead_code, reason = "other tests ask it for more")]
mod services;
mod stores;
mod turn;
mod versions;
mod webhook;
mod world;
mod yardstick;

use clap::{Args, Parser, Subcommand};

const PROGRAM: &str = env!("CARGO_BIN_EXE_hookswitch");

/// Measures hookswitch against a yardstick, on a private RabbitMQ and Redis.
#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Added by `cargo bench`
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Measure worker and receiver in turn with a yardstick, or with Node.js
    Pairs(pairs::Options),
    /// Measure whole chains in turn, from the POST to the event at a consumer
    Chain(chains::Options),
    /// Compare versions of RabbitMQ by results of `chain`
    Versions(versions::Options),
    /// Measure an idle receiver and an idle worker
    Idle(idle::Options),
    /// Measure the latency at fixed rates: to the 200, and to the event
    Latency(latency::Options),
    /// Measure the latency of quiet sources while another source floods
    Fairness(fairness::Options),
    /// Measure the cost of an event by the number of workers, sources, keys and so on
    Growth(growth::Options),
    /// Measure claims and done marks on one Redis, and on a Redis Cluster of three masters
    Stores(stores::Options),
    /// Draw flame graphs of a worker and a receiver; needs perf and inferno
    Flame(flame::Options),
    /// Run the yardstick's worker
    #[command(hide = true)]
    Worker(Addresses),
    /// Run the yardstick's receiver
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
    // One thread serves the yardstick best, and keeps the load generator from crowding out the processes that
    // it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match cli.command {
            Command::Pairs(options) => pairs::run(&options).await,
            Command::Chain(options) => chains::run(&options).await,
            Command::Versions(options) => versions::run(&options),
            Command::Idle(options) => idle::run(&options).await,
            Command::Latency(options) => latency::run(&options).await,
            Command::Fairness(options) => fairness::run(&options).await,
            Command::Growth(options) => growth::run(&options).await,
            Command::Stores(options) => stores::run(&options).await,
            Command::Flame(options) => flame::run(&options).await,
            Command::Worker(at) => yardstick::work(at.wiring(), &at.amqp, &at.redis).await,
            Command::Receiver(at) => yardstick::receive(at.wiring(), &at.amqp, &at.listen).await,
        }
    });
}
