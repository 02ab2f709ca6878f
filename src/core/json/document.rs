//! A JSON document whose values were located in one pass.

use std::{borrow::Cow, collections::HashSet, iter};

use serde::de::IgnoredAny;

use super::{
    error::JsonError,
    number, path,
    raw::{Raw, Value},
    reader::{self, DEPTH_MAX, Key, Keys, Node, State, tag},
    text,
    write::{Json, close},
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
    /// Reads one JSON value in UTF-8, nested at most [`DEPTH_MAX`] levels deep. A byte order mark before it
    /// is skipped.
    ///
    /// # Errors
    /// [`JsonError::Malformed`] names the line and column, never the content.
    pub fn parse(body: &'a [u8]) -> Result<Self, JsonError> {
        Self::parse_head(body, usize::MAX)
    }

    /// Reads one JSON value like [`Document::parse`], but keeps only the first `nodes_max` values in it. The
    /// others are checked and then unknown.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn parse_head(body: &'a [u8], nodes_max: usize) -> Result<Self, JsonError> {
        let invalid_utf8 = |e: std::str::Utf8Error| {
            JsonError::malformed(format!("is invalid UTF-8 at byte {}", e.valid_up_to()))
        };
        let text = std::str::from_utf8(without_mark(body)).map_err(invalid_utf8)?;
        if u32::try_from(text.len()).is_err() {
            return Err(JsonError::malformed("is longer than 4 GiB"));
        }
        match reader::read(text, nodes_max) {
            Some(nodes) => Ok(Self { text, nodes }),
            None => Err(explain(text)),
        }
    }

    /// Returns the value at `node` as it was written.
    pub fn raw(&self, node: usize) -> Raw<'a> {
        Raw::new(&self.text[self.nodes[node].value.range()])
    }

    /// Returns the document in one line, with what strict readers refuse in a form that they take.
    pub fn readable(&self) -> Vec<u8> {
        let mut readable = Vec::with_capacity(self.text.len());
        self.raw(ROOT).write(&mut readable);
        readable
    }

    /// Returns the document with another value at `node`.
    pub fn with_value(&self, node: usize, json: &str) -> Vec<u8> {
        let range = self.nodes[node].value.range();
        [&self.text[..range.start], json, &self.text[range.end..]].concat().into_bytes()
    }

    /// Returns the document with `suffix`, which needs no escapes, after the key of the field at `node`.
    pub fn with_longer_key(&self, node: usize, suffix: &str) -> Vec<u8> {
        let end = self.nodes[node].key.span.range().end;
        [&self.text[..end], suffix, &self.text[end..]].concat().into_bytes()
    }

    /// Returns the number of bytes from the value at `node` to the end of the text.
    pub fn bytes_from(&self, node: usize) -> usize {
        self.text.len() - self.nodes[node].value.range().start
    }

    /// Returns the nodes of the values directly inside the object or array at `node`.
    pub fn children(&self, node: usize) -> impl Iterator<Item = usize> {
        let end = self.nodes[node].next as usize;
        let within = move |node: usize| (node < end).then_some(node);
        iter::successors(within(node + 1), move |node| within(self.nodes[*node].next as usize))
    }

    /// Returns the key of the field at `node`; one that is unreadable as it was written, with its escapes.
    pub fn key(&self, node: usize) -> Cow<'a, str> {
        let key = self.nodes[node].key;
        let inner = &self.text[key.span.range()];
        if key.has_escapes && text::is_readable(inner) { text::content(inner) } else { Cow::Borrowed(inner) }
    }

    /// Appends the value at `node` in the one form that all its spellings share: keys sorted, no white space,
    /// strings decoded, numbers exact but without their notation. Fields with equal keys keep their order.
    pub fn write_canonical(&self, node: usize, out: &mut Vec<u8>) {
        let raw = self.raw(node).get();
        match raw.as_bytes().first() {
            Some(b'{') => {
                let key = |field: usize| {
                    let mut key = Vec::new();
                    text::write_canonical(&self.text[self.nodes[field].key.span.range()], &mut key);
                    key
                };
                let mut fields: Vec<_> = self.children(node).map(|field| (key(field), field)).collect();
                fields.sort_by(|(a, _), (b, _)| a.cmp(b));
                out.push(b'{');
                for (key, field) in fields {
                    out.extend_from_slice(&key);
                    out.push(b':');
                    self.write_canonical(field, out);
                    out.push(b',');
                }
                close(out, b'}');
            }
            Some(b'[') => {
                out.push(b'[');
                for item in self.children(node) {
                    self.write_canonical(item, out);
                    out.push(b',');
                }
                close(out, b']');
            }
            Some(b'"') => text::write_canonical(&raw[1..raw.len() - 1], out),
            Some(b'-' | b'0'..=b'9') => out.extend_from_slice(number::canonical(raw).as_bytes()),
            _ => out.extend_from_slice(raw.as_bytes()),
        }
    }

    /// Returns the keys of the object at `node`.
    ///
    /// # Errors
    /// The first field whose key repeats that of an earlier field.
    pub(super) fn keys(&self, node: usize) -> Result<Keys, usize> {
        let (mut tags, mut keys) = ([0; FEW_FIELDS], Keys::default());
        for (index, field) in self.children(node).enumerate() {
            let key = self.nodes[field].key;
            // Keys that tags cannot tell apart are compared in full.
            if index == FEW_FIELDS || key.has_escapes || tags[..index].contains(&key.tag) {
                return self.duplicate_field_by_key(node).map_or(Ok(Keys::ANY), Err);
            }
            tags[index] = key.tag;
            keys.insert(key.tag);
        }
        Ok(keys)
    }

    fn duplicate_field_by_key(&self, node: usize) -> Option<usize> {
        let mut seen = HashSet::new();
        self.children(node).find(|field| !seen.insert(self.key(*field)))
    }

    /// Returns the field `key` of the object at `node`, which has these keys, unless it is taken.
    pub(super) fn field(&self, node: usize, keys: Keys, key: &str) -> Option<usize> {
        let tag = tag(key.as_bytes());
        if !keys.may_hold(tag) {
            return None;
        }
        let is_left = |field: usize| self.nodes[field].state.get() != State::Taken;
        self.children(node).find(|field| self.is_key(*field, key, tag) && is_left(*field))
    }

    /// Returns the field `key` of the object at `node`, taken or not.
    pub(super) fn field_of(&self, node: usize, key: &str) -> Option<usize> {
        let tag = tag(key.as_bytes());
        self.children(node).find(|field| self.is_key(*field, key, tag))
    }

    /// Returns true if the field at `node` has this key, whose tag is `tag`.
    #[inline]
    fn is_key(&self, node: usize, key: &str, tag: u32) -> bool {
        let Key { tag: this_tag, has_escapes, .. } = self.nodes[node].key;
        (this_tag == tag || has_escapes) && self.key(node) == key
    }

    /// Returns the values directly inside the one at `node` that are not taken.
    pub(super) fn remaining(&self, node: usize) -> impl Iterator<Item = usize> {
        self.children(node).filter(|child| self.nodes[*child].state.get() != State::Taken)
    }

    /// Sets what has become of the value at `node`.
    pub(super) fn mark(&self, node: usize, state: State) {
        self.nodes[node].state.set(state);
    }

    /// Returns what is left of the value at `node`, none of whose parts was taken by itself.
    pub(super) fn rest(&self, node: usize) -> Value<'a> {
        match self.nodes[node].state.get() {
            State::Unread => Value::Raw(self.raw(node)),
            State::Known => Value::Known(self.raw(node)),
            State::Taken => Value::default(),
        }
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
                path::push_key(&mut path, &self.key(child));
            }
            around = child;
        }
        path
    }
}

/// Returns `body` without the byte order mark that some senders put before JSON.
pub fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// Explains why a text is not JSON, or that it is nested too deeply. Only a failed read pays for counting
/// lines.
fn explain(text: &str) -> JsonError {
    if is_too_deep(text) {
        return JsonError::malformed(format!("is nested deeper than {DEPTH_MAX} levels"));
    }
    // serde_json's own text would quote the content.
    let Some(error) = serde_json::from_str::<IgnoredAny>(text).err() else {
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
    fn a_head_holds_the_first_values_of_a_document_that_is_valid_to_its_end() {
        let document = Document::parse_head(b"[1,[2,3],4]", 3).expect("JSON");
        assert_eq!((document.nodes.len(), document.nodes.capacity()), (3, 3));
        let children: Vec<_> = document.children(ROOT).map(|node| document.raw(node).get()).collect();
        assert_eq!(children, ["1", "[2,3]"]);
        assert_eq!(document.bytes_from(2), 8);
        assert!(Document::parse_head(b"[1,[2,3],4", 3).is_err());
    }

    #[test]
    fn every_node_has_a_path() {
        let document = Document::parse(br#"{"a":[1,{"b":{}}],"c":null}"#).expect("JSON");
        let paths: Vec<_> = (0..6).map(|node| document.path(node)).collect();
        assert_eq!(paths, ["", "a", "a[0]", "a[1]", "a[1].b", "c"]);
    }

    fn canonical(json: &str) -> String {
        let mut out = Vec::new();
        Document::parse(json.as_bytes()).expect("JSON").write_canonical(ROOT, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn every_spelling_of_a_value_has_one_canonical_form() {
        let form = r#"{"a":[15e-1,null],"b":"é\u0001\""}"#;
        for json in [
            r#"{"a":[15e-1,null],"b":"é\u0001\""}"#,
            "\u{feff}{ \"b\" : \"\\u00E9\\u0001\\u0022\" ,\n\"\\u0061\":[ 1.50 , null ] }",
        ] {
            assert_eq!(canonical(json), form);
        }
    }

    #[test]
    fn different_values_have_different_canonical_forms() {
        let values = [
            r#"{"a":1,"a":2}"#,
            r#"{"a":2,"a":1}"#,
            r#"{"a":2}"#,
            r#"{"a":"2"}"#,
            r#"{"a":[2]}"#,
            r#"{"a":"\ud83d"}"#,
            r#"{"a":"\ud83e"}"#,
            r#"{"a":"\ufffd"}"#,
            r#"{"a":"\\ud83d"}"#,
            r#"{"a":"\u0000"}"#,
            r#"{"a":null}"#,
            "{}",
            r#"{"a":9007199254740993}"#,
            r#"{"a":9007199254740992}"#,
            r#"{"a\ud83d":1}"#,
            r#"{"a\\ud83d":1}"#,
            "[]",
            "[[]]",
            "[{}]",
        ];
        for (n, one) in values.iter().enumerate() {
            assert!(values[n + 1..].iter().all(|other| canonical(other) != canonical(one)), "{one}");
        }
    }

    proptest! {
        #[test]
        fn white_space_is_no_part_of_the_canonical_form(document in crate::core::pointer::tests::document()) {
            let pretty = serde_json::to_string_pretty(&document).expect("JSON");
            let form = canonical(&pretty);
            prop_assert_eq!(&form, &canonical(&document.to_string()));
            prop_assert_eq!(&form, &canonical(&form));
        }
    }
}
