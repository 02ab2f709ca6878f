//! Members of queues that move from node to node.

use hookswitch::edge::amqp::names::OWN_STREAMS;

use crate::{brokers::Scene, cluster::NODES};

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

    /// Gives the quorum queues of this scene members on a node.
    fn grow(&self, n: usize) {
        let vhost = format!("^t{}$", self.vhost);
        self.run(n + 1, &["rabbitmq-queues", "grow", self.name(n), "all", "--vhost-pattern", &vhost]);
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
    scene.close("members moved", 3).await;
}
