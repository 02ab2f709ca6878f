//! The values of a JSON document and their pointers.

use std::collections::HashMap;

use crate::core::{
    json::{Document, ROOT},
    pointer,
};

/// A value in a document.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) node: usize,
    pub(super) pointer: String,
    /// True if it holds no other value.
    pub(super) is_leaf: bool,
    /// True if it has a key.
    pub(super) is_field: bool,
    /// The greatest index on the way to it.
    pub(super) index: usize,
}

/// Returns every value of a document but the document's own, in their order.
pub(super) fn places(document: &Document<'_>) -> Vec<Place> {
    let mut found = Vec::new();
    collect(document, ROOT, &mut String::new(), 0, &mut found);
    found
}

fn collect(document: &Document<'_>, around: usize, path: &mut String, index: usize, found: &mut Vec<Place>) {
    let is_field = document.raw(around).class() == "object";
    let len = path.len();
    for (nth, node) in document.children(around).enumerate() {
        if is_field {
            pointer::push(path, &document.key(node));
        } else {
            pointer::push(path, &nth.to_string());
        }
        let index = if is_field { index } else { index.max(nth) };
        let is_leaf = document.children(node).next().is_none();
        found.push(Place { node, pointer: path.clone(), is_leaf, is_field, index });
        collect(document, node, path, index, found);
        path.truncate(len);
    }
}

/// Returns the value at `node` in the one form that all its spellings share.
pub(super) fn canonical(document: &Document<'_>, node: usize) -> String {
    let mut canonical = Vec::new();
    document.write_canonical(node, &mut canonical);
    String::from_utf8_lossy(&canonical).into_owned()
}

/// The leaves of an event.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    pub(super) kind: String,
    /// Pointers and canonical values, in the order of the event.
    pub(super) leaves: Vec<(String, String)>,
}

impl Leaves {
    /// Reads an event. One that is not JSON has no leaves.
    pub(super) fn of(event: &[u8]) -> Self {
        let Ok(document) = Document::parse(event) else { return Self::default() };
        let leaves = places(&document).into_iter().filter(|place| place.is_leaf);
        let leaves: Vec<_> = leaves.map(|place| (place.pointer, canonical(&document, place.node))).collect();
        let kind = leaves.iter().find(|(pointer, _)| pointer == "/type").map(|(_, kind)| kind.clone());
        Self { kind: kind.unwrap_or_default(), leaves }
    }

    /// Returns the values by their pointers.
    pub(super) fn by_pointer(&self) -> HashMap<&str, &str> {
        self.leaves.iter().map(|(pointer, value)| (pointer.as_str(), value.as_str())).collect()
    }
}
