//! The private RabbitMQ of the measurements: one node, or a cluster of three.

use super::{
    cluster::{Cluster, NODES, Queue},
    network::Network,
    services::{Broker, free_port},
    world::QUEUE_OUT,
    yardstick,
};

/// A setting that rolls the log of quorum queues over every 32 MiB instead of 512. A rollover writes the
/// log's content to each queue's own files, which up to doubles the CPU of a message for that time. With 512
/// MiB it fell into some runs and not into others.
const SETTINGS: &str = "raft.wal_max_size_bytes = 33554432\n";

pub enum RabbitMq {
    Node(Broker),
    Cluster(Cluster),
}

impl RabbitMq {
    /// Starts one with vhosts `t1` to `t<vhosts>`.
    pub fn start(vhosts: usize, cluster: bool) -> Self {
        if cluster {
            return Self::Cluster(Cluster::with(vhosts, Network::direct, SETTINGS, ""));
        }
        let environment = vec![("HOOKSWITCH_RABBITMQ_CONF", SETTINGS.to_owned())];
        let node = Broker::prepare(vhosts, free_port(), environment);
        node.start_again();
        Self::Node(node)
    }

    fn nodes(&self) -> &[Broker] {
        match self {
            Self::Node(node) => std::slice::from_ref(node),
            Self::Cluster(cluster) => &cluster.nodes,
        }
    }

    /// Returns the process ids of all nodes.
    pub fn pids(&self) -> Vec<u32> {
        self.nodes().iter().map(Broker::pid).collect()
    }

    /// Returns the URL of a vhost on the first node, to which all clients connect.
    pub fn url(&self, vhost: usize) -> String {
        self.nodes()[0].url(vhost)
    }

    /// Returns the version, and the number of nodes if there are several.
    pub fn version(&self) -> String {
        let version = self.nodes()[0].ctl(&["version"]);
        match self.nodes().len() {
            1 => version.trim().to_owned(),
            nodes => format!("{} ({nodes} nodes)", version.trim()),
        }
    }

    /// Panics unless all queues of a vhost are on all nodes of a cluster, and those of the events and of the
    /// lean yardstick are led by the first: a leader elsewhere would cost every message one more way.
    pub fn assert_replicated(&self, vhost: usize) {
        let Self::Cluster(cluster) = self else { return };
        let queues = cluster.queues(0, vhost);
        assert!(!queues.is_empty() && queues.iter().all(|queue| queue.members.len() == NODES), "{queues:?}");
        let hot = [QUEUE_OUT, yardstick::LEAN.queue, yardstick::LEAN_OUT];
        let is_hot = |queue: &&Queue| queue.name.starts_with("raw.") || hot.contains(&queue.name.as_str());
        assert!(queues.iter().filter(is_hot).all(|queue| queue.leader == Some(0)), "{queues:?}");
    }
}
