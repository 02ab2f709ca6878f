//! What an id is of.

use serde_json::Value;
use uuid::Uuid;

use crate::{
    cli::exit::Usage,
    core::{events::cloudevent, webhook::SourceName},
};

/// What the id is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A delivery, or a letter.
    Delivery(Uuid),
    /// An event.
    Event(Uuid),
    /// The idempotency key of a source.
    Key(SourceName, String),
}

impl Subject {
    /// Tells what an id is of. With a source it is one of its keys.
    pub(super) fn of(id: &str, source: Option<&SourceName>) -> Result<Self, Usage> {
        if let Some(source) = source {
            return Ok(Self::Key(source.clone(), id.to_owned()));
        }
        let id = Uuid::parse_str(id).ok();
        match id.map(|id| (id, id.get_version_num())) {
            Some((id, 7)) => Ok(Self::Delivery(id)),
            // Version 8: of redacted copies.
            Some((id, 5 | 8)) => Ok(Self::Event(id)),
            _ => Err(Usage(
                "this is neither a delivery id nor an event id; for an idempotency key give its --source"
                    .to_owned(),
            )),
        }
    }

    /// Returns true if an event is of this subject.
    pub(super) fn has(&self, event: &Value) -> bool {
        let is = |name: &str, id: &Uuid| {
            event[name].as_str().and_then(|text| Uuid::parse_str(text).ok()).as_ref() == Some(id)
        };
        match self {
            Self::Delivery(id) => is("deliveryid", id),
            Self::Event(id) => is("id", id),
            Self::Key(source, key) => {
                event["idempotencykey"] == key.as_str() && source_of(event) == Some(source.clone())
            }
        }
    }
}

/// Returns the source of an event.
pub(super) fn source_of(event: &Value) -> Option<SourceName> {
    cloudevent::source_name(event["source"].as_str()?).parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DELIVERY: &str = "01900000-0000-7000-8000-000000000001";
    const EVENT: &str = "3b0e2f5a-1c7d-5e8f-9a6b-0c1d2e3f4a5b";

    #[test]
    fn an_id_is_told_by_its_version_and_a_key_needs_its_source() {
        let source: SourceName = "wavix".parse().expect("a name");
        let event = json!({
            "id": EVENT, "deliveryid": DELIVERY, "idempotencykey": "k:1", "source": "/hookswitch/wavix/wavix",
        });
        for (id, source, is_of) in [
            (DELIVERY, None, true),
            (EVENT, None, true),
            ("3b0e2f5a-1c7d-8e8f-9a6b-0c1d2e3f4a5b", None, false),
            ("k:1", Some(&source), true),
            ("k:2", Some(&source), false),
            ("01900000-0000-7000-8000-000000000002", None, false),
        ] {
            let subject = Subject::of(id, source).expect("a subject");
            assert_eq!(subject.has(&event), is_of, "{id}");
        }
        assert_eq!(Subject::of(DELIVERY, None).ok(), DELIVERY.parse().ok().map(Subject::Delivery));
        for wrong in ["k:1", "9f8b6c3e-1f0a-4b7e-8d5c-2a1b0c9d8e7f", ""] {
            assert!(Subject::of(wrong, None).is_err(), "{wrong}");
        }
    }
}
