//! The outcome of a webhook in one build, as one line of a file.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::core::{providers::Provider, webhook::SourceName};

/// The first field of every line: the format's name and version.
pub const FORMAT: &str = "hookswitch-normalized/1";

/// What a build made of a webhook.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// The idempotency key; none if the webhook cannot be normalized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The events as they were written, so that every digit of a number is compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Box<RawValue>>,
    /// The values that the provider's schema does not expect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Unexpected>,
    /// Why the webhook cannot be normalized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// A value that the provider's schema does not expect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unexpected {
    /// Its path.
    pub path: String,
    /// Its type.
    pub class: String,
}

/// Why a webhook cannot be normalized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The reason of the dead letter that it would become.
    pub reason: String,
    /// The error text.
    pub text: String,
}

/// The outcome of a webhook, with what identifies it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    format: String,
    /// The webhook's id in its file: a letter's id, or the name of a case.
    pub id: String,
    /// The webhook's provider.
    pub provider: Provider,
    /// The webhook's source.
    pub source: SourceName,
    /// The version of the build.
    pub version: String,
    /// What the build made of it.
    pub outcome: Outcome,
}

/// The reason why a line cannot be read as a record.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecord {
    /// The line is not JSON, or its fields differ.
    #[error("not a line of `normalize --webhooks`: syntax error or unexpected field at column {0}")]
    Syntax(usize),
    /// Another program or a newer hookswitch wrote the line.
    #[error("the format is not `{FORMAT}`: the file may have been written by a newer hookswitch")]
    Format,
}

impl Record {
    /// Creates a record of this build.
    pub fn new(id: String, provider: Provider, source: SourceName, outcome: Outcome) -> Self {
        let (format, version) = (FORMAT.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        Self { format, id, provider, source, version, outcome }
    }

    /// Parses one line.
    ///
    /// # Errors
    /// [`InvalidRecord`]. It does not quote the line.
    pub fn read(line: &str) -> Result<Self, InvalidRecord> {
        let record: Self =
            serde_json::from_str(line).map_err(|error| InvalidRecord::Syntax(error.column()))?;
        if record.format == FORMAT { Ok(record) } else { Err(InvalidRecord::Format) }
    }
}
