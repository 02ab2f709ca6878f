//! The files under `schemas/`, and what the commands and the admin listener give of them.
//!
//! `HOOKSWITCH_BLESS=1 cargo test --test contract` rewrites the files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use hookswitch::{
    core::contract::{Schemas, Unknown, asyncapi, family::SCHEMA_BASE},
    edge::amqp::names::EVENTS_EXCHANGE,
};

pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Returns the files below a folder by their paths in it.
pub(crate) fn files_in(folder: &Path) -> BTreeMap<String, String> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![PathBuf::new()]);
    while let Some(relative) = folders.pop() {
        for entry in fs::read_dir(folder.join(&relative)).unwrap().map(Result::unwrap) {
            let path = relative.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                found.insert(path.to_str().unwrap().to_owned(), fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    found
}

/// Returns what belongs into `schemas/`, by path.
fn expected() -> BTreeMap<String, String> {
    let schemas = Schemas::new(SCHEMA_BASE, Unknown::Allowed).all();
    let mut files: BTreeMap<_, _> =
        schemas.into_iter().map(|(path, schema)| (path, schema.pretty())).collect();
    files.insert("asyncapi.json".to_owned(), asyncapi(EVENTS_EXCHANGE, env!("CARGO_PKG_VERSION")).pretty());
    files
}

#[test]
fn the_committed_schemas_are_what_the_declarations_give() {
    let (folder, expected) = (Path::new(ROOT).join("schemas"), expected());
    if std::env::var_os("HOOKSWITCH_BLESS").is_some() {
        drop(fs::remove_dir_all(&folder));
        for (path, text) in &expected {
            let file = folder.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
    }
    let found = files_in(&folder);
    let differing: Vec<_> =
        expected.keys().chain(found.keys()).filter(|path| expected.get(*path) != found.get(*path)).collect();
    assert!(differing.is_empty(), "set HOOKSWITCH_BLESS=1 to rewrite schemas/: {differing:?} differ");
}

fn hookswitch(arguments: &[&str]) -> (i32, String) {
    let empty = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    let output = command.args(arguments).current_dir(&empty).env_clear().output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn the_commands_need_no_configuration_and_give_the_committed_files() {
    let committed = expected();
    assert_eq!(hookswitch(&["asyncapi"]), (0, committed["asyncapi.json"].clone()));
    assert_eq!(hookswitch(&["schema", "call"]), (0, committed["data/call/1.json"].clone()));
    let out = tempfile::tempdir().unwrap();
    let (code, text) = hookswitch(&["schema", "--all", "--out", out.path().to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    let mut written = files_in(out.path());
    written.insert("asyncapi.json".to_owned(), committed["asyncapi.json"].clone());
    assert_eq!(written, committed);
}

#[test]
fn a_schema_is_printed_with_the_one_that_it_refers_to_and_with_its_own_base() {
    let (code, text) = hookswitch(&["schema", "call.ended", "--base", "https://example.com/s/"]);
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, 0);
    assert_eq!(schema["$id"], "https://example.com/s/events/call.ended/1.json");
    assert_eq!(schema["$defs"]["data"]["$id"], "https://example.com/s/data/call/1.json");
    assert_eq!(schema["properties"]["data"]["$ref"], "../../data/call/1.json");
    let (code, text) = hookswitch(&["schema", "call.endet"]);
    assert!(code == 64 && text.contains("unknown type or family call.endet"), "{code}: {text}");
    let (code, text) = hookswitch(&["schema"]);
    assert!(code == 0 && text.lines().count() > 70 && text.contains("events/call.ended/1.json"), "{text}");
}
