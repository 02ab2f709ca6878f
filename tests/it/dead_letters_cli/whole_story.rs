//! The usual way from an alert to drained dead letters.

use std::collections::BTreeMap;

use hookswitch::{
    core::{
        delivery::queued::QueuedWebhook,
        providers::{self, NormalizeError, Normalized, Provider},
        webhook::Webhook,
    },
    edge::amqp::routes,
};
use serde_json::Value;

use super::fixture::{NOT_JSON, UNKNOWN, VARDA, all_dead, jobs};
use crate::support::{World, call, calls, program::Program, queued, until};

/// Returns the number of letters that `stats` counts, by source and fingerprint.
fn counts(stats: &Value) -> BTreeMap<(String, String), u64> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let count = |group: &Value| {
        ((text(&group["source"]), text(&group["fingerprint"])), group["letters"].as_u64().unwrap())
    };
    stats["groups"].as_array().unwrap().iter().map(count).collect()
}

/// A build with a bug: it fails on every good webhook of salpre.
fn old_build(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    match providers::normalize(webhook) {
        Ok(_) if webhook.provider == Provider::Salpre => {
            Err(NormalizeError::invalid("payload.direction", "must be a number"))
        }
        normalized => normalized,
    }
}

#[tokio::test]
async fn from_stats_to_the_drained_kind_takes_five_commands_and_nothing_of_the_other_kinds_moves() {
    let world = World::with(VARDA).await;
    let not_varda = br#"{"type":"no.such.event"}"#;
    // The kinds lie mixed in their queues.
    for round in 0..5 {
        world.accept("salpre", vec![NOT_JSON.to_vec(); 60]).await;
        world.accept("salpre", (0..50).map(|n| call(round * 50 + n))).await;
        world.accept("other", vec![UNKNOWN.to_vec(); 50]).await;
        world.accept("other", (0..40).map(|n| call(1_000 + round * 40 + n))).await;
        let of_varda = (0..40).map(|_| {
            let mut queued = queued("varda", not_varda.to_vec());
            queued.webhook.provider = Provider::Varda;
            routes::accept(&queued)
        });
        world.publish(of_varda).await;
    }
    let worker = world.worker_with(old_build);
    for (source, count) in [("salpre", 550), ("other", 450), ("varda", 200)] {
        world.wait_for_depth(&format!("dead.{source}"), count).await;
    }
    worker.finish().await;
    let before = all_dead(&world).await;
    let is_fixed = |letter: &QueuedWebhook| {
        letter.history.error.as_deref() == Some("payload.direction: must be a number")
    };
    let worker = world.worker();
    let tool = Program::of(&world);

    // 1
    let stats = tool.ok("dead-letters stats --json").await;
    assert_eq!(stats.err, "", "the list agrees with the queues");
    let stats = stats.json();
    assert_eq!(stats["letters"], 1_200);
    let found = counts(&stats);
    let mut sizes: Vec<_> = found.iter().map(|((source, _), letters)| (source.as_str(), *letters)).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [("other", 200), ("other", 250), ("salpre", 250), ("salpre", 300), ("varda", 200)]);
    let suspect = stats["groups"]
        .as_array()
        .unwrap()
        .iter()
        .find(|g| g["error"] == "payload.direction: must be a number");
    let (id, print) = (&suspect.unwrap()["example"], suspect.unwrap()["fingerprint"].as_str().unwrap());
    // 2
    let shown = tool.ok(&format!("dead-letters show {}", id.as_str().unwrap())).await.out;
    assert!(shown.contains("payload.direction: must be a number") && !shown.contains("90555"), "{shown}");
    // 3
    let tried = tool.ok(&format!("dead-letters try --fingerprint {print} --json")).await.json();
    assert_eq!((&tried["letters"], &tried["succeed"]), (&450.into(), &450.into()), "{tried}");
    // Workers say what they use when their ledger's connection is there.
    let mut text = String::new();
    until("the worker has said its settings", async || {
        text = tool.ok("dead-letters try").await.out;
        text.contains("the running workers use the same version and settings")
    })
    .await;
    let other = world.toml.replace("[sources.salpre]", "[sources.salpre]\nunsupported = \"pass_on\"");
    std::fs::write(tool.file("other.toml"), other).unwrap();
    let differs = tool.ok("dead-letters try --config other.toml").await.out;
    assert!(differs.contains("a running worker differs") && differs.contains("sources.salpre.unsupported"));
    // 4
    let came = tool.ok(&format!("dead-letters replay --fingerprint {print} --json")).await.json();
    assert_eq!(
        (&came["sent"], &came["outcomes"]["done"], &came["not_found"]),
        (&450.into(), &450.into(), &0.into())
    );
    // 5
    let stats = tool.ok("dead-letters stats --json").await;
    assert_eq!(stats.err, "", "the list agrees with the queues");
    let mut left = found.clone();
    left.retain(|(_, kind), _| kind != print);
    assert_eq!(counts(&stats.json()), left);

    let expected: Vec<_> = (0..250).chain(1_000..1_200).collect();
    assert_eq!(calls(&world.events(450).await), expected, "each once");
    worker.finish().await;
    let mut others = before;
    others.values_mut().for_each(|letters| letters.retain(|(_, letter)| !is_fixed(letter)));
    assert_eq!(others.values().map(Vec::len).sum::<usize>(), 750);
    assert!(all_dead(&world).await == others, "the same letters in the same order");
    let jobs = jobs(&tool).await;
    assert_eq!(
        (jobs.len(), &jobs[0]["gone"]["replayed"], &jobs[0]["outcome"]),
        (1, &450.into(), &"finished".into())
    );
}
