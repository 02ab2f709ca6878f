//! Flame graphs of the CPU time of a process, as sampled by `perf`.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;

use super::{
    load::closed_loop,
    report::{Output, say},
    webhook,
    world::{ONE_SOURCE, Process, QUEUE_OUT, Side, World},
};

/// Samples per second of each thread. The number is prime, so that it does not coincide with timers.
const SAMPLES: &str = "499";
/// Smallest share of the whole that is drawn, in percent. Narrower frames are unreadable, and make files
/// large.
const WIDTH_MIN: &str = "0.4";
/// Connections to the receiver.
const CONNECTIONS: usize = 64;

#[derive(clap::Args)]
pub struct Options {
    /// Webhooks that the worker processes
    #[arg(long, default_value_t = 100_000)]
    count: u64,
    /// Duration of the receiver's load in seconds
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    #[command(flatten)]
    output: Output,
}

pub async fn run(options: &Options) {
    let mut world = World::start(ONE_SOURCE).await;
    let folder = tempfile::tempdir().unwrap();
    let samples = |role: &str| folder.path().join(role);

    say("sampling a worker under load");
    world.fill(Side::Ours, webhook::SOURCE, options.count, webhook::TYPICAL).await;
    let worker = [world.start_ours("worker")];
    let perf = record(&worker[0], &samples("worker"));
    world.drained(&worker, QUEUE_OUT, options.count / 10, options.count).await;
    drop(worker);
    succeeded("perf record", perf);

    say("sampling a receiver under load");
    let receiver = world.start_ours("receiver");
    world.answers(&receiver).await;
    let perf = record(&receiver, &samples("receiver"));
    let (lasting, body) =
        (Duration::from_secs(options.seconds), Bytes::from(webhook::body(0, webhook::TYPICAL)));
    closed_loop(&receiver.address, webhook::SOURCE, CONNECTIONS, lasting, || body.clone()).await;
    drop(receiver);
    succeeded("perf record", perf);

    for role in ["worker", "receiver"] {
        options.output.write(&format!("flame-{role}.svg"), &draw(&samples(role), role));
    }
}

/// Starts `perf`, which ends with the process that it samples.
fn record(process: &Process, to: &Path) -> Child {
    // A virtual machine may lack a counter of cycles.
    let mut perf = Command::new("perf");
    perf.args(["record", "--quiet", "-e", "cpu-clock", "-F", SAMPLES, "--call-graph", "fp"]);
    perf.args(["--pid", &process.pid().to_string(), "--output"]).arg(to);
    perf.stdin(Stdio::null()).spawn().expect("perf can be started")
}

/// `perf script | inferno-collapse-perf | inferno-flamegraph`
fn draw(samples: &Path, role: &str) -> String {
    let folded = samples.with_extension("folded");
    let mut script = Command::new("perf");
    let mut script = script
        .args(["script", "--input"])
        .arg(samples)
        .stdout(Stdio::piped())
        .spawn()
        .expect("perf can be started");
    let collapse = Command::new("inferno-collapse-perf")
        .stdin(script.stdout.take().expect("it is piped"))
        .stdout(File::create(&folded).expect("the file can be created"))
        .spawn()
        .expect("inferno is installed");
    succeeded("perf script", script);
    succeeded("inferno-collapse-perf", collapse);
    let drawn = Command::new("inferno-flamegraph")
        .args(["--minwidth", WIDTH_MIN, "--hash", "--title", &format!("CPU time of a {role} under load")])
        .arg(&folded)
        .output()
        .expect("inferno is installed");
    assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
    String::from_utf8(drawn.stdout).expect("SVG is UTF-8")
}

fn succeeded(name: &str, mut child: Child) {
    let status = child.wait().expect("the child can be waited for");
    assert!(status.success(), "{name}: {status}");
}
