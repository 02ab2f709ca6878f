//! A Redis Cluster: its masters divide the keys, one is killed under load, and its replica takes over.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use hookswitch::{
    app::ledger::Balance,
    edge::{amqp::topology, trouble::Trouble},
};

use crate::{
    load::{Load, Office, Watch, account},
    stores::done,
    support::{
        World, call, calls,
        redis_cluster::{RedisCluster, ask, connect},
        services::Broker,
        until,
    },
};

/// The user of docs/redis.md, as `ACL SETUSER` takes it, on a cluster.
fn documented() -> String {
    let page = include_str!("../../docs/redis.md");
    let (_, rest) = page.split_once("ACL SETUSER hookswitch").expect("the page has the command");
    let rules = rest.split("```").next().unwrap().replace('\\', " ");
    let rules: Vec<_> = rules.split_whitespace().filter(|rule| *rule != "+select").collect();
    assert!(page.contains("`+cluster|slots`"));
    format!("ACL SETUSER hookswitch {} +cluster|slots", rules.join(" "))
}

/// Returns a cluster whose nodes know the documented user, and its addresses for that user.
async fn cluster() -> (RedisCluster, String) {
    let cluster = RedisCluster::start().await;
    for node in &cluster.nodes {
        ask::<()>(&mut connect(node).await, &documented()).await;
    }
    // Older than what its ledger counts.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let urls = cluster.urls().replace("redis://", "redis://hookswitch:CHANGE-ME@");
    (cluster, urls)
}

async fn world(broker: &Broker, redis: &str) -> World {
    let world = World::configured(&broker.url(1), redis, "");
    let world = World::of_toml(world.toml.replacen("[redis]\n", "[redis]\ncluster = true\n", 1));
    world.apply().await;
    world
}

/// Waits until the balance of the ledger satisfies `settled`, and returns it.
async fn balance(world: &World, settled: impl Fn(&Balance) -> bool) -> Balance {
    let (store, connection) = (world.store().await, world.connect().await);
    let declared = topology::known(&connection).await.unwrap();
    let shards = topology::raw_shards(&connection, &world.config, &declared).await.unwrap();
    let draw = async || Balance::compute(&store, &connection, &world.config, &shards, 0).await;
    let mut last = None;
    until("the ledger comes to rest", async || {
        last = draw().await.ok();
        last.as_ref().is_some_and(&settled)
    })
    .await;
    last.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_of_a_redis_cluster_that_is_killed_loses_nothing_and_only_marks_that_were_not_copied() {
    let broker = tokio::task::spawn_blocking(|| Broker::start(1));
    let (broker, (mut cluster, urls)) = (broker, cluster().await);
    let broker = broker.await.unwrap();
    let world = world(&broker, &urls).await;
    let receivers = [world.receiver().await, world.receiver().await, world.receiver().await];
    for receiver in &receivers {
        receiver.ready().await;
    }
    let workers = Arc::new(vec![world.worker(), world.worker()]);
    drop(std::panic::take_hook());
    let (load, watch) = (Load::start(receivers.iter().map(|r| r.address.as_str())), Watch::start(&workers));
    load.accepts(500).await;
    balance(&world, |balance| balance.total.done >= 500).await;

    // The keys are divided evenly, and copied.
    let mut links = join_all(cluster.nodes.iter().map(connect)).await;
    let mut held = Vec::new();
    for link in &mut links {
        // Else a replica names its master in place of an answer.
        ask::<()>(link, "READONLY").await;
        held.push(done(link).await.len());
    }
    let (masters, copies) = held.split_at(RedisCluster::MASTERS);
    let all: usize = masters.iter().sum();
    assert!(masters.iter().all(|held| *held > all / 5), "{held:?}");
    assert!(copies.iter().all(|held| *held > 0), "{held:?}");

    // This one holds what is not divided.
    cluster.nodes[0].kill();
    until("the workers wait", async || {
        workers.iter().all(|w| matches!(w.trouble(), Some(Trouble::StoreDown | Trouble::StoreCluster)))
    })
    .await;
    load.accepts(200).await;
    until("the workers work", async || workers.iter().all(|worker| worker.trouble().is_none())).await;
    let heir = &mut links[RedisCluster::MASTERS];
    assert!(ask::<String>(heir, "INFO replication").await.contains("role:master"));
    load.accepts(200).await;

    // What the dead master knew, told by itself, as no part of the cluster any more.
    let after = done(heir).await;
    tokio::task::block_in_place(|| cluster.nodes[0].start_again_with(&["--cluster-enabled", "no"]));
    let before = done(&mut connect(&cluster.nodes[0]).await).await;
    cluster.nodes[0].kill();
    let forgotten: BTreeSet<_> = before.difference(&after).collect();

    // The providers send everything again.
    world.accept("salpre", (0..500).map(call)).await;
    let office = Office { broker: &broker, vhost: 1 };
    let duplicates = account("Redis Cluster failover", 1, &world, office, load, watch).await;
    println!("Redis Cluster failover: {} marks, {} not copied", before.len(), forgotten.len());
    assert!(duplicates <= forgotten.len(), "{duplicates} duplicates, {} forgotten", forgotten.len());
    // What was forgotten does not look lost, and what is accepted by now is counted.
    for receiver in receivers {
        receiver.finish().await;
    }
    let receiver = world.receiver().await;
    receiver.ready().await;
    for n in 1_000_000..1_000_020 {
        assert_eq!(receiver.post("salpre", call(n).leak()).await, 200);
    }
    let rest = balance(&world, |b| (b.total.in_system, b.marks) == (0, 0) && b.total.done >= 20).await;
    assert_eq!(rest.unaccounted(), 0);
    for worker in Arc::into_inner(workers).expect("nobody watches any more") {
        worker.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_is_moved_and_a_planned_failover_of_a_redis_cluster_forget_nothing() {
    let broker = tokio::task::spawn_blocking(|| Broker::start(1));
    let (cluster, urls) = cluster().await;
    let broker = broker.await.unwrap();
    let world = world(&broker, &urls).await;
    let receivers = [world.receiver().await];
    receivers[0].ready().await;
    let workers = Arc::new(vec![world.worker(), world.worker()]);
    drop(std::panic::take_hook());
    let (load, watch) = (Load::start(receivers.iter().map(|r| r.address.as_str())), Watch::start(&workers));
    load.accepts(300).await;

    // The slot of one of the buckets, from the second master to the third.
    let slot = 8_697;
    let [from, to] = [&cluster.nodes[1], &cluster.nodes[2]];
    let (mut at_from, mut at_to) = (connect(from).await, connect(to).await);
    let (from_id, to_id): (String, String) =
        (ask(&mut at_from, "CLUSTER MYID").await, ask(&mut at_to, "CLUSTER MYID").await);
    ask::<()>(&mut at_to, &format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}")).await;
    ask::<()>(&mut at_from, &format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}")).await;
    until("the workers wait", async || {
        workers.iter().all(|w| matches!(w.trouble(), Some(Trouble::StoreCluster | Trouble::StoreBusy)))
    })
    .await;
    load.accepts(100).await;
    loop {
        let keys: Vec<Vec<u8>> = ask(&mut at_from, &format!("CLUSTER GETKEYSINSLOT {slot} 100")).await;
        if keys.is_empty() {
            break;
        }
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(to.port()).arg("").arg(&[0, 5_000]).arg("KEYS").arg(&keys);
        migrate.exec_async(&mut at_from).await.unwrap();
    }
    for at in [&mut at_to, &mut at_from] {
        ask::<()>(at, &format!("CLUSTER SETSLOT {slot} NODE {to_id}")).await;
    }
    let work = async || workers.iter().all(|worker| worker.trouble().is_none());
    until("the workers work after the move", work).await;
    load.accepts(100).await;

    let mut heir = connect(&cluster.nodes[RedisCluster::MASTERS]).await;
    ask::<()>(&mut heir, "CLUSTER FAILOVER").await;
    until("the copy is a master", async || {
        ask::<String>(&mut heir, "INFO replication").await.contains("role:master")
    })
    .await;
    load.accepts(100).await;
    until("the workers work after the failover", work).await;
    load.accepts(100).await;

    world.accept("salpre", (0..500).map(call)).await;
    let office = Office { broker: &broker, vhost: 1 };
    assert_eq!(account("Redis Cluster, moved", 2, &world, office, load, watch).await, 0, "duplicates");
    for worker in Arc::into_inner(workers).expect("nobody watches any more") {
        worker.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_dead_letters_drift_and_the_ledger_work_on_a_redis_cluster() {
    let broker = tokio::task::spawn_blocking(|| Broker::start(1));
    let (_cluster, urls) = cluster().await;
    let broker = broker.await.unwrap();
    let world = world(&broker, &urls).await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let worker = world.worker();
    let with_drift = String::from_utf8(call(40)).unwrap().replacen('{', "{\"mood\":1,", 1).into_bytes();
    let bodies = (0..40).map(call).chain((0..40).map(call)).chain([with_drift, b"not json".to_vec()]);
    for body in bodies {
        assert_eq!(receiver.post("salpre", body.leak()).await, 200);
    }
    balance(&world, |b| (b.total.done, b.total.duplicate, b.total.dead) == (41, 40, 1)).await;
    assert_eq!(calls(&world.events(41).await), (0..41).collect::<Vec<_>>());
    let store = world.store().await;
    until("the drift is noted", async || {
        store.drift_of(&"salpre".parse().unwrap()).await.unwrap().len() == 1
    })
    .await;
    worker.finish().await;
}
