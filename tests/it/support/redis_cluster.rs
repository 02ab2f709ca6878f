//! A private Redis Cluster: three masters, and a replica of each.

use std::time::{Duration, Instant};

use redis::{FromRedisValue, aio::MultiplexedConnection};

use super::services::{Redis, free_port};

/// The number of hash slots.
const SLOTS: usize = 16_384;

/// The time after which a cluster should be up.
const START_MAX: Duration = Duration::from_secs(120);

/// A Redis Cluster: the masters, then their replicas in the same order.
pub struct RedisCluster {
    pub nodes: Vec<Redis>,
}

impl RedisCluster {
    /// The number of masters.
    pub const MASTERS: usize = 3;

    /// Starts one with a replica of each master, and waits until all of it is up and in sync.
    pub async fn start() -> Self {
        Self::with(2 * Self::MASTERS, &[]).await
    }

    /// Starts one of so many nodes, with more options.
    pub async fn with(count: usize, options: &'static [&str]) -> Self {
        let starting: Vec<_> =
            (0..count).map(|_| tokio::task::spawn_blocking(|| start_node(options))).collect();
        let (mut nodes, mut buses, mut links, mut ids) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for node in starting {
            let (node, bus) = node.await.unwrap();
            let mut link = connect(&node).await;
            ids.push(ask::<String>(&mut link, "CLUSTER MYID").await);
            nodes.push(node);
            buses.push(bus);
            links.push(link);
        }
        for (n, link) in links.iter_mut().enumerate().take(Self::MASTERS) {
            let (first, last) = (n * SLOTS / Self::MASTERS, (n + 1) * SLOTS / Self::MASTERS - 1);
            ask::<()>(link, &format!("CLUSTER ADDSLOTSRANGE {first} {last}")).await;
            // Else all begin with the same epoch, and sort that out later.
            ask::<()>(link, &format!("CLUSTER SET-CONFIG-EPOCH {}", n + 1)).await;
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            ask::<()>(&mut links[0], &format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port())).await;
        }
        for link in &mut links {
            let all = |known: &str| ids.iter().all(|id| known.contains(id)) && !known.contains("handshake");
            wait(link, "CLUSTER NODES", all).await;
        }
        for (link, id) in links.iter_mut().skip(Self::MASTERS).zip(&ids) {
            ask::<()>(link, &format!("CLUSTER REPLICATE {id}")).await;
        }
        for (n, link) in links.iter_mut().enumerate() {
            wait(link, "CLUSTER INFO", |info| info.contains("cluster_state:ok")).await;
            if n >= Self::MASTERS {
                wait(link, "INFO replication", |info| info.contains("master_link_status:up")).await;
            }
        }
        Self { nodes }
    }

    /// Returns the URLs of all nodes, separated by commas.
    pub fn urls(&self) -> String {
        self.nodes.iter().map(|node| node.url(0)).collect::<Vec<_>>().join(",")
    }
}

/// Starts a node. Returns it with the port of its bus.
fn start_node(more: &[&str]) -> (Redis, u16) {
    let bus = free_port();
    let port = bus.to_string();
    let options = [
        ["--cluster-enabled", "yes"],
        ["--cluster-port", &port],
        ["--cluster-node-timeout", "2000"],
        ["--cluster-replica-validity-factor", "0"],
    ];
    (Redis::with([&options.concat(), more].concat().into_iter().map(str::to_owned).collect()), bus)
}

/// Connects to a Redis as its default user.
pub async fn connect(redis: &Redis) -> MultiplexedConnection {
    redis::Client::open(redis.url(0)).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Sends a command, which is divided at its spaces.
pub async fn ask<T: FromRedisValue>(connection: &mut MultiplexedConnection, command: &str) -> T {
    let mut words = command.split(' ');
    let mut call = redis::cmd(words.next().unwrap());
    call.arg(words.collect::<Vec<_>>()).query_async(connection).await.unwrap()
}

/// Sends a command again and again, until its answer is right.
async fn wait(connection: &mut MultiplexedConnection, command: &str, is_right: impl Fn(&str) -> bool) {
    let began = Instant::now();
    loop {
        let answer: String = ask(connection, command).await;
        if is_right(&answer) {
            return;
        }
        assert!(began.elapsed() < START_MAX, "{command} after {START_MAX:?}: {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
