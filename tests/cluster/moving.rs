//! From one RabbitMQ to another, as docs/upgrading.md says, under load.

use crate::{
    brokers::{retrying, worker},
    load::{Load, Office, count},
    support::{
        RunningProcess, World, call,
        program::Program,
        services::{Broker, Redis, free_port},
    },
};

/// Starts a broker to move away from: the one that HOOKSWITCH_OLD_SERVICES_ROOT names, or the machine's own.
fn old_broker() -> Broker {
    let root = std::env::var("HOOKSWITCH_OLD_SERVICES_ROOT").unwrap_or_default();
    let broker = Broker::prepare(1, free_port(), vec![("HOOKSWITCH_SERVICES_ROOT", root)]);
    broker.start_again();
    broker
}

async fn receiver(world: &World, address: &str) -> RunningProcess {
    let listen = |address: &str| format!("[receiver]\nlisten = \"{address}\"");
    let receiver =
        World::of_toml(world.toml.replace(&listen("127.0.0.1:0"), &listen(address))).receiver().await;
    receiver.ready().await;
    receiver
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "two brokers and minutes: make cluster"]
async fn moving_to_another_broker_loses_nothing() {
    let (redis, old, new) = tokio::task::block_in_place(|| (Redis::start(), old_broker(), Broker::start(1)));
    for broker in [&old, &new] {
        println!("moved: RabbitMQ {}", broker.ctl(&["--silent", "version"]).trim());
        // By this name Redis takes the new one for the old one.
        broker.ctl(&["set_cluster_name", "ours"]);
    }
    let [from, to] = [&old, &new].map(|broker| retrying(&broker.url(1), &redis.url(0)));
    from.apply().await;
    let addresses = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let mut receivers = Vec::new();
    for address in &addresses {
        receivers.push(receiver(&from, address).await);
    }
    let old_workers = [worker(&from), worker(&from)];
    let load = Load::start(addresses.iter().map(String::as_str));
    load.accepts(200).await;

    // docs/upgrading.md, step by step.
    to.apply().await;
    let new_workers = [worker(&to), worker(&to)];
    let published = || old_workers.iter().map(|worker| worker.metric("hookswitch_events_total")).sum::<f64>();
    let mut early = 0.0;
    for address in &addresses {
        receivers.remove(0).finish().await;
        early = published();
        load.accepts(50).await;
        receivers.push(receiver(&to, address).await);
        load.accepts(50).await;
    }
    // A provider sends again what the old broker had.
    to.accept("salpre", (0..100).map(call)).await;
    load.accepts(200).await;
    let places = [(&from, Office { broker: &old, vhost: 1 }), (&to, Office { broker: &new, vhost: 1 })];
    let count = count(&places, load).await;
    println!("moved: {count}");
    assert_eq!(count.duplicates, 0);
    assert!(published() > early, "the old broker had nothing left");

    // Dead letters move as a file.
    from.accept("other", [b"no JSON".to_vec()]).await;
    from.dead("other", 1).await;
    let [before, after] = [&from, &to].map(Program::of);
    before.ok("dead-letters export letters.ndjson --note moved").await;
    after.ok(&format!("dead-letters import {}", before.file("letters.ndjson").display())).await;
    assert_eq!(to.dead("other", 1).await[0].webhook.body, b"no JSON"[..]);
    after.ok("ledger --check 60").await;
    for process in receivers.into_iter().chain(old_workers).chain(new_workers) {
        process.finish().await;
    }
}
