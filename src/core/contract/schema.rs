//! JSON Schemas (2020-12) of events and of their data.

use super::{
    attributes::attributes,
    family::Family,
    shapes::{Shapes, Unknown, required},
};
use crate::core::{events::event::EventType, json::Tree};

/// The dialect of JSON Schema.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The start of references inside a schema.
const DEFINITIONS: &str = "#/$defs/";

/// The schemas of one base.
#[derive(Clone, Copy, Debug)]
pub struct Schemas<'a> {
    base: &'a str,
    unknown: Unknown,
}

impl<'a> Schemas<'a> {
    /// Creates the schemas whose ids begin with `base`, which has no slash at its end.
    pub fn new(base: &'a str, unknown: Unknown) -> Self {
        Self { base, unknown }
    }

    /// Returns the path below the base of the schema of a type's events.
    pub fn path(kind: EventType) -> String {
        format!("events/{}/{}.json", kind.as_str(), Family::of_type(kind).version)
    }

    /// Returns every schema with its path below the base.
    pub fn all(&self) -> Vec<(String, Tree)> {
        let data = Family::ALL.iter().map(|family| (family.path.to_owned(), self.data(family)));
        let events = EventType::ALL.iter().map(|kind| (Self::path(*kind), self.event(*kind)));
        data.chain(events).collect()
    }

    /// Returns the schema at a path below the base; `None` if there is none.
    pub fn at(&self, path: &str) -> Option<Tree> {
        if let Some(family) = Family::ALL.iter().find(|family| family.path == path) {
            return Some(self.data(family));
        }
        EventType::ALL.iter().find(|kind| Self::path(**kind) == path).map(|kind| self.event(*kind))
    }

    /// Returns the schema of a family's data.
    pub fn data(&self, family: &Family) -> Tree {
        let record = family.data();
        let mut shapes = Shapes::new(DEFINITIONS, self.unknown);
        let schema = shapes.record(self.head(family.path, record.name, record.about), &record);
        with_definitions(schema, shapes.into_definitions())
    }

    /// Returns the schema of a type's events. It refers to the schema of the data by its relative address.
    pub fn event(&self, kind: EventType) -> Tree {
        self.event_with(kind, Vec::new())
    }

    /// Returns the schema of a type's events and the one that it refers to in one document.
    pub fn bundle(&self, kind: EventType) -> Tree {
        self.event_with(kind, vec![("data".to_owned(), self.data(Family::of_type(kind)))])
    }

    fn event_with(&self, kind: EventType, definitions: Vec<(String, Tree)>) -> Tree {
        let attributes = attributes(kind);
        let mut shapes = Shapes::new(DEFINITIONS, self.unknown);
        let mut fields: Vec<_> =
            attributes.fields.iter().map(|field| (field.name.to_owned(), shapes.field(field))).collect();
        let data = format!("../../{}", Family::of_type(kind).path);
        fields.push(("data".to_owned(), Tree::object([("$ref", data.into())])));
        let about = format!("An event of type `{}`: a CloudEvent 1.0 in JSON.", kind.as_str());
        let head = self.head(&Self::path(kind), kind.as_str(), &about);
        let schema = shapes.object(head, fields, [required(&attributes), vec!["data"]].concat());
        with_definitions(schema, [shapes.into_definitions(), definitions].concat())
    }

    fn head(&self, path: &str, title: &str, about: &str) -> Tree {
        Tree::object([
            ("$schema", DIALECT.into()),
            ("$id", format!("{}/{path}", self.base).into()),
            ("title", title.into()),
            ("description", about.into()),
        ])
    }
}

fn with_definitions(schema: Tree, definitions: Vec<(String, Tree)>) -> Tree {
    if definitions.is_empty() { schema } else { schema.with("$defs", Tree::Object(definitions)) }
}
