//! What a process may do in the broker, and what it says when the broker does not let it.

use hookswitch::edge::{
    amqp::{
        self,
        consume::{lock::Lock, tail::Tail},
        topology::{Topology, TopologyError},
    },
    trouble::Trouble,
};

use super::support::{World, call, calls, program::Program, services::documented, shared, until};

async fn eval(erlang: String) {
    tokio::task::spawn_blocking(move || shared().broker.ctl(&["eval", &erlang])).await.unwrap();
}

/// Sets a user's permissions in the world's vhost, and creates the user first if there is none.
async fn grant(world: &World, user: &str, patterns: &[String; 3]) {
    let vhost = world.vhost();
    let [configure, write, read] = patterns.each_ref().map(|text| text.replace('\\', "\\\\"));
    eval(format!(
        "catch rabbit_auth_backend_internal:add_user(<<\"{user}-{vhost}\">>, <<\"secret\">>, <<\"t\">>), \
         rabbit_auth_backend_internal:set_permissions(<<\"{user}-{vhost}\">>, <<\"{vhost}\">>, \
         <<\"{configure}\">>, <<\"{write}\">>, <<\"{read}\">>, <<\"t\">>)."
    ))
    .await;
}

/// Returns the world as a user sees it.
fn seen_by(world: &World, user: &str) -> World {
    World::of_toml(world.toml.replace("guest:guest@", &format!("{user}-{}:secret@", world.vhost())))
}

async fn user(world: &World, user: &str) -> World {
    grant(world, user, &documented(user)).await;
    seen_by(world, user)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_permissions_are_enough_for_each_part() {
    let masked = "[subscriptions.\"events.masked\"]\npatterns = [\"call.#\"]\nredact = \"mask\"";
    let world = World::of_toml(format!("{}\n{masked}", World::unapplied().await.toml));
    user(&world, "apply").await.apply().await;
    let worker = user(&world, "worker").await.worker();
    let receiver = user(&world, "receiver").await.receiver().await;
    receiver.ready().await;
    assert_eq!(receiver.post("salpre", Box::leak(call(1).into_boxed_slice())).await, 200);
    assert_eq!(receiver.post("salpre", b"not JSON").await, 200);
    assert_eq!(calls(&world.events(1).await), [1]);
    world.dead("salpre", 1).await;

    let on_call = user(&world, "oncall").await;
    let (program, connection) = (Program::of(&on_call), on_call.connect().await);
    Lock::take(&connection).await.unwrap().release().await;
    let mut tail = Tail::open(&connection, &["#".to_owned()]).await.unwrap();
    let said = program.run("dead-letters stats").await;
    assert!(said.code == Some(0) && said.out.contains("malformed_json"), "{said:?}");
    program.ok("dead-letters list").await;
    program.ok("ledger").await;
    assert_eq!(receiver.post("salpre", Box::leak(call(2).into_boxed_slice())).await, 200);
    assert!(tail.next().await.unwrap().is_some());

    let checked = Topology::of(&world.config).check(&connection).await.unwrap();
    assert!(checked.whole == 0 && checked.by_name > 8, "{checked:?}");
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_permissions_is_not_ready_says_why_and_goes_on_once_they_are_granted() {
    let world = World::new().await;
    let nothing = ["^$", "^$", "^$"].map(str::to_owned);
    grant(&world, "receiver", &nothing).await;
    grant(&world, "worker", &nothing).await;
    let receiver = seen_by(&world, "receiver").receiver().await;
    let worker = seen_by(&world, "worker").worker();
    until("the receiver knows", async || receiver.trouble() == Some(Trouble::BrokerDenied)).await;
    until("the worker knows", async || worker.trouble() == Some(Trouble::BrokerDenied)).await;
    assert_eq!(receiver.post("salpre", b"{}").await, 503);

    // With the right to write alone, the worker still may not consume.
    let [configure, write, _] = documented("worker");
    grant(&world, "worker", &[configure, write, "^$".to_owned()]).await;
    grant(&world, "receiver", &documented("receiver")).await;
    receiver.ready().await;
    assert_eq!(receiver.post("salpre", Box::leak(call(1).into_boxed_slice())).await, 200);
    assert_eq!(worker.trouble(), Some(Trouble::BrokerDenied));
    grant(&world, "worker", &documented("worker")).await;
    assert_eq!(calls(&world.events(1).await), [1]);
    until("the worker is ready", async || worker.trouble().is_none()).await;
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
    worker.finish().await;
}

#[tokio::test]
async fn a_missing_permission_is_named_with_the_exchange_or_queue_it_is_missing_on() {
    let world = World::unapplied().await;
    let all = documented("apply")[0].clone();
    let without_dead = "^(amq.default|hookswitch\\.(raw|unrouted|published|events|retry|ledger).*|(raw|retry|dead|events)\\..*)$";
    grant(&world, "apply", &[all.clone(), without_dead.to_owned(), all]).await;
    let connection = seen_by(&world, "apply").connect().await;
    let Err(TopologyError::Differs(found)) = Topology::of(&world.config).apply(&connection).await else {
        panic!("the broker let it");
    };
    let raw = found.iter().find(|difference| difference.what == "queue raw.salpre").unwrap();
    assert!(raw.how.contains("`write`") && raw.how.contains("on exchange hookswitch.dead"), "{raw:?}");
    assert!(!found.iter().any(|difference| difference.how.contains("configure")), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_login_and_a_refused_virtual_host_are_named() {
    let world = World::new().await;
    grant(&world, "receiver", &documented("receiver")).await;
    let (vhost, address) = (world.vhost(), world.config.amqp.urls[0].reveal().to_owned());
    for (wrong, trouble) in [
        (address.replace("guest:guest@", "guest:wrong@"), Trouble::BrokerLogin),
        (address.replace("guest:guest@", "nobody:guest@"), Trouble::BrokerLogin),
        (format!("{address}-is-not-there"), Trouble::BrokerVhost),
        // This user is not permitted in that one.
        (
            address
                .replace("guest:guest@", &format!("receiver-{vhost}:secret@"))
                .replace(&format!("/{vhost}"), "/%2f"),
            Trouble::BrokerVhost,
        ),
    ] {
        let wrong = World::of_toml(world.toml.replace(&address, &wrong));
        let error = amqp::connect(&wrong.config.amqp, "test").await.unwrap_err();
        assert_eq!(error.trouble(), trouble, "{error}");
        let receiver = wrong.receiver().await;
        until("the receiver knows", async || receiver.trouble() == Some(trouble)).await;
        let worker = wrong.worker();
        until("the worker knows", async || worker.trouble() == Some(trouble)).await;
        let said = Program::of(&wrong).run("topology check").await;
        assert!(said.code == Some(69) && said.err.contains("refused the "), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_queue_is_deleted_names_the_missing_queue_and_goes_on_once_it_is_there() {
    let world = World::new().await;
    let worker = world.worker();
    until("the worker is ready", async || worker.trouble().is_none()).await;
    let channel = world.client().await.create_channel().await.unwrap();
    channel.queue_delete("raw.salpre".into(), Default::default()).await.unwrap();
    until("the worker knows", async || worker.trouble() == Some(Trouble::Topology)).await;
    world.apply().await;
    until("the worker is ready", async || worker.trouble().is_none()).await;
    // An event that no queue takes makes it wait as well.
    for queue in ["events.unrouted", "events.all"] {
        channel.queue_delete(queue.into(), Default::default()).await.unwrap();
    }
    world.accept("salpre", [call(1)]).await;
    until("the worker knows", async || worker.trouble() == Some(Trouble::Topology)).await;
    world.apply().await;
    assert_eq!(calls(&world.events(1).await), [1]);
    until("the worker is ready", async || worker.trouble().is_none()).await;
    worker.finish().await;
}
