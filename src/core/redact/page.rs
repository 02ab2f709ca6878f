//! Writes a document line by line, with markers in place of what is not public.

use super::{leaf, policy::Document};
use crate::core::json::{self, ROOT, path};

/// Maximum size of one shown document, in bytes. The bodies that providers document take a few thousand.
pub(super) const SHOWN_MAX_BYTES: usize = 64 * 1024;

/// Writes a document, indented. Text that is not JSON is masked.
pub(super) fn show(document: Document, text: &[u8]) -> String {
    let Ok(json) = json::Document::parse(text) else { return mask(text) };
    let mut page = Page { document, json: &json, text: String::new(), lines_left_out: 0 };
    let shown = page.value(ROOT, Some(""), 0, "", "");
    match (shown, page.lines_left_out) {
        (None, _) => mask(text),
        (Some(()), 0) => page.text,
        (Some(()), lines) => format!("{}\n… lines left out: {lines}", page.text),
    }
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

/// A document that is being written.
struct Page<'a> {
    document: Document,
    json: &'a json::Document<'a>,
    text: String,
    lines_left_out: usize,
}

impl Page<'_> {
    /// Writes the value at `node`, whose path is `path`, between `label` and `end`. A value without a path is
    /// unknown, so neither the value nor the keys in it are shown. Returns none if it cannot be read, as with
    /// half a surrogate pair.
    fn value(&mut self, node: usize, path: Option<&str>, depth: usize, label: &str, end: &str) -> Option<()> {
        let json = self.json;
        let raw = json.raw(node);
        match raw.class() {
            "object" => {
                let path = path.filter(|path| !self.document.is_keyed(path));
                let field = |node| {
                    let key = json.key(node);
                    let path = path.filter(|_| path::is_field_name(&key)).map(|path| join(path, &key));
                    let key = if path.is_some() { key } else { leaf::key_marker(&key).into() };
                    Some((format!("\"{key}\": "), path, node))
                };
                let fields = json.children(node).map(field).collect::<Option<Vec<_>>>()?;
                self.nested(fields, "{}", depth, label, end)?;
            }
            "array" => {
                let path = path.map(|path| format!("{path}[]"));
                let items = json.children(node).map(|node| (String::new(), path.clone(), node)).collect();
                self.nested(items, "[]", depth, label, end)?;
            }
            class => {
                let is_public = path.is_some_and(|path| self.document.is_public(path));
                self.line(depth, &[label, &leaf::value(raw, class, is_public)?, end]);
            }
        }
        Some(())
    }

    /// Writes `children` between `brackets`: label, path and node of each.
    fn nested(
        &mut self,
        children: Vec<(String, Option<String>, usize)>,
        brackets: &str,
        depth: usize,
        label: &str,
        end: &str,
    ) -> Option<()> {
        let (open, close) = brackets.split_at(1);
        let Some(last) = children.len().checked_sub(1) else {
            self.line(depth, &[label, brackets, end]);
            return Some(());
        };
        self.line(depth, &[label, open]);
        for (index, (label, path, node)) in children.into_iter().enumerate() {
            let end = if index == last { "" } else { "," };
            self.value(node, path.as_deref(), depth + 1, &label, end)?;
        }
        self.line(depth, &[close, end]);
        Some(())
    }

    fn line(&mut self, depth: usize, parts: &[&str]) {
        if self.text.len() > SHOWN_MAX_BYTES {
            self.lines_left_out += 1;
            return;
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&"  ".repeat(depth));
        self.text.extend(parts.iter().copied());
    }
}

fn join(path: &str, key: &str) -> String {
    let mut joined = path.to_owned();
    path::push_key(&mut joined, key);
    joined
}
