//! Others' text on a terminal or in a line of a log.

use std::{borrow::Cow, fmt::Write};

/// Returns `text` with an escape sequence (`\n`, `\u001b`) in place of every character that could end a line,
/// command a terminal, or change the order or visibility of what is around it.
///
/// Everything that senders, brokers and files choose passes it before it is printed or logged. The escapes
/// are JSON's: in a JSON text such characters occur only inside strings, so it stays the same JSON.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !text.contains(is_special) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_special(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    write!(shown, "\\u{unit:04x}").ok();
                }
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Returns `text` with each of its lines [`printable`], for a text that hookswitch breaks into lines itself.
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// Returns true for control characters, and for the invisible ones that order text, separate lines, or mark.
fn is_special(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::pointer::tests::document;

    #[test]
    fn nothing_in_a_text_commands_a_terminal_or_ends_a_line() {
        for (text, expected) in [
            ("", ""),
            ("call.ended, 5 s — Zoë 👩‍👩‍👧", "call.ended, 5 s — Zoë 👩‍👩‍👧"),
            ("\u{1b}]0;owned\u{7}\u{1b}[2J\r\nFAKE", "\\u001b]0;owned\\u0007\\u001b[2J\\r\\nFAKE"),
            ("a\0b\tc\u{7f}", "a\\u0000b\\tc\\u007f"),
            ("\u{9b}2J\u{85}", "\\u009b2J\\u0085"),
            ("\u{202e}gpj.exe\u{2066}\u{2028}", "\\u202egpj.exe\\u2066\\u2028"),
            ("\u{feff}\u{e0041}", "\\ufeff\\udb40\\udc41"),
        ] {
            assert_eq!(printable(text), expected);
        }
    }

    proptest! {
        #[test]
        fn json_stays_the_same_json(document in document()) {
            let text = document.to_string();
            let shown = printable(&text);
            prop_assert!(!shown.chars().any(is_special));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), document);
        }
    }
}
