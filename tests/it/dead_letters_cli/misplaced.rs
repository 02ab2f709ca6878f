//! Letters that are not where the list says: moved by hand, or purged.

use hookswitch::edge::amqp::{publish::Publication, routes};

use super::fixture::{FIXED, all_dead, assert_in_agreement, jobs, letters, letters_of, listed};
use crate::support::{World, program::Program};

#[tokio::test]
async fn letters_in_the_queue_of_another_source_are_moved_to_their_own() {
    let world = World::new().await;
    let tool = Program::of(&world);
    let all = letters(0..40, FIXED);
    world.bury(&all[20..]).await;
    // A shovel has moved some, and a listed one is in both queues.
    world.publish(all[..20].iter().map(|letter| routes::log_entry(routes::dead_letter(letter)))).await;
    let astray = |letter| {
        let letter = routes::dead_letter(letter);
        let other = if letter.routing_key == "salpre" { "other" } else { "salpre" };
        Publication { exchange: String::new(), routing_key: format!("dead.{other}"), ..letter }
    };
    world.publish(all[..21].iter().map(astray)).await;
    let said = tool.ok("dead-letters reindex").await;
    assert!(said.out.contains("21 are in the queue of another source: --move-home moves them"), "{said:?}");
    assert!(!said.out.contains("no queue"), "what is in another queue is not missing: {said:?}");
    let said = tool.ok("dead-letters reindex --move-home --json").await.json();
    let counts = ["moved", "misplaced", "missing", "finished", "listed"].map(|name| said[name].as_u64());
    assert_eq!(counts, [Some(21), Some(0), Some(0), Some(1), Some(0)], "{said}");
    assert_in_agreement(&tool).await;
    for (source, letters) in all_dead(&world).await {
        assert_eq!(letters.len(), 20, "{source}");
        assert!(letters.iter().all(|(_, letter)| letter.webhook.source.as_str() == source));
    }
    assert_eq!(listed(&tool).await.len(), 40);
}

#[tokio::test]
async fn missing_letters_are_forgotten_only_with_a_note_a_yes_and_a_file_and_can_be_put_back() {
    let world = World::new().await;
    let tool = Program::of(&world);
    let all = letters(0..20, FIXED);
    world.bury(&all).await;
    let channel = world.client().await.create_channel().await.unwrap();
    channel.queue_purge("dead.salpre".into(), Default::default()).await.unwrap();
    // Another source's letters can be put back meanwhile.
    tool.ok("dead-letters export other.ndjson --source other --note ticket-7").await;
    tool.ok("dead-letters import other.ndjson").await;
    let refused = tool.run("dead-letters export all.ndjson --note ticket-7").await;
    assert_eq!(refused.code, Some(0));
    let refused = tool.run("dead-letters import all.ndjson").await;
    assert!(
        refused.code == Some(1) && refused.err.contains("--source salpre --forget-missing"),
        "{refused:?}"
    );

    let said = tool.run("dead-letters reindex --forget-missing --note purged").await;
    assert_eq!(said.code, Some(64), "{said:?}");
    assert!(
        said.err.contains("10 letters (10 of salpre) would be taken off the list: add --yes"),
        "{said:?}"
    );
    assert_eq!(listed(&tool).await.len(), 20);
    let line = "dead-letters reindex --source salpre --forget-missing --yes --note purged --export p.ndjson";
    let said = tool.ok(line).await;
    assert!(said.out.contains("10 letters not listed any more\nthey are in p.ndjson"), "{said:?}");
    assert_eq!((letters_of(&tool.file("p.ndjson")).len(), listed(&tool).await.len()), (10, 10));
    assert_in_agreement(&tool).await;
    let last = jobs(&tool).await.pop().unwrap();
    assert_eq!((&last["note"], &last["gone"]["missing"]), (&"purged".into(), &10.into()), "{last}");
    tool.ok("dead-letters import p.ndjson").await;
    assert_eq!(listed(&tool).await.len(), 20);
    assert_in_agreement(&tool).await;
}

#[tokio::test]
async fn a_replay_of_letters_at_once_asks_and_saves_them_first() {
    let world = World::new().await;
    let tool = Program::of(&world);
    world.bury(&letters(0..20, FIXED)).await;
    for (which, letters) in [("--source salpre", 10), ("--all", 10)] {
        let line = format!("dead-letters replay {which} --no-canary");
        let said = tool.run(&line).await;
        assert!(said.code == Some(64) && said.err.contains("--note"), "{said:?}");
        let said = tool.run(&format!("{line} --note mended")).await;
        assert_eq!(said.code, Some(64), "{said:?}");
        assert!(said.err.contains("would be replayed at once: add --yes"), "{said:?}");
        let file = format!("{}.ndjson", which.len());
        let said = tool.ok(&format!("{line} --note mended --yes --export {file}")).await;
        assert!(said.out.contains(&format!("{letters} letters replayed")), "{said:?}");
        assert!(said.out.contains(&format!("they are in {file}")), "{said:?}");
        assert_eq!(letters_of(&tool.file(&file)).len(), letters);
        assert_eq!(jobs(&tool).await[0]["note"], "mended");
        let said = tool.ok(&format!("dead-letters try --file {file}")).await;
        assert!(
            said.out.contains("not compared with the settings of running workers: with --file"),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn a_table_is_no_wider_than_the_terminal_unless_it_is_asked_to_be() {
    let world = World::new().await;
    let tool = Program::of(&world);
    let all = letters(0..300, FIXED);
    world.bury(&all).await;
    let ids: Vec<_> = all.iter().map(|letter| format!("--id {}", letter.id)).collect();
    let line = format!("dead-letters discard --yes --no-export --note ticket-7 {}", ids.join(" "));
    assert!(tool.ok(&line).await.out.starts_with("300 letters discarded"));
    world.bury(&letters(300..302, FIXED)).await;
    for command in ["jobs", "list", "stats"] {
        let narrow = tool.command(&format!("dead-letters {command}")).env("COLUMNS", "72").output().unwrap();
        let narrow = String::from_utf8(narrow.stdout).unwrap();
        assert!(narrow.lines().count() > 1, "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 72), "{command}: {narrow}");
        assert!(narrow.contains('…'), "{command}: {narrow}");
    }
    let mut wide = tool.command("dead-letters jobs --wide");
    let wide = String::from_utf8(wide.env("COLUMNS", "72").output().unwrap().stdout).unwrap();
    assert!(wide.len() > 12_000, "{wide}");
}

#[tokio::test]
async fn stats_group_by_a_value_in_the_body_and_mask_personal_ones() {
    let world = World::new().await;
    let tool = Program::of(&world);
    world.bury(&letters(0..6, FIXED)).await;
    let groups = async |pointer: &str| {
        let said = tool.ok(&format!("dead-letters stats --json --by {pointer}")).await.json();
        let groups = said["groups"].as_array().unwrap().iter();
        groups.map(|group| (group["value"].as_str().unwrap().to_owned(), group["letters"].clone())).collect()
    };
    let by: Vec<_> = groups("/event_type").await;
    assert!(by.iter().all(|(value, letters)| value != "(absent)" && *letters == 3), "{by:?}");
    let by: Vec<_> = groups("/payload/no_such").await;
    assert!(by.len() == 2 && by.iter().all(|(value, _)| value == "(absent)"), "{by:?}");
    let by: Vec<(String, _)> = groups("/payload/from").await;
    assert!(by.iter().all(|(value, _)| !value.contains("555")), "{by:?}");
    let table = tool.ok("dead-letters stats --by /event_type").await.out;
    assert!(table.lines().next().unwrap().contains("value"), "{table}");
}
