//! Where the time of a process goes: a flame graph of what `perf` sees in it.

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

/// Samples a second of each thread; no divisor of what timers do every second.
const SAMPLES: &str = "499";
/// Narrower than this share of the whole, in percent, nothing is drawn: it could not be read, and files get
/// large.
const WIDTH_MIN: &str = "0.4";
/// Connections to the receiver.
const CONNECTIONS: usize = 64;

#[derive(clap::Args)]
pub struct Options {
    /// Webhooks that a worker works on
    #[arg(long, default_value_t = 100_000)]
    count: u64,
    /// Seconds that a receiver is under load
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    #[command(flatten)]
    output: Output,
}

pub async fn run(options: &Options) {
    let mut world = World::start(ONE_SOURCE).await;
    let folder = tempfile::tempdir().unwrap();
    let samples = |role: &str| folder.path().join(role);

    say("worker under load");
    world.fill(Side::Ours, webhook::SOURCE, options.count, webhook::TYPICAL).await;
    let worker = [world.start_ours("worker")];
    let perf = record(&worker[0], &samples("worker"));
    world.drained(&worker, QUEUE_OUT, options.count / 10, options.count).await;
    drop(worker);
    succeeded("perf record", perf);

    say("receiver under load");
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

/// It ends with the process that it looks at.
fn record(process: &Process, to: &Path) -> Child {
    // A virtual machine may have no counters of cycles.
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
        .stdout(File::create(&folded).expect("a file of ours"))
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
    let status = child.wait().expect("a child of ours");
    assert!(status.success(), "{name}: {status}");
}
