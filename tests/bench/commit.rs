//! Earlier commits of hookswitch, built from git.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::report::say;

const CHECKOUT: &str = env!("CARGO_MANIFEST_DIR");

/// Returns the short hash of the commit that a name means; none if there is no such commit.
pub fn resolve(name: &str) -> Option<String> {
    let commit = format!("{name}^{{commit}}");
    let asked = git(&["rev-parse", "--short=7", "--verify", "--quiet", "--end-of-options", &commit]).output();
    let hash = asked.ok().filter(|output| output.status.success())?.stdout;
    Some(String::from_utf8(hash).ok()?.trim().to_owned())
}

/// Builds a commit like a release, with its own `Cargo.lock`, and returns the program. All stays in
/// `.run/previous`, where `make upgrade` has the files too. Commits share the build of their dependencies.
pub fn build(commit: &str) -> PathBuf {
    let folder = Path::new(CHECKOUT).join(".run/previous");
    let (source, target) = (folder.join(commit), folder.join("target"));
    let program = source.join("hookswitch");
    if program.exists() {
        return program;
    }
    say(&format!("building {commit} in .run/previous"));
    unpack(commit, &source);
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--locked", "--bin", "hookswitch"])
        .args(["--manifest-path".as_ref(), source.join("Cargo.toml").as_os_str()])
        .args(["--target-dir".as_ref(), target.as_os_str()])
        .status();
    assert!(built.unwrap().success(), "{commit} was not built");
    // Renamed, so that a copy that was interrupted does not count.
    let copy = source.join("hookswitch.new");
    std::fs::copy(target.join("release/hookswitch"), &copy).unwrap();
    std::fs::rename(copy, &program).unwrap();
    program
}

/// Writes a commit's files.
fn unpack(commit: &str, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let mut archive = git(&["archive", commit]).stdout(Stdio::piped()).spawn().unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-x").arg("-C").arg(folder).stdin(archive.stdout.take().unwrap());
    assert!(
        tar.status().unwrap().success() && archive.wait().unwrap().success(),
        "{commit} was not unpacked"
    );
}

fn git(arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(CHECKOUT);
    command
}
