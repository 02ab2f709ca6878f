//! Shapes as JSON Schemas. Records and closed lists of words become definitions, which fields refer to.

use crate::core::json::{
    Tree,
    describe::{Field, Record, Shape, Words},
};

/// Fields that a schema does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// They are valid: the contract for readers, who must tolerate new fields.
    Allowed,
    /// They are invalid: for tests of the writer.
    Refused,
}

/// A document's definitions, which grow as shapes are added.
pub(super) struct Shapes {
    /// The start of references to definitions, such as `#/$defs/`.
    prefix: &'static str,
    unknown: Unknown,
    definitions: Vec<(String, Tree)>,
}

impl Shapes {
    pub(super) fn new(prefix: &'static str, unknown: Unknown) -> Self {
        Self { prefix, unknown, definitions: Vec::new() }
    }

    /// Returns the definitions by name, sorted.
    pub(super) fn into_definitions(mut self) -> Vec<(String, Tree)> {
        self.definitions.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.definitions
    }

    /// Adds a record's fields to the start of a schema.
    pub(super) fn record(&mut self, head: Tree, record: &Record) -> Tree {
        let fields = record.fields.iter().map(|field| (field.name.to_owned(), self.field(field))).collect();
        self.object(head, fields, required(record))
    }

    /// Adds fields to the start of a schema, by their names and schemas.
    pub(super) fn object(&self, head: Tree, fields: Vec<(String, Tree)>, required: Vec<&str>) -> Tree {
        let mut schema = head.with("type", "object").with("properties", Tree::Object(fields));
        if !required.is_empty() {
            schema = schema.with("required", required.into_iter().collect::<Tree>());
        }
        if self.unknown == Unknown::Refused {
            schema = schema.with("additionalProperties", false);
        }
        schema
    }

    /// Returns the schema of a field, with its documentation first.
    pub(super) fn field(&mut self, field: &Field) -> Tree {
        let head = if field.about.is_empty() {
            Tree::Object(Vec::new())
        } else {
            Tree::object([("description", field.about.into())])
        };
        self.shape(head, &field.shape)
    }

    fn shape(&mut self, head: Tree, shape: &Shape) -> Tree {
        match shape {
            Shape::Text => head.with("type", "string"),
            Shape::Formatted(format) => head.with("type", "string").with("format", *format),
            Shape::Constant(word) => head.with("type", "string").with("const", *word),
            Shape::Boolean => head.with("type", "boolean"),
            Shape::Integer => head.with("type", "integer"),
            Shape::Number => head.with("type", "number"),
            Shape::Object => head.with("type", "object"),
            Shape::Any => head,
            Shape::List(items) => {
                let items = self.shape(Tree::Object(Vec::new()), items);
                head.with("type", "array").with("items", items)
            }
            Shape::Words(words) => {
                self.define(words.name, |_| words_schema(words));
                head.with("$ref", [self.prefix, words.name].concat())
            }
            Shape::Record(record) => {
                let about = Tree::object([("description", record.about.into())]);
                self.define(record.name, |shapes| shapes.record(about, record));
                head.with("$ref", [self.prefix, record.name].concat())
            }
        }
    }

    fn define(&mut self, name: &str, schema: impl FnOnce(&mut Self) -> Tree) {
        if !self.definitions.iter().any(|(known, _)| known == name) {
            let schema = schema(self);
            self.definitions.push((name.to_owned(), schema));
        }
    }
}

/// Returns the names of the fields that are always present.
pub(super) fn required(record: &Record) -> Vec<&'static str> {
    record.fields.iter().filter(|field| field.is_required).map(|field| field.name).collect()
}

/// Returns the schema of a closed list. The meaning of each word is part of the description.
fn words_schema(words: &Words) -> Tree {
    let mut about = words.about.to_owned();
    for (word, meaning) in &words.words {
        if !meaning.is_empty() {
            about.push_str(&format!(" `{word}`: {meaning}"));
        }
    }
    let list: Tree = words.words.iter().map(|(word, _)| *word).collect();
    Tree::object([("description", about.into()), ("type", "string".into()), ("enum", list)])
}
