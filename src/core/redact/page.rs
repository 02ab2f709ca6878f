//! Writes a document, in lines for people or in one line, with markers in place of what is not public.

use super::{leaf, policy::Document};
use crate::core::json::{self, ROOT, path};

/// Maximum size of one shown document, in bytes. The bodies that providers document take a few thousand.
pub(super) const SHOWN_MAX_BYTES: usize = 64 * 1024;

/// The most values that are looked at. They fill a page, since each takes a line of four bytes or more. So a
/// body of millions of values costs no memory for the rest.
const VALUES_MAX: usize = SHOWN_MAX_BYTES / 4;

/// Writes a document, indented. Text that is not JSON is masked.
pub(super) fn show(document: Document, text: &[u8]) -> String {
    let Ok(json) = json::Document::parse_head(text, VALUES_MAX) else { return mask(text) };
    let mut page = Page::new(document, &json, Layout::Lines);
    page.value(ROOT, true, 0, "", "");
    match page.left_out {
        None => page.text,
        Some(bytes) => format!("{}\n… bytes left out: {bytes}", page.text),
    }
}

/// Writes a whole document in one line of JSON. Text that is not JSON becomes a marker.
pub(super) fn show_in_one_line(document: Document, text: &[u8]) -> String {
    let Ok(json) = json::Document::parse(text) else {
        return format!("\"{}\"", leaf::text_marker(&String::from_utf8_lossy(text)));
    };
    let mut page = Page::new(document, &json, Layout::OneLine);
    page.value(ROOT, true, 0, "", "");
    page.text
}

/// Keeps JSON's punctuation and whitespace, and replaces every other byte by its class. One byte stays one
/// column.
fn mask(text: &[u8]) -> String {
    let shown = &text[..text.len().min(SHOWN_MAX_BYTES)];
    let mut masked: String = shown
        .iter()
        .map(|byte| match byte {
            b'{' | b'}' | b'[' | b']' | b':' | b',' | b'"' | b'\\' | b' ' | b'\t' | b'\r' | b'\n' => {
                char::from(*byte)
            }
            byte if byte.is_ascii_alphabetic() => 'x',
            byte if byte.is_ascii_digit() => '9',
            _ => '?',
        })
        .collect();
    if shown.len() < text.len() {
        masked.push_str(&format!("\n… bytes left out: {}", text.len() - shown.len()));
    }
    masked
}

/// The form of what is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// A value a line, indented, and at most [`SHOWN_MAX_BYTES`].
    Lines,
    /// Everything in one line.
    OneLine,
}

/// A document that is being written.
struct Page<'a> {
    document: Document,
    json: &'a json::Document<'a>,
    layout: Layout,
    text: String,
    /// The path of the value that is being written, as far as it is known.
    path: String,
    /// Once the page is full: the number of bytes of the document from the first value that is not shown.
    left_out: Option<usize>,
}

impl<'a> Page<'a> {
    fn new(document: Document, json: &'a json::Document<'a>, layout: Layout) -> Self {
        Self { document, json, layout, text: String::new(), path: String::new(), left_out: None }
    }

    /// Writes the value at `node` between `label` and `end`. A value whose path is unknown is not shown, and
    /// neither are the keys in it.
    fn value(&mut self, node: usize, is_known: bool, depth: usize, label: &str, end: &str) {
        if self.left_out.is_some() {
            return;
        }
        if self.layout == Layout::Lines && self.text.len() > SHOWN_MAX_BYTES {
            self.left_out = Some(self.json.bytes_from(node));
            return;
        }
        let raw = self.json.raw(node);
        match raw.class() {
            "object" => self.nested(node, is_known, depth, label, end),
            "array" => {
                let len = self.path.len();
                self.path.push_str("[]");
                self.nested(node, is_known, depth, label, end);
                self.path.truncate(len);
            }
            class => {
                let path = is_known.then_some(&*self.path);
                self.line(depth, &[label, &leaf::at(self.document, path, raw, class), end]);
            }
        }
    }

    /// Writes the object or array at `node`.
    fn nested(&mut self, node: usize, is_known: bool, depth: usize, label: &str, end: &str) {
        let json = self.json;
        let is_object = json.raw(node).class() == "object";
        let (open, close) = if is_object { ("{", "}") } else { ("[", "]") };
        let mut children = json.children(node).peekable();
        if children.peek().is_none() {
            self.line(depth, &[label, open, close, end]);
            return;
        }
        self.line(depth, &[label, open]);
        let is_known = is_known && !(is_object && self.document.is_keyed(&self.path));
        while let Some(child) = children.next() {
            let end = if children.peek().is_some() { "," } else { "" };
            if is_object {
                self.field(child, is_known, depth + 1, end);
            } else {
                self.value(child, is_known, depth + 1, "", end);
            }
        }
        if self.left_out.is_none() {
            self.line(depth, &[close, end]);
        }
    }

    /// Writes the field at `node`. Its key is shown if it is a plain name in an object whose path is known.
    fn field(&mut self, node: usize, is_known: bool, depth: usize, end: &str) {
        let key = self.json.key(node);
        let is_known = is_known && path::is_field_name(&key);
        let len = self.path.len();
        if is_known {
            path::push_key(&mut self.path, &key);
        }
        let shown = if is_known { key } else { leaf::key_marker(&key).into() };
        self.value(node, is_known, depth, &format!("\"{shown}\": "), end);
        self.path.truncate(len);
    }

    fn line(&mut self, depth: usize, parts: &[&str]) {
        if self.layout == Layout::Lines {
            if !self.text.is_empty() {
                self.text.push('\n');
            }
            self.text.extend(std::iter::repeat_n("  ", depth));
        }
        self.text.extend(parts.iter().copied());
    }
}
