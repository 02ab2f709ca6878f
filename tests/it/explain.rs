//! `hookswitch explain`: what is recorded of a webhook, and no more.

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
