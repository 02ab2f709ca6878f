//! A worker holds no more bodies than have room, whatever their number.

use std::{collections::BTreeSet, fs, os::unix::process::ExitStatusExt, path::PathBuf};

use futures_util::StreamExt;
use lapin::options::BasicConsumeOptions;

use super::{
    processes::Process,
    support::{PATIENCE, World, call, calls, until},
};

/// The limit of the shipped container, in KiB.
const LIMIT_KIB: u64 = 256 << 10;

const SOURCES: [&str; 5] = ["salpre", "other", "third", "fourth", "fifth"];

const MORE: &str = r#"
[sources.third]
provider = "salpre"
auth = "none"
[sources.fourth]
provider = "salpre"
auth = "none"
[sources.fifth]
provider = "salpre"
auth = "none"
"#;

/// Returns the limit that the documentation gives the container of a worker with default settings.
fn documented_mib() -> u64 {
    let page = include_str!("../../docs/capacity.md");
    let row = page.lines().find(|line| line.starts_with("| 1 MiB, the default |")).unwrap();
    row.rsplit("| ").next().unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// Returns a webhook about call `n` of nearly 1 MiB, the most that a source may send by default.
fn large(n: usize) -> Vec<u8> {
    let call = String::from_utf8(call(n)).unwrap();
    call.replace("\"payload\":{", &format!("\"payload\":{{\"note\":\"{}\",", "x".repeat(1_048_000)))
        .into_bytes()
}

/// Puts `each` large webhooks into the queue of every source.
async fn flood(world: &World, each: usize, first: usize) {
    for (nth, source) in SOURCES.into_iter().enumerate() {
        let from = first + nth * each;
        world.accept(source, (from..from + each).map(large)).await;
    }
}

/// Takes large events off their queue while they arrive, so that the broker does not keep them all. Returns
/// their calls.
async fn take(world: &World, count: usize) -> Vec<usize> {
    let mut seen = calls(&world.events(count).await);
    seen.dedup();
    seen
}

/// A memory cgroup, which root may make; removed when dropped.
struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// Makes one of version 1 or 2, whichever this machine has.
    fn limited(name: &str, mib: u64) -> Self {
        let v1 = PathBuf::from("/sys/fs/cgroup/memory");
        let (root, limit) =
            if v1.exists() { (v1, "memory.limit_in_bytes") } else { ("/sys/fs/cgroup".into(), "memory.max") };
        let folder = root.join(format!("hookswitch-{}-{name}", std::process::id()));
        fs::create_dir(&folder).expect("root may make cgroups");
        fs::write(folder.join(limit), (mib << 20).to_string()).expect("the cgroup has the memory controller");
        Self { folder }
    }

    fn worker(&self, world: &World) -> Process {
        let enters = "echo $$ >\"$0/cgroup.procs\" && exec \"$@\"";
        Process::start_with(world, "worker", &["sh", "-c", enters, self.folder.to_str().unwrap()])
    }

    /// Returns how many processes the kernel has killed in it.
    fn kills(&self) -> u64 {
        let counts = ["memory.oom_control", "memory.events"].map(|name| self.folder.join(name));
        let counts = counts.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap();
        counts.lines().find_map(|line| line.strip_prefix("oom_kill ")).unwrap().parse().unwrap()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.folder));
    }
}

/// Takes large events one at a time, however long all of them take together. Returns their calls.
async fn take_in_turn(world: &World, count: usize) -> BTreeSet<usize> {
    let channel = world.client().await.create_channel().await.unwrap();
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut events =
        channel.basic_consume("events.all".into(), "".into(), options, Default::default()).await.unwrap();
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("another event");
        seen.extend(calls(&[serde_json::from_slice(&event.unwrap().unwrap().data).unwrap()]));
    }
    seen
}

#[tokio::test]
#[ignore = "needs root and takes minutes: make memory"]
async fn nine_hundred_webhooks_of_a_megabyte_fit_into_a_cgroup_with_the_documented_limit() {
    // The times of a deployment: a debug build publishes so many bytes in no shorter one.
    let mut world = World::with(MORE).await;
    for (short, long) in [
        ("lease = \"5s\"", "lease = \"2m\""),
        ("confirm_timeout = \"2s\"", "confirm_timeout = \"30s\""),
        ("heartbeat = \"2s\"", "heartbeat = \"60s\""),
    ] {
        world = world.changed(short, long).await;
    }
    flood(&world, 180, 0).await;
    let documented = Cgroup::limited("documented", documented_mib());
    let worker = documented.worker(&world);
    worker.ready().await;
    assert_eq!(take_in_turn(&world, 900).await, (0..900).collect());
    until("nothing is held", async || worker.metric("hookswitch_held_bytes").await == 0.0).await;
    println!("peak {} MiB of {}", worker.peak_kib() >> 10, documented_mib());
    assert_eq!(documented.kills(), 0);
    for source in SOURCES {
        assert_eq!(world.dead(source, 0).await.len(), 0);
    }
    drop(worker);

    // The limit is real: less of it kills a worker.
    flood(&world, 60, 900).await;
    let small = Cgroup::limited("small", 64);
    let ended = small.worker(&world).end().await;
    assert_eq!((ended.signal(), small.kills()), (Some(9), 1), "{ended}");
}

#[tokio::test]
async fn large_bodies_in_every_queue_fit_into_the_shipped_limit() {
    let world = World::with(MORE).await;
    flood(&world, 30, 0).await;
    let worker = Process::start(&world, "worker");
    worker.ready().await;
    assert_eq!(take(&world, 150).await, (0..150).collect::<Vec<_>>());
    let peak = worker.peak_kib();
    println!("peak {} MiB", peak >> 10);
    assert!(peak < LIMIT_KIB, "{} MiB", peak >> 10);
    let parked = worker.metric("hookswitch_parked_total").await;
    assert!(parked < 150.0, "{parked}: once a body had no room, its queue is asked for less");
    until("nothing is held", async || worker.metric("hookswitch_held_bytes").await == 0.0).await;
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
}

#[tokio::test]
async fn bodies_that_become_large_at_once_go_back_until_they_have_room() {
    // The broker must not give up on a worker that is frozen for a while.
    let world = World::with(MORE).await.changed("heartbeat = \"2s\"", "heartbeat = \"60s\"").await;
    for (nth, source) in SOURCES.into_iter().enumerate() {
        world.accept(source, (nth * 40..nth * 40 + 40).map(call)).await;
    }
    let worker = Process::start(&world, "worker");
    worker.ready().await;
    assert_eq!(take(&world, 200).await, (0..200).collect::<Vec<_>>());
    // The worker is used to small bodies now. Frozen, it finds all large ones at once.
    worker.signal("STOP");
    flood(&world, 60, 200).await;
    worker.signal("CONT");
    assert_eq!(take(&world, 300).await, (200..500).collect::<Vec<_>>());
    let peak = worker.peak_kib();
    println!("peak {} MiB", peak >> 10);
    assert!(peak < LIMIT_KIB, "{} MiB", peak >> 10);
    assert!(worker.metric("hookswitch_parked_total").await > 0.0, "there was too much to hold");
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
}
