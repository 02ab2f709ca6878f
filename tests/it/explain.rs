//! `hookswitch explain`: what is recorded of a webhook, and no more.

use hookswitch::core::{
    providers::{self, NormalizeError, Normalized},
    webhook::Webhook,
};

use super::{
    support::{World, call, program::Program},
    tails::declare_stream,
};

const UNKNOWN: &[u8] =
    br#"{"event_type":"moon_landing","timestamp_utc":1,"payload":{"call_id":1},"is_test":true}"#;

#[tokio::test]
async fn a_webhook_is_explained_from_its_ids_its_key_and_its_letters() {
    let world = World::new().await;
    let tool = Program::of(&world);
    declare_stream(&world, "events.history").await;
    let worker = world.worker();
    let done = world.accept("salpre", [call(1)]).await[0].uuid();
    let dead = world.accept("salpre", [UNKNOWN.to_vec()]).await[0].uuid();
    let event = world.events(1).await.remove(0);
    world.dead("salpre", 1).await;
    worker.finish().await;

    // Its delivery id alone leads nowhere once it is done, and says when it came.
    let said = tool.run(&format!("explain {done}")).await;
    assert!(
        said.code == Some(1) && said.out.contains("received") && said.out.contains("not recorded"),
        "{said:?}"
    );
    let (event_id, key) = (event["id"].as_str().unwrap(), event["idempotencykey"].as_str().unwrap());
    let said = tool.run(&format!("explain {event_id}")).await;
    assert!(said.code == Some(1) && said.out.contains("give --stream"), "{said:?}");
    for line in [
        format!("explain {done} --stream events.history --json"),
        format!("explain {event_id} --stream events.history --json"),
        format!("explain {key} --source salpre --stream events.history --json"),
    ] {
        let said = tool.ok(&line).await.json();
        assert_eq!(
            (&said["keys"][0]["mark"], &said["events"][0]["id"]),
            (&"done".into(), &event_id.into()),
            "{said}"
        );
        assert_eq!(
            (&said["events"][0]["delivery_id"], &said["letters"]),
            (&done.to_string().into(), &[0; 0][..].into())
        );
        assert!(said["now"].as_str().unwrap().starts_with("done"), "{said}");
    }
    let said = tool.ok(&format!("explain {key} --source salpre")).await;
    assert!(said.out.contains("marked done (for") && !said.out.contains(key), "{said:?}");
    let nothing = tool.run(&format!("explain {key} --source other")).await;
    assert!(nothing.code == Some(1) && nothing.out.contains("no mark in Redis"), "{nothing:?}");
    assert!(nothing.out.contains("by delivery id only"), "{nothing:?}");

    let said = tool.ok(&format!("explain {dead} --json")).await.json();
    let letter = &said["letters"][0];
    assert_eq!(
        (&letter["reason"], &letter["waiting"]),
        (&"unsupported_event".into(), &true.into()),
        "{said}"
    );
    assert!(letter["key_error"].as_str().unwrap().contains("moon_landing"), "{said}");
    let by_letter = tool.ok(&format!("explain {} --json", letter["letter"].as_str().unwrap())).await.json();
    assert_eq!((&by_letter["letters"], &by_letter["received_at"]), (&said["letters"], &said["received_at"]));
    let discard = format!("dead-letters discard --id {dead} --yes --note ticket-9 --export gone.ndjson");
    tool.ok(&discard).await;
    let said = tool.ok(&format!("explain {dead} --json")).await.json();
    let letter = &said["letters"][0];
    assert_eq!(
        (&letter["waiting"], &letter["left"][0]["fate"]),
        (&false.into(), &"discarded".into()),
        "{said}"
    );
    assert_eq!(
        (&letter["left"][0]["actor"], &letter["left"][0]["note"]),
        (&"ann".into(), &"ticket-9".into())
    );
    let said = tool.ok(&format!("explain {dead}")).await.out;
    assert!(said.contains("unsupported_event after 1 attempt") && said.contains("discarded"), "{said}");

    for wrong in ["explain 17", "explain k:1"] {
        assert_eq!(tool.run(wrong).await.code, Some(64), "{wrong}");
    }
}

/// A build with a bug: it refuses every webhook.
fn old_build(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    let refused = Err(NormalizeError::invalid("payload", "must be a number"));
    providers::normalize(webhook).and(refused)
}

#[tokio::test]
async fn the_key_and_the_fields_of_a_dead_letter_have_sources_and_values_are_masked_unless_revealed() {
    let world = World::new().await;
    let tool = Program::of(&world);
    let worker = world.worker_with(old_build);
    let dead = world.accept("salpre", [call(8841)]).await[0].uuid();
    world.wait_for_depth("dead.salpre", 1).await;
    worker.finish().await;

    let said = tool.ok(&format!("explain {dead}")).await.out;
    let key = "key           made of \"live\", /event_type, /payload/call_id, /timestamp_utc; ";
    assert!(said.contains(key) && said.contains("depends on /is_test") && !said.contains("copied"), "{said}");
    let said = tool.ok(&format!("explain {dead} --fields")).await.out;
    let row = |field: &str| {
        let line = said.lines().find(|line| line.split_whitespace().next() == Some(field));
        line.unwrap_or_else(|| panic!("{field}: {said}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("/data/direction"), "/data/direction \"outbound\" /payload/direction word of a list");
    assert_eq!(row("/data/from/raw"), "/data/from/raw \"‹text, 13 characters›\" /payload/from copied");
    assert_eq!(row("/provider"), "/provider \"salpre\" fixed");

    let refused = tool.run(&format!("explain {dead} --fields --reveal")).await;
    assert!(refused.code == Some(64) && refused.err.contains("--note"), "{refused:?}");
    let revealed = tool.ok(&format!("explain {dead} --fields --reveal --note ticket-9 --json")).await.json();
    let letter = &revealed["letters"][0];
    let fields = letter["fields"]["events"][0].as_array().unwrap();
    let from = fields.iter().find(|field| field["field"] == "/data/from/raw").unwrap();
    let source = serde_json::json!([{ "in": "body", "pointer": "/payload/from", "rule": "copied" }]);
    assert_eq!((&from["value"], &from["sources"]), (&"+905555555555".into(), &source));
    assert_eq!(letter["key"]["parts"][0], serde_json::json!({ "word": "live" }));
    assert_eq!(letter["key"]["depends_on"][0]["pointer"], "/is_test");
    let jobs = tool.ok("dead-letters jobs --json").await.lines();
    assert!(jobs.iter().any(|job| job["kind"] == "reveal" && job["note"] == "ticket-9"), "{jobs:?}");
}
