//! Commands whose output cannot be written: the reader has gone, the disk is full, a file may not be made.

use std::{
    fs::File,
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Stdio},
};

use super::fixture::{FIXED, all_dead, jobs, letters, letters_of};
use crate::support::{
    World, call,
    program::{PROGRAM, Program, Said, moment},
};

/// Answers every HTTP request with 200. Returns the base URL.
fn answering() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            drop(stream.read(&mut [0; 4096]));
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"));
        }
    });
    url
}

fn ends(tool: &Program, line: &str, out: Stdio, err: Stdio) -> Said {
    let mut child = tool.command(line).stdout(out).stderr(err).spawn().unwrap();
    drop(child.stdout.take());
    let mut text = String::new();
    if let Some(mut err) = child.stderr.take() {
        err.read_to_string(&mut text).unwrap();
    }
    Said { code: child.wait().unwrap().code(), out: String::new(), err: text }
}

fn full() -> Stdio {
    File::create("/dev/full").unwrap().into()
}

#[tokio::test]
async fn every_command_ends_quietly_without_a_reader_and_names_a_full_disk() {
    let world = World::new().await;
    let tool = Program::of(&world);
    let buried = letters(0..3, FIXED);
    world.bury(&buried).await;
    std::fs::write(tool.file("body.json"), call(1)).unwrap();
    tool.ok("dead-letters export all.ndjson --note ticket-7").await;
    let (id, url) = (buried[0].queued.webhook.delivery_id, answering());
    let commands = [
        "--help".to_owned(),
        "--version".to_owned(),
        "dead-letters discard --help".to_owned(),
        "config check".to_owned(),
        "config check --show".to_owned(),
        "config example".to_owned(),
        "topology check".to_owned(),
        "topology apply".to_owned(),
        "normalize --provider salpre --file body.json".to_owned(),
        format!("health --url {url}"),
        "ledger".to_owned(),
        "ledger --json".to_owned(),
        "drift".to_owned(),
        format!("explain {id}"),
        "normalize --webhooks all.ndjson".to_owned(),
        "diff all.ndjson all.ndjson".to_owned(),
        "dead-letters stats".to_owned(),
        "dead-letters stats --json --by /payload/call_id".to_owned(),
        "dead-letters list".to_owned(),
        "dead-letters list --json".to_owned(),
        format!("dead-letters show {id}"),
        "dead-letters try".to_owned(),
        "dead-letters try --file all.ndjson --events".to_owned(),
        "dead-letters jobs".to_owned(),
        "dead-letters replay --dry-run".to_owned(),
        "dead-letters discard --dry-run".to_owned(),
        "dead-letters import all.ndjson".to_owned(),
        "dead-letters reindex".to_owned(),
        "dead-letters export - --note ticket-7".to_owned(),
    ];
    tokio::task::spawn_blocking(move || {
        for line in &commands {
            let said = ends(&tool, line, Stdio::piped(), Stdio::piped());
            assert_eq!(said.code, Some(0), "{line} | true: {said:?}");
            assert!(!said.err.contains("annot write"), "{line} | true: {said:?}");
            let said = ends(&tool, line, full(), Stdio::piped());
            assert_eq!(said.code, Some(1), "{line} >/dev/full: {said:?}");
            assert!(said.err.contains("No space left on device"), "{line} >/dev/full: {said:?}");
            assert_eq!(ends(&tool, line, full(), full()).code, Some(1), "{line} >/dev/full 2>&1");
        }
        // What goes to standard error alone does not change the exit code.
        for (line, code) in
            [("list --source nowhere", 64), ("show 17", 64), ("list --reason malformed_json", 1)]
        {
            let line = format!("dead-letters {line}");
            assert_eq!(ends(&tool, &line, Stdio::null(), full()).code, Some(code), "{line} 2>/dev/full");
        }
        // Samples are sent to the end, whoever reads; here most have no source.
        let line = format!("send-samples --url {url}");
        assert_eq!(ends(&tool, &line, Stdio::piped(), Stdio::piped()).err, "");
        let said = ends(&tool, &line, full(), Stdio::piped());
        assert!(said.code == Some(1) && said.err.contains("No space left on device"), "{said:?}");
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_tail_ends_quietly_without_a_reader_and_names_a_full_disk() {
    let world = World::new().await;
    let tool = Program::of(&world);
    let worker = world.worker();
    for (full_disk, code) in [(false, 0), (true, 1)] {
        let mut running = tool.start_with("tail", if full_disk { full() } else { Stdio::piped() });
        if !full_disk {
            drop(running.take_out());
        }
        let mut n = 0;
        while !running.is_over() {
            world.accept("salpre", [call(n + 1_000 * code as usize)]).await;
            n += 1;
            moment().await;
        }
        let said = running.end().await;
        assert_eq!(said.code, Some(code), "{said:?}");
        assert_eq!(said.err.contains("No space left on device"), full_disk, "{said:?}");
    }
    worker.finish().await;
}

#[tokio::test]
async fn a_discard_or_export_that_cannot_write_its_file_moves_nothing_leaves_no_file_and_works_when_it_can() {
    let world = World::new().await;
    let tool = Program::of(&world);
    world.bury(&letters(0..60, FIXED)).await;
    let before = all_dead(&world).await;
    let files = || {
        let names = std::fs::read_dir(tool.file(".")).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect::<Vec<_>>()
    };
    let discard = "dead-letters discard --all --yes --note ticket-7 --export";
    let replay = "dead-letters replay --all --no-canary --yes --note ticket-7 --export";
    for line in [
        &format!("{discard} d.ndjson"),
        &format!("{replay} d.ndjson"),
        "dead-letters export d.ndjson --note x",
    ] {
        // A limit of 4 KiB stands for a full disk.
        let limited = "trap '' XFSZ; ulimit -f 8; exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", limited, "sh", PROGRAM]).args(line.split_whitespace());
        command.env("HOOKSWITCH_CONFIG", tool.file("hookswitch.toml")).env("HOOKSWITCH_ACTOR", "ann");
        command.current_dir(tool.file(".")).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}: {err}");
        assert!(err.contains("cannot write d.ndjson: ") && err.contains("all letters stay"), "{line}: {err}");
        assert_eq!((files(), output.stdout.len()), (vec!["hookswitch.toml".to_owned()], 0), "{line}: {err}");
    }
    for line in [&format!("{discard} no/d.ndjson"), &format!("{replay} no/d.ndjson")] {
        let said = tool.run(line).await;
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.contains("- for standard output; nothing was done"), "{said:?}");
    }
    let said = ends(&tool, &format!("{discard} -"), Stdio::piped(), Stdio::piped());
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("the reader of standard output has gone; all letters stay"), "{said:?}");
    assert!(all_dead(&world).await == before, "nothing was moved");
    assert!(jobs(&tool).await.iter().all(|job| job["kind"] == "export" && job["outcome"] == "failed"));

    let said = tool.ok(&format!("{discard} d.ndjson --limit 40")).await;
    assert!(said.out.contains("40 letters discarded\nthey are in d.ndjson"), "{said:?}");
    assert!(said.out.contains("their bodies stay in the stream hookswitch.dead-log"), "{said:?}");
    assert_eq!(letters_of(&tool.file("d.ndjson")).len(), 40);
    // The file is not written over.
    let said = tool.run(&format!("{discard} d.ndjson")).await;
    assert!(said.code == Some(1) && said.err.contains("d.ndjson exists already"), "{said:?}");
    // To standard output, where nothing but letters goes.
    let said = tool.ok(&format!("{discard} -")).await;
    std::fs::write(tool.file("e.ndjson"), &said.out).unwrap();
    assert_eq!(letters_of(&tool.file("e.ndjson")).len(), 20);
    assert!(said.err.contains("20 letters discarded"), "{said:?}");
    for file in ["d.ndjson", "e.ndjson"] {
        tool.ok(&format!("dead-letters import {file}")).await;
    }
    assert_eq!(all_dead(&world).await.values().map(Vec::len).sum::<usize>(), 60);
}
