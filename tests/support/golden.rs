//! The golden cases as webhooks: `tests/golden/<provider>/<case>/{body.json, headers.txt}`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hookswitch::core::{
    providers::Provider,
    webhook::{Headers, Webhook},
};

/// Returns the folders of a provider's cases, sorted by name.
pub(crate) fn of(provider: Provider) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(provider.as_str());
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty(), "no case in {}", folder.display());
    cases
}

/// Reads the webhook of a case.
pub(crate) fn read(provider: Provider, case: &Path) -> Webhook {
    let headers = fs::read_to_string(case.join("headers.txt")).unwrap_or_default();
    let headers = headers.lines().filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    webhook(provider, headers.collect(), fs::read(case.join("body.json")).unwrap())
}

/// Returns a webhook of a source that is named after its provider.
pub(crate) fn webhook(provider: Provider, headers: Headers, body: impl Into<Vec<u8>>) -> Webhook {
    Webhook {
        delivery_id: "01900000-0000-7000-8000-000000000001".parse().unwrap(),
        source: provider.as_str().parse().unwrap(),
        provider,
        received_at: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        headers,
        body: body.into().into(),
    }
}
