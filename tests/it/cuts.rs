//! Links that are cut at the worst moments, fall silent, slow down or refuse. Only the worker is behind a
//! proxy.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::StreamExt;
use hookswitch::{config::Secret, core::events::key::BodyHash, edge::trouble::Trouble};
use serde_json::Value;
use url::Url;

use super::{
    proxy::{Moment, Proxy},
    support::{PATIENCE, RunningProcess, World, call, calls, until},
};

const WEBHOOKS: usize = 400;

fn port(address: &Secret) -> u16 {
    Url::parse(address.reveal()).unwrap().port().unwrap()
}

fn through(address: &Secret, proxy: &Proxy) -> Secret {
    let mut url = Url::parse(address.reveal()).unwrap();
    url.set_port(Some(proxy.port())).unwrap();
    Secret::new(url)
}

/// Returns the same world from behind a proxy of the broker.
async fn behind_a_proxy_of_the_broker(world: &World) -> (World, Proxy) {
    let address = &world.config.amqp.urls[0];
    let proxy = Proxy::amqp(port(address)).await;
    let mut config = world.config.clone();
    config.amqp.urls = vec![through(address, &proxy)];
    (World { config, toml: world.toml.clone() }, proxy)
}

/// Returns the same world from behind a proxy of Redis.
async fn behind_a_proxy_of_redis(world: &World) -> (World, Proxy) {
    let address = &world.config.redis.urls[0];
    let proxy = Proxy::plain(port(address)).await;
    let mut config = world.config.clone();
    config.redis.urls = vec![through(address, &proxy)];
    (World { config, toml: world.toml.clone() }, proxy)
}

/// Consumes events until every call has come, lets the worker finish, and consumes the rest. Nothing may be
/// lost, and all events of a call must have the same id.
async fn all_events(world: &World, worker: RunningProcess) -> Vec<Value> {
    let (mut events, began) = (Vec::new(), Instant::now());
    loop {
        events.extend(world.events(0).await);
        let mut seen = calls(&events);
        seen.dedup();
        if seen == (0..WEBHOOKS).collect::<Vec<_>>() {
            break;
        }
        let missing: Vec<_> = (0..WEBHOOKS).filter(|n| !seen.contains(n)).collect();
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {missing:?}");
    }
    for queue in ["raw.salpre", "retry.100ms"] {
        world.wait_for_depth(queue, 0).await;
    }
    worker.finish().await;
    events.extend(world.events(0).await);
    let mut ids = HashMap::new();
    for event in &events {
        let id = ids.entry(&event["data"]["call_id"]).or_insert(&event["id"]);
        assert_eq!(*id, &event["id"], "a duplicate with another id");
    }
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
    events
}

/// The time at which Redis first held the hash of each body as done, by its own clock.
type Done = Arc<Mutex<HashMap<BodyHash, SystemTime>>>;

async fn watch_done(world: &World) -> Done {
    let url = Url::parse(world.config.redis.urls[0].reveal()).unwrap();
    let database = format!(" [{} ", url.path().trim_start_matches('/'));
    let monitor = redis::Client::open(url).unwrap().get_async_monitor().await.unwrap();
    let done = Done::default();
    let notes = done.clone();
    tokio::spawn(async move {
        let mut lines = monitor.into_on_message::<String>();
        while let Some(line) = lines.next().await {
            // 1764000000.123456 [3 127.0.0.1:4711] "SET" "<key>" "<hash of the body>" "PX" "<time to live>"
            let Some((time, command)) = line.split_once(&database) else { continue };
            // It is read from the right, since a key may contain a quote.
            let mut words = command.rsplit('"').skip(1).step_by(2);
            let (Some("PX"), Some(Ok(body)), true) =
                (words.nth(1), words.next().map(str::parse), command.contains("\"SET\" "))
            else {
                continue;
            };
            let time = UNIX_EPOCH + Duration::from_secs_f64(time.parse().unwrap());
            notes.lock().unwrap().entry(body).or_insert(time);
        }
    });
    done
}

/// Cuts the worker's connections at `moment` while it works.
async fn a_cut_loses_nothing(moment: Moment, one_in: u32) {
    let world = World::new().await;
    let (behind, proxy) = behind_a_proxy_of_the_broker(&world).await;
    let done = watch_done(&world).await;
    world.accept("salpre", (0..WEBHOOKS).map(call)).await;
    proxy.cut_at(moment, one_in, 4);
    let worker = behind.worker();
    let events = all_events(&world, worker).await;
    assert!(proxy.cuts(moment) > 0, "never cut, of {} times", proxy.seen(moment));
    // Publishing again what Redis holds as done would be an avoidable duplicate.
    let done = done.lock().unwrap();
    let published = proxy.published();
    for event in &events {
        let done = done[&BodyHash::of(&call(calls(std::slice::from_ref(event))[0]))];
        let times: Vec<_> =
            published.iter().filter(|(id, _)| event["id"] == **id).map(|(_, at)| *at).collect();
        assert!(
            !times.is_empty() && times.iter().all(|at| *at < done),
            "done at {done:?}, published at {times:?}"
        );
    }
    // Only what was in flight at a cut may come twice.
    let (cuts, concurrency) = (proxy.cuts(moment) as usize, world.config.worker.concurrency);
    assert!(events.len() - WEBHOOKS <= cuts * concurrency, "{} events after {cuts} cuts", events.len());
}

#[tokio::test]
async fn a_connection_cut_before_a_publish_loses_nothing() {
    a_cut_loses_nothing(Moment::BeforePublish, 40).await;
}

#[tokio::test]
async fn a_connection_cut_before_a_confirm_loses_nothing() {
    a_cut_loses_nothing(Moment::BeforeConfirm, 2).await;
}

#[tokio::test]
async fn a_connection_cut_after_a_confirm_loses_nothing() {
    a_cut_loses_nothing(Moment::AfterConfirm, 2).await;
}

#[tokio::test]
async fn a_connection_cut_before_an_ack_loses_nothing_and_publishes_nothing_needlessly() {
    a_cut_loses_nothing(Moment::BeforeAck, 2).await;
}

/// Black-holes the link of a worker while it works, and expects it to report `trouble`.
async fn a_black_hole_is_noticed(world: &World, behind: &World, proxy: &Proxy, trouble: Trouble) {
    let worker = behind.worker();
    until("the worker is ready", async || worker.trouble().is_none()).await;
    world.accept("salpre", (0..WEBHOOKS / 2).map(call)).await;
    until("work has begun", async || worker.metric("hookswitch_events_total") > 20.0).await;
    proxy.blackhole();
    world.accept("salpre", (WEBHOOKS / 2..WEBHOOKS).map(call)).await;
    until("the silence is noticed", async || worker.trouble() == Some(trouble)).await;
    // It stays so: what comes while the link is dead stays in its queue.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(worker.trouble(), Some(trouble));
    proxy.restore();
    until("the worker goes on", async || worker.trouble().is_none()).await;
    all_events(world, worker).await;
}

#[tokio::test]
async fn a_broker_in_a_black_hole_is_noticed_and_nothing_is_lost() {
    let world = World::new().await;
    let (behind, proxy) = behind_a_proxy_of_the_broker(&world).await;
    a_black_hole_is_noticed(&world, &behind, &proxy, Trouble::BrokerDown).await;
}

#[tokio::test]
async fn a_redis_in_a_black_hole_is_noticed_and_nothing_is_lost() {
    let world = World::new().await;
    let (behind, proxy) = behind_a_proxy_of_redis(&world).await;
    a_black_hole_is_noticed(&world, &behind, &proxy, Trouble::StoreDown).await;
}

#[tokio::test]
async fn a_receiver_whose_broker_is_in_a_black_hole_says_503_in_time() {
    let world = World::new().await;
    let (behind, proxy) = behind_a_proxy_of_the_broker(&world).await;
    let receiver = behind.receiver().await;
    receiver.ready().await;
    assert_eq!(receiver.post("salpre", Box::leak(call(0).into_boxed_slice())).await, 200);
    proxy.blackhole();
    assert_eq!(receiver.post("salpre", Box::leak(call(1).into_boxed_slice())).await, 503);
    until("the silence is noticed", async || receiver.trouble() == Some(Trouble::BrokerDown)).await;
    proxy.restore();
    until("the receiver recovers", async || {
        receiver.post("salpre", Box::leak(call(2).into_boxed_slice())).await == 200
    })
    .await;
    let worker = world.worker();
    // Call 1 was answered with 503, so it may come or not.
    let mut seen = calls(&world.events(2).await);
    seen.dedup();
    assert!(seen.contains(&0) && seen.contains(&2), "{seen:?}");
    worker.finish().await;
}

#[tokio::test]
async fn links_that_are_slow_refused_and_cut_again_and_again_lose_nothing() {
    let world = World::new().await;
    let (behind, broker) = behind_a_proxy_of_the_broker(&world).await;
    let (behind, redis) = behind_a_proxy_of_redis(&behind).await;
    let worker = behind.worker();
    until("the worker is ready", async || worker.trouble().is_none()).await;
    for link in [&broker, &redis] {
        link.slow(Duration::from_millis(20));
    }
    world.accept("salpre", (0..WEBHOOKS).map(call)).await;
    for link in [&broker, &redis] {
        let before = worker.metric("hookswitch_events_total");
        until("it works", async || worker.metric("hookswitch_events_total") > before).await;
        link.cut_all();
        until("it is noticed", async || worker.trouble().is_some()).await;
        link.refuse();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(worker.trouble().is_some());
        link.restore();
        until("it goes on", async || worker.trouble().is_none()).await;
    }
    all_events(&world, worker).await;
}
