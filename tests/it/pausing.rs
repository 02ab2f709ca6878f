//! Pausing a source: workers let go of it, nothing else notices, and it stays so until it is resumed.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use futures_util::future::join_all;

use super::{
    processes::Process,
    reload::{Senders, Token, each_is_an_event},
    support::{
        World, call, depth,
        program::Program,
        services::{Broker, Redis},
        until,
    },
};

const SALPRE: &str = "hookswitch_deliveries_total{source=\"salpre\"";
const OTHER: &str = "hookswitch_deliveries_total{source=\"other\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_source_waits_through_a_restart_while_others_go_on() {
    let world = World::new().await;
    let program = Program::of(&world);
    let (receiver, worker) = (Process::start(&world, "receiver"), Process::start(&world, "worker"));
    tokio::join!(receiver.ready(), worker.ready());
    let next = Arc::<AtomicUsize>::default();
    let salpre = Senders::start(receiver.url("salpre"), &Token::default(), &next, 2);
    let other = Senders::start(receiver.url("other"), &Token::default(), &next, 1);
    until("both are worked on", async || {
        worker.metric(SALPRE).await > 0.0 && worker.metric(OTHER).await > 0.0
    })
    .await;

    let said = program.ok("pause salpre --note mending").await.out;
    assert!(
        said.starts_with("source salpre is paused from now on\nno worker takes from its queues; "),
        "{said}"
    );
    let again = program.ok("pause salpre --note again").await.out;
    assert!(
        again.starts_with("source salpre is paused since ")
            && again.contains(" by ann: mending\nit was paused already; this note is not recorded\n"),
        "{again}"
    );
    until("what was in work is settled", async || {
        worker.metric("hookswitch_in_flight{source=\"salpre\"}").await == 0.0
    })
    .await;
    let [before, others] = [worker.metric(SALPRE).await, worker.metric(OTHER).await];
    until("the other source goes on", async || worker.metric(OTHER).await > others + 20.0).await;
    assert_eq!(worker.metric(SALPRE).await, before);
    assert_eq!(worker.metric("hookswitch_source_paused{source=\"salpre\"}").await, 1.0);
    assert_eq!(worker.metric("hookswitch_source_paused{source=\"other\"}").await, 0.0);
    let ready = worker.get("/readyz").await.unwrap();
    let note = String::from_utf8(ready.body.to_vec()).unwrap();
    assert!(
        ready.status == 200
            && note.contains("note: source salpre is paused since ")
            && note.contains(" UTC by ann: mending\n"),
        "{note}"
    );
    assert!(worker.log().contains("paused: its webhooks wait in their queue"), "{}", worker.log());
    assert!(program.run("ledger").await.err.contains("source salpre is paused since "));
    let (salpre, other) = (salpre.stop().await, other.stop().await);
    assert!(salpre.others.is_empty() && other.others.is_empty(), "the receiver goes on");

    // Killed between an event and its mark, it would publish again.
    until("nothing is in work", async || worker.metric(OTHER).await as usize == other.accepted.len()).await;
    drop(worker);
    let worker = Process::start(&world, "worker");
    worker.ready().await;
    world.accept("other", [call(1_000_000)]).await;
    until("it works", async || worker.metric(OTHER).await > 0.0).await;
    assert_eq!((worker.metric(SALPRE).await, worker.metric("hookswitch_source_paused").await), (0.0, 1.0));
    let listed = program.ok("sources --json").await.lines();
    let [of_other, of_salpre] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((of_other["state"].as_str(), of_salpre["state"].as_str()), (Some("working"), Some("paused")));
    assert_eq!((&of_salpre["pause"]["by"], &of_salpre["pause"]["note"]), (&"ann".into(), &"mending".into()));
    assert!(of_salpre["waiting"].as_u64() > Some(0) && of_salpre["workers"] == 0, "{of_salpre}");
    let table = program.ok("sources").await.out;
    assert!(
        table.lines().any(|line| line.starts_with("salpre") && line.ends_with("ann  mending")),
        "{table}"
    );
    assert!(program.ok("topology check").await.out.contains("source salpre is paused since "));

    let said = program.ok("resume salpre --note mended").await.out;
    assert!(said.starts_with("source salpre is resumed\nworkers take from its queues; "), "{said}");
    let again = program.ok("resume salpre --note again").await.out;
    assert!(again.starts_with("source salpre is not paused; this note is not recorded\n"), "{again}");
    let [of_other, of_salpre] = &program.ok("sources --json").await.lines()[..] else {
        panic!("two sources")
    };
    assert!(of_other["resumed"].is_null() && of_salpre["pause"].is_null(), "{of_salpre}");
    let resumed = &of_salpre["resumed"];
    assert_eq!((&resumed["by"], &resumed["note"]), (&"ann".into(), &"mended".into()));
    until("the log says who", async || {
        worker.log().lines().any(|line| line.contains("resumed") && line.contains("ann"))
    })
    .await;
    each_is_an_event(&world, [salpre.accepted, other.accepted, vec![1_000_000]].concat()).await;
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
    until("the metric says so", async || worker.metric("hookswitch_source_paused").await == 0.0).await;
    let unknown = program.run("pause nothing").await;
    assert!(
        unknown.code == Some(64) && unknown.err.contains("source `nothing` is not configured"),
        "{unknown:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_outlives_rabbitmq_and_what_redis_holds() {
    let started = tokio::task::spawn_blocking(|| (Broker::start(1), Redis::start()));
    let (broker, store) = started.await.unwrap();
    let world = World::at(&broker.url(1), &store.url(0), "").await;
    let (program, worker) = (Program::of(&world), Process::start(&world, "worker"));
    worker.ready().await;
    program.ok("pause salpre").await;
    redis::cmd("FLUSHALL").query_async::<()>(&mut world.redis().await).await.unwrap();
    tokio::task::block_in_place(|| {
        broker.kill();
        broker.start_again();
    });
    until("the connection is lost", async || worker.metric("hookswitch_reconnects_total").await > 0.0).await;
    worker.ready().await;
    world.accept("salpre", [call(1)]).await;
    world.accept("other", [call(2)]).await;
    until("it works", async || worker.metric(OTHER).await > 0.0).await;
    assert_eq!((worker.metric(SALPRE).await, worker.metric("hookswitch_source_paused").await), (0.0, 1.0));
    program.ok("resume salpre").await;
    each_is_an_event(&world, vec![1, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_source_that_is_removed_is_still_listed_and_resumed() {
    let world = World::new().await;
    Program::of(&world).ok("pause other --note mending --wait 1").await;
    world.accept("other", (0..3).map(call)).await;
    let fewer =
        World::of_toml(world.toml.replace("[sources.other]\nprovider = \"salpre\"\nauth = \"none\"\n", ""));
    let program = Program::of(&fewer);
    program.ok("topology apply").await;
    let worker = Process::start(&fewer, "worker");
    worker.ready().await;
    until("the metric says so", async || {
        worker.metric("hookswitch_source_paused{source=\"other\"}").await == 1.0
    })
    .await;
    let listed = program.ok("sources --json").await.lines();
    let [_, removed] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((&removed["state"], &removed["waiting"]), (&"removed, paused".into(), &3.into()));
    assert_eq!((&removed["source"], &removed["provider"]), (&"other".into(), &"salpre".into()));
    let said = program.ok("topology check").await.out;
    let advice = "source other is paused: `hookswitch resume other`, or it is never drained";
    assert!(said.contains(advice), "{said}");
    let said = program.run("topology prune").await.out;
    assert!(
        said.contains("3 messages are ready in it, and its source is paused: `hookswitch resume other`"),
        "{said}"
    );

    let said = program.ok("resume other").await.out;
    assert!(said.starts_with("source other is resumed\n"), "{said}");
    each_is_an_event(&world, vec![0, 1, 2]).await;
    until("its queue is empty", async || {
        program.run("topology prune").await.out.contains("queue raw.other is deleted")
    })
    .await;
    assert_eq!(program.ok("sources --json").await.lines().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_of_the_ledger_names_the_pause_that_keeps_bundles_from_being_counted() {
    let world = World::new().await;
    let program = Program::of(&world);
    let (receiver, worker) = (world.receiver().await, world.worker());
    tokio::join!(receiver.ready(), worker.ready());
    program.ok("pause salpre").await;
    let calls = (0..300).map(|n| receiver.post("salpre", call(n).leak()));
    assert!(join_all(calls).await.iter().all(|status| *status == 200));
    let messages = depth(&world.connect().await, "raw.salpre").await;
    assert!((1..300).contains(&messages), "{messages} messages");
    let said = program.ok("pause salpre").await.out;
    assert!(said.contains(&format!("; {messages} message")) && said.ends_with(" there\n"), "{said}");
    let said = program.run("ledger --check 10").await;
    let advice =
        "source salpre is paused: its raw queues do not become empty before `hookswitch resume salpre`";
    assert!(said.code == Some(1) && said.err.contains(advice), "{said:?}");
    receiver.finish().await;
    worker.finish().await;
}

#[tokio::test]
async fn a_replay_into_a_paused_source_says_so_before_it_begins() {
    let world = World::new().await;
    let program = Program::of(&world);
    let worker = world.worker();
    world.accept("salpre", [b"{".to_vec()]).await;
    world.dead("salpre", 1).await;
    program.ok("pause salpre").await;
    let warning = "1 letter to it would wait until `hookswitch resume salpre`";
    let tried = program.ok("dead-letters replay --all --dry-run").await;
    assert!(tried.err.contains(warning), "{tried:?}");
    let replayed = program.run("dead-letters replay --all --wait 1s").await;
    assert!(replayed.code == Some(1) && replayed.err.contains(warning), "{replayed:?}");
    assert!(
        replayed.out.contains("stopped: no outcome yet of 1 of 1 letter: the source is paused; "),
        "{replayed:?}"
    );
    world.wait_for_depth("raw.salpre", 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.wait_for_depth("raw.salpre", 1).await;
    program.ok("resume salpre").await;
    world.dead("salpre", 1).await;
    worker.finish().await;
}
