//! A dead letter as one line of JSON, with its body and headers: for a ticket, a dry run elsewhere, or an
//! import.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::letter::{Letter, LetterId};
use crate::core::{
    delivery::{
        fault::{Attempt, Reason},
        queued::{Death, History, QueuedWebhook},
    },
    ledger::Entry,
    providers::Provider,
    shard::Shard,
    webhook::{DeliveryId, Headers, SourceName, Webhook},
};

/// The first field of every line: the format's name and version.
const FORMAT: &str = "hookswitch-dead-letter/1";

/// A dead letter as it is written to a file, one a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Archived {
    format: String,
    letter: String,
    delivery_id: DeliveryId,
    source: SourceName,
    provider: Provider,
    received_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// Captured HTTP headers, name and value, in the order received.
    headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ledger_entry: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_failed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_failed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    replays: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    past: Vec<Death>,
    /// The body, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// The body in base64, if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// The reason why a line cannot be read as a dead letter.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The line is not JSON, or its fields differ.
    #[error("not a line written by `dead-letters export`: syntax error or unexpected field at column {0}")]
    NotALetter(usize),
    /// Another program or a newer hookswitch wrote the line.
    #[error("the format is not `{FORMAT}`: the file may have been written by a newer hookswitch")]
    Format,
    /// A field has an invalid value.
    #[error("invalid value in field `{0}`")]
    Field(&'static str),
}

impl From<&Letter> for Archived {
    fn from(letter: &Letter) -> Self {
        let QueuedWebhook { webhook, content_type, entry, history, .. } = &letter.queued;
        let text = std::str::from_utf8(&webhook.body).ok().map(str::to_owned);
        Self {
            format: FORMAT.to_owned(),
            letter: letter.id.to_string(),
            delivery_id: webhook.delivery_id,
            source: webhook.source.clone(),
            provider: webhook.provider,
            received_at: webhook.received_at,
            content_type: content_type.clone(),
            headers: webhook
                .headers
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            ledger_entry: entry.map(|entry| entry.to_string()),
            reason: history.reason,
            error: history.error.clone(),
            attempts: history.attempt.0,
            first_failed_at: history.first_failed_at,
            last_failed_at: history.last_failed_at,
            version: history.version.clone(),
            replays: history.replays,
            past: history.past.clone(),
            body_base64: text.is_none().then(|| STANDARD.encode(&webhook.body)),
            body: text,
        }
    }
}

impl Archived {
    /// Parses one line.
    ///
    /// # Errors
    /// [`ArchiveError`]
    pub fn read(line: &str) -> Result<Letter, ArchiveError> {
        // serde's own error text may quote the line's content.
        let archived: Self =
            serde_json::from_str(line).map_err(|error| ArchiveError::NotALetter(error.column()))?;
        if archived.format != FORMAT {
            return Err(ArchiveError::Format);
        }
        archived.into_letter()
    }

    fn into_letter(self) -> Result<Letter, ArchiveError> {
        let id: LetterId = self.letter.parse().map_err(|_| ArchiveError::Field("letter"))?;
        let entry = match &self.ledger_entry {
            Some(entry) => Some(entry.parse::<Entry>().map_err(|_| ArchiveError::Field("ledger_entry"))?),
            None => None,
        };
        let body = match (self.body, self.body_base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => STANDARD.decode(text).map_err(|_| ArchiveError::Field("body_base64"))?,
            _ => return Err(ArchiveError::Field("body")),
        };
        let webhook = Webhook {
            delivery_id: self.delivery_id,
            source: self.source,
            provider: self.provider,
            received_at: self.received_at,
            headers: Headers::from_iter(self.headers),
            body: body.into(),
        };
        let history = History {
            attempt: Attempt(self.attempts),
            error: self.error,
            first_failed_at: self.first_failed_at,
            last_failed_at: self.last_failed_at,
            reason: self.reason,
            version: self.version,
            replays: self.replays,
            past: self.past,
            wave: None,
        };
        let content_type = self.content_type;
        Ok(Letter {
            id,
            queued: QueuedWebhook { webhook, content_type, entry, shard: Shard::FIRST, trace: None, history },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ledger::Run;
    use crate::core::letters::letter::tests::letter;

    fn line(letter: &Letter) -> String {
        serde_json::to_string(&Archived::from(letter)).unwrap()
    }

    #[test]
    fn a_letter_survives_the_round_trip_whatever_its_bytes() {
        let mut letter = letter();
        letter.queued.entry = Some(Entry { run: Run { began: 1_763_700_000_000, nonce: 7 }, number: 3 });
        letter.queued.content_type = Some("application/json".to_owned());
        letter.queued.history = letter.queued.history.replayed(None);
        for body in [&b"{\"a\":\"\xc3\xa9\\n\"}\r\n"[..], b"\xff\x00{", b""] {
            letter.queued.webhook.body = body.to_vec().into();
            let written = line(&letter);
            assert!(!written.contains('\n'), "{written}");
            assert_eq!(Archived::read(&written).unwrap(), letter);
        }
    }

    #[test]
    fn lines_that_are_no_letters_are_rejected_with_the_cause() {
        assert!(matches!(Archived::read("{}"), Err(ArchiveError::NotALetter(_))));
        let newer = line(&letter()).replace("letter/1", "letter/2");
        assert!(matches!(Archived::read(&newer), Err(ArchiveError::Format)));
        let without_body = line(&letter()).replace("\"body\":", "\"other\":");
        assert!(matches!(Archived::read(&without_body), Err(ArchiveError::Field("body"))));
    }
}
