//! A Redis and its copy: the master is killed, the copy takes over.

use std::{collections::BTreeSet, sync::Arc};

use hookswitch::edge::trouble::Trouble;
use redis::aio::MultiplexedConnection;

use crate::{
    load::{Load, Office, Watch, account},
    support::{
        World, call,
        redis_cluster::{ask, connect},
        services::{Broker, Redis},
        until,
    },
};

/// The keys that are marked done.
pub async fn done(connection: &mut MultiplexedConnection) -> BTreeSet<Vec<u8>> {
    let mut done = BTreeSet::new();
    // On a Redis Cluster a hash tag follows the namespace.
    for pattern in ["hookswitch:d:*", "hookswitch:{??}:d:*"] {
        for key in ask::<Vec<Vec<u8>>>(connection, &format!("KEYS {pattern}")).await {
            let value: Option<String> = redis::cmd("GET").arg(&key).query_async(connection).await.unwrap();
            // A claim begins with `o`.
            if value.is_some_and(|value| !value.starts_with('o')) {
                done.insert(key);
            }
        }
    }
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_redis_that_takes_over_loses_nothing_and_forgets_only_what_was_not_copied() {
    let services = tokio::task::spawn_blocking(|| {
        let master = Redis::start();
        let copy = Redis::replica_of(&master);
        (Broker::start(1), master, copy)
    });
    let (broker, master, copy) = services.await.unwrap();
    let world = World::at(&broker.url(1), &format!("{},{}", master.url(0), copy.url(0)), "").await;
    let receivers = [world.receiver().await];
    receivers[0].ready().await;
    let workers = Arc::new(vec![world.worker(), world.worker()]);
    drop(std::panic::take_hook());
    let (load, watch) = (Load::start(receivers.iter().map(|r| r.address.as_str())), Watch::start(&workers));
    let mut at_copy = connect(&copy).await;
    until("the copy copies", async || {
        ask::<String>(&mut at_copy, "INFO replication").await.contains("master_link_status:up")
    })
    .await;
    load.accepts(500).await;

    master.kill();
    until("the workers wait: the copy takes no writes", async || {
        workers.iter().all(|worker| worker.trouble() == Some(Trouble::StoreDown))
    })
    .await;
    load.accepts(200).await;
    let copied = done(&mut at_copy).await;
    let _: () = ask(&mut at_copy, "REPLICAOF NO ONE").await;
    until("the workers work", async || workers.iter().all(|worker| worker.trouble().is_none())).await;
    load.accepts(200).await;

    // The old master comes back as a master, which nobody should let it. Who loses its connection does not go
    // there.
    tokio::task::block_in_place(|| master.start_again());
    let mut at_master = connect(&master).await;
    let before = done(&mut at_master).await;
    let _: () = ask(&mut at_copy, "CLIENT KILL TYPE normal SKIPME yes").await;
    load.accepts(200).await;
    assert_eq!(done(&mut at_master).await, before, "the old master was used again");

    // The providers send everything again.
    let forgotten = before.difference(&copied).count();
    world.accept("salpre", (0..500).map(call)).await;
    let office = Office { broker: &broker, vhost: 1 };
    let duplicates = account("Redis failover", 1, &world, office, load, watch).await;
    println!("Redis failover: {} marks, {forgotten} not copied", before.len());
    assert!(duplicates <= forgotten, "{duplicates} duplicates, {forgotten} forgotten");
    for worker in Arc::into_inner(workers).expect("nobody watches any more") {
        worker.finish().await;
    }
}
