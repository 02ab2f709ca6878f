//! The usual alternative: the yardstick's work in Node.js, with amqplib and ioredis (`tests/bench/node`).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Returns the command that starts its `role`.
pub fn command(role: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(installed().join(format!("{role}.mjs")));
    command
}

/// Returns the versions of Node.js and its libraries.
pub fn versions() -> String {
    let package = std::fs::read_to_string(installed().join("package.json")).unwrap();
    let package: serde_json::Value = serde_json::from_str(&package).unwrap();
    let version = Command::new("node").arg("--version").output();
    let version = version.expect("node cannot be run: `make bench-node` installs it");
    let version = String::from_utf8(version.stdout).unwrap();
    let libraries = package["dependencies"].as_object().unwrap().iter();
    let libraries = libraries.map(|(name, version)| format!("{name} {}", version.as_str().unwrap()));
    format!("Node {} ({})", version.trim(), libraries.collect::<Vec<_>>().join(", "))
}

/// Returns the folder in which `make bench-node` installs the scripts and their packages.
fn installed() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".run/bench-node");
    assert!(folder.join("node_modules").exists(), "the scripts are not installed: run `make bench-node`");
    folder
}
