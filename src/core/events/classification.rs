//! `dataclassification`, of the extension document Data Classification: whether an event may hold personal
//! data.

use super::event::{Event, EventType};
use crate::core::{
    json::{Document, Json, ROOT, json_words, path},
    providers::Schema,
};

json_words! {
    /// The protection that an event needs.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum DataClassification {
        /// The event names no person: it holds ids at most.
        Internal = "internal",
        /// The event may hold personal data.
        Confidential = "confidential",
    }
}

/// Classifies an event.
///
/// An event is internal if its type describes no person, and whatever it carries under `unmapped` is public
/// by the schema of its provider. What is new there is not, so the event is confidential.
pub(super) fn classify(event: &Event<'_>, schema: &Schema) -> DataClassification {
    let is_internal = is_impersonal(event.kind) && (event.unmapped.is_empty() || is_public(event, schema));
    if is_internal { DataClassification::Internal } else { DataClassification::Confidential }
}

/// Returns whether the typed fields of a type hold no personal data: they describe how a business is set up.
pub(super) fn is_impersonal(kind: EventType) -> bool {
    use EventType as E;
    matches!(
        kind,
        E::SourcePing
            | E::PipelineCreated
            | E::PipelineUpdated
            | E::PipelineDeleted
            | E::StageCreated
            | E::StageUpdated
            | E::StageDeleted
            | E::InvoiceItemCreated
            | E::InvoiceItemUpdated
            | E::InvoiceItemDeleted
            | E::SchedulingSlotCreated
            | E::SchedulingSlotUpdated
            | E::SchedulingSlotDeleted
    )
}

/// Returns whether everything under `unmapped` is public.
fn is_public(event: &Event<'_>, schema: &Schema) -> bool {
    let mut unmapped = Vec::new();
    event.unmapped.write(&mut unmapped);
    // What was just written can be read.
    Document::parse(&unmapped)
        .is_ok_and(|json| Leaves { json: &json, schema, path: String::new() }.are_public(ROOT))
}

/// The values of a document, judged by a schema.
struct Leaves<'a> {
    json: &'a Document<'a>,
    schema: &'a Schema,
    /// The path of the value that is looked at.
    path: String,
}

impl Leaves<'_> {
    /// Returns whether every value in the one at `node` is public, and every key.
    fn are_public(&mut self, node: usize) -> bool {
        let (json, len) = (self.json, self.path.len());
        let are_public = match json.raw(node).class() {
            "null" => true,
            "array" => {
                self.path.push_str("[]");
                json.children(node).all(|child| self.are_public(child))
            }
            "object" => {
                let is_keyed = self.schema.is_keyed(&self.path);
                json.children(node).all(|child| {
                    let (key, len) = (json.key(child), self.path.len());
                    path::push_key(&mut self.path, &key);
                    let is_public = !is_keyed && path::is_field_name(&key) && self.are_public(child);
                    self.path.truncate(len);
                    is_public
                })
            }
            _ => self.schema.is_public(&self.path),
        };
        self.path.truncate(len);
        are_public
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{events::data::Data, json::Object, providers::Provider};

    fn class(kind: EventType, unmapped: &str) -> String {
        let unmapped = Object::root(unmapped.as_bytes()).expect("an object").into_unmapped();
        let event = Event { unmapped, ..Event::new(kind, "stage/1".to_owned(), "x", Data::Empty {}) };
        let mut written = Vec::new();
        classify(&event, Provider::Morph.schema()).write(&mut written);
        serde_json::from_slice(&written).expect("a word")
    }

    #[test]
    fn an_event_is_internal_only_if_its_type_and_all_that_it_carries_are_impersonal() {
        use EventType::{CallEnded, StageUpdated};
        assert_eq!(class(StageUpdated, "{}"), "internal");
        let known = r#"{"data":{"object":"resource","rawResource":null,"warnings":[],
            "fields":{"stages":[{"object":"resourceRef"}]}}}"#;
        assert_eq!(class(StageUpdated, known), "internal");
        for new in [
            r#"{"data":{"nick":"Ada"}}"#,
            r#"{"data":{"rawResource":{"ada@example.com":null}}}"#,
            r#"{"data":{"+15550100123":null}}"#,
            r#"{"data":{"fields":{"stages":[{"object":{"name":"Ada"}}]}}}"#,
        ] {
            assert_eq!(class(StageUpdated, new), "confidential", "{new}");
        }
        assert_eq!(class(CallEnded, "{}"), "confidential");
    }
}
