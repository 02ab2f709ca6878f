//! Shows each value of a document beside its pointer, with markers in place of what is not public.

use super::{leaf, policy::Document};
use crate::core::{
    json::{self, ROOT, path},
    pointer,
};

/// A value in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its JSON pointer.
    pub pointer: String,
    /// Its JSON as it was written.
    pub written: String,
    /// Its JSON pointer, with markers in place of keys that are not public.
    pub shown_pointer: String,
    /// Its JSON, or a marker in its place. A value that holds others is not shown.
    pub shown: String,
}

/// Returns every value but the document's own, in their order.
pub(super) fn all(document: Document, text: &[u8]) -> Vec<Value> {
    let Ok(json) = json::Document::parse(text) else { return Vec::new() };
    let mut walk = Walk { document, json: &json, found: Vec::new() };
    walk.inside(ROOT, true, &mut Place::default());
    walk.found
}

/// The way to a value.
#[derive(Default)]
struct Place {
    /// As the document's policy has it.
    path: String,
    pointer: String,
    shown: String,
}

impl Place {
    fn lengths(&self) -> [usize; 3] {
        [self.path.len(), self.pointer.len(), self.shown.len()]
    }

    fn truncate(&mut self, [path, pointer, shown]: [usize; 3]) {
        self.path.truncate(path);
        self.pointer.truncate(pointer);
        self.shown.truncate(shown);
    }
}

/// A document whose values are collected.
struct Walk<'a> {
    document: Document,
    json: &'a json::Document<'a>,
    found: Vec<Value>,
}

impl Walk<'_> {
    /// Collects the values inside the one at `node`. None of them is public if its path is unknown.
    fn inside(&mut self, node: usize, is_known: bool, place: &mut Place) {
        let json = self.json;
        let is_object = json.raw(node).class() == "object";
        let is_known = is_known && !(is_object && self.document.is_keyed(&place.path));
        let lengths = place.lengths();
        if !is_object {
            place.path.push_str("[]");
        }
        let path = place.path.len();
        for (index, child) in json.children(node).enumerate() {
            let is_known = if is_object {
                self.key(child, is_known, place)
            } else {
                let index = index.to_string();
                pointer::push(&mut place.pointer, &index);
                pointer::push(&mut place.shown, &index);
                is_known
            };
            self.value(child, is_known, place);
            self.inside(child, is_known, place);
            place.truncate([path, lengths[1], lengths[2]]);
        }
        place.truncate(lengths);
    }

    /// Goes on to the field at `node`. Returns true if its path is known.
    fn key(&self, node: usize, is_known: bool, place: &mut Place) -> bool {
        let key = self.json.key(node);
        let is_known = is_known && path::is_field_name(&key);
        pointer::push(&mut place.pointer, &key);
        if is_known {
            path::push_key(&mut place.path, &key);
            pointer::push(&mut place.shown, &key);
        } else {
            pointer::push(&mut place.shown, &leaf::key_marker(&key));
        }
        is_known
    }

    fn value(&mut self, node: usize, is_known: bool, place: &Place) {
        let raw = self.json.raw(node);
        let shown = match (raw.class(), self.json.children(node).next()) {
            ("object", Some(_)) => "{…}".to_owned(),
            ("array", Some(_)) => "[…]".to_owned(),
            ("object" | "array", None) => raw.get().to_owned(),
            (class, _) => leaf::at(self.document, is_known.then_some(&place.path), raw, class),
        };
        self.found.push(Value {
            pointer: place.pointer.clone(),
            written: raw.get().to_owned(),
            shown_pointer: place.shown.clone(),
            shown,
        });
    }
}
