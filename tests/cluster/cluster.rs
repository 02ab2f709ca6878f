//! A cluster of three private RabbitMQ nodes on this machine.

use std::{os::unix::fs::PermissionsExt, thread};

use crate::{
    network::Network,
    services::{Broker, free_port},
};

/// Number of nodes.
pub const NODES: usize = 3;

/// Seconds of silence after which nodes consider each other dead, approximately. RabbitMQ's default is 60 s.
const SILENCE_SECONDS: usize = 8;

/// A cluster with `pause_minority`.
pub struct Cluster {
    pub nodes: Vec<Broker>,
    pub network: Network,
    names: Vec<String>,
}

impl Cluster {
    /// Starts a cluster with vhosts `t1` to `t<vhosts>`, whose network can be cut.
    pub fn start(vhosts: usize) -> Self {
        let erlang = format!("-kernel net_ticktime {SILENCE_SECONDS}");
        Self::with(vhosts, Network::between, "", &erlang)
    }

    /// Starts a cluster with a network, lines of `rabbitmq.conf` and arguments of Erlang.
    pub fn with(vhosts: usize, network: fn(&[String]) -> Network, settings: &str, erlang: &str) -> Self {
        let ports: Vec<_> = (0..NODES).map(|_| free_port()).collect();
        let short: Vec<_> = ports.iter().map(|port| format!("hookswitch-{port}")).collect();
        let names: Vec<_> = short.iter().map(|name| format!("{name}@localhost")).collect();
        let network = network(&short);
        let mut conf = format!(
            "{settings}cluster_partition_handling = pause_minority\n\
             cluster_formation.peer_discovery_backend = classic_config\n"
        );
        for (n, name) in names.iter().enumerate() {
            conf += &format!("cluster_formation.classic_config.nodes.{} = {name}\n", n + 1);
        }
        let secret = format!("{:032x}", rand::random::<u128>());
        let node = |(n, port): (usize, &u16)| {
            let environment = vec![
                ("HOOKSWITCH_RABBITMQ_CONF", conf.clone()),
                ("HOOKSWITCH_RABBITMQ_EPMD", network.mapper(n).to_string()),
                ("HOOKSWITCH_RABBITMQ_ERLANG", erlang.to_owned()),
            ];
            let node = Broker::prepare(vhosts, *port, environment);
            let cookie = node.dir().join(".erlang.cookie");
            std::fs::write(&cookie, &secret).unwrap();
            std::fs::set_permissions(&cookie, std::fs::Permissions::from_mode(0o400)).unwrap();
            node
        };
        let nodes: Vec<_> = ports.iter().enumerate().map(node).collect();
        thread::scope(|scope| nodes.iter().for_each(|node| drop(scope.spawn(|| node.start_again()))));
        let cluster = Self { nodes, network, names };
        let count =
            cluster.nodes[0].ask(&["--silent", "eval", "length(rabbit_nodes:all_running())."]).unwrap();
        assert_eq!(count.trim(), NODES.to_string(), "the nodes have not formed a cluster");
        cluster
    }

    /// Returns the name of a node.
    pub fn name(&self, node: usize) -> &str {
        &self.names[node]
    }

    /// Returns the addresses of vhost `n` on all nodes.
    pub fn urls(&self, n: usize) -> String {
        self.nodes.iter().map(|node| node.url(n)).collect::<Vec<_>>().join(",")
    }

    /// Returns the quorum queues of vhost `n` as `node` sees them; none if it pauses.
    pub fn queues(&self, node: usize, n: usize) -> Vec<Queue> {
        let vhost = format!("t{n}");
        let columns = ["name", "leader", "members", "online"];
        let arguments =
            [&["--silent", "--vhost", &vhost, "list_queues", "--no-table-headers"][..], &columns].concat();
        let listed = self.nodes[node].ask(&arguments).unwrap_or_default();
        let place = |name: &str| {
            let name = name.trim_matches([' ', '[', ']', '\'']);
            self.names.iter().position(|known| known == name)
        };
        let places = |names: &str| names.split(',').filter_map(place).collect();
        let queue = |line: &str| {
            let [name, leader, members, online] = line.split('\t').collect::<Vec<_>>()[..] else {
                return None;
            };
            let (leader, members, online) = (place(leader), places(members), places(online));
            Some(Queue { name: name.to_owned(), leader, members, online })
        };
        listed.lines().filter_map(queue).collect()
    }
}

/// A quorum queue and its nodes, as indices into [`Cluster::nodes`].
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    pub name: String,
    pub leader: Option<usize>,
    pub members: Vec<usize>,
    pub online: Vec<usize>,
}
