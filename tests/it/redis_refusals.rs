//! Refusals of Redis: each closes the gate and names its cause, and none leaves a wrong balance.

use std::time::Duration;

use hookswitch::{
    config::{Redis as Config, Secret},
    edge::{metrics::LinkMetrics, redis::Store, trouble::Trouble},
};

use super::{
    drift::call_with,
    ledger::balance,
    support::{World, call, calls, services::Redis, until},
};

/// The user of docs/redis.md, as `ACL SETUSER` takes it.
fn documented() -> Vec<String> {
    let page = include_str!("../../docs/redis.md");
    let (_, rest) = page.split_once("ACL SETUSER hookswitch").expect("the page has the command");
    let command = rest.split("```").next().unwrap().replace('\\', " ");
    command.split_whitespace().map(str::to_owned).collect()
}

async fn set_user(world: &World, rules: &[String]) {
    let mut redis = world.redis().await;
    redis::cmd("ACL").arg("SETUSER").arg("hookswitch").arg(rules).exec_async(&mut redis).await.unwrap();
}

/// Returns a world whose program uses the documented user, on a Redis of its own.
async fn restricted(redis: &Redis) -> (World, World) {
    let all = World::with_redis(redis).await;
    set_user(&all, &documented()).await;
    let restricted = World::of_toml(all.toml.replace("redis://", "redis://hookswitch:CHANGE-ME@"));
    (all, restricted)
}

async fn own() -> Redis {
    let redis = tokio::task::spawn_blocking(Redis::start).await.unwrap();
    // Older than what its ledger counts.
    tokio::time::sleep(Duration::from_secs(3)).await;
    redis
}

/// Changes a setting of a Redis.
async fn set(redis: &Redis, setting: &str, value: &str) {
    let client = redis::Client::open(redis.url(0)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("CONFIG").arg(&["SET", setting, value]).exec_async(&mut connection).await.unwrap();
}

/// Returns why a store with this address cannot be used.
async fn cause(url: &str) -> (Trouble, String) {
    let config = Config {
        urls: vec![Secret::new(url.to_owned())],
        sentinels: Vec::new(),
        cluster: false,
        tls_ca: None,
        tls_identity: None,
        namespace: "hookswitch".to_owned(),
        timeout: Duration::from_secs(2),
    };
    let store = Store::start(&config, LinkMetrics::unexported()).unwrap();
    let mut link = store.watch();
    let known = link
        .wait_for(|link| link.as_ref().err().is_none_or(|e| !e.to_string().contains("not connected yet")));
    let link = known.await.unwrap();
    let error = link.as_ref().err().expect("it cannot be used");
    (error.trouble(), error.to_string())
}

#[tokio::test]
async fn the_documented_permissions_are_enough_and_each_of_them_is_needed() {
    let redis = own().await;
    let (all, world) = restricted(&redis).await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let worker = world.worker();
    for body in [call(1), call(1), call_with(2, "\"mood\":1"), b"not json".to_vec()] {
        assert_eq!(receiver.post("salpre", body.leak()).await, 200);
    }
    let settled =
        |b: &hookswitch::app::ledger::Balance| (b.total.done, b.total.duplicate, b.total.dead) == (2, 1, 1);
    balance(&world, settled).await;
    super::dead_letters::replay_all(&world, "salpre").await;
    receiver.finish().await;
    world.wait_for_depth("hookswitch.ledger", 0).await;
    worker.finish().await;
    balance(&world, settled).await;
    let drift = world.store().await.drift_of(&"salpre".parse().unwrap()).await.unwrap();
    assert_eq!(drift.len(), 1, "{drift:?}");

    let rules = documented();
    // `CONFIG` is only for a warning, and the database is 0.
    let optional = ["+config|get", "+select"];
    let commands = rules.iter().filter(|rule| rule.starts_with('+') && !optional.contains(&rule.as_str()));
    let needed: Vec<&String> = commands.collect();
    assert!(needed.len() > 20, "{rules:?}");
    let mut unneeded = Vec::new();
    for rule in needed {
        set_user(&all, &["reset".to_owned()]).await;
        let fewer: Vec<String> = rules.iter().filter(|other| *other != rule).cloned().collect();
        set_user(&all, &fewer).await;
        let mut redis = all.redis().await;
        redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut redis).await.unwrap();
        let store = Store::start(&world.config.redis, LinkMetrics::unexported()).unwrap();
        let mut link = store.watch();
        let known = link.wait_for(|link| {
            link.as_ref().err().is_none_or(|error| !error.to_string().contains("not connected yet"))
        });
        match known.await.unwrap().as_ref().err() {
            Some(error) => assert_eq!(error.trouble(), Trouble::StoreForbidden, "without {rule}: {error}"),
            None => unneeded.push(rule),
        }
    }
    assert!(unneeded.is_empty(), "{unneeded:?}");
}

#[tokio::test]
async fn a_redis_that_cannot_be_used_says_why() {
    let (open, master) = (own().await, own().await);
    set(&master, "requirepass", "right").await;
    let replica = tokio::task::spawn_blocking({
        let open = open.url(0);
        move || {
            let port = open.rsplit([':', '/']).nth(1).unwrap().to_owned();
            Redis::with(vec!["--replicaof".to_owned(), format!("127.0.0.1 {port}")])
        }
    });
    let cluster =
        tokio::task::spawn_blocking(|| Redis::with(vec!["--cluster-enabled".to_owned(), "yes".to_owned()]));
    let (replica, cluster) = (replica.await.unwrap(), cluster.await.unwrap());
    let with = |redis: &Redis, login: &str| redis.url(0).replace("redis://", &format!("redis://{login}@"));
    for (url, trouble) in [
        (master.url(0), Trouble::StoreLogin),
        (master.url(1), Trouble::StoreLogin),
        (with(&master, ":wrong"), Trouble::StoreLogin),
        (with(&master, "nobody:right"), Trouble::StoreLogin),
        (open.url(100_000), Trouble::StoreDatabase),
        ("redis://127.0.0.1:1/0".to_owned(), Trouble::StoreDown),
        (replica.url(0), Trouble::StoreReadOnly),
        (cluster.url(0), Trouble::StoreCluster),
        (cluster.url(1), Trouble::StoreCluster),
    ] {
        let (found, text) = cause(&url).await;
        assert_eq!(found, trouble, "{text}");
        assert!(!text.contains("wrong") && !text.contains("right@"), "{text}");
    }
    // It answers nothing to a client that begins with TLS.
    let (found, text) = cause(&open.url(0).replace("redis://", "rediss://")).await;
    assert!(found == Trouble::StoreDown && text.contains("rediss:// needs it"), "{text}");
    set(&open, "maxmemory", "1").await;
    assert_eq!(cause(&open.url(0)).await.0, Trouble::StoreFull);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_that_is_missing_for_seconds_closes_the_gate_and_leaves_no_wrong_balance() {
    let redis = own().await;
    let (all, world) = restricted(&redis).await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let workers = [world.worker(), world.worker()];
    let mut sent = 0;
    // Each is missed by another step of the scripts.
    for lost in ["-hincrby", "-bitfield", "-sadd", "-evalsha", "-set", "-pexpire", "-hdel", "-info"] {
        for worker in &workers {
            until("the worker is ready", async || worker.trouble().is_none()).await;
        }
        for revoke in [false, true] {
            if revoke {
                set_user(&all, &[lost.to_owned()]).await;
            }
            for _ in 0..20 {
                assert_eq!(receiver.post("salpre", call(sent).leak()).await, 200);
                sent += 1;
            }
        }
        if !["-hdel", "-info"].contains(&lost) {
            until("a worker says why it pauses", async || {
                workers.iter().any(|worker| worker.trouble() == Some(Trouble::StoreForbidden))
            })
            .await;
        }
        set_user(&all, &[lost.replace('-', "+")]).await;
    }
    assert_eq!(calls(&world.events(sent).await), (0..sent).collect::<Vec<_>>());
    receiver.finish().await;
    let sent = i64::try_from(sent).unwrap();
    let rest = balance(&world, |b| b.total.accepted == sent && b.total.done == sent).await;
    assert_eq!((rest.total.in_system, rest.unaccounted()), (0, 0));
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
    for worker in workers {
        worker.finish().await;
    }
}
