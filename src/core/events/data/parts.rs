//! The parts that several families of events share: words, and references to objects.

use std::borrow::Cow;

use crate::core::json::{
    Fields, Json,
    describe::{Describe, DescribeRecord, Field, Record, Shape},
    json_object, json_words,
    personal::{Redact, Redactor},
    write_field, write_object,
};

/// Text as the provider wrote it.
pub type Text<'a> = Cow<'a, str>;

json_words! {
    /// The direction of a call, a message or an engagement.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Direction {
        /// To the provider's customer.
        Inbound = "inbound",
        /// From the provider's customer.
        Outbound = "outbound",
    }
}

json_words! {
    /// The kind of object that a reference leads to.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ObjectKind {
        /// A person at the other side.
        Contact = "contact",
        /// A company.
        Company = "company",
        /// A person at the provider's customer.
        User = "user",
        /// A workspace.
        Workspace = "workspace",
        /// An opportunity.
        Opportunity = "opportunity",
        /// A pipeline of opportunities.
        Pipeline = "pipeline",
        /// A stage of a pipeline.
        Stage = "stage",
        /// An engagement.
        Engagement = "engagement",
        /// An invoice.
        Invoice = "invoice",
        /// An item that can be billed.
        InvoiceItem = "invoice_item",
        /// A line of an invoice.
        InvoiceLineItem = "invoice_line_item",
        /// A type of event that can be booked.
        EventType = "event_type",
        /// A slot in which an event can be booked.
        Slot = "slot",
        /// A booked event.
        BookedEvent = "event",
        /// A call.
        Call = "call",
        /// The transcript of a call.
        Transcript = "transcript",
    }
}

json_object! {
    /// A reference to an object at the provider.
    #[derive(Clone, Debug)]
    pub struct Reference<'a> {
        /// The object's id at the provider, an opaque string.
        #[holds(Id)]
        pub id: Text<'a>,
        /// The kind of object, absent where the provider sends none or an unknown word.
        pub kind: Option<ObjectKind>,
        /// The kind of object in the provider's own word.
        #[holds(Id)]
        pub kind_raw: Option<Text<'a>>,
    }
}

/// A reference and its role. Its fields are those of the reference, beside the role.
#[derive(Clone, Debug)]
pub struct Link<'a> {
    /// The part that the object has for the record: `stage`, `companies`, …
    pub role: &'static str,
    /// The referenced object.
    pub reference: Reference<'a>,
}

impl Json for Link<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        write_object(out, |out| {
            write_field!(out, "role", &self.role);
            self.reference.write_fields(out);
        });
    }
}

impl Redact<()> for Link<'_> {
    fn redact(&mut self, (): (), by: &dyn Redactor) -> bool {
        self.reference.redact((), by)
    }
}

impl Describe for Link<'_> {
    fn shape() -> Shape {
        let mut fields = vec![Field::of::<&str>(
            "role",
            "The part that the object has for the record: `stage`, `companies`, …",
        )];
        fields.extend(Reference::record().fields);
        Shape::Record(Record { name: "Link", about: "A reference and its role.", fields })
    }
}
