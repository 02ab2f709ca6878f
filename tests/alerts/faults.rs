//! The faults: how each is made and mended, and the alerts that it must fire.

use std::{any::Any, process::Command, sync::atomic::Ordering, time::Duration};

use hookswitch::{
    core::ledger::{Mark, Run},
    edge::amqp::{message, publish::Publication},
};
use jiff::{Timestamp, ToSpan, tz::TimeZone};

use crate::{
    certificates::Authority,
    fleet::{RECEIVER, WORKERS},
    stage::{Repeating, Stage},
    support::{PATIENCE, call, queued, services::Broker},
};

/// A fault.
pub struct Fault {
    pub name: &'static str,
    /// The alerts that it fires. Others may fire too.
    pub alerts: &'static [&'static str],
    /// Makes it. What this returns is dropped before it is mended.
    pub make: fn(&Stage) -> Kept,
    pub mend: fn(&Stage),
}

/// What goes on while a fault lasts.
type Kept = Option<Box<dyn Any>>;

/// Lines that no configuration may have.
const MISTAKE: &str = "[sources.wrong]\nprovider = \"nobody\"\n";

/// All faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "one of two workers killed",
        alerts: &["HookswitchProcessDown"],
        make: |stage| {
            stage.fleet.kill(WORKERS[0]);
            None
        },
        mend: |stage| stage.fleet.start_one(WORKERS[0]),
    },
    Fault {
        name: "all workers killed",
        alerts: &["HookswitchLedgerNotDrawn"],
        make: |stage| {
            WORKERS.into_iter().for_each(|n| stage.fleet.kill(n));
            None
        },
        mend: |stage| WORKERS.into_iter().for_each(|n| stage.fleet.start_one(n)),
    },
    Fault {
        name: "the receiver killed",
        alerts: &["HookswitchNoReceiver"],
        make: |stage| {
            stage.fleet.kill(RECEIVER);
            None
        },
        mend: |stage| stage.fleet.start_one(RECEIVER),
    },
    Fault {
        name: "a worker killed every 4 s",
        alerts: &["HookswitchRestarts"],
        make: |stage| {
            let fleet = stage.fleet.clone();
            repeating(4_000, move || {
                fleet.restart(WORKERS[1]);
            })
        },
        mend: |_| {},
    },
    Fault {
        name: "few open files left to the receiver",
        alerts: &["HookswitchFilesNearLimit"],
        make: |stage| {
            // Most of its files stay open, so that those that come and go do not count.
            let slow: Vec<_> = (0..50).map(|_| stage.poster().stall("other", 10)).collect();
            std::thread::sleep(Duration::from_secs(2));
            let open = std::fs::read_dir(format!("/proc/{}/fd", stage.fleet.pid(RECEIVER))).unwrap().count();
            limit_files(stage, open * 10 / 9);
            Some(Box::new(slow))
        },
        mend: |stage| limit_files(stage, 1_024),
    },
    Fault {
        name: "a certificate that is valid for three more days",
        alerts: &["HookswitchCertificateExpires"],
        make: |stage| {
            let dir = tempfile::tempdir().unwrap();
            let day = Timestamp::now().to_zoned(TimeZone::UTC).date() + 3.days();
            Authority::new("a CA").issue_until(&["localhost"], day).write(dir.path(), "receiver");
            let file = |name: &str| dir.path().join(name);
            stage.fleet.kill(RECEIVER);
            let settings = [
                ("HOOKSWITCH_RECEIVER_TLS_CERTIFICATE_FILE", file("receiver.crt")),
                ("HOOKSWITCH_RECEIVER_TLS_KEY_FILE", file("receiver.key")),
            ];
            stage.fleet.start_with(RECEIVER, &settings);
            Some(Box::new(dir))
        },
        mend: |stage| stage.fleet.restart(RECEIVER),
    },
    Fault {
        name: "a configuration with a mistake",
        alerts: &["HookswitchConfigNotTaken"],
        make: |stage| {
            stage.fleet.configure(|toml| toml + MISTAKE);
            None
        },
        mend: |stage| stage.fleet.configure(|toml| toml.replace(MISTAKE, "")),
    },
    Fault {
        name: "a source paused",
        alerts: &["HookswitchSourcePaused"],
        make: |stage| {
            stage.fleet.run("pause quiet --note test");
            None
        },
        mend: |stage| stage.fleet.run("resume quiet"),
    },
    Fault {
        name: "RabbitMQ killed",
        alerts: &["HookswitchBrokerUnusable", "HookswitchNotReady", "HookswitchNotStored"],
        make: |stage| {
            stage.broker.kill();
            None
        },
        mend: |stage| stage.broker.start_again(),
    },
    Fault {
        name: "memory alarm of RabbitMQ",
        alerts: &["HookswitchBrokerBlocked"],
        make: |stage| {
            stage.broker.ctl(&["set_vm_memory_high_watermark", "0.00001"]);
            None
        },
        mend: |stage| drop(stage.broker.ctl(&["set_vm_memory_high_watermark", "0.4"])),
    },
    Fault {
        name: "RabbitMQ: permissions taken away",
        alerts: &["HookswitchBrokerAccess"],
        make: |stage| {
            stage.broker.ctl(&["clear_permissions", "-p", "t1", "guest"]);
            close_connections(&stage.broker);
            None
        },
        mend: |stage| drop(stage.broker.ctl(&["set_permissions", "-p", "t1", "guest", ".*", ".*", ".*"])),
    },
    Fault {
        name: "connections closed every few seconds",
        alerts: &["HookswitchLinkFlaps"],
        make: |stage| {
            let broker = stage.broker.clone();
            repeating(500, move || close_connections(&broker))
        },
        mend: |_| {},
    },
    Fault {
        name: "RabbitMQ frozen for 1.5 s of every 1.8 s",
        alerts: &["HookswitchBrokerSlow"],
        make: |stage| freezing(300, stage.broker.pid(), Duration::from_millis(1_500)),
        mend: |_| {},
    },
    Fault {
        name: "the queue events.unrouted deleted, none subscribed",
        alerts: &["HookswitchTopologyIncomplete"],
        make: |stage| {
            ["events.unrouted", "events.all"].into_iter().for_each(|queue| stage.delete_queue(queue));
            None
        },
        mend: |stage| stage.fleet.run("topology apply"),
    },
    Fault {
        name: "the only subscription's queue deleted",
        alerts: &["HookswitchUnrouted"],
        make: |stage| {
            stage.delete_queue("events.all");
            None
        },
        mend: |stage| {
            stage.fleet.run("topology apply");
            stage.broker.ctl(&["purge_queue", "-p", "t1", "events.unrouted"]);
        },
    },
    Fault {
        name: "a subscription's queue full",
        alerts: &["HookswitchDownstreamFull", "HookswitchRetries"],
        make: |stage| {
            stage.traffic.is_consumed.store(false, Ordering::Relaxed);
            None
        },
        mend: |stage| stage.traffic.is_consumed.store(true, Ordering::Relaxed),
    },
    Fault {
        name: "RabbitMQ: delay queues stand still",
        alerts: &["HookswitchRetriesOverdue"],
        make: |stage| {
            stage.broker.hold_delays();
            None
        },
        mend: |stage| stage.broker.mend_delays(),
    },
    Fault {
        name: "Redis killed, webhooks go on",
        alerts: &["HookswitchRedisUnusable", "HookswitchOldestWaits", "HookswitchBacklogGrows"],
        make: |stage| {
            stage.redis.kill();
            let (world, runtime) = (stage.world.clone(), stage.runtime.handle().clone());
            let mut next = 1_000_000;
            repeating(2_000, move || {
                next += 100;
                let bodies: Vec<_> = (next..next + 100).map(call).collect();
                runtime.block_on(world.accept("steady", bodies));
            })
        },
        mend: |stage| stage.redis.start_again(),
    },
    Fault {
        name: "Redis: maxmemory at what it uses",
        alerts: &["HookswitchRedisRejectsWrites"],
        make: |stage| {
            stage.redis(&[&["CONFIG", "SET", "maxmemory", "1mb"]]);
            None
        },
        mend: |stage| stage.redis(&[&["CONFIG", "SET", "maxmemory", "0"]]),
    },
    Fault {
        name: "Redis: nearly full",
        alerts: &["HookswitchRedisMemory"],
        make: |stage| {
            stage.leave_memory(0.9);
            None
        },
        mend: |stage| stage.redis(&[&["CONFIG", "SET", "maxmemory", "0"]]),
    },
    Fault {
        name: "Redis: full and set to evict",
        alerts: &["HookswitchRedisMayEvict", "HookswitchRedisEvicted"],
        make: |stage| {
            stage.redis(&[&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]]);
            stage.leave_memory(0.97);
            let junk = "j".repeat(10_000);
            let keys: Vec<_> = (0..400).map(|n| format!("junk{n}")).collect();
            let sets: Vec<Vec<&str>> =
                keys.iter().map(|key| vec!["SET", key, &junk, "PX", "60000"]).collect();
            let sets: Vec<&[&str]> = sets.iter().map(Vec::as_slice).collect();
            stage.redis(&sets);
            None
        },
        mend: |stage| {
            stage.redis(&[
                &["CONFIG", "SET", "maxmemory", "0"],
                &["CONFIG", "SET", "maxmemory-policy", "noeviction"],
            ]);
        },
    },
    Fault {
        name: "Redis: another password",
        alerts: &["HookswitchRedisAccess"],
        make: |stage| {
            stage.redis(&[
                &["ACL", "SETUSER", "default", "resetpass", ">another"],
                &["CLIENT", "KILL", "TYPE", "normal"],
            ]);
            None
        },
        mend: |stage| {
            let url = stage.redis.url(0).replace("redis://", "redis://:another@");
            stage.redis_at(&url, &[&["ACL", "SETUSER", "default", "nopass"]]);
        },
    },
    Fault {
        name: "Redis paused for 0.4 s of every 0.5 s",
        alerts: &["HookswitchRedisSlow"],
        make: |stage| freezing(100, stage.redis.pid(), Duration::from_millis(400)),
        mend: |_| {},
    },
    Fault {
        name: "a storm of webhooks without signature",
        alerts: &["HookswitchUnauthenticated"],
        make: |stage| {
            let poster = stage.poster();
            repeating(100, move || poster.post("signed", b"{}".to_vec()))
        },
        mend: |_| {},
    },
    Fault {
        name: "bodies over the limit",
        alerts: &["HookswitchRejected"],
        make: |stage| {
            let poster = stage.poster();
            repeating(200, move || poster.post("other", vec![b' '; 100_000]))
        },
        mend: |_| {},
    },
    Fault {
        name: "slow uploads that hold all memory",
        alerts: &["HookswitchReceiverMemory"],
        make: |stage| {
            const LENGTH: usize = 64 << 10;
            let poster = stage.poster();
            let slow = [poster.stall("other", LENGTH), poster.stall("other", LENGTH)];
            let posting = repeating(300, move || poster.post("other", vec![b' '; LENGTH]));
            Some(Box::new((posting, slow)))
        },
        mend: |_| {},
    },
    Fault {
        name: "a source sends nothing any more",
        alerts: &["HookswitchSourceSilent"],
        make: |stage| {
            // A week and a day take a minute here.
            std::thread::sleep(Duration::from_secs(65));
            stage.traffic.quiet_flows.store(false, Ordering::Relaxed);
            None
        },
        mend: |stage| stage.traffic.quiet_flows.store(true, Ordering::Relaxed),
    },
    Fault {
        name: "webhooks that are no JSON, and no log of dead letters",
        alerts: &["HookswitchDeadLetters", "HookswitchDeadLettersOld", "HookswitchDeadLettersUnlisted"],
        make: |stage| {
            stage.delete_queue("hookswitch.dead-log");
            (0..3).for_each(|_| stage.poster().post("other", b"{".to_vec()));
            None
        },
        mend: |stage| {
            stage.fleet.run("topology apply");
            stage.fleet.run("dead-letters reindex");
            stage.fleet.run("dead-letters discard --source other --note test --yes --no-export");
        },
    },
    Fault {
        name: "a field that the provider has not sent before",
        alerts: &["HookswitchSchemaDrift"],
        make: |stage| {
            let poster = stage.poster();
            let body =
                String::from_utf8(poster.call()).unwrap().replace("\"is_test\"", "\"new\":\"a\",\"is_test\"");
            poster.post("steady", body.into_bytes());
            None
        },
        mend: |_| {},
    },
    Fault {
        name: "a report in hookswitch.ledger that is none",
        alerts: &["HookswitchMarksDropped"],
        make: |stage| {
            let mark = Mark {
                source: "steady".to_owned(),
                run: Run {
                    began: queued("steady", Vec::new()).webhook.received_at.as_millisecond().unsigned_abs(),
                    nonce: 1,
                },
                through: u64::MAX,
                refused: vec![1],
                closed: true,
            };
            let publication = Publication {
                exchange: String::new(),
                routing_key: "hookswitch.ledger".to_owned(),
                properties: message::marks_properties(Timestamp::now()),
                body: message::marks_body(&[mark]),
                not_after: std::time::Instant::now() + PATIENCE,
            };
            stage.runtime.block_on(stage.world.publish([publication]));
            None
        },
        mend: |_| {},
    },
    Fault {
        name: "webhooks purged from a raw queue",
        alerts: &["HookswitchLedgerOpen"],
        make: |stage| {
            stage.traffic.flows.store(false, Ordering::Relaxed);
            std::thread::sleep(Duration::from_secs(2));
            WORKERS.into_iter().for_each(|n| stage.fleet.kill(n));
            let poster = stage.poster();
            (0..20).for_each(|_| poster.post("steady", poster.call()));
            std::thread::sleep(Duration::from_secs(2));
            stage.broker.ctl(&["purge_queue", "-p", "t1", "raw.steady"]);
            WORKERS.into_iter().for_each(|n| stage.fleet.start_one(n));
            None
        },
        mend: |stage| {
            // As the runbook says: the ledger counts anew.
            stage.redis(&[&["HSET", "hookswitch:ledger", "instance", "none"]]);
            WORKERS.into_iter().for_each(|n| stage.fleet.restart(n));
            stage.traffic.flows.store(true, Ordering::Relaxed);
        },
    },
];

/// Does something again and again, with this pause in milliseconds.
fn repeating(pause: u64, each: impl FnMut() + Send + 'static) -> Kept {
    Some(Box::new(Repeating::every(Duration::from_millis(pause), each)))
}

/// Freezes a process again and again, with this pause in milliseconds.
fn freezing(pause: u64, pid: u32, frozen: Duration) -> Kept {
    repeating(pause, move || {
        signal(pid, "STOP");
        std::thread::sleep(frozen);
        signal(pid, "CONT");
    })
}

fn signal(pid: u32, signal: &str) {
    drop(Command::new("kill").args(["-s", signal, &pid.to_string()]).status());
}

fn close_connections(broker: &Broker) {
    drop(broker.ask(&["close_all_connections", "--vhost", "t1", "test"]));
}

/// Sets the soft limit of the receiver's open files.
fn limit_files(stage: &Stage, files: usize) {
    let pid = stage.fleet.pid(RECEIVER).to_string();
    let arguments = ["--pid", &pid, &format!("--nofile={files}:")];
    assert!(Command::new("prlimit").args(arguments).status().unwrap().success());
}
