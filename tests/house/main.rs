//! The rules of the source tree that a machine can check: layers, circles, homes of crates, sizes, widths and
//! wording.
//!
//! The rules read the sources as text. `planted.rs` shows for each rule that it notices what breaks it.
//! `HOOKSWITCH_BLESS=1` rewrites `docs/map.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod graph;
mod lexer;
mod logs;
mod map;
mod planted;
mod rules;
mod source;
mod syntax;

use std::{fs, path::Path, process::Command, sync::LazyLock};

use graph::Graph;
use source::Tree;

static TREE: LazyLock<Tree> =
    LazyLock::new(|| Tree::of_checkout(&["src", "tests"], &["rs", "lua", "mjs", "sh"]));

/// Reads the names of the dependencies.
fn crates() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
    let names = ["dependencies", "dev-dependencies"].map(|key| manifest[key].as_table().unwrap());
    names.into_iter().flat_map(|table| table.keys().cloned()).collect()
}

fn graph() -> Graph<'static> {
    let crates = crates();
    Graph::new(&TREE, &crates.iter().map(String::as_str).collect::<Vec<_>>())
}

fn expect_none(what: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{} {what}:\n  {}\n", findings.len(), findings.join("\n  "));
}

#[test]
fn inner_layers_know_nothing_of_outer_ones() {
    expect_none("imports of a layer that the file may not know", &rules::layers(&graph()));
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    expect_none("circles", &rules::circles(&graph()));
}

#[test]
fn a_crate_with_a_home_is_named_nowhere_else() {
    expect_none("crates outside their home", &rules::homes(&graph()));
}

#[test]
fn the_core_is_pure() {
    expect_none("impurities in the core", &rules::purity(&graph()));
}

#[test]
fn nothing_is_printed_by_macros_that_panic() {
    expect_none("prints that panic on a full disk", &rules::prints(&TREE));
}

#[test]
fn documentation_begins_with_a_verb_or_a_purpose() {
    expect_none("functions documented by a question, or files without a purpose", &rules::wording(&TREE));
}

#[test]
fn functions_and_files_are_short() {
    expect_none("functions or files that are too long", &rules::sizes(&TREE));
}

#[test]
fn lines_are_not_too_wide() {
    expect_none("lines that are too wide", &rules::widths(&TREE));
}

#[test]
fn the_map_of_the_sources_is_up_to_date() {
    let map = map::draw(&TREE, &graph());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/map.md");
    if std::env::var_os("HOOKSWITCH_BLESS").is_some() {
        fs::write(&path, &map).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        map == committed,
        "docs/map.md is out of date: run `make map`, look at the difference and commit it"
    );
}

#[test]
fn the_page_about_the_log_has_every_line_and_explains_every_field() {
    let lines = logs::lines(&TREE);
    assert!(lines.len() > 30, "lines of the log are not found: {lines:?}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/logs.md");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let (explained, used) = logs::fields(&committed, &lines);
    assert_eq!(explained, used, "docs/logs.md must explain exactly the fields that the code uses");
    let page = logs::page(&committed, &lines);
    if std::env::var_os("HOOKSWITCH_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(page == committed, "docs/logs.md is out of date: HOOKSWITCH_BLESS=1 rewrites its table");
}

#[test]
fn the_readme_shows_what_normalize_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("README.md")).unwrap();
    let (_, rest) = page.split_once("cargo run --release --quiet -- ").unwrap();
    let (command, rest) = rest.split_once('\n').unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    let said = program.args(command.split(' ')).current_dir(root).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let (_, shown) = rest.split_once("```json\n").unwrap();
    let shown: String = shown.split("```").next().unwrap().lines().map(str::trim).collect();
    let mut unread = said.as_str();
    for part in shown.split('…').map(str::trim) {
        let (_, after) = unread.split_once(part).unwrap_or_else(|| panic!("not printed: {part}\n{said}"));
        unread = after;
    }
}
