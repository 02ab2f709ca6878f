//! Sample webhooks of every provider, for `hookswitch send-samples` and for trying things out.

use include_dir::{Dir, include_dir};

use crate::core::providers::Provider;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/samples");

/// One sample webhook.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The format.
    pub provider: Provider,
    /// What it shows; the file's name.
    pub name: &'static str,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: &'static [u8],
}

/// All of them: `src/samples/<provider>/<name>.json`, with their headers in `<name>.headers`, one `name: value` a
/// line.
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
