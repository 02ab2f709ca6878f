//! Adding a provider, as CONTRIBUTING.md describes it: tried with a sixth provider that exists only here.
//!
//! `providers/acme.rs` is written as if it were in `src/core/providers`, so this crate has a `core` and a
//! `providers` like those of the library. `HOOKSWITCH_BLESS=1 cargo test --test new_provider` rewrites what
//! its cases expect.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use hookswitch::core::{
    self,
    events::cloudevent,
    providers::{Drift, Provider},
    webhook::{Headers, Webhook},
};
use serde_json::{Value, json};

mod providers {
    pub(crate) use hookswitch::core::providers::{adapter, drift, error, schema};

    mod acme;

    pub(crate) fn acme() -> &'static adapter::Adapter {
        &acme::ADAPTER
    }
}

/// The files of `src/core/providers` that are not adapters.
const SHARED: [&str; 7] = ["adapter", "drift", "error", "mod", "provider", "schema", "sightings"];

fn path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// Returns the names of the files and folders in `folder`, without their extensions.
fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(path(folder)).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// Returns the section of CONTRIBUTING.md that walks through adding a provider.
fn walk() -> String {
    let text = read("CONTRIBUTING.md");
    let (_, section) = text.split_once("## Adding a provider\n").expect("a section `Adding a provider`");
    section.split("\n## ").next().unwrap().to_owned()
}

/// Normalizes a case with the example's adapter. The envelope is left out: it names a provider of the list.
fn normalize(case: &Path) -> Value {
    let headers = fs::read_to_string(case.join("headers.txt")).unwrap_or_default();
    let headers = headers.lines().filter_map(|line| line.split_once(": ")).collect::<Headers>();
    let webhook = Webhook {
        delivery_id: "01900000-0000-7000-8000-000000000001".parse().unwrap(),
        source: "acme".parse().unwrap(),
        provider: Provider::ALL[0],
        received_at: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        headers,
        body: fs::read(case.join("body.json")).unwrap().into(),
    };
    let input = providers::adapter::Input {
        headers: &webhook.headers,
        body: &webhook.body,
        delivery_id: webhook.delivery_id,
    };
    let normalized = match (providers::acme().normalize)(input) {
        Ok(normalized) => normalized,
        Err(error) => {
            return json!({ "error": { "reason": error.reason().as_str(), "text": error.to_string() } });
        }
    };
    let event = |encoded: cloudevent::Encoded| {
        let cloud_event: Value = serde_json::from_slice(&encoded.body).unwrap();
        let attribute = |name: &str| cloud_event[name].clone();
        json!({ "type": attribute("type"), "subject": attribute("subject"), "time": attribute("time"),
            "providerevent": attribute("providerevent"), "data": attribute("data") })
    };
    let events: Vec<_> =
        cloudevent::encode(&webhook, &normalized.key, &normalized.events).map(event).collect();
    let drift = |drift: &Drift| json!({ "path": drift.path, "class": drift.class });
    let drift: Vec<_> = normalized.drift.iter().map(drift).collect();
    json!({ "key": normalized.key.to_string(), "events": events, "drift": drift })
}

#[test]
fn the_example_adapter_normalizes_its_golden_cases() {
    let cases = names("tests/new_provider/golden");
    assert!(!cases.is_empty());
    for case in cases {
        let case = path("tests/new_provider/golden").join(case);
        let (found, file) = (normalize(&case), case.join("expected.json"));
        if std::env::var_os("HOOKSWITCH_BLESS").is_some() {
            fs::write(&file, format!("{found:#}\n")).unwrap();
        }
        let expected: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(found, expected, "{}", case.display());
    }
}

#[test]
fn contributing_quotes_the_example_adapter() {
    let block = format!("```rust\n{}```\n", read("tests/new_provider/providers/acme.rs"));
    assert!(walk().contains(&block), "CONTRIBUTING.md does not quote providers/acme.rs as it is");
}

/// Each step of the walk, with another provider's name in place of `acme`, describes that provider as it is.
#[test]
fn every_provider_was_added_as_contributing_describes() {
    let (walk, adapters, list, faults) = (
        walk(),
        read("src/core/providers/mod.rs"),
        read("src/core/providers/provider.rs"),
        read("tests/faults/traffic.rs"),
    );
    assert!(walk.contains("`tests/faults/traffic.rs`"), "CONTRIBUTING.md lacks the fault harness");
    for provider in Provider::ALL {
        let name = provider.as_str();
        let variant = format!("{provider:?}");
        for (step, text) in [("mod acme;", &adapters), ("Acme = acme,", &list)] {
            assert!(walk.contains(step), "CONTRIBUTING.md lacks `{step}`");
            let line = step.replace("acme", name).replace("Acme", &variant);
            assert!(text.lines().any(|found| found.trim() == line), "`{line}` is missing");
        }
        assert!(faults.contains(&format!("Provider::{variant}")), "tests/faults/traffic.rs lacks {variant}");
        for step in ["src/core/providers/acme.rs", "tests/golden/acme/", "src/samples/acme/"] {
            assert!(walk.contains(step), "CONTRIBUTING.md lacks `{step}`");
            let file = step.replace("acme", name);
            let folder = file.replace(".rs", "/mod.rs");
            assert!(path(&file).exists() || path(&folder).exists(), "{file} is missing");
        }
    }
}

#[test]
fn no_adapter_golden_case_or_sample_is_without_a_line_in_the_list() {
    let listed: BTreeSet<_> = Provider::ALL.map(|provider| provider.as_str().to_owned()).into();
    let mut adapters = names("src/core/providers");
    for file in SHARED {
        assert!(adapters.remove(file), "src/core/providers/{file}.rs is missing");
    }
    assert_eq!(adapters, listed, "src/core/providers and the list in provider.rs differ");
    assert_eq!(names("tests/golden"), listed, "tests/golden and the list of providers differ");
    assert_eq!(names("src/samples"), listed, "src/samples and the list of providers differ");
}
