//! Sample webhooks of every provider, for `hookswitch send-samples` and for experiments.

use include_dir::{Dir, include_dir};

use crate::core::providers::Provider;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/samples");

/// One sample webhook.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The webhook format.
    pub provider: Provider,
    /// The file's name, which says what the sample shows.
    pub name: &'static str,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: &'static [u8],
}

/// Returns every sample in `src/samples/<provider>/<name>.json`, with its headers from `<name>.headers`, one
/// `name: value` per line.
pub fn all() -> Vec<Sample> {
    let mut samples = Vec::new();
    for provider in Provider::ALL {
        let mut files: Vec<_> =
            FILES.get_dir(provider.as_str()).into_iter().flat_map(|dir| dir.files()).collect();
        files.sort_by_key(|file| file.path());
        for file in files {
            let path = file.path();
            let (Some(name), Some("json")) =
                (path.file_stem().and_then(|n| n.to_str()), path.extension().and_then(|e| e.to_str()))
            else {
                continue;
            };
            let headers = FILES.get_file(path.with_extension("headers"));
            let lines = headers.and_then(|file| file.contents_utf8()).unwrap_or_default().lines();
            let headers = lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
                .collect();
            samples.push(Sample { provider, name, headers, body: file.contents() });
        }
    }
    samples
}
