//! Three RabbitMQ nodes: what becomes of accepted webhooks when some of them fail.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex as StdMutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use hookswitch::{
    core::{
        providers::{self, NormalizeError, Normalized},
        webhook::{DeliveryId, Webhook},
    },
    edge::amqp::topology::Topology,
};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    cluster::{Cluster, NODES, Queue},
    load::{Load, Office, Watch, account},
    support::{
        RunningProcess, World, call,
        services::{Broker, Redis},
        until,
    },
};

/// One a test.
const VHOSTS: usize = 12;

/// See `tests/it/outages.rs`: RabbitMQ 3.10 may lose a queue whose broker is killed within seconds of its
/// declaration.
const NEW_QUEUES_ARE_SAFE_AFTER: Duration = Duration::from_secs(6);

struct Shared {
    cluster: Mutex<Cluster>,
    redis: Redis,
    next: AtomicUsize,
}

/// The services, for one test at a time.
async fn shared() -> (&'static Shared, MutexGuard<'static, Cluster>) {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    let start = || Shared {
        cluster: Mutex::new(Cluster::start(VHOSTS)),
        redis: Redis::start(),
        next: AtomicUsize::new(1),
    };
    let shared = tokio::task::spawn_blocking(move || SHARED.get_or_init(start)).await.unwrap();
    (shared, shared.cluster.lock().await)
}

/// A test's own vhost on the cluster, receivers, two workers or three, and webhooks that keep coming.
pub struct Scene {
    pub cluster: MutexGuard<'static, Cluster>,
    pub vhost: usize,
    /// The node that led the most queues when it began.
    pub busiest: usize,
    pub world: World,
    receivers: Vec<RunningProcess>,
    workers: Arc<Vec<RunningProcess>>,
    pub load: Load,
    watch: Watch,
}

impl Scene {
    pub async fn new() -> Self {
        Self::with(false).await
    }

    /// A scene; perhaps with a receiver and a worker beside that know the busiest node only.
    async fn with(lonely_clients: bool) -> Self {
        let (shared, cluster) = shared().await;
        let vhost = shared.next.fetch_add(1, Ordering::Relaxed);
        assert!(vhost <= VHOSTS, "more tests than vhosts");
        let world_at = |urls: &str| retrying(urls, &shared.redis.url(vhost));
        let world = world_at(&cluster.urls(vhost));
        world.apply().await;
        let queues = tokio::task::block_in_place(|| cluster.queues(0, vhost));
        let leads = |node: &usize| queues.iter().filter(|queue| queue.leader == Some(*node)).count();
        let busiest = (0..NODES).max_by_key(leads).unwrap();
        let (mut receivers, mut workers) =
            (vec![world.receiver().await], vec![worker(&world), worker(&world)]);
        if lonely_clients {
            let lonely = world_at(&cluster.nodes[busiest].url(vhost));
            receivers.push(lonely.receiver().await);
            workers.push(worker(&lonely));
        }
        for receiver in &receivers {
            receiver.ready().await;
        }
        // A worker replaces the hook by one that keeps the text of a panic to itself.
        drop(std::panic::take_hook());
        let workers = Arc::new(workers);
        let (load, watch) =
            (Load::start(receivers.iter().map(|r| r.address.as_str())), Watch::start(&workers));
        tokio::time::sleep(NEW_QUEUES_ARE_SAFE_AFTER).await;
        load.accepts(100).await;
        Self { cluster, vhost, busiest, world, receivers, workers, load, watch }
    }

    /// The `n`-th node after the busiest.
    pub fn node(&self, n: usize) -> &Broker {
        &self.cluster.nodes[(self.busiest + n) % NODES]
    }

    /// Does something to nodes, at the same time.
    pub fn at(&self, nodes: &[usize], does: fn(&Broker)) {
        tokio::task::block_in_place(|| {
            thread::scope(|scope| nodes.iter().for_each(|n| drop(scope.spawn(|| does(self.node(*n))))));
        });
    }

    /// Waits until every queue has a leader and three members, all of them at work.
    pub async fn whole(&self) {
        until("every queue has all of its members", async || {
            let queues = tokio::task::block_in_place(|| self.cluster.queues(self.busiest, self.vhost));
            let whole = |q: &Queue| q.leader.is_some() && q.members.len() == NODES && q.online.len() == NODES;
            !queues.is_empty() && queues.iter().all(whole)
        })
        .await;
    }

    /// Waits until each delay queue has let a canary out that was sent from now on.
    ///
    /// One is sent and looked for within a minute. One that is missing shows until another comes back.
    pub async fn delays_are_kept(&self) {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let tiers = self.world.config.retry.schedule().all_tiers().len();
        until("no delay queue is overdue", async || {
            let metrics: String = self.workers.iter().map(RunningProcess::metrics).collect();
            let lines = metrics.lines().filter(|line| line.starts_with("hookswitch_retry_overdue_seconds{"));
            let overdue: Vec<_> = lines.map(|line| !line.ends_with(" 0")).collect();
            overdue.len() == tiers && !overdue.contains(&true)
        })
        .await;
    }

    pub async fn close(self, test: &str, faults: usize) {
        let Self { cluster, vhost, busiest, world, receivers, workers, load, watch } = self;
        let retries: f64 = workers.iter().map(|worker| worker.metric("hookswitch_retries_total")).sum();
        assert!(retries > 0.0, "nothing was in the delay queues");
        println!("{test}: {retries} retries");
        let office = Office { broker: &cluster.nodes[busiest], vhost };
        let duplicates = account(test, faults, &world, office, load, watch).await;
        // What was under way in every worker in the moments of a fault and of the recovery from it.
        let ceiling = 2 * faults * workers.len() * world.config.worker.concurrency;
        assert!(duplicates <= ceiling, "{duplicates} duplicates, over {ceiling}");
        let workers = Arc::into_inner(workers).expect("nobody watches any more");
        for process in receivers.into_iter().chain(workers) {
            process.finish().await;
        }
        // No later test has to move or to wait for queues of this one.
        tokio::task::block_in_place(|| office.broker.ctl(&["delete_vhost", &format!("t{vhost}")]));
    }
}

/// A world in which some retries wait whatever happens to brokers.
pub fn retrying(amqp: &str, redis: &str) -> World {
    let toml = World::configured(amqp, redis, "[retry.retries]\ninvalid_payload = 2").toml;
    // Every connection that a node takes with it counts as a delivery of what it held.
    let toml = toml.replace("delivery_limit = 5", "delivery_limit = 100");
    World::of_toml(toml.replace("400ms", "10s"))
}

/// Starts a worker to which one webhook in eight looks invalid once, and another one twice.
pub fn worker(world: &World) -> RunningProcess {
    fn normalize(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
        static FAILURES: StdMutex<BTreeMap<DeliveryId, u8>> = StdMutex::new(BTreeMap::new());
        let mut all = FAILURES.lock().unwrap();
        let failures = all.entry(webhook.delivery_id).or_default();
        let due = match webhook.delivery_id.uuid().as_bytes()[15] % 8 {
            0 => 2,
            1 => 1,
            _ => 0,
        };
        if *failures == due {
            return providers::normalize(webhook);
        }
        *failures += 1;
        Err(NormalizeError::InvalidPayload { path: "$".to_owned(), problem: "is not read yet".to_owned() })
    }
    world.worker_with(normalize)
}

/// Returns whether a receiver accepts a webhook. It is one that is done, so it gives no event.
async fn accepts(receiver: &RunningProcess) -> bool {
    receiver.post("salpre", call(0).leak()).await == 200
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "three brokers and minutes: make cluster"]
async fn every_queue_is_on_three_nodes() {
    let scene = Scene::new().await;
    scene.whole().await;
    let queues = tokio::task::block_in_place(|| scene.cluster.queues(0, scene.vhost));
    assert_eq!(queues.len(), Topology::of(&scene.world.config).queues.len(), "{queues:?}");
    scene.close("every queue on three nodes", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "three brokers and minutes: make cluster"]
async fn nodes_that_are_killed_one_after_the_other_lose_nothing() {
    let scene = Scene::new().await;
    for n in 0..2 {
        scene.at(&[n], Broker::kill);
        // A channel whose first message comes before the new leader is known is refused everything by
        // RabbitMQ 3.10.8 until the old one is back.
        let late = scene.world.receiver().await;
        late.ready().await;
        until("a receiver that starts now accepts", async || accepts(&late).await).await;
        scene.load.accepts(200).await;
        scene.at(&[n], Broker::start_again);
        scene.whole().await;
        scene.load.accepts(100).await;
    }
    scene.close("nodes killed in turn", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "three brokers and minutes: make cluster"]
async fn a_rolling_restart_loses_nothing() {
    let scene = Scene::new().await;
    for n in 0..NODES {
        scene.at(&[n], Broker::stop);
        scene.load.accepts(100).await;
        scene.at(&[n], Broker::start_again);
        scene.whole().await;
    }
    scene.close("rolling restart", NODES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "three brokers and minutes: make cluster"]
async fn a_node_that_is_cut_off_loses_nothing_and_its_clients_do_not_lie() {
    let scene = Scene::with(true).await;
    let lonely = &scene.receivers[1];
    // Shorter than what makes nodes take each other for dead, and longer.
    for seconds in [3, 20] {
        scene.cluster.network.cut(scene.busiest);
        let until_healed = tokio::time::sleep(Duration::from_secs(seconds));
        scene.load.accepts(200).await;
        if seconds == 20 {
            // RabbitMQ 3 pauses the minority. RabbitMQ 4 lets clients connect to it, and confirms nothing.
            until("a receiver of the minority accepts nothing", async || !accepts(lonely).await).await;
            for _ in 0..3 {
                assert!(!accepts(lonely).await, "a node without a majority confirms nothing");
            }
        }
        until_healed.await;
        scene.cluster.network.heal(scene.busiest);
        scene.whole().await;
        until("the lonely receiver accepts again", async || accepts(lonely).await).await;
        scene.load.accepts(100).await;
    }
    scene.close("a node cut off, with clients", 2).await;
}

/// A node that wakes after the others took it for dead does not notice that it is cut off from them, and goes
/// on by itself whatever `cluster_partition_handling` says (RabbitMQ 3.10.8): so such a node is killed, as a
/// liveness probe would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "three brokers and minutes: make cluster"]
async fn a_node_that_freezes_loses_nothing() {
    let scene = Scene::new().await;
    scene.at(&[0], Broker::freeze);
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.at(&[0], Broker::thaw);
    scene.load.accepts(100).await;
    scene.at(&[0], Broker::freeze);
    scene.load.accepts(200).await;
    scene.at(&[0], |broker| {
        broker.kill();
        broker.start_again();
    });
    scene.whole().await;
    scene.load.accepts(100).await;
    scene.close("a node frozen, then killed", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "three brokers and minutes: make cluster"]
async fn without_a_majority_nothing_is_accepted_and_nothing_is_lost() {
    let scene = Scene::new().await;
    scene.at(&[0, 1], Broker::kill);
    let receiver = &scene.receivers[0];
    until("the receiver is not ready", async || receiver.trouble().is_some()).await;
    let (accepted, refused) = (scene.load.accepted(), scene.load.refused());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(scene.load.accepted(), accepted, "accepted by one node of three");
    assert!(scene.load.refused() > refused);
    scene.at(&[0, 1], Broker::start_again);
    scene.whole().await;
    scene.load.accepts(200).await;
    scene.close("two of three nodes killed", 1).await;
}
