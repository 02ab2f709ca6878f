//! `make upgrade`: from an earlier state of hookswitch to this one, as docs/upgrading.md says, under load.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "../cluster/load.rs"]
#[allow(dead_code, reason = "`make cluster` uses it all")]
mod load;
#[path = "../it/support/mod.rs"]
mod support;

use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use load::{Load, Office, count};
use support::{
    World,
    program::PROGRAM,
    services::{Broker, Redis, free_port},
    until,
};

/// A build of hookswitch, with the configuration that all builds share.
struct Build {
    program: PathBuf,
    config: PathBuf,
}

/// A process of a build, with its HTTP address if it is a receiver.
struct Process {
    child: Child,
    address: String,
}

impl Build {
    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments.split_whitespace())
            .env("HOOKSWITCH_CONFIG", &self.config)
            .env("HOOKSWITCH_ADMIN_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &str) -> Output {
        tokio::task::block_in_place(|| self.command(arguments).output().unwrap())
    }

    fn must(&self, arguments: &str) {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments}: {output:?}");
    }

    fn worker(&self) -> Process {
        let child = self.command("worker").stderr(Stdio::null()).spawn().unwrap();
        Process { child, address: String::new() }
    }

    async fn receiver(&self, address: &str) -> Process {
        let mut command = self.command("receiver");
        let child = command.env("HOOKSWITCH_RECEIVER_LISTEN", address).stderr(Stdio::null()).spawn().unwrap();
        until("the receiver listens", async || TcpStream::connect(address).is_ok()).await;
        Process { child, address: address.to_owned() }
    }
}

impl Process {
    /// Stops it in good order.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
        let status = tokio::task::block_in_place(|| self.child.wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
    }
}

/// Replaces receivers one after the other, each at its address.
async fn roll(receivers: Vec<Process>, to: &Build, load: &Load) -> Vec<Process> {
    let mut rolled = Vec::new();
    for receiver in receivers {
        let address = receiver.address.clone();
        receiver.stop();
        load.accepts(50).await;
        rolled.push(to.receiver(&address).await);
        load.accepts(50).await;
    }
    rolled
}

/// Returns the queues that a command says are to be replaced.
fn to_replace(output: &Output) -> Vec<String> {
    let said = [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).concat();
    let named = said.split("`hookswitch topology replace ").skip(1);
    let mut queues: Vec<_> = named.filter_map(|rest| Some(rest.split_once('`')?.0.to_owned())).collect();
    queues.sort();
    queues.dedup();
    queues
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an earlier build: make upgrade"]
async fn an_upgrade_under_load_loses_nothing_and_publishes_nothing_twice() {
    let old =
        std::env::var_os("HOOKSWITCH_OLD").expect("HOOKSWITCH_OLD names the program of an earlier state");
    let (broker, redis) = tokio::task::block_in_place(|| (Broker::start(1), Redis::start()));
    let world = World::configured(&broker.url(1), &redis.url(0), "");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &world.toml).unwrap();
    let build = |program: &Path| Build { program: program.to_owned(), config: file.path().to_owned() };
    let (old, new) = (build(Path::new(&old)), build(Path::new(PROGRAM)));

    old.must("topology apply");
    let mut receivers = Vec::new();
    for _ in 0..2 {
        receivers.push(old.receiver(&format!("127.0.0.1:{}", free_port())).await);
    }
    let workers = [old.worker(), old.worker()];
    let load = Load::start(receivers.iter().map(|receiver| receiver.address.as_str()));
    load.accepts(200).await;

    // docs/upgrading.md, step by step.
    workers.into_iter().for_each(Process::stop);
    load.accepts(50).await;
    let applied = new.run("topology apply");
    for queue in to_replace(&applied) {
        println!("topology replace {queue}");
        new.must(&format!("topology replace {queue}"));
    }
    new.must("topology apply");
    new.must("topology check");
    let workers = [new.worker(), new.worker()];
    load.accepts(100).await;
    let receivers = roll(receivers, &new, &load).await;

    // And back, as far as that is possible: the queues are new ones, which the old workers do not take.
    let refused = old.run("worker");
    assert!(!refused.status.success(), "{refused:?}");
    let receivers = roll(receivers, &old, &load).await;
    let receivers = roll(receivers, &new, &load).await;

    let count = count(&[(&world, Office { broker: &broker, vhost: 1 })], load).await;
    println!("upgrade: {count}");
    assert_eq!(count.duplicates, 0);
    workers.into_iter().chain(receivers).for_each(Process::stop);
}
