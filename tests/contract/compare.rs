//! Changes of schemas are classed right: forty planted ones, and those since the last release.

use std::{collections::BTreeMap, fs, path::Path};

use hookswitch::core::{
    contract::{
        Schemas, Unknown,
        compare::{
            Change,
            Effect::{self, Breaking, Compatible},
            compare, compare_all,
        },
        family::SCHEMA_BASE,
    },
    events::event::EventType,
};
use serde_json::{Value, json};

use crate::published::{ROOT, files_in};

/// A schema to plant changes in.
fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.com/data/call/1.json",
        "description": "A call.",
        "type": "object",
        "properties": {
            "id": { "type": "string" },
            "state": { "$ref": "#/$defs/State" },
            "from": { "description": "The caller.", "$ref": "#/$defs/Party" },
            "to": { "$ref": "#/$defs/Party" },
            "at": { "type": "string", "format": "date-time" },
            "seconds": { "type": "number", "minimum": 0 },
            "count": { "type": "integer" },
            "code": { "type": "string", "maxLength": 10, "pattern": "^[a-z]+$" },
            "version": { "type": "string", "const": "1" },
            "people": { "type": "array", "items": { "$ref": "#/$defs/Party" } },
            "ref": { "$ref": "../../data/other/1.json" },
            "closed": { "type": "object", "additionalProperties": false },
            "any": {}
        },
        "required": ["id", "state"],
        "$defs": {
            "State": { "type": "string", "enum": ["ringing", "ended"] },
            "Party": {
                "type": "object",
                "properties": { "raw": { "type": "string" }, "name": { "type": ["string", "boolean"] } },
                "required": ["raw"]
            }
        }
    })
}

/// What is done at a place of the schema.
enum Plant {
    Set(Value),
    Remove,
}

use Plant::{Remove, Set};

/// Returns forty changes: each with its name, its place and its effect on readers.
fn plants() -> Vec<(&'static str, &'static str, Plant, Option<Effect>)> {
    let text = || json!({ "type": "string" });
    vec![
        ("a field goes", "/properties/at", Remove, Some(Breaking)),
        ("a nested field goes", "/$defs/Party/properties/name", Remove, Some(Breaking)),
        ("a field comes", "/properties/new", Set(text()), Some(Compatible)),
        ("a nested field comes", "/$defs/Party/properties/new", Set(text()), Some(Compatible)),
        (
            "a field comes where none was allowed",
            "/properties/closed/properties",
            Set(json!({"new": text()})),
            Some(Breaking),
        ),
        ("a text becomes a number", "/properties/id/type", Set("number".into()), Some(Breaking)),
        ("a text may become null", "/properties/id/type", Set(json!(["string", "null"])), Some(Breaking)),
        ("a type of two goes", "/$defs/Party/properties/name/type", Set("string".into()), Some(Compatible)),
        ("an integer becomes a number", "/properties/count/type", Set("number".into()), Some(Breaking)),
        ("a number becomes an integer", "/properties/seconds/type", Set("integer".into()), Some(Compatible)),
        ("a type is not said any more", "/properties/id/type", Remove, Some(Breaking)),
        ("a type is said", "/properties/any/type", Set("object".into()), Some(Compatible)),
        ("an object becomes an array", "/$defs/Party/type", Set("array".into()), Some(Breaking)),
        ("a word comes", "/$defs/State/enum", Set(json!(["ringing", "ended", "lost"])), Some(Breaking)),
        ("a word goes", "/$defs/State/enum", Set(json!(["ringing"])), Some(Compatible)),
        ("a word is renamed", "/$defs/State/enum/0", Set("rings".into()), Some(Breaking)),
        ("words change their order", "/$defs/State/enum", Set(json!(["ended", "ringing"])), None),
        ("a list of words opens", "/$defs/State/enum", Remove, Some(Breaking)),
        ("a text becomes one of a list", "/properties/id/enum", Set(json!(["a", "b"])), Some(Compatible)),
        (
            "a list shrinks to a constant",
            "/$defs/State",
            Set(json!({"type": "string", "const": "ended"})),
            Some(Compatible),
        ),
        ("a constant changes", "/properties/version/const", Set("2".into()), Some(Breaking)),
        ("a constant opens", "/properties/version/const", Remove, Some(Breaking)),
        ("a field may be absent", "/required", Set(json!(["id"])), Some(Breaking)),
        ("a nested field may be absent", "/$defs/Party/required", Remove, Some(Breaking)),
        ("a field is always present", "/required", Set(json!(["id", "state", "at"])), Some(Compatible)),
        ("a format goes", "/properties/at/format", Remove, Some(Breaking)),
        ("a format changes", "/properties/at/format", Set("date".into()), Some(Breaking)),
        ("a format comes", "/properties/id/format", Set("uuid".into()), Some(Compatible)),
        ("a pattern changes", "/properties/code/pattern", Set("^[A-Z]+$".into()), Some(Breaking)),
        ("a text may be longer", "/properties/code/maxLength", Set(20.into()), Some(Breaking)),
        ("a text is shorter", "/properties/code/maxLength", Set(5.into()), Some(Compatible)),
        ("a minimum goes", "/properties/seconds/minimum", Remove, Some(Breaking)),
        ("a minimum rises", "/properties/seconds/minimum", Set(1.into()), Some(Compatible)),
        ("items change their type", "/properties/people/items", Set(text()), Some(Breaking)),
        ("items may be anything", "/properties/people/items", Remove, Some(Breaking)),
        ("a closed object opens", "/properties/closed/additionalProperties", Remove, Some(Breaking)),
        ("an open object closes", "/$defs/Party/additionalProperties", Set(false.into()), Some(Compatible)),
        (
            "another document is referred to",
            "/properties/ref/$ref",
            Set("../../data/other/2.json".into()),
            Some(Breaking),
        ),
        ("a description changes", "/properties/from/description", Set("Who calls.".into()), None),
        (
            "a choice comes that cannot be judged",
            "/properties/id/if",
            Set(json!({"minLength": 3})),
            Some(Breaking),
        ),
    ]
}

fn planted(pointer: &str, plant: Plant) -> Value {
    let mut schema = schema();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match (schema.pointer_mut(parent).unwrap(), plant) {
        (Value::Object(entries), Set(value)) => drop(entries.insert(key.to_owned(), value)),
        (Value::Object(entries), Remove) => drop(entries.remove(key).unwrap()),
        (Value::Array(items), Set(value)) => items[key.parse::<usize>().unwrap()] = value,
        (other, _) => panic!("{other}"),
    }
    schema
}

/// Returns the worst effect of changes.
fn worst(changes: &[Change]) -> Option<Effect> {
    changes.iter().map(|change| change.effect).min()
}

#[test]
fn forty_planted_changes_are_classed_right() {
    let plants = plants();
    assert_eq!(plants.len(), 40);
    let wrong: Vec<_> = plants
        .into_iter()
        .filter_map(|(name, pointer, plant, expected)| {
            let changes = compare(&schema(), &planted(pointer, plant));
            (worst(&changes) != expected).then(|| format!("{name}: expected {expected:?}: {changes:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_change_names_its_place_once() {
    let changes = compare(&schema(), &planted("/$defs/Party/properties/name", Remove));
    let change = |effect, place: &str, what: &str| Change { effect, place: place.into(), what: what.into() };
    assert_eq!(changes, [change(Breaking, "from.name", "removed")]);
    let changes = compare(&schema(), &planted("/properties/people/items", Remove));
    assert_eq!(changes, [change(Breaking, "people[]", "may be anything now")]);
}

#[test]
fn what_stands_beside_a_reference_is_compared() {
    let with = |beside: Value| planted("/properties/from/minProperties", Set(beside));
    let changes = compare(&with(1.into()), &with(2.into()));
    let place = "from".to_owned();
    let what = "what stands beside a reference has changed".to_owned();
    assert_eq!(changes, [Change { effect: Breaking, place, what }]);
    assert_eq!(compare(&with(1.into()), &with(1.into())), []);
}

#[test]
fn a_schema_that_is_embedded_in_another_is_compared_with_the_one_of_its_name() {
    let bundle = || {
        let text = Schemas::new(SCHEMA_BASE, Unknown::Allowed).bundle(EventType::CallEnded).pretty();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let (old, mut new) = (bundle(), bundle());
    assert_eq!(compare(&old, &new), []);
    let remove = |from: &mut Value, name: &str| from.as_object_mut().unwrap().remove(name).unwrap();
    remove(&mut new["$defs"]["data"]["properties"], "call_id");
    let change =
        |place: &str, what: &str| Change { effect: Breaking, place: place.into(), what: what.into() };
    assert_eq!(compare(&old, &new), [change("data.call_id", "removed")]);
    remove(&mut new["$defs"], "data");
    assert_eq!(compare(&old, &new), [change("data", "its schema is gone")]);
}

#[test]
fn a_schema_may_only_go_when_a_later_version_is_there() {
    let set =
        |paths: &[&str]| paths.iter().map(|path| ((*path).to_owned(), schema())).collect::<BTreeMap<_, _>>();
    let old = set(&["data/call/1.json", "data/message/1.json"]);
    let worst = |paths: &[&str]| worst(&compare_all(&old, &set(paths)));
    assert_eq!(worst(&["data/call/1.json", "data/message/1.json"]), None);
    assert_eq!(worst(&["data/call/2.json", "data/message/1.json"]), Some(Compatible));
    assert_eq!(worst(&["data/call/1.json", "data/message/1.json", "data/new/1.json"]), Some(Compatible));
    assert_eq!(worst(&["data/call/1.json"]), Some(Breaking));
    assert_eq!(worst(&["data/call/0.json", "data/message/1.json"]), Some(Breaking));
}

fn schemas_in(folder: &Path) -> BTreeMap<String, Value> {
    let parsed =
        files_in(folder).into_iter().map(|(path, text)| (path, serde_json::from_str(&text).unwrap()));
    parsed.filter(|(_, schema): &(String, Value)| schema.get("$schema").is_some()).collect()
}

/// The schemas of the last release are in a folder that is named after it. A breaking change needs a higher
/// version in `src/core/contract/family.rs`. `make release-contract` takes the schemas of a new release.
#[test]
fn no_change_since_the_last_release_breaks_consumers_without_a_version_step() {
    let released = Path::new(ROOT).join("tests/contract/released");
    let folders: Vec<_> = fs::read_dir(&released).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [last] = &folders[..] else { panic!("expected one release in {}", released.display()) };
    let (old, new) = (schemas_in(last), schemas_in(&Path::new(ROOT).join("schemas")));
    assert!(!old.is_empty());
    let mut breaking = compare_all(&old, &new);
    breaking.retain(|change| change.effect == Breaking);
    assert!(breaking.is_empty(), "raise the version of the family, or take the change back: {breaking:#?}");
}

#[test]
fn a_breaking_change_since_the_last_release_is_noticed() {
    let old = schemas_in(&Path::new(ROOT).join("schemas"));
    let mut new = old.clone();
    let call = new.get_mut("data/call/1.json").unwrap();
    call["properties"].as_object_mut().unwrap().remove("call_id").unwrap();
    let changes = compare_all(&old, &new);
    let [Change { effect: Breaking, place, .. }] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(place, "data/call/1.json: call_id");
}
