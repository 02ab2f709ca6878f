//! The program as a process: killed, stopped, and asked for its state.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use bytes::Bytes;
use hookswitch::edge::http::{Client, Reply};

use super::support::{
    PATIENCE, World, call, calls,
    program::{PROGRAM, Program},
    services::free_port,
    until,
};

pub struct Process {
    child: Child,
    admin: String,
    address: String,
    dir: tempfile::TempDir,
}

impl Process {
    pub fn start(world: &World, role: &str) -> Self {
        Self::start_with(world, role, &["env"])
    }

    /// Starts it by another program, which becomes it.
    pub fn start_with(world: &World, role: &str, by: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = write_config(world, dir.path());
        let (admin, address) = (free_port(), free_port());
        let child = Command::new(by[0])
            .args(&by[1..])
            .args([PROGRAM, role, "--config"])
            .arg(config)
            .env("HOOKSWITCH_ADMIN_LISTEN", format!("127.0.0.1:{admin}"))
            .env("HOOKSWITCH_RECEIVER_LISTEN", format!("127.0.0.1:{address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(std::fs::File::create(dir.path().join("log")).unwrap()))
            .spawn()
            .unwrap();
        Self {
            child,
            admin: format!("http://127.0.0.1:{admin}"),
            address: format!("http://127.0.0.1:{address}"),
            dir,
        }
    }

    /// Returns the URL of a source.
    pub fn url(&self, source: &str) -> String {
        format!("{}/in/{source}", self.address)
    }

    /// Returns the path of its configuration.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("hookswitch.toml")
    }

    pub async fn get(&self, path: &str) -> Option<Reply> {
        Client::new(Duration::from_secs(5)).get(&format!("{}{path}", self.admin)).await.ok()
    }

    pub async fn ready(&self) {
        until("the process is ready", async || self.get("/readyz").await.is_some_and(|a| a.status == 200))
            .await;
    }

    pub async fn metric(&self, line_start: &str) -> f64 {
        let Some(answer) = self.get("/metrics").await else { return 0.0 };
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        let lines = text.lines().filter(|line| line.starts_with(line_start));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Returns the most memory that it has had, in KiB.
    pub fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    /// Waits for its end.
    pub async fn end(mut self) -> ExitStatus {
        let waiting = tokio::task::spawn_blocking(move || self.child.wait().unwrap());
        tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap()
    }

    async fn exit_code(self) -> Option<i32> {
        self.end().await.code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn write_config(world: &World, dir: &Path) -> PathBuf {
    let path = dir.join("hookswitch.toml");
    std::fs::write(&path, &world.toml).unwrap();
    path
}

fn command(world: &World, arguments: &[&str]) -> Output {
    Program::of(world).command("").args(arguments).output().unwrap()
}

#[tokio::test]
async fn a_worker_killed_again_and_again_under_load_loses_nothing() {
    let world = World::new().await;
    world.accept("salpre", (0..1_500).map(call)).await;
    let mut kills = 0;
    for round in 0..5 {
        let mut worker = Process::start(&world, "worker");
        worker.ready().await;
        let target = if round == 4 { 0.0 } else { 20.0 };
        until("it works", async || worker.metric("hookswitch_events_total").await >= target).await;
        if round < 4 {
            worker.child.kill().unwrap();
            worker.child.wait().unwrap();
            kills += 1;
            continue;
        }
        let mut seen = calls(&world.events(1_500).await);
        let with_duplicates = seen.len();
        seen.dedup();
        assert_eq!(seen, (0..1_500).collect::<Vec<_>>());
        // Events that were published and not yet marked at a kill may be published again, with the same id.
        assert!(with_duplicates - 1_500 <= kills * world.config.worker.concurrency, "{with_duplicates}");
    }
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_the_ledger_says_not_known_while_no_worker_notes_anything() {
    let world = World::new().await;
    let check = || tokio::task::block_in_place(|| command(&world, &["ledger", "--check", "4", "--json"]));
    let unknown = check();
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("not known"), "{unknown:?}");
    let worker = world.worker();
    let known = tokio::task::block_in_place(|| command(&world, &["ledger", "--check", "60", "--json"]));
    assert_eq!(known.status.code(), Some(0), "{known:?}");
    assert!(String::from_utf8_lossy(&known.stdout).contains(r#""check":"balanced""#), "{known:?}");
    worker.finish().await;
}

#[tokio::test]
async fn a_webhook_that_the_broker_returns_is_refused_and_not_logged() {
    let world = World::new().await;
    let receiver = Process::start(&world, "receiver");
    receiver.ready().await;
    let channel = world.client().await.create_channel().await.unwrap();
    channel.queue_delete("raw.salpre".into(), Default::default()).await.unwrap();
    let url = format!("{}/in/salpre", receiver.address);
    let reply = Client::new(PATIENCE).post(&url, &[], Bytes::from(call(1))).await.unwrap();
    assert_eq!(reply.status, 503);
    // lapin would log it as text, or as a list of bytes.
    let (log, bytes) = (receiver.log(), format!("{:?}", b"event_type"));
    assert!(log.contains("no queue is bound"), "{log}");
    assert!(!log.contains("event_type") && !log.contains(bytes.trim_matches(['[', ']'])), "{log}");
}

#[tokio::test]
async fn a_receiver_killed_under_load_has_lost_nothing_that_it_answered_200() {
    let world = World::new().await;
    let mut receiver = Process::start(&world, "receiver");
    receiver.ready().await;
    let url = format!("{}/in/salpre", receiver.address);
    let posting = tokio::spawn(async move {
        let client = Client::new(PATIENCE);
        let mut accepted = Vec::new();
        for n in 0..10_000 {
            let body: &'static [u8] = Box::leak(call(n).into_boxed_slice());
            match client.post(&url, &[], Bytes::from_static(body)).await {
                Ok(answer) if answer.status == 200 => accepted.push(n),
                Ok(answer) => assert_eq!(answer.status, 503),
                Err(_) => break,
            }
        }
        accepted
    });
    until("webhooks come in", async || {
        receiver.metric("hookswitch_received_total{source=\"salpre\",status=\"200\"}").await > 100.0
    })
    .await;
    receiver.child.kill().unwrap();
    receiver.child.wait().unwrap();
    let accepted = posting.await.unwrap();
    let worker = world.worker();
    let seen = calls(&world.events(accepted.len()).await);
    assert!(accepted.iter().all(|n| seen.contains(n)), "{} accepted, {} seen", accepted.len(), seen.len());
    worker.finish().await;
}

#[tokio::test]
async fn sigterm_finishes_what_is_in_flight_and_exits_0() {
    let world = World::new().await;
    let process = Process::start(&world, "all");
    process.ready().await;
    world.accept("salpre", (0..500).map(call)).await;
    until("it works", async || process.metric("hookswitch_events_total").await > 20.0).await;
    process.signal("TERM");
    assert_eq!(process.exit_code().await, Some(0));
    // The rest is still queued: another worker takes it, and no event is published twice.
    let worker = world.worker();
    assert_eq!(calls(&world.events(500).await), (0..500).collect::<Vec<_>>());
    worker.finish().await;
}

#[tokio::test]
async fn systemd_hears_that_a_process_is_ready_and_that_it_stops() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let hear = async || {
        let mut message = [0; 100];
        let length = tokio::time::timeout(PATIENCE, socket.recv(&mut message)).await.unwrap().unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    let notify = format!("NOTIFY_SOCKET={}", path.display());
    let process = Process::start_with(&world, "all", &["env", &notify]);
    assert_eq!(hear().await, "READY=1\n");
    process.signal("TERM");
    assert_eq!(hear().await, "STOPPING=1\n");
    assert_eq!(process.exit_code().await, Some(0));
}

#[tokio::test]
async fn the_commands_do_what_their_help_says() {
    let world = World::new().await;
    let text = |output: &Output| {
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let run = |arguments: &[&str]| {
        let output = command(&world, arguments);
        (output.status.code().unwrap(), text(&output))
    };
    assert_eq!(run(&["config", "check"]).0, 0);
    assert_eq!(run(&["topology", "check"]).0, 0);
    let (code, shown) = run(&["config", "check", "--show"]);
    assert_eq!(code, 0);
    assert!(shown.contains("[redacted]") && !shown.contains("guest:guest"), "{shown}");

    world.accept("salpre", [b"not json".to_vec()]).await;
    let worker = world.worker();
    let letter = world.dead("salpre", 1).await.remove(0);
    worker.finish().await;
    let id = letter.webhook.delivery_id.to_string();
    let (code, list) = run(&["dead-letters", "list"]);
    assert_eq!(code, 0);
    assert!(list.contains("malformed_json") && list.contains(&id), "{list}");
    let (code, shown) = run(&["dead-letters", "show", &id]);
    assert_eq!(code, 0);
    assert!(shown.contains("xxx xxxx") && !shown.contains("not json"), "{shown}");
    let reveal = ["dead-letters", "show", &id, "--reveal", "--actor", "ann"];
    assert_eq!(run(&reveal).0, 64, "it asks why");
    let (code, shown) = run(&[&reveal[..], &["--note", "a ticket"]].concat());
    assert!(code == 0 && shown.contains("not json"), "{shown}");
    assert!(
        run(&["dead-letters", "replay", "--dry-run"]).1.contains("1 letter (1 of salpre) would be replayed")
    );
    let discard = ["dead-letters", "discard", "--actor", "ann", "--no-export", "--all", "--note"];
    assert_eq!(run(&[&discard[..], &["a test"]].concat()).0, 64, "it asks first");
    assert_eq!(
        run(&[&discard[..], &["a test", "--yes", "--reason", "a test"]].concat()).0,
        64,
        "that is no reason of a webhook"
    );
    let replay = ["dead-letters", "replay", "--actor", "ann", "--all"];
    let at_once = ["--no-canary", "--yes", "--no-export", "--note", "mended"];
    assert!(run(&[&replay[..], &at_once].concat()).1.contains("1 letter replayed"));
    let worker = world.worker();
    world.dead("salpre", 1).await;
    worker.finish().await;
    assert!(run(&[&discard[..], &["a test", "--yes"]].concat()).1.contains("1 letter discarded"));
    assert_eq!(run(&["dead-letters", "show", &id]).0, 1);
    let (_, jobs) = run(&["dead-letters", "jobs"]);
    let kinds: Vec<_> =
        ["reveal", "replay", "discard"].into_iter().filter(|kind| jobs.contains(kind)).collect();
    assert_eq!(kinds.len(), 3, "{jobs}");
    assert_eq!(run(&["no-such-command"]).0, 64);
    let nobody = free_port();
    let health = run(&["health", "--url", &format!("http://127.0.0.1:{nobody}/readyz")]);
    assert_ne!(health.0, 0);
}

#[tokio::test]
async fn the_metrics_are_what_promtool_and_open_metrics_expect() {
    let world = World::new().await;
    let process = Process::start(&world, "all");
    process.ready().await;
    let url = format!("{}/metrics", process.admin);
    let text = process.get("/metrics").await.unwrap();
    // tests/scripts/check-deployment.sh, which runs before the tests, has put it there.
    let promtool = concat!(env!("CARGO_MANIFEST_DIR"), "/.run/tools/prometheus/usr/bin/promtool");
    let mut checking = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run tests/scripts/check-deployment.sh, which installs promtool");
    std::io::Write::write_all(&mut checking.stdin.take().unwrap(), &text.body).unwrap();
    let checked = checking.wait_with_output().unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    let text = String::from_utf8(text.body.to_vec()).unwrap();
    for series in [
        "hookswitch_received_total{source=\"salpre\",status=\"200\"} 0",
        "hookswitch_received_total{source=\"other\",status=\"503\"} 0",
        "hookswitch_dead_total{source=\"other\",reason=\"malformed_json\"} 0",
        "hookswitch_retries_total{source=\"salpre\",tier=\"200ms\"} 0",
        "hookswitch_deliveries_total{source=\"salpre\",disposition=\"duplicate\"} 0",
        "hookswitch_pauses_total{cause=\"downstream_full\"} 0",
        "hookswitch_parked_total{source=\"other\"} 0",
        "hookswitch_held_bytes 0",
    ] {
        assert!(text.lines().any(|line| line == series), "lacks {series}: {text}");
    }
    assert!(process.metric("process_resident_memory_bytes").await > 1e6);
    assert!(process.metric("process_start_time_seconds").await > 1e9);
    let curl = Command::new("curl")
        .args(["-sSi", "-H", "accept: application/openmetrics-text", &url])
        .output()
        .expect("curl is installed");
    let answer = String::from_utf8(curl.stdout).unwrap();
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"), "{answer}");
    assert!(answer.ends_with("# EOF\n"), "{answer}");
}

#[tokio::test]
async fn a_wrong_configuration_reports_every_problem_at_once_and_exits_64() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wrong.toml");
    std::fs::write(&path, "[worker]\nprefetch = 0\nconcurency = 3\n[sources.A]\n[dedup]\nlease = \"soon\"")
        .unwrap();
    let output = Command::new(PROGRAM).args(["config", "check", "--config"]).arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).unwrap();
    for expected in
        ["worker.prefetch = 0", "did you mean worker.concurrency", "sources.A", "dedup.lease = \"soon\""]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
