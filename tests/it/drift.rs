//! Schema drift: recorded by workers, kept across restarts, and listed by `hookswitch drift`.

use std::time::Duration;

use super::support::{World, call, program::Program};

/// Returns the body of a valid webhook about call `n`, with one more field in its payload.
pub(super) fn call_with(n: usize, field: &str) -> Vec<u8> {
    let body = String::from_utf8(call(n)).unwrap();
    body.replace("\"payload\":{", &format!("\"payload\":{{{field},")).into_bytes()
}

#[tokio::test]
async fn drift_is_kept_across_restarts_with_its_shape_and_without_values() {
    let world = World::new().await;
    let tool = Program::of(&world);
    assert_eq!(tool.ok("drift").await.out, "no drift is recorded\n");
    for round in 0..2 {
        let worker = world.worker();
        let first = round * 10;
        let bodies = [
            call_with(first, r#""mood":"cheerful Ada""#),
            call_with(first + 1, r#""mood":"sad""#),
            call_with(first + 2, r#""mood":7"#),
            call(first + 3),
        ];
        world.accept("salpre", bodies).await;
        world.accept("other", [call_with(first, r#""extra":{"deep":[true]}"#)]).await;
        world.events(5).await;
        worker.finish().await;
    }
    let said = tool.ok("drift --json").await;
    assert!(!said.out.contains("Ada") && !said.out.contains("sad"), "{said:?}");
    let told: Vec<_> = said
        .lines()
        .iter()
        .map(|line| {
            ["source", "path", "type", "length", "webhooks"].map(|name| line[name].to_string()).join(" ")
        })
        .collect();
    assert_eq!(
        told,
        [
            r#""other" "payload.extra" "object" "-" 2"#,
            r#""salpre" "payload.mood" "string" "11-100" 4"#,
            r#""salpre" "payload.mood" "number" "1" 2"#,
        ]
    );
    let line = &said.lines()[1];
    assert!(line["first_seen"].as_str().unwrap() < line["last_seen"].as_str().unwrap(), "{line}");
    assert_eq!(line["provider"], "salpre");

    let table = tool.ok("drift --source salpre --since 1h").await;
    assert!(table.out.starts_with("source") && table.out.contains("payload.mood"), "{table:?}");
    assert!(!table.out.contains("extra"), "{table:?}");
    assert_eq!(tool.ok("drift --provider wavix").await.out, "no drift is recorded\n");
    assert_eq!(tool.run("drift --source nowhere").await.code, Some(64));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(tool.ok("drift --new-since 1s").await.out, "no drift is recorded\n");
    tool.ok("drift --source salpre --forget").await;
    assert_eq!(tool.ok("drift --json").await.lines().len(), 1);
}

#[tokio::test]
async fn a_sender_that_makes_up_names_fills_no_more_than_its_share_and_an_overwritten_key_holds_up_nothing() {
    let world = World::new().await;
    let tool = Program::of(&world);
    let mut redis = world.redis().await;
    redis::cmd("SET").arg("hookswitch:drift:other").arg("mine").exec_async(&mut redis).await.unwrap();
    let worker = world.worker();
    let made_up = |n: usize| {
        let fields: Vec<_> = (0..50).map(|field| format!("\"f{n}-{field}\":1")).collect();
        call_with(n, &fields.join(","))
    };
    world.accept("salpre", (0..6).map(made_up)).await;
    world.accept("other", [call_with(1, "\"mood\":1")]).await;
    world.events(7).await;
    worker.finish().await;
    let lines = tool.ok("drift --source salpre --json").await.lines();
    let others: Vec<_> = lines.iter().filter(|line| line["type"] == "others").collect();
    assert_eq!((lines.len(), others.len()), (201, 1), "{lines:?}");
    assert_eq!(others[0]["webhooks"], 100, "300 names in all");
    let worker = world.worker();
    world.accept("other", [call_with(2, "\"mood\":1")]).await;
    world.events(1).await;
    worker.finish().await;
    assert_eq!(tool.ok("drift --source other").await.out, "no drift is recorded\n");
}

#[tokio::test]
async fn a_damaged_count_of_paths_stops_no_record() {
    let world = World::new().await;
    let tool = Program::of(&world);
    let mut redis = world.redis().await;
    let damage = ["hookswitch:drift:salpre", "fields", "mine"];
    redis::cmd("HSET").arg(&damage).exec_async(&mut redis).await.unwrap();
    let worker = world.worker();
    world.accept("salpre", [call_with(1, "\"mood\":1")]).await;
    world.events(1).await;
    worker.finish().await;
    let lines = tool.ok("drift --json").await.lines();
    assert_eq!((lines.len(), &lines[0]["type"]), (1, &"others".into()), "{lines:?}");
}
