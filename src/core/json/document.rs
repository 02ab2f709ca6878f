//! A JSON document whose values were located in one pass.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    iter,
};

use serde::de::IgnoredAny;

use super::{
    error::JsonError,
    path,
    raw::Raw,
    reader::{self, DEPTH_MAX, Key, Node, tag},
};

/// The node of the document's own value.
pub const ROOT: usize = 0;

/// Up to this many keys are compared pairwise, which is faster than a set.
const FEW_FIELDS: usize = 32;

/// A JSON text and its values. Values are addressed by node: their index in document order, each before those
/// inside it.
#[derive(Debug)]
pub struct Document<'a> {
    text: &'a str,
    nodes: Vec<Node>,
}

impl<'a> Document<'a> {
    /// Reads one JSON value in UTF-8, nested at most [`DEPTH_MAX`] levels deep.
    ///
    /// # Errors
    /// [`JsonError::Malformed`] names the line and column, never the content.
    pub fn parse(body: &'a [u8]) -> Result<Self, JsonError> {
        let invalid_utf8 = |e: std::str::Utf8Error| {
            JsonError::malformed(format!("is invalid UTF-8 at byte {}", e.valid_up_to()))
        };
        let text = std::str::from_utf8(body).map_err(invalid_utf8)?;
        if u32::try_from(text.len()).is_err() {
            return Err(JsonError::malformed("is longer than 4 GiB"));
        }
        match reader::read(text) {
            Some(nodes) => Ok(Self { text, nodes }),
            None => Err(explain(text)),
        }
    }

    /// Returns the value at `node` as it was written.
    pub fn raw(&self, node: usize) -> Raw<'a> {
        Raw::new(&self.text[self.nodes[node].value.range()])
    }

    /// Returns the nodes of the values directly inside the object or array at `node`.
    pub fn children(&self, node: usize) -> impl Iterator<Item = usize> {
        let end = self.nodes[node].next as usize;
        let within = move |node: usize| (node < end).then_some(node);
        iter::successors(within(node + 1), move |node| within(self.nodes[*node].next as usize))
    }

    /// Returns the key of the field at `node`; none if it holds half a surrogate pair.
    pub fn key(&self, node: usize) -> Option<Cow<'a, str>> {
        let key = self.nodes[node].key;
        let span = key.span.range();
        if key.has_escapes {
            serde_json::from_str(&self.text[span.start - 1..=span.end]).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(&self.text[span]))
        }
    }

    /// Returns the first field of the object at `node` whose key repeats that of an earlier field.
    ///
    /// # Errors
    /// [`JsonError::Malformed`] if a key cannot be read.
    pub(super) fn duplicate_field(&self, node: usize) -> Result<Option<usize>, JsonError> {
        let mut tags = [0; FEW_FIELDS];
        for (index, field) in self.children(node).enumerate() {
            let key = self.nodes[field].key;
            // Keys that tags cannot tell apart are compared in full.
            if index == FEW_FIELDS || key.has_escapes || tags[..index].contains(&key.tag) {
                return self.duplicate_field_by_key(node);
            }
            tags[index] = key.tag;
        }
        Ok(None)
    }

    fn duplicate_field_by_key(&self, node: usize) -> Result<Option<usize>, JsonError> {
        let mut seen = HashSet::new();
        for field in self.children(node) {
            let unreadable = || explain_as::<BTreeMap<String, IgnoredAny>>(self.raw(node).get());
            if !seen.insert(self.key(field).ok_or_else(unreadable)?) {
                return Ok(Some(field));
            }
        }
        Ok(None)
    }

    /// Returns the field `key` of the object at `node`, unless it is taken.
    pub(super) fn field(&self, node: usize, key: &str) -> Option<usize> {
        let tag = tag(key.as_bytes());
        self.remaining(node).find(|field| {
            let Key { span, tag: this_tag, has_escapes } = self.nodes[*field].key;
            if has_escapes {
                self.key(*field).is_some_and(|name| name == key)
            } else {
                this_tag == tag && &self.text[span.range()] == key
            }
        })
    }

    /// Returns the values directly inside the one at `node` that are not taken.
    pub(super) fn remaining(&self, node: usize) -> impl Iterator<Item = usize> {
        self.children(node).filter(|child| !self.nodes[*child].taken.get())
    }

    /// Marks the value at `node` as taken.
    pub(super) fn take(&self, node: usize) {
        self.nodes[node].taken.set(true);
    }

    /// Returns the path of the value at `node`, as in `data.contacts[0].id`; empty for the document itself.
    pub(super) fn path(&self, node: usize) -> String {
        let mut path = String::new();
        let mut around = ROOT;
        while around != node {
            let holds = |(_, child): &(usize, usize)| node < self.nodes[*child].next as usize;
            let Some((index, child)) = self.children(around).enumerate().find(holds) else { break };
            if self.raw(around).get().starts_with('[') {
                path::push_index(&mut path, index);
            } else {
                path::push_key(&mut path, &self.key(child).unwrap_or_default());
            }
            around = child;
        }
        path
    }
}

/// Explains why a text is not JSON, or that it is nested too deeply. Only a failed read pays for counting
/// lines.
fn explain(text: &str) -> JsonError {
    if is_too_deep(text) {
        return JsonError::malformed(format!("is nested deeper than {DEPTH_MAX} levels"));
    }
    explain_as::<IgnoredAny>(text)
}

/// Explains why `text` cannot be read as `T`, without the content that serde_json would quote.
fn explain_as<'de, T: serde::Deserialize<'de>>(text: &'de str) -> JsonError {
    let Some(error) = serde_json::from_str::<T>(text).err() else {
        return JsonError::malformed("is not valid JSON");
    };
    let what = match error.classify() {
        serde_json::error::Category::Eof => "ends too early",
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Data => "is not valid JSON",
    };
    JsonError::malformed(format!("{what} at line {} column {}", error.line(), error.column()))
}

fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    /// Concatenates valid and invalid fragments of JSON, so that chance yields texts of both kinds.
    fn text() -> impl Strategy<Value = String> {
        let piece = select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"a\"",
            "\"\"",
            "\"é\\n\"",
            "\"\\ud800\"",
            "\"\\u12g4\"",
            "\"\\x\"",
            "\"a long one, of more than 16 bytes\"",
            "\"a tab:\t\"",
            "\"",
            "0",
            "-0",
            "01",
            "-",
            "1.",
            "1.5e+3",
            "2E",
            "1e9",
            "true",
            "tru",
            "false",
            "null",
            " ",
            "\n",
            "\u{a0}",
            "{\"a\":1}",
            "[1,2]",
            "\"b\":",
        ]);
        vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn texts_are_accepted_exactly_as_serde_json_accepts_them(text in text()) {
            let ours = Document::parse(text.as_bytes()).is_ok();
            prop_assert_eq!(ours, serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn every_node_has_a_path() {
        let document = Document::parse(br#"{"a":[1,{"b":{}}],"c":null}"#).expect("JSON");
        let paths: Vec<_> = (0..6).map(|node| document.path(node)).collect();
        assert_eq!(paths, ["", "a", "a[0]", "a[1]", "a[1].b", "c"]);
    }
}
