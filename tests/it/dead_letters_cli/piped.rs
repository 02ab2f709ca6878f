//! Commands whose output is closed early.

use std::io::{BufRead, BufReader};

use super::fixture::{FIXED, assert_in_agreement, jobs, letters, sent};
use crate::support::{
    World,
    program::{Program, Running, Said},
};

/// Reads one line of a command's output, closes the output, and waits for the command's end.
async fn one_line_of(mut running: Running) -> (String, Said) {
    let mut line = String::new();
    let out = running.take_out();
    let line = tokio::task::spawn_blocking(move || {
        BufReader::new(out).read_line(&mut line).unwrap();
        line
    });
    (line.await.unwrap(), running.end().await)
}

#[tokio::test]
async fn a_command_whose_output_is_closed_succeeds_and_its_job_is_done() {
    let world = World::new().await;
    let tool = Program::of(&world);
    world.bury(&letters(0..600, FIXED)).await;
    for list in ["list --json --limit 1000", "list --limit 1000"] {
        // More than a pipe holds.
        assert!(tool.ok(&format!("dead-letters {list}")).await.out.len() > 70_000);
        let (line, said) = one_line_of(tool.start(&format!("dead-letters {list}"))).await;
        assert!(!line.is_empty());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{list}");
    }
    for line in [
        "list",
        "stats",
        "stats --json",
        "try",
        "jobs",
        "replay --dry-run",
        "replay --all --no-canary --yes --no-export --note mended --limit 100 --json",
        "replay --all --no-canary --yes --no-export --note mended --limit 100",
        "discard --all --yes --no-export --note ticket-7 --limit 100",
        "export all.ndjson --note ticket-7",
        "import all.ndjson",
        "reindex",
    ] {
        let mut running = tool.start(&format!("dead-letters {line}"));
        drop(running.take_out());
        let said = running.end().await;
        assert_eq!(said.code, Some(0), "{line}: {said:?}");
        assert!(!said.err.contains("panic"), "{line}: {said:?}");
    }
    let connection = world.connect().await;
    assert_eq!(sent(&connection).await, 200);
    assert_in_agreement(&tool).await;
    let jobs = jobs(&tool).await;
    let kinds: Vec<_> = jobs.iter().map(|job| job["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["replay", "replay", "discard", "export", "import", "reindex"]);
    assert!(jobs.iter().all(|job| job["outcome"] == "finished"), "{jobs:?}");
}
