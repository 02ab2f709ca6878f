//! A Redis whose master Sentinels name: it is killed, they promote its replica, and it comes back.

use std::sync::Arc;

use hookswitch::edge::{metrics::LinkMetrics, redis::Store, trouble::Trouble};
use redis::aio::MultiplexedConnection;

use crate::{
    load::{Load, Office, Watch, account},
    stores::done,
    support::{
        World, call,
        redis_cluster::ask,
        services::{Broker, Redis, Sentinel},
        until,
    },
};

/// The master asks for this password, and the Sentinels for another.
const PASSWORD: [&str; 4] = ["--requirepass", "secret", "--masterauth", "secret"];

async fn connect_to(url: String) -> MultiplexedConnection {
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn connect(redis: &Redis) -> MultiplexedConnection {
    connect_to(redis.url(0).replace("redis://", "redis://:secret@")).await
}

/// Returns what a Redis says of its role. Empty while Sentinels change it, which cuts all connections.
async fn replication(redis: &Redis) -> String {
    let mut connection = connect(redis).await;
    redis::cmd("INFO").arg("replication").query_async(&mut connection).await.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_follow_the_master_that_sentinels_name_and_lose_nothing() {
    let services = tokio::task::spawn_blocking(|| {
        let master = Redis::with(PASSWORD.map(str::to_owned).to_vec());
        let replica = ["--replicaof".to_owned(), format!("127.0.0.1 {}", master.port())];
        let copy = Redis::with([&PASSWORD.map(str::to_owned)[..], &replica].concat());
        let sentinels = [(); 3].map(|()| Sentinel::of(master.port()));
        (Broker::start(1), master, copy, sentinels)
    });
    let (broker, master, copy, sentinels) = services.await.unwrap();
    let addresses = sentinels.iter().map(|sentinel| format!("\"{}\"", sentinel.url())).collect::<Vec<_>>();
    until("the copy copies", async || replication(&copy).await.contains("master_link_status:up")).await;
    let mut at_sentinel = connect_to(sentinels[0].url()).await;
    until("the Sentinels know each other and the copy", async || {
        let known: String = ask(&mut at_sentinel, "INFO sentinel").await;
        known.contains("slaves=1,sentinels=3")
    })
    .await;
    let world = World::configured(&broker.url(1), "redis://:secret@mymaster/0", "");
    let sentinel_lines = format!("[redis]\nsentinels = [{}]\n", addresses.join(","));
    let world = World::of_toml(world.toml.replacen("[redis]\n", &sentinel_lines, 1));
    world.apply().await;
    let receivers = [world.receiver().await];
    receivers[0].ready().await;
    let workers = Arc::new(vec![world.worker(), world.worker()]);
    drop(std::panic::take_hook());
    let (load, watch) = (Load::start(receivers.iter().map(|r| r.address.as_str())), Watch::start(&workers));
    load.accepts(500).await;

    master.kill();
    until("the workers wait", async || workers.iter().all(|worker| worker.trouble().is_some())).await;
    load.accepts(200).await;
    until("the workers work", async || workers.iter().all(|worker| worker.trouble().is_none())).await;
    until("the copy is the master", async || replication(&copy).await.contains("role:master")).await;
    load.accepts(200).await;

    // For a moment the old master is one again, until a Sentinel notices.
    let copied = done(&mut connect(&copy).await).await;
    tokio::task::block_in_place(|| master.start_again());
    let before = done(&mut connect(&master).await).await;
    ask::<()>(&mut connect(&copy).await, "CLIENT KILL TYPE normal SKIPME yes").await;
    until("the old master is a replica", async || replication(&master).await.contains("role:slave")).await;
    load.accepts(200).await;

    // The providers send everything again.
    let forgotten = before.difference(&copied).count();
    world.accept("salpre", (0..500).map(call)).await;
    let office = Office { broker: &broker, vhost: 1 };
    let duplicates = account("Sentinel failover", 1, &world, office, load, watch).await;
    println!("Sentinel failover: {} marks, {forgotten} not copied", before.len());
    assert!(duplicates <= forgotten, "{duplicates} duplicates, {forgotten} forgotten");
    for worker in Arc::into_inner(workers).expect("nobody watches any more") {
        worker.finish().await;
    }

    let of = |from: &str, to: &str| World::of_toml(world.toml.replace(from, to)).config.redis;
    for (config, trouble, said) in [
        (of("@mymaster", "@another"), Trouble::StoreDown, "no master named another"),
        (of(":watch@", ":wrong@"), Trouble::StoreLogin, &*format!("127.0.0.1:{}: ", sentinels[0].port())),
        (of(":secret@", ":wrong@"), Trouble::StoreLogin, &format!("127.0.0.1:{}: ", copy.port())),
    ] {
        let store = Store::start(&config, LinkMetrics::unexported()).unwrap();
        let mut link = store.watch();
        let known = link.wait_for(|link| {
            link.as_ref().err().is_none_or(|error| !error.to_string().contains("not connected yet"))
        });
        let error = known.await.unwrap().as_ref().err().cloned().expect("it cannot be used");
        assert_eq!(error.trouble(), trouble, "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}
