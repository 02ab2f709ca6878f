//! Dependencies point one way: cli -> app -> edge -> config -> core.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, path::Path};

/// From the innermost outwards.
const LAYERS: [&str; 5] = ["core", "config", "edge", "app", "cli"];

/// What the core may not touch: I/O, clocks, async, logging.
const IMPURE: [&str; 12] = [
    "std::fs",
    "std::net",
    "std::io",
    "std::process",
    "std::env",
    "SystemTime",
    "Timestamp::now",
    "tokio",
    "tracing",
    "lapin",
    "redis::",
    "async fn",
];

fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
}

fn layer(name: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name), &mut found);
    assert!(!found.is_empty(), "no files in src/{name}");
    found
}

/// Code without its comments.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn inner_modules_know_nothing_of_outer_ones() {
    for (depth, inner) in LAYERS.iter().enumerate() {
        for (file, text) in layer(inner) {
            let code = code(&text);
            for outer in &LAYERS[depth + 1..] {
                // As in `crate::edge::x`, and as in `use crate::{edge::x, …}`.
                let direct = code.contains(&format!("crate::{outer}"));
                let starts = |line: &str| {
                    line == format!("    {outer},") || line.starts_with(&format!("    {outer}::"))
                };
                let mut groups =
                    code.split("use crate::{").skip(1).filter_map(|rest| rest.split("};").next());
                let grouped = groups.any(|group| group.lines().any(starts));
                assert!(!direct && !grouped, "{file} ({inner}) uses {outer}");
            }
        }
    }
}

#[test]
fn the_core_touches_nothing_of_the_world() {
    for (file, text) in layer("core") {
        let code = code(&text);
        for word in IMPURE {
            assert!(!code.contains(word), "{file} uses {word}");
        }
    }
}
