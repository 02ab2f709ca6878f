//! The memory of a receiver's process under attack: what the shipped limit allows.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use crate::support::HANGS;

/// The limit of the shipped manifests.
const SHIPPED_BYTES: usize = 256 << 20;
/// More connections than bodies of 1 MiB fit into the limit.
const CONNECTIONS: usize = 400;

/// A receiver that ends with the test. There is no broker: what it is asked is whether senders are authentic.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a receiver with the defaults, and returns its address.
fn start_process(folder: &tempfile::TempDir) -> (Process, String) {
    let path = folder.path().join("hookswitch.toml");
    let scheme = "auth = \"hmac\"\nauth_header = \"x-sig\"\nsecret = \"k\"\n";
    let source = |name: &str| format!("[sources.{name}]\nprovider = \"wavix\"\n{scheme}");
    let listeners = "[receiver]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    let log = "[log]\nformat = \"json\"\n[amqp]\nurl = \"amqp://127.0.0.1:1/%2f\"\n";
    let config = format!("{listeners}{log}{}{}", source("a"), source("b"));
    std::fs::File::create(&path).unwrap().write_all(config.as_bytes()).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_hookswitch"))
        .args(["receiver", "--config"])
        .arg(&path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (output, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (found, address) = std::sync::mpsc::channel();
    for lines in [Box::new(output) as Box<dyn std::io::Read + Send>, Box::new(errors)] {
        let found = found.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("\"address\":\"") {
                    let _ = found.send(rest.split('"').next().unwrap().to_owned());
                }
            }
        });
    }
    let process = Process(child);
    (process, address.recv_timeout(HANGS).expect("the receiver does not start"))
}

/// Returns the most memory that a process has had.
fn peak_bytes(process: &Process) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<usize>().unwrap() << 10
}

/// Sends a body of 1 MiB without its last byte, which keeps the rest in memory. Returns the connection.
async fn attack(address: &str, source: &str, body: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let signature = "0".repeat(64);
    let head = format!(
        "POST /in/{source} HTTP/1.1\r\nhost: h\r\nx-sig: {signature}\r\ncontent-length: 1048576\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    // The receiver may answer 503 and close instead of reading.
    let _ = timeout(Duration::from_secs(3), stream.write_all(body)).await;
    Some(stream)
}

#[tokio::test]
async fn bodies_of_unknown_senders_fit_into_the_shipped_limit() {
    let folder = tempfile::tempdir().unwrap();
    let (process, address) = start_process(&folder);
    let (body, sources) = (vec![b'x'; (1 << 20) - 1], ["a", "b"].into_iter().cycle());
    let held = join_all(sources.take(CONNECTIONS).map(|source| attack(&address, source, &body))).await;
    let started = Instant::now();
    let client = hookswitch::edge::http::Client::new(HANGS);
    assert_eq!(client.get(&format!("http://{address}/livez")).await.unwrap().status, 200);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let peak = peak_bytes(&process);
    drop(held);
    // Bodies have been held: else this would measure nothing.
    assert!(peak > 64 << 20 && peak < SHIPPED_BYTES * 3 / 4, "{} MiB", peak >> 20);
}
