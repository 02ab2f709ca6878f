//! The memory of workers: large bodies that are all there at once.

use std::{sync::atomic::Ordering, time::Duration};

use super::{traffic::Dice, world::World};

/// The limit of the shipped containers.
const LIMIT: u64 = 256 << 20;

/// Freezes the workers, which are used to small bodies, while bodies of 1 to 10 MiB gather for them. Fails if
/// one of them then takes more memory than its container would have. The time is less than the broker's
/// patience with a frozen client.
pub fn large_bodies_at_once(world: &World, _: &mut Dice) -> Result<(), String> {
    let workers: Vec<_> = (0..world.fleet.workers()).map(|n| world.fleet.worker(n)).collect();
    let signal = |signal| workers.iter().for_each(|worker| world.fleet.signal(*worker, signal));
    workers.iter().for_each(|worker| world.fleet.forget_peak(*worker));
    signal("STOP");
    let usual = world.sender.mix.big_every.swap(10, Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs(3));
    world.sender.mix.big_every.store(usual, Ordering::Relaxed);
    signal("CONT");
    std::thread::sleep(Duration::from_secs(3));
    for worker in workers {
        // A process that another fault has replaced meanwhile has little to show.
        let peak = world.fleet.peak_bytes(worker).unwrap_or_default();
        eprintln!("{} had {} MiB at most", world.fleet.name(worker), peak >> 20);
        if peak > LIMIT {
            return Err(format!("{} had {} MiB", world.fleet.name(worker), peak >> 20));
        }
    }
    Ok(())
}
