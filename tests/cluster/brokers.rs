//! Three RabbitMQ nodes: what becomes of accepted webhooks when some of them fail.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Mutex, MutexGuard};

use crate::{
    cluster::{Cluster, NODES},
    load::{Account, Load, Watch},
    support::{RunningReceiver, RunningWorker, World, services::Redis, until},
};

/// One a test.
const VHOSTS: usize = 10;

/// See `tests/it/outages.rs`: RabbitMQ 3.10 may lose a queue whose broker is killed within seconds of its declaration.
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

/// A test's own vhost on the cluster, a receiver, two workers, and webhooks that keep coming.
struct Scene {
    cluster: MutexGuard<'static, Cluster>,
    vhost: usize,
    redis: String,
    world: World,
    _receiver: RunningReceiver,
    workers: Arc<Vec<RunningWorker>>,
    load: Load,
    watch: Watch,
}

/// A world on one vhost; all clients use `urls`.
fn world(urls: &str, redis: &str) -> World {
    let configured = World::configured(urls, redis, "");
    // Every connection that a node takes with it counts as a delivery of what it held.
    let toml = configured.toml.replace("delivery_limit = 5", "delivery_limit = 100");
    World::of_toml(toml)
}

impl Scene {
    async fn new() -> Self {
        let (shared, cluster) = shared().await;
        let vhost = shared.next.fetch_add(1, Ordering::Relaxed);
        assert!(vhost <= VHOSTS, "more tests than vhosts");
        let redis = shared.redis.url(vhost);
        let world = world(&cluster.urls(vhost), &redis);
        world.apply().await;
        let receiver = world.receiver().await;
        receiver.ready().await;
        let workers = Arc::new(vec![world.worker(), world.worker()]);
        let (load, watch) = (Load::start(&[&receiver]), Watch::start(&workers));
        tokio::time::sleep(NEW_QUEUES_ARE_SAFE_AFTER).await;
        load.accepts(100).await;
        Self { cluster, vhost, redis, world, _receiver: receiver, workers, load, watch }
    }

    /// The node that leads most queues, as `node` sees it.
    fn busiest(&self, node: usize) -> usize {
        let queues = tokio::task::block_in_place(|| self.cluster.queues(node, self.vhost));
        let leads = |node: &usize| queues.iter().filter(|queue| queue.leader == Some(*node)).count();
        (0..NODES).max_by_key(leads).unwrap()
    }

    /// Waits until every queue has a leader and three members, all of them at work, as every node sees it.
    async fn whole(&self) {
        for node in 0..NODES {
            until("every queue has all of its members", async || {
                let queues = tokio::task::block_in_place(|| self.cluster.queues(node, self.vhost));
                !queues.is_empty()
                    && queues
                        .iter()
                        .all(|q| q.leader.is_some() && [&q.members, &q.online].map(Vec::len) == [NODES; 2])
            })
            .await;
        }
    }

    async fn close(self, test: &str, faults: usize) -> Account {
        let account = Account::close(test, faults, &self.world, self.load, self.watch).await;
        // What was under way in the moment of a fault, in every worker, and in the recovery from it.
        let ceiling = 2 * faults * self.workers.len() * self.world.config.worker.concurrency;
        assert!(account.duplicates <= ceiling, "{} duplicates, over {ceiling}", account.duplicates);
        for worker in Arc::into_inner(self.workers).expect("nobody watches any more") {
            worker.finish().await;
        }
        account
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_every_queue_is_on_three_nodes() {
    let scene = Scene::new().await;
    scene.whole().await;
    let queues = tokio::task::block_in_place(|| scene.cluster.queues(0, scene.vhost));
    // Raw and dead for two sources, three delay queues, events.unrouted, events.all.
    assert_eq!(queues.len(), 9, "{queues:?}");
    scene.close("every queue is on three nodes", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b_nodes_that_are_killed_one_after_the_other_lose_nothing() {
    let scene = Scene::new().await;
    let first = scene.busiest(0);
    for node in [first, (first + 1) % NODES] {
        tokio::task::block_in_place(|| scene.cluster.nodes[node].kill());
        scene.load.accepts(200).await;
        tokio::task::block_in_place(|| scene.cluster.nodes[node].start_again());
        scene.whole().await;
        scene.load.accepts(100).await;
    }
    scene.close("nodes killed", 2).await;
}
