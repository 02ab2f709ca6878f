//! The faults, one row each. The numbers are those of the design's fault matrix.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use hookswitch::faults::Point;
use lapin::{
    Connection,
    options::{QueueBindOptions, QueueDeleteOptions},
    types::FieldTable,
};

use super::{
    book::Wrong,
    fleet::{OTHER_CLOCK, Role, wait_for},
    hostile::{Hostile, poisons},
    memory::large_bodies_at_once,
    proxy::Moment,
    sender::for_a_while,
    services::documented,
    traffic::Dice,
    world::{EVENTS, LEASE, NEW_QUEUES_ARE_SAFE_AFTER, VHOST, World, allow},
};

/// One kind of fault.
pub struct Row {
    pub number: &'static str,
    pub name: &'static str,
    /// Injects the fault and heals it.
    pub inject: Inject,
    /// The fault may duplicate an event.
    pub excuses: bool,
    /// A file that injecting it needs.
    pub needs: Option<&'static str>,
}

const fn row(number: &'static str, name: &'static str, inject: Inject) -> Row {
    Row { number, name, inject, excuses: true, needs: None }
}

/// Creates a row during which no event may be duplicated.
const fn strict(number: &'static str, name: &'static str, inject: Inject) -> Row {
    Row { excuses: false, ..row(number, name, inject) }
}

type Inject = fn(&World, &mut Dice) -> Result<(), String>;

pub static WORKER_KILL: Row = row("1", "worker: kill -9", |world, dice| {
    let worker = world.any_worker(dice);
    world.kill_worker(worker);
    Ok(())
});

pub static BROKER_KILL: Row = row("4", "broker: kill -9", |world, dice| {
    world.kill_broker(|| pause(dice, 0, 1_000));
    Ok(())
});

pub static REDIS_KILL: Row = row("11", "Redis: kill -9, data kept", |world, dice| {
    world.kill_redis(|| pause(dice, 0, 1_000));
    Ok(())
});

/// All other rows, in the order of a run of all rows.
pub static OTHERS: &[Row] = &[
    row("1p", "worker: dies at each point P0 to P6", crash_points),
    strict("2", "worker: SIGTERM", |world, dice| {
        let worker = world.any_worker(dice);
        world.replace_gracefully(worker)
    }),
    row("3", "worker: frozen longer than its lease", |world, dice| {
        let worker = world.any_worker(dice);
        world.fleet.signal(worker, "STOP");
        std::thread::sleep(LEASE + Duration::from_secs(2));
        world.fleet.signal(worker, "CONT");
        Ok(())
    }),
    row("5", "broker: clean restart", |world, _| {
        world.broker.ctl(&["stop_app"]);
        world.broker.kill();
        world.broker.start_again();
        Ok(())
    }),
    row("6", "broker: frozen", |world, dice| {
        world.broker.freeze();
        pause(dice, 3_000, 8_000);
        world.broker.thaw();
        Ok(())
    }),
    row("7", "link: cut before publish, before and after confirm, before ack", cuts),
    row("8", "link to the broker: black hole", |world, _| {
        world.links.broker.blackhole();
        std::thread::sleep(Duration::from_secs(9));
        world.links.broker.restore();
        Ok(())
    }),
    row("8r", "link to Redis: black hole", |world, dice| {
        world.links.redis.blackhole();
        pause(dice, 2_000, 7_000);
        world.links.redis.restore();
        Ok(())
    }),
    row("8s", "links: slow by 300 ms", |world, _| {
        for link in [&world.links.broker, &world.links.redis] {
            link.slow(Duration::from_millis(300));
        }
        std::thread::sleep(Duration::from_secs(4));
        for link in [&world.links.broker, &world.links.redis] {
            link.restore();
        }
        Ok(())
    }),
    row("8x", "links: refused", |world, dice| {
        for link in [&world.links.broker, &world.links.redis] {
            link.refuse();
        }
        pause(dice, 1_000, 4_000);
        for link in [&world.links.broker, &world.links.redis] {
            link.restore();
        }
        Ok(())
    }),
    row("8c", "broker: closes every connection", |world, _| {
        world.broker.ctl(&["close_all_connections", "-p", VHOST, "a fault"]);
        Ok(())
    }),
    row("8p", "broker: each permission of workers and receivers revoked for seconds", permissions),
    row("9", "broker: memory alarm", |world, dice| {
        world.broker.ctl(&["set_vm_memory_high_watermark", "0.00001"]);
        pause(dice, 2_000, 5_000);
        world.broker.ctl(&["set_vm_memory_high_watermark", "0.4"]);
        Ok(())
    }),
    row("10", "broker: disk alarm", |world, dice| {
        world.broker.ctl(&["set_disk_free_limit", "900000GB"]);
        pause(dice, 2_000, 5_000);
        world.broker.ctl(&["set_disk_free_limit", "50MB"]);
        Ok(())
    }),
    row("11f", "Redis: kill -9, last seconds of data lost", |world, _| {
        world.redis_command(&["CONFIG", "SET", "appendonly", "no"])?;
        std::thread::sleep(Duration::from_secs(2));
        world.book.redis_forgot();
        world.kill_redis(|| ());
        world.book.redis_forgot();
        Ok(())
    }),
    row("12", "Redis: frozen", |world, dice| {
        world.redis.freeze();
        pause(dice, 2_000, 6_000);
        world.redis.thaw();
        Ok(())
    }),
    row("12m", "Redis: out of memory", |world, dice| {
        world.redis_command(&["CONFIG", "SET", "maxmemory", "1mb"])?;
        pause(dice, 2_000, 4_000);
        world.redis_command(&["CONFIG", "SET", "maxmemory", "0"])
    }),
    row("12p", "Redis: a permission revoked for seconds", |world, dice| {
        let one = usize::try_from(dice.below(LOSABLE.len() as u64)).unwrap();
        world.redis_command(&["ACL", "SETUSER", "default", LOSABLE[one]])?;
        pause(dice, 2_000, 5_000);
        world.redis_command(&["ACL", "SETUSER", "default", "+@all"])
    }),
    row("12f", "Redis: FLUSHDB", |world, _| {
        world.book.redis_forgot();
        world.redis_command(&["FLUSHDB"])?;
        world.book.redis_forgot();
        Ok(())
    }),
    strict("14", "poison: one webhook in five", |world, _| {
        for_a_while(&world.sender.mix.poison, 200, Duration::from_secs(2));
        Ok(())
    }),
    strict("14b", "poison of 1 to 10 MiB: one webhook in a hundred", |world, _| {
        for_a_while(&world.sender.mix.big_every, 100, Duration::from_secs(2));
        Ok(())
    }),
    strict("14h", "poison messages: properties that lapin cannot receive", unreadable),
    row("14m", "worker: bodies of 1 to 10 MiB all at once, within the memory limit", large_bodies_at_once),
    strict("15", "repeats: every second webhook", |world, _| {
        for_a_while(&world.sender.mix.repeats, 500, Duration::from_secs(3));
        Ok(())
    }),
    strict("16", "no queue is bound for the events", |world, dice| {
        world.with_broker(async |connection| unbind(connection).await)?;
        pause(dice, 1_000, 3_000);
        world.with_broker(async |connection| bind(connection).await)
    }),
    row("17", "consumer: queue full", |world, dice| {
        let definition = r#"{"max-length":100,"overflow":"reject-publish"}"#;
        world.tap.store(1_000, Ordering::Relaxed);
        let policy =
            ["set_policy", "-p", VHOST, "--apply-to", "queues", "full", "^events\\.all$", definition];
        world.broker.ctl(&policy);
        pause(dice, 3_000, 6_000);
        world.tap.store(0, Ordering::Relaxed);
        world.broker.ctl(&["clear_policy", "-p", VHOST, "full"]);
        Ok(())
    }),
    row("17p", "a policy on every queue that our arguments withstand, set and cleared", |world, dice| {
        let set = ["set_policy", "-p", VHOST, "--apply-to", "queues", "all", ".*", WITHSTOOD];
        world.broker.ctl(&set);
        pause(dice, 3_000, 6_000);
        world.broker.ctl(&["clear_policy", "-p", VHOST, "all"]);
        Ok(())
    }),
    strict("17s", "consumer: slow", |world, _| {
        for_a_while(&world.tap, 20, Duration::from_secs(4));
        Ok(())
    }),
    row("18", "broker: consumer timeout", consumer_timeout),
    row("18d", "consumer: empty queue deleted and declared again", |world, _| {
        world.with_broker(async |connection| unbind(connection).await)?;
        wait_for(|| world.depths().get(EVENTS) == Some(&0)).map_err(|()| "the queue does not drain")?;
        let deleted = world.with_broker(async |connection| {
            let channel = connection.create_channel().await?;
            let options = QueueDeleteOptions { if_empty: false, ..Default::default() };
            channel.queue_delete(EVENTS.into(), options).await.map(drop)
        });
        world.apply_topology();
        // A broker that is killed sooner loses the new queue.
        std::thread::sleep(NEW_QUEUES_ARE_SAFE_AFTER);
        deleted
    }),
    Row {
        needs: Some(FAKETIME),
        ..row("19", "clocks: of a worker and a receiver jump by a day", clock_jump)
    },
    strict("20", "rolling upgrade", |world, _| {
        world.next_program();
        for index in 0..world.fleet.len() {
            world.replace_gracefully(index)?;
        }
        Ok(())
    }),
    row("21", "receiver: kill -9", |world, dice| {
        let receiver = usize::try_from(dice.below(world.options.receivers as u64)).unwrap();
        world.tally.receiver_kills.fetch_add(1, Ordering::Relaxed);
        world.fleet.signal(receiver, "KILL");
        Ok(())
    }),
    row("22", "two at once: broker and Redis, kill -9", |world, _| {
        std::thread::scope(|scope| {
            scope.spawn(|| world.kill_redis(|| std::thread::sleep(Duration::from_secs(1))));
            world.kill_broker(|| ());
        });
        Ok(())
    }),
    row("23", "two at once: all workers killed, broker frozen", |world, dice| {
        world.broker.freeze();
        for n in 0..world.fleet.workers() {
            world.kill_worker(world.fleet.worker(n));
        }
        pause(dice, 1_000, 4_000);
        world.broker.thaw();
        Ok(())
    }),
    row("24", "two at once: Redis frozen, a worker killed", |world, dice| {
        world.redis.freeze();
        pause(dice, 500, 1_500);
        let worker = world.any_worker(dice);
        world.kill_worker(worker);
        pause(dice, 500, 2_500);
        world.redis.thaw();
        Ok(())
    }),
];

/// Returns every row.
pub fn all() -> impl Iterator<Item = &'static Row> {
    [&WORKER_KILL, &BROKER_KILL, &REDIS_KILL].into_iter().chain(OTHERS)
}

/// Permissions whose loss ends the scripts at different steps.
const LOSABLE: [&str; 5] = ["-evalsha", "-set", "-hincrby", "-bitfield", "-sadd"];

/// A policy that makes publishers wait, and says otherwise about dead letters than our arguments do.
const WITHSTOOD: &str = r#"{"max-length":20,"delivery-limit":1000000000,"dead-letter-exchange":"nowhere",
    "dead-letter-strategy":"at-most-once"}"#;

/// Revokes each permission of each role in turn, and then all at once. The broker asks for permissions when a
/// channel is opened, so connections are closed.
fn permissions(world: &World, dice: &mut Dice) -> Result<(), String> {
    let without = |role: Role, lost: &[usize]| {
        let mut patterns = documented(role.user());
        lost.iter().for_each(|n| patterns[*n] = "^$".to_owned());
        allow(&world.broker, role, &patterns);
    };
    let (write, read) = (1, 2);
    let each: [&[(Role, &[usize])]; 4] = [
        &[(Role::Worker, &[write])],
        &[(Role::Worker, &[read])],
        &[(Role::Receiver, &[write])],
        &[(Role::Worker, &[write, read]), (Role::Receiver, &[write])],
    ];
    for revoked in each {
        revoked.iter().for_each(|(role, lost)| without(*role, lost));
        world.broker.ctl(&["close_all_connections", "-p", VHOST, "a permission is gone"]);
        pause(dice, 2_000, 4_000);
        revoked.iter().for_each(|(role, _)| without(*role, &[]));
        wait_for(|| world.fleet.ready().is_ok()).map_err(|()| "no process became ready again")?;
    }
    Ok(())
}

fn pause(dice: &mut Dice, from_ms: u64, to_ms: u64) {
    std::thread::sleep(Duration::from_millis(from_ms + dice.below(to_ms - from_ms)));
}

/// Lets one worker die at each point of a delivery's life in turn.
fn crash_points(world: &World, dice: &mut Dice) -> Result<(), String> {
    let worker = world.any_worker(dice);
    let usual = world.fleet.env(worker);
    let mut missed = Vec::new();
    let more_poison = world.sender.mix.poison.swap(100, Ordering::Relaxed);
    for point in Point::ALL {
        // Only retries and dead letters reach this one.
        let odds = if point == Point::SentOn { 5 } else { 30 };
        let crash = ("HOOKSWITCH_CRASH_AT".to_owned(), format!("{}:1/{odds}", point.as_str()));
        world.fleet.change(worker, None, [usual.clone(), vec![crash]].concat());
        world.fleet.replace(worker, "TERM")?;
        let (starts, _) = world.fleet.life(worker);
        let mut polls = 0;
        let crashed = wait_for(|| {
            polls += 1;
            world.fleet.life(worker).0 > starts || polls > 400
        });
        if crashed.is_err() || world.fleet.life(worker).0 == starts {
            missed.push(point.as_str());
        }
    }
    world.sender.mix.poison.store(more_poison, Ordering::Relaxed);
    world.fleet.change(worker, None, usual);
    world.fleet.replace(worker, "TERM")?;
    if !missed.is_empty() {
        world.book.complain(Wrong::Row, format!("the worker did not die at {}", missed.join(", ")));
    }
    Ok(())
}

/// Puts messages of every unreadable kind into the raw queue of each source, between its webhooks.
fn unreadable(world: &World, _: &mut Dice) -> Result<(), String> {
    if world.options.old_binary.is_some() {
        // Older versions may abort.
        return Ok(());
    }
    world.runtime.block_on(async {
        let mut hostile = Hostile::connect(&world.broker.url(1)).await;
        for (_, properties, _) in poisons() {
            for source in ["morph", "allo", "wavix", "salpre", "varda"] {
                let body = world.book.open_unreadable();
                hostile.publish(&format!("raw.{source}"), &properties, &body).await;
            }
        }
    });
    Ok(())
}

/// Cuts the link to the broker several times at each exact moment.
fn cuts(world: &World, _: &mut Dice) -> Result<(), String> {
    let moments = [Moment::BeforePublish, Moment::BeforeConfirm, Moment::AfterConfirm, Moment::BeforeAck];
    for moment in moments {
        let link = &world.links.broker;
        let enough = link.cuts(moment) + 2;
        link.cut_at(moment, 5, 2);
        let cut = wait_for(|| link.cuts(moment) >= enough);
        link.cut_at(moment, 1, 0);
        cut.map_err(|()| format!("not cut at {moment:?}"))?;
    }
    Ok(())
}

/// Freezes Redis for longer than the broker lets a consumer hold a message.
fn consumer_timeout(world: &World, _: &mut Dice) -> Result<(), String> {
    let set = |timeout: u32, tick: u32| {
        let settings = [("consumer_timeout", timeout), ("channel_tick_interval", tick)];
        for (key, value) in settings {
            world.broker.ctl(&["eval", &format!("application:set_env(rabbit, {key}, {value}).")]);
        }
        // Channels read these settings when they are opened.
        world.broker.ctl(&["close_all_connections", "-p", VHOST, "other settings"]);
    };
    set(1_500, 500);
    wait_for(|| world.fleet.ready().is_ok()).map_err(|()| "no worker became ready again")?;
    world.redis.freeze();
    std::thread::sleep(Duration::from_secs(4));
    world.redis.thaw();
    set(1_800_000, 60_000);
    Ok(())
}

/// Path of the library in Debian's package faketime.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Starts a worker and a receiver under libfaketime, and lets their wall clocks jump while they work.
fn clock_jump(world: &World, dice: &mut Dice) -> Result<(), String> {
    let file = world.dir.join("clock");
    let jump = |offset: &str| std::fs::write(&file, offset).map_err(|e| e.to_string());
    jump("+0")?;
    let env = [
        ("LD_PRELOAD", FAKETIME.to_owned()),
        (OTHER_CLOCK, file.display().to_string()),
        ("FAKETIME_CACHE_DURATION", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let env: Vec<_> = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let both = [0, world.any_worker(dice)];
    let usual = both.map(|index| world.fleet.env(index));
    for index in both {
        world.fleet.change(index, None, [world.fleet.env(index), env.clone()].concat());
        world.fleet.replace(index, "TERM")?;
    }
    world.fleet.ready()?;
    for offset in ["+1d", "-1d", "+0"] {
        jump(offset)?;
        std::thread::sleep(Duration::from_millis(2_500));
    }
    for (index, env) in both.into_iter().zip(usual) {
        world.fleet.change(index, None, env);
        world.fleet.replace(index, "TERM")?;
    }
    Ok(())
}

async fn unbind(connection: &Connection) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    channel.queue_unbind(EVENTS.into(), "hookswitch.events".into(), "#".into(), FieldTable::default()).await
}

async fn bind(connection: &Connection) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    let options = QueueBindOptions::default();
    channel
        .queue_bind(EVENTS.into(), "hookswitch.events".into(), "#".into(), options, FieldTable::default())
        .await
}

/// Numbers of kills of each kind.
#[derive(Default)]
pub struct Tally {
    pub worker_kills: AtomicU64,
    pub broker_kills: AtomicU64,
    pub redis_kills: AtomicU64,
    pub receiver_kills: AtomicU64,
}
