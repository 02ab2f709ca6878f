//! Compares two versions of a schema, for readers of the events: a change is breaking if an event that is
//! valid under the new one may surprise a reader of the old one.
//!
//! What cannot be judged, such as a change below `oneOf`, counts as breaking.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter::successors,
};

use serde_json::{Map, Value};

use super::limits;

/// Keywords that say nothing about values.
const ANNOTATIONS: [&str; 10] = [
    "title",
    "description",
    "$comment",
    "examples",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$defs",
    "definitions",
];

/// Keywords that are compared by rules of their own.
const COMPARED: [&str; 8] = [
    "type",
    "enum",
    "const",
    "required",
    "properties",
    "additionalProperties",
    "unevaluatedProperties",
    "items",
];

/// The types of JSON. An integer is a number too.
const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "string", "integer", "number"];

/// The effect of a change on readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// A reader may fail, or misunderstand.
    Breaking,
    /// A reader that tolerates new fields goes on.
    Compatible,
}

impl Effect {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Breaking => "breaking",
            Self::Compatible => "compatible",
        }
    }
}

/// A difference between two versions of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its effect.
    pub effect: Effect,
    /// The place in a value, as in `from.e164`, or the path of a schema; empty for the whole value.
    pub place: String,
    /// The difference, in words.
    pub what: String,
}

/// Compares two sets of schemas by their paths, which end in the version: `data/call/1.json`. A schema may go
/// if one with a higher version is there.
pub fn compare_all(old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (path, schema) in old {
        let change = |effect, what: &str| Change { effect, place: path.clone(), what: what.to_owned() };
        match new.get(path) {
            Some(now) => changes.extend(compare(schema, now).into_iter().map(|change| {
                let place = if change.place.is_empty() { "" } else { ": " };
                Change { place: [path, place, &change.place].concat(), ..change }
            })),
            None if new.keys().any(|other| is_later(other, path)) => {
                changes.push(change(Effect::Compatible, "replaced by a later version"));
            }
            None => changes.push(change(Effect::Breaking, "removed without a later version")),
        }
    }
    let added = new.keys().filter(|path| !old.contains_key(*path));
    changes.extend(added.map(|path| Change {
        effect: Effect::Compatible,
        place: path.clone(),
        what: "added".to_owned(),
    }));
    changes
}

/// Returns true if the path is of the same schema as `than` and ends in a higher version.
fn is_later(path: &str, than: &str) -> bool {
    let version = |path: &str| {
        let (schema, version) = path.strip_suffix(".json")?.rsplit_once('/')?;
        Some((schema.to_owned(), version.parse::<u32>().ok()?))
    };
    let (Some((a, later)), Some((b, earlier))) = (version(path), version(than)) else { return false };
    a == b && later > earlier
}

/// Compares two versions of one schema, and the schemas that are embedded in it. The places of a change in an
/// embedded schema begin with its name.
pub fn compare(old: &Value, new: &Value) -> Vec<Change> {
    let mut comparison = Comparison { old, new, changes: Vec::new(), seen: BTreeSet::new() };
    comparison.schemas("", old, new);
    let mut changes = comparison.changes;
    let after = embedded(new);
    for (name, schema) in embedded(old) {
        let within = match after.get(name) {
            Some(now) => compare(schema, now),
            None => vec![Change {
                effect: Effect::Breaking,
                place: String::new(),
                what: "its schema is gone".to_owned(),
            }],
        };
        changes
            .extend(within.into_iter().map(|change| Change { place: join(name, &change.place), ..change }));
    }
    changes
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    changes: Vec<Change>,
    /// The pairs of definitions that were compared: each is reported in one place.
    seen: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Comparison<'a> {
    fn add(&mut self, effect: Effect, place: &str, what: impl Into<String>) {
        self.changes.push(Change { effect, place: place.to_owned(), what: what.into() });
    }

    fn schemas(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        if beside_references(self.old, old) != beside_references(self.new, new) {
            self.add(Effect::Breaking, place, "what stands beside a reference has changed");
        }
        if let (Some(a), Some(b)) = (local_reference(old), local_reference(new))
            && !self.seen.insert((a, b))
        {
            return;
        }
        let (Some(old), Some(new)) = (resolve(self.old, old), resolve(self.new, new)) else {
            if old != new {
                self.add(Effect::Breaking, place, "a schema that cannot be judged has changed");
            }
            return;
        };
        self.types(place, old, new);
        self.words(place, old, new);
        self.required(place, old, new);
        self.properties(place, old, new);
        for (keyword, below) in
            [("additionalProperties", ".*"), ("unevaluatedProperties", ".*"), ("items", "[]")]
        {
            self.rest(&[place, below].concat(), old.get(keyword), new.get(keyword));
        }
        self.other_keywords(place, old, new);
    }

    fn types(&mut self, place: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
        let (before, after) = (types(old), types(new));
        let more: Vec<_> = after.difference(&before).copied().collect();
        let less: Vec<_> = before.difference(&after).copied().collect();
        if !more.is_empty() {
            self.add(Effect::Breaking, place, format!("may be of type {} now", more.join(" or ")));
        }
        if !less.is_empty() {
            self.add(Effect::Compatible, place, format!("is never of type {} now", less.join(" or ")));
        }
    }

    fn words(&mut self, place: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
        match (words(old), words(new)) {
            (None, None) => {}
            (None, Some(_)) => self.add(Effect::Compatible, place, "is one of a closed list now"),
            (Some(_), None) => self.add(Effect::Breaking, place, "is not one of a closed list any more"),
            (Some(before), Some(after)) => {
                for word in after.iter().filter(|word| !before.contains(word)) {
                    self.add(Effect::Breaking, place, format!("may be {word} now"));
                }
                for word in before.iter().filter(|word| !after.contains(word)) {
                    self.add(Effect::Compatible, place, format!("is never {word} now"));
                }
            }
        }
    }

    fn required(&mut self, place: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
        let (before, after) = (required(old), required(new));
        for name in before.difference(&after) {
            self.add(Effect::Breaking, &join(place, name), "may be absent now");
        }
        for name in after.difference(&before) {
            self.add(Effect::Compatible, &join(place, name), "is always present now");
        }
    }

    fn properties(&mut self, place: &str, old: &'a Map<String, Value>, new: &'a Map<String, Value>) {
        let (before, after) = (properties(old), properties(new));
        let is_open = ["additionalProperties", "unevaluatedProperties"]
            .iter()
            .all(|keyword| old.get(*keyword).is_none_or(|rest| rest == &Value::Bool(true)));
        for (name, schema) in &before {
            match after.get(name) {
                Some(now) => self.schemas(&join(place, name), schema, now),
                None => self.add(Effect::Breaking, &join(place, name), "removed"),
            }
        }
        let effect = if is_open { Effect::Compatible } else { Effect::Breaking };
        for name in after.keys().filter(|name| !before.contains_key(**name)) {
            self.add(effect, &join(place, name), "added");
        }
    }

    /// Compares what holds for items or for fields that have no name; without it, anything is allowed.
    fn rest(&mut self, place: &str, old: Option<&'a Value>, new: Option<&'a Value>) {
        static ANYTHING: Value = Value::Bool(true);
        let (old, new) = (old.unwrap_or(&ANYTHING), new.unwrap_or(&ANYTHING));
        match (old, new) {
            (Value::Bool(before), Value::Bool(after)) if before == after => {}
            (Value::Bool(true), _) => self.add(Effect::Compatible, place, "is restricted now"),
            (_, Value::Bool(false)) => self.add(Effect::Compatible, place, "is never present now"),
            (Value::Bool(false), _) => self.add(Effect::Breaking, place, "may be present now"),
            (_, Value::Bool(true)) => self.add(Effect::Breaking, place, "may be anything now"),
            _ => self.schemas(place, old, new),
        }
    }

    fn other_keywords(&mut self, place: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
        let keywords: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let is_own = |keyword: &str| !ANNOTATIONS.contains(&keyword) && !COMPARED.contains(&keyword);
        for keyword in keywords.into_iter().filter(|keyword| is_own(keyword)) {
            let (before, after) = (old.get(keyword), new.get(keyword));
            if before == after {
                continue;
            }
            let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
            let effect = if limits::is_narrower(keyword, before, after) {
                Effect::Compatible
            } else {
                Effect::Breaking
            };
            self.add(effect, place, format!("{keyword} was {} and is {}", shown(before), shown(after)));
        }
    }
}

fn local_reference(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str().filter(|reference| reference.starts_with('#'))
}

/// Returns a schema and those that it refers to in its document, one after the other.
fn hops<'a>(root: &'a Value, schema: &'a Value) -> impl Iterator<Item = &'a Value> {
    const HOPS_MAX: usize = 32;
    let next = |schema: &&'a Value| root.pointer(local_reference(schema)?.strip_prefix('#')?);
    successors(Some(schema), next).take(HOPS_MAX)
}

/// Returns the object that a schema is or refers to in its document; `None` if it has none. A reference to
/// another document stays as it is: that document is compared on its own.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Map<String, Value>> {
    hops(root, schema).last().filter(|end| local_reference(end).is_none())?.as_object()
}

/// Returns what holds beside the references that lead to the object of a schema.
fn beside_references<'a>(root: &'a Value, schema: &'a Value) -> Vec<(&'a String, &'a Value)> {
    let references = hops(root, schema).filter(|hop| local_reference(hop).is_some());
    let members = references.filter_map(Value::as_object).flatten();
    let mut beside: Vec<_> =
        members.filter(|(name, _)| *name != "$ref" && !ANNOTATIONS.contains(&name.as_str())).collect();
    beside.sort_by_key(|(name, _)| *name);
    beside
}

/// Returns the schemas that are embedded in a document, which refers to them by their `$id`.
fn embedded(schema: &Value) -> BTreeMap<&str, &Value> {
    let parts = schema.get("$defs").and_then(Value::as_object).into_iter().flatten();
    let named = parts.filter(|(_, part)| part.get("$id").is_some());
    named.map(|(name, part)| (name.as_str(), part)).collect()
}

fn types(schema: &Map<String, Value>) -> BTreeSet<&str> {
    let mut types: BTreeSet<&str> = match schema.get("type") {
        Some(Value::String(one)) => BTreeSet::from([one.as_str()]),
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => match words(schema) {
            Some(words) => words.into_iter().map(type_of).collect(),
            None => TYPES.into(),
        },
    };
    if types.contains("number") {
        types.insert("integer");
    }
    types
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
    }
}

/// Returns the closed list of values.
fn words(schema: &Map<String, Value>) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
        (Some(one), _) => Some(vec![one]),
        (None, Some(several)) => Some(several.iter().collect()),
        (None, None) => None,
    }
}

fn required(schema: &Map<String, Value>) -> BTreeSet<&str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn properties(schema: &Map<String, Value>) -> BTreeMap<&str, &Value> {
    let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    fields.map(|(name, schema)| (name.as_str(), schema)).collect()
}

fn join(place: &str, name: &str) -> String {
    let dot = if place.is_empty() || name.is_empty() { "" } else { "." };
    [place, dot, name].concat()
}
