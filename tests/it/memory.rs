//! A worker holds no more bodies than have room, whatever their number.

use super::{
    processes::Process,
    support::{World, call, calls, until},
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
