//! Jobs that meet another job or Ctrl-C.

use super::fixture::{BUSY, FIXED, assert_in_agreement, jobs, letters, letters_of, sent};
use crate::support::{
    World, depth,
    program::{PROGRAM, Program, moment},
    until,
};

#[tokio::test]
async fn a_second_job_says_whose_the_first_one_is_and_ctrl_c_ends_the_first_one_in_good_order() {
    let world = World::new().await;
    let tool = Program::of(&world);
    world.bury(&letters(0..60, FIXED)).await;
    let first = tool.start("dead-letters replay --all --no-canary --yes --no-export --note mended --rate 10");
    let connection = world.connect().await;
    until("the replay has begun", async || depth(&connection, "raw.other").await >= 2).await;
    // An export needs no lock, and is not what the second job has to wait for.
    tool.ok("dead-letters export all.ndjson --note ticket-7 --actor eve").await;
    let mut export = tool.start("dead-letters export more.ndjson --note ticket-7 --actor eve");
    while !export.is_over() && letters_of(&tool.file("more.ndjson")).is_empty() {
        moment().await;
    }
    drop(export.kill());
    for job in [
        "replay --all",
        "discard --all --yes --note ticket-7 --export x.ndjson",
        "reindex",
        "import all.ndjson",
    ] {
        let second = tool.run(&format!("dead-letters {job} --actor bob")).await;
        assert_eq!(second.code, Some(1), "{second:?}");
        assert!(
            second.err.contains(BUSY) && second.err.contains("(replay by ann, since "),
            "{job}: {second:?}"
        );
    }
    // Looking is free.
    for look in ["stats", "list", "try", "replay --dry-run"] {
        tool.ok(&format!("dead-letters {look}")).await;
    }
    first.signal("INT");
    let said = first.end().await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("interrupted; run it again to continue"), "{said:?}");
    let sent_before = sent(&connection).await;
    assert!((1..60).contains(&sent_before), "{sent_before}");
    assert!(said.out.contains(&format!("{sent_before} letters replayed")), "{said:?}");
    assert!(said.out.contains(&format!("{} letters not reached", 60 - sent_before)), "{said:?}");
    let jobs_before = jobs(&tool).await;
    assert_eq!(
        (&jobs_before[0]["outcome"], &jobs_before[0]["note"]),
        (&"interrupted".into(), &"mended".into())
    );
    // A job that was refused works now, with the same command line.
    tool.ok("dead-letters discard --all --yes --note ticket-7 --export x.ndjson --limit 1").await;
    tool.ok("dead-letters replay --all --no-canary --yes --no-export --note mended").await;
    assert_eq!(sent(&connection).await, 59);
    assert_in_agreement(&tool).await;
}

#[tokio::test]
async fn ctrl_c_and_the_signals_of_a_lost_terminal_or_a_stopped_machine_end_a_waiting_replay_in_good_order() {
    let world = World::new().await;
    let tool = Program::of(&world);
    world.bury(&letters(0..60, FIXED)).await;
    let connection = world.connect().await;
    for (n, signal) in ["INT", "TERM", "HUP"].into_iter().enumerate() {
        let replay = tool.start("dead-letters replay --all --wait 10m --json");
        until("a wave is sent", async || sent(&connection).await as usize == 10 * (n + 1)).await;
        replay.signal(signal);
        let said = replay.end().await;
        assert_eq!(said.code, Some(1), "{signal}: {said:?}");
        let came = said.json();
        assert_eq!((&came["sent"], &came["stopped"]), (&10.into(), &"interrupted".into()), "{came}");
        assert_eq!(jobs(&tool).await[n]["outcome"], "interrupted", "{signal}");
    }
    assert_in_agreement(&tool).await;
}

#[tokio::test]
async fn nohup_lets_a_job_outlive_its_terminal() {
    let world = World::new().await;
    let tool = Program::of(&world);
    world.bury(&letters(0..20, FIXED)).await;
    let connection = world.connect().await;
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh", PROGRAM]);
    command.args(["dead-letters", "replay", "--source", "salpre", "--no-canary", "--rate", "10", "--json"]);
    command.args(["--yes", "--no-export", "--note", "mended"]);
    command.env("HOOKSWITCH_CONFIG", tool.file("hookswitch.toml")).env("HOOKSWITCH_ACTOR", "ann");
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    until("the replay has begun", async || sent(&connection).await >= 1).await;
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "HUP", &pid]).status().unwrap().success());
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert_eq!((status.code(), sent(&connection).await), (Some(0), 10));
}
