//! Messages that lapin cannot receive, or that name another source: each is isolated, and everything else
//! goes on as if it were not there.

use hookswitch::{
    core::{
        delivery::fault::{Attempt, Reason},
        letters::Archived,
    },
    edge::amqp::{message, routes},
};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::Value;

use super::{
    dead_letters::{letter, replay_all},
    hostile::{Hostile, poisons},
    support::{World, call, calls, depth, program::Program, queued, until},
};

impl World {
    async fn hostile(&self) -> Hostile {
        Hostile::connect(self.config.amqp.urls[0].reveal()).await
    }
}

#[tokio::test]
async fn every_unreadable_message_is_a_dead_letter_of_its_own_and_nothing_else_notices() {
    let world = World::new().await.patient_with_redis().await;
    let (mut hostile, poisons) = (world.hostile().await, poisons());
    let count = poisons.len();
    for (n, (_, properties, _)) in poisons.iter().enumerate() {
        world.accept("salpre", [call(n)]).await;
        world.accept("other", [call(100 + n)]).await;
        hostile.publish("raw.salpre", properties, &call(1_000 + n)).await;
    }
    let worker = world.worker();
    let expected: Vec<_> = (0..count).chain(100..100 + count).collect();
    assert_eq!(calls(&world.events(2 * count).await), expected);

    let letters = world.dead("salpre", count).await;
    for (n, (name, _, cause)) in poisons.iter().enumerate() {
        let letter = letters.iter().find(|letter| letter.webhook.body == call(1_000 + n)).expect(name);
        assert_eq!(letter.history.reason, Some(Reason::UnreadableHeaders), "{name}");
        assert_eq!(letter.history.attempt, Attempt(1), "{name}");
        let error = letter.history.error.as_deref().unwrap();
        assert!(error.contains(cause), "{name}: {error}");
    }
    let reason = "hookswitch_dead_total{source=\"salpre\",reason=\"unreadable_headers\"}";
    assert_eq!(worker.metric(reason), count as f64);
    // Nothing was delivered twice, nothing waited, and no connection was lost.
    for source in ["salpre", "other"] {
        let of = |what: &str| worker.metric(&format!("hookswitch_{what}{{source=\"{source}\""));
        assert_eq!((of("retries_total"), of("duplicates_total")), (0.0, 0.0), "{source}");
    }
    assert_eq!(worker.metric("hookswitch_reconnects_total{link=\"broker\""), 0.0);
    assert_eq!(worker.trouble(), None);

    // Replayed, they are webhooks as any other.
    replay_all(&world, "salpre").await;
    assert_eq!(calls(&world.events(count).await), (1_000..1_000 + count).collect::<Vec<_>>());
    assert_eq!(world.dead("other", 0).await.len(), 0);
    worker.finish().await;
}

/// Returns the letters that a command lists, with their reasons.
async fn listed(tool: &Program) -> Vec<(String, Value)> {
    let lines = tool.ok("dead-letters list --json --limit 1000").await.lines();
    lines.iter().map(|line| (line["letter"].to_string(), line["reason"].clone())).collect()
}

#[tokio::test]
async fn jobs_list_show_export_and_discard_unreadable_letters_and_reach_what_is_behind_them() {
    let world = World::new().await;
    let tool = Program::of(&world);
    let (mut hostile, poisons) = (world.hostile().await, poisons());
    let count = poisons.len();
    let letters = [0, 1, 2].map(letter);
    world.bury(&letters[..1]).await;
    for (n, (_, properties, _)) in poisons.iter().enumerate() {
        hostile.publish("dead.salpre", properties, &call(n)).await;
    }
    world.bury(&letters[1..]).await;

    let stats = tool.ok("dead-letters stats").await;
    assert!(stats.err.contains("reindex"), "{stats:?}");
    let reindexed = tool.ok("dead-letters reindex --json").await.json();
    assert_eq!((&reindexed["listed"], &reindexed["missing"]), (&count.into(), &0.into()), "{reindexed}");
    assert_eq!(tool.ok("dead-letters stats").await.err, "");
    let all = listed(&tool).await;
    let unreadable: Vec<_> = all.iter().filter(|(_, reason)| reason == "unreadable_headers").collect();
    assert_eq!((all.len(), unreadable.len()), (count + 3, count), "{all:?}");
    let shown = tool.ok(&format!("dead-letters show {}", unreadable[0].0.trim_matches('"'))).await;
    assert!(shown.out.contains("unreadable_headers"), "{shown:?}");

    tool.ok("dead-letters export all.ndjson --note ticket-7").await;
    let text = std::fs::read_to_string(tool.file("all.ndjson")).unwrap();
    let bodies: Vec<_> = text.lines().map(|line| Archived::read(line).unwrap().queued.webhook.body).collect();
    assert!((0..count).all(|n| bodies.contains(&call(n).into())), "{text}");

    // What is behind them can be replayed, and they can be removed.
    tool.ok("dead-letters replay --reason invalid_payload --all --no-canary --yes --no-export --note mended")
        .await;
    assert_eq!(depth(&world.connect().await, "raw.salpre").await, 3);
    let discard = "discard --reason unreadable_headers --yes --no-export --note ticket-7 --json";
    let discarded = tool.ok(&format!("dead-letters {discard}")).await.json();
    assert_eq!(discarded["discarded"], count, "{discarded}");
    assert_eq!(depth(&world.connect().await, "dead.salpre").await, 0);
    assert_eq!(tool.ok("dead-letters stats").await.err, "");
}

#[tokio::test]
async fn a_message_that_names_another_source_is_a_dead_letter_of_the_queue_that_it_was_in() {
    let world = World::new().await;
    let moved = |named: &str, n| {
        let mut publication = routes::accept(&queued(named, call(n)));
        publication.routing_key = "salpre".to_owned();
        publication
    };
    world.publish([moved("other", 1), moved("nobody", 2)]).await;
    world.accept("salpre", [call(3)]).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(1).await), [3]);
    let letters = world.dead("salpre", 2).await;
    for letter in &letters {
        assert_eq!(letter.history.reason, Some(Reason::UnknownSource));
        assert_eq!(letter.webhook.source.as_str(), "salpre");
    }
    let errors: Vec<_> = letters.iter().map(|letter| letter.history.error.as_deref().unwrap()).collect();
    assert!(["`other`", "`nobody`"].iter().all(|name| errors.iter().any(|e| e.contains(name))), "{errors:?}");
    assert_eq!(world.dead("other", 0).await.len(), 0);
    assert_eq!(worker.metric("hookswitch_retries_total{"), 0.0);
    until("nothing is in the way", async || worker.trouble().is_none()).await;
    replay_all(&world, "salpre").await;
    assert_eq!(calls(&world.events(2).await), [1, 2]);
    worker.finish().await;
}

#[tokio::test]
async fn a_webhook_that_the_broker_moves_when_its_time_is_over_says_so() {
    let world = World::new().await;
    let mut publication = routes::accept(&queued("salpre", call(1)));
    publication.properties = publication.properties.with_expiration("1".into());
    world.publish([publication]).await;
    let letters = world.dead("salpre", 1).await;
    assert_eq!(letters[0].history.reason, Some(Reason::Expired));
    assert_eq!(letters[0].webhook.body, call(1));
}

#[tokio::test]
async fn an_import_refuses_what_no_message_can_carry_before_it_moves_anything() {
    let world = World::new().await;
    let tool = Program::of(&world);
    let mut letters = [0, 1].map(letter);
    letters[1].queued.content_type = Some("c".repeat(256));
    let lines = letters.iter().map(|letter| serde_json::to_string(&Archived::from(letter)).unwrap() + "\n");
    std::fs::write(tool.file("letters.ndjson"), lines.collect::<String>()).unwrap();
    let said = tool.run("dead-letters import letters.ndjson").await;
    assert_eq!(said.code, Some(65), "{said:?}");
    assert!(said.err.contains("256 bytes") && said.err.contains("nothing was imported"), "{said:?}");
    assert_eq!(depth(&world.connect().await, "dead.salpre").await, 0);
}

#[tokio::test]
async fn an_unreadable_message_among_the_marks_of_the_ledger_is_dropped() {
    let world = World::new().await;
    let (mut hostile, poisons) = (world.hostile().await, poisons());
    for (_, properties, _) in &poisons {
        hostile.publish("hookswitch.ledger", properties, b"[]").await;
    }
    world.accept("salpre", [call(1)]).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(1).await), [1]);
    world.wait_for_depth("hookswitch.ledger", 0).await;
    assert_eq!(worker.trouble(), None);
    worker.finish().await;
}

#[tokio::test]
async fn unreadable_messages_in_the_log_and_in_the_journal_hide_nothing() {
    let world = World::new().await;
    let tool = Program::of(&world);
    let (mut hostile, poisons) = (world.hostile().await, poisons());
    let letters = [0, 1, 2].map(letter);
    world.bury(&letters[..1]).await;
    for stream in ["hookswitch.dead-log", "hookswitch.dead-jobs"] {
        for (_, properties, _) in &poisons {
            hostile.publish(stream, properties, b"{}").await;
        }
    }
    world.bury(&letters[1..]).await;
    // The last message of a stream tells where its end is.
    hostile.publish("hookswitch.dead-log", &poisons[0].1, b"{}").await;
    assert_eq!(listed(&tool).await.len(), 3);
    let replayed =
        tool.ok("dead-letters replay --all --no-canary --yes --no-export --note mended --json").await.json();
    assert_eq!(replayed["sent"], 3, "{replayed}");
    assert_eq!(tool.ok("dead-letters jobs --json").await.lines().len(), 1);
    assert_eq!(listed(&tool).await, []);
}

/// Sent on as it is, such a message would end the connection of its worker, again and again.
#[tokio::test]
async fn a_message_that_grows_beyond_a_frame_is_a_dead_letter_without_what_makes_it_grow() {
    let world = World::new().await;
    let control = "\u{1}".repeat(12_000);
    let mut headers = FieldTable::default();
    for (name, text) in [
        ("hookswitch-source", "salpre"),
        ("hookswitch-provider", "salpre"),
        ("hookswitch-received-at", "2026-01-02T03:04:05Z"),
        ("http-x", &control),
    ] {
        headers.insert(name.into(), AMQPValue::LongString(text.into()));
    }
    let mut publication = routes::accept(&queued("salpre", b"not json".to_vec()));
    publication.properties = publication.properties.with_headers(headers);
    world.publish([publication]).await;
    world.accept("salpre", [call(1)]).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(1).await), [1]);
    let letters = world.dead("salpre", 1).await;
    assert_eq!(letters[0].history.reason, Some(Reason::UnreadableHeaders));
    assert_eq!(
        (letters[0].webhook.body.as_ref(), letters[0].webhook.headers.get("x")),
        (&b"not json"[..], None)
    );
    assert_eq!(worker.metric("hookswitch_reconnects_total{link=\"broker\""), 0.0);
    worker.finish().await;
}

#[tokio::test]
async fn a_letter_is_read_though_its_headers_nearly_fill_a_frame() {
    let world = World::new().await;
    let mut large = queued("salpre", b"not json".to_vec());
    // As much as passes: 8 KiB of the seven eighths of a frame are for what a letter may gain.
    large.webhook.headers.push("x-large", "l".repeat(48_900));
    let properties = message::properties(&large);
    let mut publication = routes::accept(&large);
    publication.properties = properties;
    world.publish([publication]).await;
    let worker = world.worker();
    let letters = world.dead("salpre", 1).await;
    assert_eq!(letters[0].history.reason, Some(Reason::MalformedJson));
    assert_eq!(letters[0].webhook.headers, large.webhook.headers);
    let tool = Program::of(&world);
    let stats = tool.ok("dead-letters stats --json").await;
    assert_eq!(stats.err, "");
    let listed = tool.ok("dead-letters list --json").await.json();
    assert_eq!(listed["reason"], "malformed_json");
    worker.finish().await;
}
