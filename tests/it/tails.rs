//! `hookswitch tail`: what it shows of events, live and from a stream, and what it leaves where it is.

use std::time::Duration;

use lapin::{
    BasicProperties, Channel,
    options::{BasicPublishOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::Value;

use super::support::{World, call, program::Program, until};

/// Declares a stream that takes all events.
pub(super) async fn declare_stream(world: &World, name: &str) {
    let channel = declare(world, name, "stream").await;
    let (from, options) = ("hookswitch.events".into(), QueueBindOptions::default());
    channel.queue_bind(name.into(), from, "#".into(), options, FieldTable::default()).await.unwrap();
}

async fn declare(world: &World, name: &str, kind: &str) -> Channel {
    let channel = world.client().await.create_channel().await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(name.into(), options, arguments).await.unwrap();
    channel
}

fn call_ids(lines: &[Value]) -> Vec<String> {
    lines.iter().map(|event| event["data"]["call_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_stream_shows_past_events_filtered_and_masked_and_a_queue_that_is_no_stream_loses_nothing() {
    let world = World::new().await;
    let tool = Program::of(&world);
    declare_stream(&world, "events.history").await;
    let worker = world.worker();
    world.accept("salpre", (0..200).map(call)).await;
    world.accept("other", [call(1_000)]).await;
    world.wait_for_depth("events.all", 201).await;
    worker.finish().await;

    let from = "tail --from 1h --stream events.history --idle 2";
    let all = tool.ok(&format!("{from} --json")).await;
    let mut ids = call_ids(&all.lines());
    ids.sort_by_key(|id| id.parse::<u32>().unwrap());
    assert_eq!(ids.len(), 201, "more than what is unacked at a time: {ids:?}");
    assert!(!all.out.contains("90555") && all.out.contains("‹text, 13 characters›"), "{}", all.out);

    let other = tool.ok(&format!("{from} --json --source other --type call")).await.lines();
    assert_eq!(call_ids(&other), ["1000"]);
    let one = tool.ok(&format!("{from} --json --where call_id=17 --where direction!=inbound")).await.lines();
    assert_eq!(call_ids(&one), ["17"]);
    assert_eq!(tool.ok(&format!("tail #.other {} --json", &from[5..])).await.lines().len(), 1);
    assert_eq!(tool.ok(&format!("{from} --test")).await.out, "");

    let rows = tool.ok(&format!("{from} --where call_id=17")).await;
    assert!(rows.out.starts_with("time (UTC)") && rows.out.contains("call.initiated"), "{rows:?}");
    assert!(rows.out.contains("outbound") && !rows.out.contains("90555"), "{rows:?}");
    assert!(rows.err.contains("masked"), "{rows:?}");

    // Consuming an ordinary queue would take its messages.
    for command in
        ["tail --from 1h --stream events.all --idle 2", "explain k:1 --source other --stream events.all"]
    {
        let refused = tool.run(command).await;
        assert!(refused.code == Some(64) && refused.err.contains("is no stream"), "{refused:?}");
    }
    let channel = declare(&world, "of.others", "quorum").await;
    let (properties, options) = (BasicProperties::default(), BasicPublishOptions::default());
    channel.basic_publish("".into(), "of.others".into(), options, b"theirs", properties).await.unwrap();
    world.wait_for_depth("of.others", 1).await;
    for command in
        ["tail --from 1h --stream of.others --idle 2", "explain k:1 --source other --stream of.others"]
    {
        let refused = tool.run(command).await;
        assert!(refused.code == Some(1) && refused.err.contains("stream"), "{refused:?}");
    }
    let missing = tool.run("tail --from 1h --stream events.none --idle 2").await;
    assert!(missing.code == Some(1) && missing.err.contains("no queue"), "{missing:?}");
    assert_eq!(tool.run("tail --from 1h").await.code, Some(64));
    assert_eq!(world.events(201).await.len(), 201);
}

#[tokio::test]
async fn personal_data_in_a_tail_is_shown_only_on_record() {
    let world = World::new().await;
    let tool = Program::of(&world);
    declare_stream(&world, "events.history").await;
    let worker = world.worker();
    world.accept("salpre", [call(1)]).await;
    world.wait_for_depth("events.all", 1).await;
    worker.finish().await;

    let from = "tail --from 1h --stream events.history --idle 2";
    let refused = tool.run(&format!("{from} --reveal")).await;
    assert!(refused.code == Some(64) && refused.err.contains("--note"), "{refused:?}");
    let row = tool.ok(&format!("{from} --reveal --note ticket-7 --where from.raw=+905555555555")).await;
    assert!(row.out.contains("+905555555555 -> +905555555554"), "{row:?}");
    let event = &tool.ok(&format!("{from} --json --reveal --note ticket-8")).await.lines()[0];
    assert_eq!(event["data"]["from"]["raw"], "+905555555555");
    let interrupted = tool.start("tail --from 1h --stream events.history --reveal --note ticket-9");
    until("it is recorded", async || tool.ok("dead-letters jobs --json").await.lines().len() == 3).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    interrupted.signal("INT");
    assert_eq!(interrupted.end().await.code, Some(0));

    let jobs = tool.ok("dead-letters jobs --json").await;
    assert!(!jobs.out.contains("90555"), "{jobs:?}");
    let jobs = jobs.lines();
    let job = |n: usize| (&jobs[n]["kind"], &jobs[n]["actor"], &jobs[n]["note"], &jobs[n]["handled"]);
    assert_eq!(job(0), (&"reveal".into(), &"ann".into(), &"ticket-7".into(), &1.into()), "{jobs:?}");
    assert_eq!(job(1), (&"reveal".into(), &"ann".into(), &"ticket-8".into(), &1.into()), "{jobs:?}");
    assert_eq!((&jobs[2]["outcome"], &jobs[2]["handled"]), (&"finished".into(), &1.into()), "{jobs:?}");
    assert!(jobs[0]["filter"].as_str().unwrap().contains("--where from.raw=…"), "{jobs:?}");
}
