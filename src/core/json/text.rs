//! The content of JSON strings, also of those that strict readers refuse.
//!
//! JSON's grammar allows half a surrogate pair, as in a text that was cut inside an emoji, and NUL. Many
//! readers refuse the first, and PostgreSQL the second. Such a string is *unreadable*: its content is shown
//! with U+FFFD in those places, and its exact text is carried beside it.

use std::borrow::Cow;

use super::scan::plain_len;

/// A part of a string's content.
enum Piece<'a> {
    /// Characters that were written as they are.
    Plain(&'a str),
    /// A character that was written as an escape sequence.
    Char(char),
    /// Half a surrogate pair.
    Half(u16),
}

/// The pieces of the text between the quotes of a valid JSON string.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let end = self.0.find('\\').unwrap_or(self.0.len());
        if end > 0 {
            let (plain, rest) = self.0.split_at(end);
            self.0 = rest;
            return Some(Piece::Plain(plain));
        }
        let (piece, len) = match self.0.as_bytes().get(1)? {
            b'u' => self.unit(),
            b'b' => (Piece::Char('\u{8}'), 2),
            b'f' => (Piece::Char('\u{c}'), 2),
            b'n' => (Piece::Char('\n'), 2),
            b'r' => (Piece::Char('\r'), 2),
            b't' => (Piece::Char('\t'), 2),
            // A quote, a backslash or a slash stands for itself.
            itself => (Piece::Char(char::from(*itself)), 2),
        };
        self.0 = self.0.get(len..)?;
        Some(piece)
    }
}

impl<'a> Pieces<'a> {
    /// Returns the piece of the `\uXXXX` at the start, which may be the first of a pair, and its length.
    fn unit(&self) -> (Piece<'a>, usize) {
        let unit = |at: usize| {
            let digits = self.0.get(at..)?.strip_prefix("\\u")?.get(..4)?;
            u16::from_str_radix(digits, 16).ok()
        };
        let first = unit(0).unwrap_or_default();
        let second = unit(6).filter(|second| (0xdc00..0xe000).contains(second));
        match (first, second) {
            (0xd800..0xdc00, Some(second)) => {
                let code = 0x1_0000 + ((u32::from(first) & 0x3ff) << 10) + (u32::from(second) & 0x3ff);
                (Piece::Char(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)), 12)
            }
            _ => (char::from_u32(first.into()).map_or(Piece::Half(first), Piece::Char), 6),
        }
    }
}

/// Returns true if the valid JSON string with `inner` between its quotes holds no escape sequence.
fn is_plain(inner: &str) -> bool {
    plain_len(inner.as_bytes()) == inner.len()
}

/// Returns the content of the string with `inner` between its quotes, with U+FFFD where it is unreadable.
pub(super) fn content(inner: &str) -> Cow<'_, str> {
    if is_plain(inner) {
        return Cow::Borrowed(inner);
    }
    let mut content = String::with_capacity(inner.len());
    for piece in Pieces(inner) {
        match piece {
            Piece::Plain(plain) => content.push_str(plain),
            Piece::Char('\0') | Piece::Half(_) => content.push(char::REPLACEMENT_CHARACTER),
            Piece::Char(c) => content.push(c),
        }
    }
    Cow::Owned(content)
}

/// Returns true if every strict reader takes the string with `inner` between its quotes.
pub(super) fn is_readable(inner: &str) -> bool {
    is_plain(inner) || !Pieces(inner).any(|piece| matches!(piece, Piece::Char('\0') | Piece::Half(_)))
}

/// Appends the string in the one form that all its spellings share, quotes included.
pub(super) fn write_canonical(inner: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for piece in Pieces(inner) {
        match piece {
            Piece::Plain(plain) => out.extend_from_slice(plain.as_bytes()),
            Piece::Char(c @ ('"' | '\\')) => out.extend_from_slice(&[b'\\', c as u8]),
            Piece::Char(c @ '\0'..' ') => out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes()),
            Piece::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Piece::Half(unit) => out.extend_from_slice(format!("\\u{unit:04x}").as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    #[test]
    fn a_cut_emoji_and_nul_become_the_replacement_character() {
        for (inner, expected, readable) in [
            ("", "", true),
            ("plain é", "plain é", true),
            (r"5 \ud83d", "5 \u{fffd}", false),
            (r"\ude00\ud83d\ude00", "\u{fffd}😀", false),
            (r"\ud83dx\ud83d\ud83d\ude00", "\u{fffd}x\u{fffd}😀", false),
            (r"\ud83d\u0041", "\u{fffd}A", false),
            (r"a\u0000b", "a\u{fffd}b", false),
            (r#"\\ud83d\"\/\b\f\n\r\t\u00EB"#, "\\ud83d\"/\u{8}\u{c}\n\r\të", true),
            ("\\ufffd", "\u{fffd}", true),
        ] {
            assert_eq!((&*content(inner), is_readable(inner)), (expected, readable), "{inner}");
        }
    }

    proptest! {
        #[test]
        fn what_serde_json_reads_is_read_alike(pieces in vec(select(vec![
            "a", "é", "\\n", "\\\"", "\\\\", "\\/", "\\u0000", "\\u001f", "\\u00e9", "\\ud83d", "\\ude00",
            "\\uD83D\\uDE00", "u0041",
        ]), 0..8)) {
            let inner = pieces.concat();
            let read = serde_json::from_str::<String>(&format!("\"{inner}\"")).ok();
            let is_strict = read.as_ref().is_some_and(|text| !text.contains('\0'));
            prop_assert_eq!(is_readable(&inner), is_strict);
            if let Some(text) = read {
                prop_assert_eq!(content(&inner), text.replace('\0', "\u{fffd}"));
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                write_canonical(&inner, &mut ours);
                let written = serde_json::to_string(&text).expect("text");
                write_canonical(&written[1..written.len() - 1], &mut theirs);
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}
