//! The CPU time and memory of an idle receiver and an idle worker.

use std::{fmt::Write as _, time::Duration};

use serde::Serialize;

use super::{
    meter::{cpu_seconds, memory_mib},
    report::{Output, say},
    world::World,
};

/// Target: memory of an idle process.
const MEMORY_MAX_MIB: f64 = 15.0;
/// Time for a process to become idle.
const REST: Duration = Duration::from_secs(4);

#[derive(clap::Args)]
pub struct Options {
    /// Duration of the measurement in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[command(flatten)]
    output: Output,
}

/// An idle process.
#[derive(Serialize)]
pub struct Idle {
    role: &'static str,
    rss_mib: f64,
    cpu_percent: f64,
}

pub async fn run(options: &Options) {
    let world = World::start(super::world::ONE_SOURCE).await;
    let idle = measure(&world, Duration::from_secs(options.seconds)).await;
    options.output.print(&idle, &table(&idle));
}

/// Measures for this long.
pub async fn measure(world: &World, lasting: Duration) -> Vec<Idle> {
    say("idle");
    let receiver = world.start_ours("receiver");
    let worker = world.start_ours("worker");
    world.answers(&receiver).await;
    tokio::time::sleep(REST).await;
    let processes = [("receiver", &receiver), ("worker", &worker)];
    let before = processes.map(|(_, process)| cpu_seconds(process.pid()));
    tokio::time::sleep(lasting).await;
    let look = |((role, process), before): ((&'static str, &super::world::Process), f64)| Idle {
        role,
        rss_mib: memory_mib(process.pid(), "VmRSS"),
        cpu_percent: (cpu_seconds(process.pid()) - before) / lasting.as_secs_f64() * 100.0,
    };
    processes.into_iter().zip(before).map(look).collect()
}

pub fn table(idle: &[Idle]) -> String {
    let mut text = format!("Idle (target < {MEMORY_MAX_MIB} MiB each)\n");
    for Idle { role, rss_mib, cpu_percent } in idle {
        let met = if *rss_mib < MEMORY_MAX_MIB { "met" } else { "NOT met" };
        writeln!(text, "  {role:<9} {rss_mib:>5.1} MiB resident, {cpu_percent:.2} % CPU: {met}").unwrap();
    }
    text
}
