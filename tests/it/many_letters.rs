//! Commands on dead letters take little memory, whatever the number of letters. `make million` runs them on a
//! million and shows how long each takes.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use hookswitch::{
    core::{delivery::fault::Reason, letters::Letter},
    edge::amqp::routes,
};

use super::support::{
    PATIENCE, World, call,
    program::Program,
    queued,
    services::{Broker, Redis},
};

/// Upper bound on a command's memory, in KiB.
const MEMORY_MAX: u64 = 64 * 1024;

/// Returns a letter. One in a hundred has the error that this build has fixed.
fn letter(n: usize) -> Letter {
    let mut letter = queued("salpre", call(n));
    let history = &mut letter.history;
    let fixed = n.is_multiple_of(100);
    history.reason = Some(if fixed { Reason::InvalidPayload } else { Reason::UnsupportedEvent });
    history.error = Some(if fixed { "payload.call_id: a bug of old" } else { "event_type: no event" }.into());
    history.version = Some("0.0.1".into());
    history.first_failed_at = Some(letter.webhook.received_at);
    history.last_failed_at = Some(letter.webhook.received_at);
    Letter { id: uuid::Uuid::now_v7().to_string().parse().unwrap(), queued: letter }
}

/// Runs a command to its end. Returns its output, its duration, and its peak memory in KiB.
fn run(tool: &Program, arguments: &[&str]) -> (String, Duration, u64) {
    let began = Instant::now();
    let child = tool
        .command("dead-letters")
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watch = std::thread::spawn(move || {
        let mut peak = 0;
        // A process that has ended shows no memory.
        while let Some(now) = std::fs::read_to_string(&status).ok().and_then(|text| {
            text.lines().find(|line| line.starts_with("VmHWM:"))?.split_whitespace().nth(1)?.parse().ok()
        }) {
            peak = now;
            std::thread::sleep(Duration::from_millis(5));
        }
        peak
    });
    let output = child.wait_with_output().unwrap();
    let (elapsed, peak) = (began.elapsed(), watch.join().unwrap());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    (text, elapsed, peak)
}

#[tokio::test]
async fn memory_does_not_grow_with_the_number_of_letters() {
    let letters: usize = std::env::var("HOOKSWITCH_LETTERS").map_or(20_000, |n| n.parse().unwrap());
    let redis = tokio::task::spawn_blocking(Redis::start).await.unwrap();
    let broker = tokio::task::spawn_blocking(|| Broker::start(1)).await.unwrap();
    let world = World::at(&broker.url(1), &redis.url(0), "").await;
    let publisher = world.publisher().await;
    let began = Instant::now();
    for batch in (0..letters).collect::<Vec<_>>().chunks(1_000) {
        let publishing = batch.iter().map(async |n| {
            let shelved = routes::dead_letter(&letter(*n));
            publisher.publish(shelved.clone(), PATIENCE).await.unwrap();
            publisher.publish(routes::log_entry(shelved), PATIENCE).await.unwrap();
        });
        join_all(publishing).await;
    }
    println!("{letters} letters made in {:.1?}", began.elapsed());
    drop(publisher);

    let tool = Program::of(&world);
    let fingerprint = letter(0).fingerprint().to_string();
    let fixed = letters.div_ceil(100);
    let mut failed = Vec::new();
    let mut check = |arguments: &[&str], expected: &str| {
        let (text, elapsed, peak) = run(&tool, arguments);
        println!(
            "{:<50} {elapsed:>8.1?} {:>6.1} MiB",
            arguments.join(" "),
            f64::from(u32::try_from(peak).unwrap()) / 1024.0
        );
        assert!(text.contains(expected), "{arguments:?} says {text}");
        if peak > MEMORY_MAX {
            failed.push(format!("{arguments:?} took {peak} KiB"));
        }
    };
    check(&["stats", "--json"], &format!("\"letters\":{letters}"));
    check(&["list", "--limit", "20", "--json"], "\"place\":");
    check(&["try", "--json"], &format!("\"succeed\":{letters}"));
    check(&["replay", "--dry-run", "--json"], &format!("\"letters\":{letters}"));
    let guarded = ["replay", "--no-canary", "--yes", "--no-export", "--note", "fixed", "--json"];
    let some = ["--fingerprint", &fingerprint];
    check(&[&guarded[..], &some].concat(), &format!("\"sent\":{fixed}"));
    check(&["reindex", "--json"], &format!("\"seen\":{}", letters - fixed));
    let rest = ["discard", "--all", "--yes", "--no-export", "--note", "a test", "--json"];
    check(&rest, &format!("\"discarded\":{}", letters - fixed));
    check(&["stats", "--json"], "\"letters\":0");
    assert!(failed.is_empty(), "{failed:?}");
}
