//! Members of queues that move from node to node, nodes that are replaced, and nodes that are drained.

use hookswitch::edge::amqp::names::OWN_STREAMS;

use crate::{brokers::Scene, cluster::NODES, support::services::Broker};

impl Scene {
    /// Runs a tool of RabbitMQ on the `n`-th node after the busiest. It must succeed.
    fn run(&self, n: usize, arguments: &[&str]) {
        let answer = tokio::task::block_in_place(|| self.node(n).ask(arguments));
        answer.unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    }

    /// Returns the name of the `n`-th node after the busiest.
    fn name(&self, n: usize) -> &str {
        self.cluster.name((self.busiest + n) % NODES)
    }

    /// Has an empty node that has started alone join the others.
    ///
    /// RabbitMQ 3.10 puts streams on it before it looks for others. So it takes itself for one that is not
    /// new, and does not join by itself as it would on later versions.
    fn join(&self, n: usize) {
        let running = tokio::task::block_in_place(|| {
            self.node(n).ctl(&["--silent", "eval", "length(rabbit_nodes:all_running())."])
        });
        if running.trim() == "1" {
            for command in
                [&["stop_app"][..], &["reset"], &["join_cluster", self.name(n + 1)], &["start_app"]]
            {
                self.run(n, command);
            }
        }
    }

    /// Gives all quorum queues members on a node.
    fn grow(&self, n: usize) {
        self.run(n + 1, &["rabbitmq-queues", "grow", self.name(n), "all"]);
    }

    fn each_stream(&self, n: usize, action: &str) {
        let vhost = format!("t{}", self.vhost);
        for stream in OWN_STREAMS {
            self.run(n + 1, &["rabbitmq-streams", action, "--vhost", &vhost, stream, self.name(n)]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "three brokers and minutes: make cluster"]
async fn members_that_leave_a_node_and_come_back_lose_nothing() {
    let scene = Scene::new().await;
    for n in 0..2 {
        scene.run(n, &["rabbitmq-queues", "shrink", scene.name(n)]);
        scene.each_stream(n, "delete_replica");
        scene.load.accepts(100).await;
        scene.grow(n);
        scene.each_stream(n, "add_replica");
        scene.whole().await;
        scene.load.accepts(100).await;
    }
    // One queue, as one does it by hand.
    let vhost = format!("t{}", scene.vhost);
    for action in ["delete_member", "add_member"] {
        scene.run(0, &["rabbitmq-queues", action, "--vhost", &vhost, "raw.salpre", scene.name(2)]);
        scene.load.accepts(100).await;
    }
    scene.whole().await;
    scene.delays_are_kept().await;
    scene.close("members moved", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "three brokers and minutes: make cluster"]
async fn a_node_that_is_lost_with_its_data_and_replaced_by_an_empty_one_loses_nothing() {
    let scene = Scene::new().await;
    scene.at(&[0], Broker::kill);
    scene.load.accepts(200).await;
    // This takes its members off all queues. `rabbitmq-queues shrink` refuses a node that does not run.
    scene.run(1, &["forget_cluster_node", scene.name(0)]);
    std::fs::remove_dir_all(scene.node(0).dir().join("data")).unwrap();
    scene.at(&[0], Broker::start_again);
    scene.join(0);
    scene.grow(0);
    scene.each_stream(0, "add_replica");
    scene.whole().await;
    scene.load.accepts(100).await;
    // The queues live on the new member as on the others.
    scene.at(&[1], Broker::kill);
    scene.load.accepts(200).await;
    scene.at(&[1], Broker::start_again);
    scene.whole().await;
    scene.delays_are_kept().await;
    scene.close("a node replaced", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "three brokers and minutes: make cluster"]
async fn nodes_that_are_drained_and_restarted_as_for_an_upgrade_lose_nothing() {
    let scene = Scene::new().await;
    for n in 0..NODES {
        scene.run(n, &["rabbitmq-upgrade", "await_online_quorum_plus_one"]);
        scene.run(n, &["rabbitmq-upgrade", "drain"]);
        scene.load.accepts(100).await;
        scene.at(&[n], Broker::stop);
        scene.load.accepts(100).await;
        scene.at(&[n], Broker::start_again);
        scene.whole().await;
    }
    scene.delays_are_kept().await;
    scene.close("drained in turn", NODES).await;
}
