//! `docs/events-reference.md`, generated from the declarations of the fields and from the golden cases.
//!
//! `HOOKSWITCH_BLESS=1 cargo test --test contract` rewrites it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use hookswitch::core::{
    contract::{Schemas, attributes, family::Family},
    events::event::EventType,
    json::describe::{Field, Record, Shape},
    providers::Provider,
};
use serde_json::Value;

use crate::{cases, events, pretty::pretty, published::ROOT};

const HEAD: &str = "\
# Reference of the events

<!-- Generated from src/core and tests/golden. Rewrite it: HOOKSWITCH_BLESS=1 cargo test --test contract -->

[events.md](events.md) has the rules that hold for all events: identity, order, what is carried as it was
written. The same contract is in [schemas](../schemas) as JSON Schema and AsyncAPI; `hookswitch schema
call.ended` prints one schema, and [contract.md](contract.md) says what a reader may rely on.

In the tables, **bold** fields are always present. All others are absent where nothing is known, and never
`null`. `a[]` stands for each element of `a`. A dot in a provider's column says that the golden cases have the
field from that provider. It is evidence, not a promise: other webhooks may have more. A type's own table has
the fields that the golden cases have in events of that type.
";

/// A golden case with one of its events.
struct Example {
    provider: Provider,
    case: PathBuf,
    event: Value,
    /// The event as it was written.
    body: String,
    /// The places of its data, as in `from.raw` and `participants[].name`.
    places: BTreeSet<String>,
}

fn examples() -> Vec<Example> {
    let of = |provider: Provider| cases::of(provider).into_iter().map(move |case| (provider, case));
    let cases = Provider::ALL.into_iter().flat_map(of);
    let examples = cases.flat_map(|(provider, case)| {
        let events = events::events_of(&cases::read(provider, &case));
        events.into_iter().map(move |body| {
            let event: Value = serde_json::from_slice(&body).unwrap();
            let mut places = BTreeSet::new();
            collect_places("", &event["data"], &mut places);
            let body = String::from_utf8(body.to_vec()).unwrap();
            Example { provider, case: case.clone(), event, body, places }
        })
    });
    examples.collect()
}

fn collect_places(place: &str, value: &Value, places: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                let place = join(place, name);
                collect_places(&place, value, places);
                places.insert(place);
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| collect_places(&format!("{place}[]"), item, places))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn join(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

/// Returns a record's fields and those of the records in them, each with its place.
fn rows(place: &str, record: &Record) -> Vec<(String, Field)> {
    let rows = record.fields.iter().flat_map(|field| {
        let place = join(place, field.name);
        let below = match &field.shape {
            Shape::Record(record) => rows(&place, record),
            Shape::List(items) => match &**items {
                Shape::Record(record) => rows(&format!("{place}[]"), record),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        [vec![(place, field.clone())], below].concat()
    });
    rows.collect()
}

fn type_of(shape: &Shape) -> String {
    match shape {
        Shape::Text => "string".to_owned(),
        Shape::Formatted("date-time") => "time".to_owned(),
        Shape::Formatted(format) => format!("string ({format})"),
        Shape::Constant(word) => format!("`{word}`"),
        Shape::Words(words) => {
            words.words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        Shape::Boolean => "boolean".to_owned(),
        Shape::Integer => "integer".to_owned(),
        Shape::Number => "number".to_owned(),
        Shape::List(items) => format!("list of {}", type_of(items)),
        Shape::Record(_) | Shape::Object => "object".to_owned(),
        Shape::Any => "any".to_owned(),
    }
}

/// Returns the unit, which a field's name or type says.
fn unit_of(field: &Field) -> &'static str {
    match field.name {
        name if name.ends_with("_seconds") => "s",
        name if name.ends_with("_ms") => "ms",
        name if name.ends_with("_minutes") => "min",
        "minor_units" => "minor unit of the currency",
        _ if field.shape == Shape::Formatted("date-time") => "RFC 3339, UTC",
        _ => "",
    }
}

/// The places of the data that each provider's examples have.
type Seen = BTreeMap<Provider, BTreeSet<String>>;

fn seen<'e>(examples: impl IntoIterator<Item = &'e Example>) -> Seen {
    let mut seen = Seen::new();
    for example in examples {
        seen.entry(example.provider).or_default().extend(example.places.iter().cloned());
    }
    seen
}

/// Returns a table of `rows`, with a column for each provider of `seen`.
fn table(rows: Vec<(String, Field)>, seen: &Seen) -> String {
    let providers: Vec<_> = seen.keys().collect();
    let columns: String = providers.iter().map(|provider| format!(" {provider} |")).collect();
    let mut table = format!("| field | type | unit | meaning |{columns}\n");
    table += &format!("| --- | --- | --- | --- |{}\n", " :-: |".repeat(providers.len()));
    for (place, field) in rows {
        let name = if field.is_required { format!("**`{place}`**") } else { format!("`{place}`") };
        let (kind, unit, about) = (type_of(&field.shape), unit_of(&field), field.about.replace('|', "\\|"));
        table += &format!("| {name} | {kind} | {unit} | {about} |");
        for provider in &providers {
            table += if seen[*provider].contains(&place) { " • |" } else { " |" };
        }
        table.push('\n');
    }
    table
}

/// Returns the best example: many fields in a short webhook.
fn best<'e>(examples: &[&'e Example]) -> Option<&'e Example> {
    /// The bytes of a webhook that a further field is worth.
    const BYTES_PER_FIELD: i64 = 60;
    let score = |example: &&&Example| {
        let bytes = fs::metadata(example.case.join("body.json")).unwrap().len();
        i64::try_from(example.places.len()).unwrap() * BYTES_PER_FIELD - i64::try_from(bytes).unwrap()
    };
    examples.iter().max_by_key(score).copied()
}

fn add_type(page: &mut String, kind: EventType, record: &Record, examples: &[Example]) {
    let kind = kind.as_str();
    *page += &format!("\n### {kind}\n\n");
    let examples: Vec<_> = examples.iter().filter(|example| example.event["type"] == kind).collect();
    let Some(best) = best(&examples) else {
        *page += "No golden case has it.\n";
        return;
    };
    let mut names: BTreeMap<Provider, BTreeSet<&str>> = BTreeMap::new();
    for example in &examples {
        names.entry(example.provider).or_default().insert(example.event["providerevent"].as_str().unwrap());
    }
    let names = names.iter().map(|(provider, names)| {
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        format!("{provider} ({})", names.join(", "))
    });
    *page += &format!("Sent by {}.\n\n", names.collect::<Vec<_>>().join("; "));
    let seen = seen(examples.iter().copied());
    let mut rows = rows("", record);
    rows.retain(|(place, _)| seen.values().any(|places| places.contains(place)));
    *page += &table(rows, &seen);
    page.push('\n');
    let case = best.case.strip_prefix(ROOT).unwrap().display();
    let body = fs::read_to_string(best.case.join("body.json")).unwrap();
    let event = pretty(&best.body);
    *page += &format!("<details><summary>Example: <code>{case}</code></summary>\n\n");
    *page +=
        &format!("The webhook:\n\n```json\n{}\n```\n\nThe event:\n\n```json\n{event}```\n\n", body.trim());
    *page += "</details>\n";
}

fn add_family(page: &mut String, family: &'static Family, examples: &[Example]) {
    let record = family.data();
    *page += &format!("\n## {}\n\n{} All fields of the family:\n\n", family.name, record.about);
    let kinds: Vec<_> = family.types().map(EventType::as_str).collect();
    let is_of = |example: &&Example| kinds.iter().any(|kind| example.event["type"] == *kind);
    *page += &table(rows("", &record), &seen(examples.iter().filter(is_of)));
    family.types().for_each(|kind| add_type(page, kind, &record, examples));
}

/// Adds the numbers of fields that each provider fills, by family.
fn add_coverage(page: &mut String, examples: &[Example]) {
    *page += "\n## Coverage\n\nThe number of a family's fields that the golden cases have, by provider.\n\n";
    let columns: String = Provider::ALL.iter().map(|provider| format!(" {provider} |")).collect();
    *page +=
        &format!("| family | fields |{columns}\n| --- | ---: |{}\n", " ---: |".repeat(Provider::ALL.len()));
    for family in Family::ALL {
        let declared: BTreeSet<_> = rows("", &family.data()).into_iter().map(|(place, _)| place).collect();
        let kinds: Vec<_> = family.types().map(EventType::as_str).collect();
        *page += &format!("| [{0}](#{0}) | {1} |", family.name, declared.len());
        for provider in Provider::ALL {
            let is_of = |example: &&Example| {
                example.provider == provider && kinds.iter().any(|kind| example.event["type"] == *kind)
            };
            let seen: BTreeSet<_> =
                examples.iter().filter(is_of).flat_map(|example| &example.places).collect();
            match declared.iter().filter(|place| seen.contains(place)).count() {
                0 => *page += " |",
                count => *page += &format!(" {count} |"),
            }
        }
        page.push('\n');
    }
}

fn reference() -> String {
    let (mut page, examples) = (HEAD.to_owned(), examples());
    add_coverage(&mut page, &examples);
    let attributes = attributes(EventType::CallEnded);
    page += "\n## Attributes\n\n";
    page += "The attributes of every event, here of `call.ended`. Its fields are in `data`.\n\n";
    page += &table(rows("", &attributes), &Seen::new());
    page += &format!("\nThe schema of this whole event is `{}`.\n", Schemas::path(EventType::CallEnded));
    Family::ALL.iter().for_each(|family| add_family(&mut page, family, &examples));
    page
}

#[test]
fn the_reference_is_what_the_declarations_and_the_golden_cases_say() {
    let (page, expected) = (Path::new(ROOT).join("docs/events-reference.md"), reference());
    if std::env::var_os("HOOKSWITCH_BLESS").is_some() {
        fs::write(&page, &expected).unwrap();
    }
    let found = fs::read_to_string(&page).unwrap_or_default();
    assert!(found == expected, "set HOOKSWITCH_BLESS=1 to rewrite docs/events-reference.md");
}

/// A field without documentation has no meaning in the reference and in the schemas.
#[test]
fn every_field_is_documented() {
    let records = Family::ALL.iter().map(|family| family.data()).chain([attributes(EventType::CallEnded)]);
    for record in records {
        for (place, field) in rows("", &record) {
            assert!(field.about.ends_with(['.', '…']), "{} {place}: {:?}", record.name, field.about);
        }
    }
}
