//! The families of events: the events of one family have the same data.

use crate::core::{
    events::{
        data::{
            CallData, ContactData, ConversationData, Data, InvoiceData, MessageData, RecordData,
            SchedulingData, TranscriptData, WidgetData,
        },
        event::EventType,
    },
    json::{
        Value,
        describe::{DescribeRecord, Field, Record, Shape},
    },
};

/// The default start of the schemas' ids. No host of this name can exist (RFC 2606): the ids identify, and
/// they resolve once `events.schema_base` names a host that serves the schemas.
pub const SCHEMA_BASE: &str = "https://hookswitch.invalid/schemas";

/// A family of events.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// The version of its contract. A breaking change of the family's data or of the attributes raises it.
    pub version: u32,
    /// The path of the schema of its data, below the base of all schemas.
    pub path: &'static str,
    /// The starts of the types in it, of which the longest decides.
    prefixes: &'static [&'static str],
    record: fn() -> Record,
}

/// Defines the families, and the list of them.
macro_rules! families {
    ($($family:ident = $name:literal, $version:literal, [$($prefix:literal),*], $record:expr;)*) => {
        $(static $family: Family = Family {
            name: $name,
            version: $version,
            path: concat!("data/", $name, "/", $version, ".json"),
            prefixes: &[$($prefix),*],
            record: $record,
        };)*

        impl Family {
            /// Every family, in the order of the documentation.
            pub const ALL: &[&Self] = &[$(&$family),*];
        }
    };
}

families! {
    CALL = "call", 1, ["call."], CallData::record;
    TRANSCRIPT = "transcript", 1, ["call.transcript."], TranscriptData::record;
    MESSAGE = "message", 1, ["message."], MessageData::record;
    CONVERSATION = "conversation", 1, ["conversation."], ConversationData::record;
    CONTACT = "contact", 1, ["contact."], ContactData::record;
    RECORD = "record", 1, [
        "company.", "user.", "workspace.", "opportunity.", "pipeline.", "stage.", "engagement."
    ], RecordData::record;
    INVOICE = "invoice", 1, ["invoice."], InvoiceData::record;
    SCHEDULING = "scheduling", 1, ["scheduling."], SchedulingData::record;
    WIDGET = "widget", 1, ["widget."], WidgetData::record;
    PLAIN = "plain", 1, [""], no_fields;
}

/// Describes the data of events that have unmapped fields only.
fn no_fields() -> Record {
    let about = "The data of `source.ping` and `provider.unmapped`.";
    Record { name: "PlainData", about, fields: Vec::new() }
}

impl Family {
    /// Returns the family of the events with this data.
    pub fn of(data: &Data<'_>) -> &'static Self {
        match data {
            Data::Call(_) => &CALL,
            Data::Transcript(_) => &TRANSCRIPT,
            Data::Message(_) => &MESSAGE,
            Data::Conversation(_) => &CONVERSATION,
            Data::Contact(_) => &CONTACT,
            Data::Record(_) => &RECORD,
            Data::Invoice(_) => &INVOICE,
            Data::Scheduling(_) => &SCHEDULING,
            Data::Widget(_) => &WIDGET,
            Data::Empty {} => &PLAIN,
        }
    }

    /// Returns the family of the events of a type.
    pub fn of_type(kind: EventType) -> &'static Self {
        let length = |family: &&&Self| {
            let fitting = family.prefixes.iter().filter(|prefix| kind.as_str().starts_with(**prefix));
            fitting.map(|prefix| prefix.len()).max()
        };
        Self::ALL.iter().max_by_key(length).unwrap_or(&&PLAIN)
    }

    /// Returns the types of the family.
    pub fn types(&'static self) -> impl Iterator<Item = EventType> {
        EventType::ALL.iter().copied().filter(move |kind| std::ptr::eq(Self::of_type(*kind), self))
    }

    /// Describes the data of its events, `unmapped` included.
    pub fn data(&self) -> Record {
        let mut record = (self.record)();
        let about = "Every leaf of the webhook that no other field holds, under its own path, as the \
                     provider wrote it.";
        record.fields.push(Field { shape: Shape::Object, ..Field::of::<Value<'_>>("unmapped", about) });
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_the_family_that_its_name_begins_with() {
        for (kind, family) in [
            ("call.ended", "call"),
            ("call.transcript.completed", "transcript"),
            ("message.received", "message"),
            ("user.created", "record"),
            ("invoice.line_item.deleted", "invoice"),
            ("source.ping", "plain"),
            ("provider.unmapped", "plain"),
        ] {
            let found = EventType::ALL.iter().find(|known| known.as_str() == kind).expect("a type");
            assert_eq!(Family::of_type(*found).name, family, "{kind}");
        }
        assert_eq!(
            Family::ALL.iter().map(|family| family.types().count()).sum::<usize>(),
            EventType::ALL.len()
        );
        assert_eq!(PLAIN.types().count(), 2, "another family lacks the start of a type");
    }
}
