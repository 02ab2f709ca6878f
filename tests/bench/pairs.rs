//! Ours and the yardstick in turn: A B A B …

use std::time::Duration;

use super::world::{Cost, Side, World};

#[derive(clap::Args)]
pub struct Options {
    /// Pairs of runs
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Webhooks that a worker works on in a run
    #[arg(long, default_value_t = 60_000)]
    count: u64,
    /// Seconds that a receiver is under load in a run
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections to a receiver
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Only the worker, or only the receiver
    #[arg(long)]
    only: Option<String>,
}

pub async fn run(options: &Options) {
    let mut world = World::start("[sources.bench]\nprovider = \"morph\"\nauth = \"none\"\n").await;
    let wanted = |role: &str| options.only.as_deref().is_none_or(|only| only == role);
    for n in 0..options.pairs {
        for side in [Side::Yardstick, Side::Ours] {
            if wanted("worker") {
                let cost = world.drain(side, options.count, 0).await;
                show(n, "worker", side, cost);
            }
            if wanted("receiver") {
                let lasting = Duration::from_secs(options.seconds);
                let cost = world.accept(side, options.connections, lasting).await;
                show(n, "receiver", side, cost);
            }
        }
    }
}

fn show(n: usize, role: &str, side: Side, cost: Cost) {
    let [own, broker, redis] = cost.cpu;
    println!(
        "{n} {role:<9} {side:<10?} {:>8.0}/s  CPU µs: own {own:>6.1} broker {broker:>6.1} Redis {redis:>6.1}  peak {:>5.1} MiB",
        cost.rate, cost.peak_mib
    );
}
