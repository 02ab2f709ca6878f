//! Shows a single value, key or header, or a marker in its place.

use super::{phone, policy::Document};
use crate::core::json::Raw;

/// Maximum length of a public value that is shown, in bytes. Ids, words and times are shorter.
const VALUE_MAX_BYTES: usize = 200;

/// Shows a value that is neither object nor array, as JSON, by the rule for its path. Under a path that is
/// not known, nothing is public.
pub(super) fn at(document: Document, path: Option<&str>, raw: Raw<'_>, class: &str) -> String {
    match path {
        Some(path) if document.is_written_by_us(path) => attribute(raw, class),
        path => value(raw, class, path.is_some_and(|path| document.is_public(path))),
    }
}

/// Shows a value as it was written, or its type and length.
fn value(raw: Raw<'_>, class: &str, is_public: bool) -> String {
    match (class, raw.text()) {
        (_, Some(text)) if is_public && is_plain(&text) => format!("\"{text}\""),
        (_, Some(text)) => format!("\"{}\"", text_marker(&text)),
        ("number", None) if !(is_public && is_plain(raw.get())) => {
            let digits: String = raw.get().chars().filter(char::is_ascii_digit).collect();
            format!("\"{}\"", marker("number", &digits, "digit"))
        }
        _ => raw.get().to_owned(),
    }
}

/// Shows an attribute that hookswitch makes, as JSON. What is no short text of ASCII was not made by it.
fn attribute(raw: Raw<'_>, class: &str) -> String {
    let is_ours = |text: &str| {
        text.len() <= VALUE_MAX_BYTES && text.chars().all(|c| c.is_ascii_graphic() && !"\"\\@".contains(c))
    };
    match raw.text() {
        Some(text) if is_ours(&text) => format!("\"{text}\""),
        _ => value(raw, class, false),
    }
}

/// Shows the value of a public header unless it looks personal.
pub(super) fn header(value: &str) -> String {
    let is_harmless = |c: char| c != '@' && (c == ' ' || c.is_ascii_graphic());
    if is_made_of(value, is_harmless) { value.to_owned() } else { text_marker(value) }
}

/// Returns the marker of a text.
pub(super) fn text_marker(text: &str) -> String {
    marker("text", text, "character")
}

/// Returns the marker of a key.
pub(super) fn key_marker(key: &str) -> String {
    marker("key", key, "character")
}

fn marker(what: &str, text: &str, unit: &str) -> String {
    let length = text.chars().count();
    let plural = if length == 1 { "" } else { "s" };
    format!("‹{what}, {length} {unit}{plural}›")
}

/// Returns true if a public value looks like an id, a word, a time or a number. Values of a dead letter are
/// often in the wrong field, and some systems identify a contact by its phone number or e-mail address.
fn is_plain(text: &str) -> bool {
    is_made_of(text, |c| c.is_ascii_alphanumeric() || "-_.:+/".contains(c)) && !text.contains("//")
}

/// Returns true if `text` is short, consists of `allowed` characters, and holds no phone or card number.
fn is_made_of(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    text.len() <= VALUE_MAX_BYTES && text.chars().all(allowed) && !phone::is_in(text)
}
