//! Dead letters to work on, and what is true of them before and after a command.

use std::{collections::BTreeMap, path::Path, time::Instant};

use hookswitch::{
    core::{
        delivery::{fault::Reason, queued::QueuedWebhook},
        letters::{Archived, Letter, LetterId},
    },
    edge::amqp::{Connection, message},
};
use serde_json::Value;

use crate::support::{
    PATIENCE, World, call, depth,
    program::{Program, Said},
    queued,
};

pub(super) const NOT_JSON: &[u8] = b"{\"event_type\":\xff";
pub(super) const UNKNOWN: &[u8] =
    br#"{"event_type":"moon_landing","timestamp_utc":1,"payload":{"call_id":1},"is_test":true}"#;

/// The configuration of a third source, of another provider.
pub(super) const VARDA: &str = "[sources.varda]\nprovider = \"varda\"\nauth = \"none\"";

/// The error that this build has fixed.
pub(super) const FIXED: &str = "payload.call_id: a bug of old";

/// The error that this build has not fixed.
pub(super) const OTHER: &str = "payload.from: another bug";

/// Returns a letter about call `n` that an old version dead-lettered long ago.
pub(super) fn letter(source: &str, n: usize, error: &str) -> Letter {
    let mut queued = queued(source, call(n));
    let history = &mut queued.history;
    history.reason = Some(Reason::InvalidPayload);
    history.error = Some(error.to_owned());
    history.version = Some("0.0.1".into());
    history.last_failed_at = Some("2026-01-02T03:04:05Z".parse().unwrap());
    Letter { id: LetterId::new(uuid::Uuid::now_v7()), queued }
}

/// Returns letters of two sources in turn, about these calls.
pub(super) fn letters(calls: std::ops::Range<usize>, error: &str) -> Vec<Letter> {
    calls.map(|n| letter(["salpre", "other"][n % 2], n, error)).collect()
}

/// Returns letters about calls 0 to `count` with the fixed error, alternating with as many of the other
/// error.
pub(super) fn of_two_kinds(count: usize) -> Vec<Letter> {
    let (fixed, others) = (letters(0..count, FIXED), letters(count..2 * count, OTHER));
    fixed.into_iter().zip(others).flat_map(|(a, b)| [a, b]).collect()
}

pub(super) fn fingerprint(error: &str) -> String {
    letter("salpre", 0, error).fingerprint().to_string()
}

/// Returns the content of a source's dead-letter queue, in order. The delivery count is not compared: a
/// replay or discard that passes a letter by raises it, since a quorum queue has no other way to look behind
/// its head.
pub(super) async fn dead(world: &World, source: &str) -> Vec<(LetterId, QueuedWebhook)> {
    let messages = world.look(&format!("dead.{source}")).await.into_iter();
    let read = |(body, properties): (Vec<u8>, _)| {
        let (id, letter) = message::decode_letter(&properties, body);
        (id.unwrap(), letter.unwrap())
    };
    messages.map(read).collect()
}

/// Returns the content of every dead-letter queue.
pub(super) async fn all_dead(world: &World) -> BTreeMap<String, Vec<(LetterId, QueuedWebhook)>> {
    let mut all = BTreeMap::new();
    for source in world.config.sources.keys() {
        all.insert(source.to_string(), dead(world, source.as_str()).await);
    }
    all
}

/// Returns the letters that are listed.
pub(super) async fn listed(tool: &Program) -> Vec<LetterId> {
    let lines = tool.ok("dead-letters list --json --limit 100000").await.lines();
    lines.iter().map(|line| line["letter"].as_str().unwrap().parse().unwrap()).collect()
}

pub(super) async fn jobs(tool: &Program) -> Vec<Value> {
    tool.ok("dead-letters jobs --json --limit 1000").await.lines()
}

/// Checks that `stats` finds the list and the queues in agreement. A busy broker counts a letter for a moment
/// after its ack.
pub(super) async fn assert_in_agreement(tool: &Program) {
    let began = Instant::now();
    loop {
        let stats = tool.ok("dead-letters stats --json").await;
        if stats.err.is_empty() {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{}", stats.err);
    }
}
/// The beginning of the error while another job holds the lock.
pub(super) const BUSY: &str = "another job is working on dead letters";

/// Runs a job to its end, once the broker has released the lock of a killed one.
pub(super) async fn finish(tool: &Program, line: impl Fn(usize) -> String) -> Said {
    let began = Instant::now();
    for n in 1_000.. {
        let said = tool.run(&line(n)).await;
        // The last job that was killed may have done everything.
        if said.code == Some(0) || said.err.contains("nothing was done") {
            return said;
        }
        assert!(said.err.contains(BUSY) && began.elapsed() < PATIENCE, "{said:?}");
        eprintln!("locked after {:?}", began.elapsed());
    }
    unreachable!()
}

/// Runs a reindex if `stats` asks for one. Killed jobs leave copies of letters that are recorded as settled,
/// of each job at most the letters in hand.
pub(super) async fn reindex_if_told(tool: &Program, killed: usize) {
    const IN_HAND: usize = 64;
    let stats = tool.ok("dead-letters stats").await;
    if stats.err.contains("dead-letters reindex") {
        let came = tool.ok("dead-letters reindex --json").await.json();
        eprintln!("{}{came}", stats.err);
        assert_eq!((&came["missing"], &came["listed"]), (&0.into(), &0.into()), "{stats:?}");
        assert!(came["finished"].as_u64().unwrap() as usize <= killed * IN_HAND, "{came}");
    }
    assert_in_agreement(tool).await;
}

/// Reads the letters of a file that `discard` or `export` wrote.
pub(super) fn letters_of(path: &Path) -> Vec<Letter> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| Archived::read(line).unwrap()).collect()
}

/// Returns the number of webhooks in the raw queues.
pub(super) async fn sent(connection: &Connection) -> u32 {
    depth(connection, "raw.salpre").await + depth(connection, "raw.other").await
}
