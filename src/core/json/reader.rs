//! Reads a JSON text in one pass into a flat list of nodes, one per value.

use std::{cell::Cell, ops::Range};

use super::scan::{number_len, plain_len};

/// Maximum nesting depth. serde_json's own limit for readers is 128 and the event's envelope adds two levels,
/// so consumers of the events can read whatever is carried on.
pub const DEPTH_MAX: usize = 100;

/// One value of a document.
#[derive(Debug)]
pub(super) struct Node {
    /// The field's key; empty for a value that is not a field.
    pub(super) key: Key,
    /// The range of the value in the text.
    pub(super) value: Span,
    /// The index of the first node after this value and everything inside it.
    pub(super) next: u32,
    /// What has become of the value.
    pub(super) state: Cell<State>,
}

/// What has become of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody has asked for it, or it is not what was asked for.
    Unread,
    /// It was understood and stays.
    Known,
    /// It is gone.
    Taken,
}

/// A field's key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Key {
    /// The range of the key in the text, without the quotes.
    pub(super) span: Span,
    /// The key's [`tag`].
    pub(super) tag: u32,
    /// True if the key holds an escape sequence.
    pub(super) has_escapes: bool,
}

/// Returns a key's tag: its length, its first and middle bytes, and a mix of its last two. Different keys
/// seldom have the same tag, which saves most of the comparisons.
#[inline]
pub(super) fn tag(key: &[u8]) -> u32 {
    let byte = |at: usize| key.get(at).copied().unwrap_or_default();
    let [last, last_but_one] = [1, 2].map(|back| byte(key.len().wrapping_sub(back)));
    u32::from_le_bytes([key.len() as u8, byte(0), byte(key.len() / 2), last ^ last_but_one.rotate_left(3)])
}

/// A set of keys, which may seem to hold some that it does not. Adapters ask for many that an object does not
/// have, and most of those need no look at its fields.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keys(u64);

impl Keys {
    /// Every key.
    pub(super) const ANY: Self = Self(u64::MAX);

    /// Adds the keys with this tag.
    pub(super) fn insert(&mut self, tag: u32) {
        self.0 |= Self::bit(tag);
    }

    /// Returns false if no key with this tag is in the set.
    pub(super) fn may_hold(self, tag: u32) -> bool {
        self.0 & Self::bit(tag) != 0
    }

    /// Returns one of 64 bits, by the highest bits of Knuth's multiplicative hash.
    fn bit(tag: u32) -> u64 {
        1 << (tag.wrapping_mul(2_654_435_769) >> 26)
    }
}

/// A range of bytes in the text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    #[expect(clippy::cast_possible_truncation, reason = "`Document::parse` rejects longer texts")]
    fn new(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }

    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Reads one JSON value of less than 4 GiB into its nodes, each before those inside it; only the first
/// `nodes_max` are kept. Returns none if the text is not JSON or is nested deeper than [`DEPTH_MAX`].
pub(super) fn read(text: &str, nodes_max: usize) -> Option<Vec<Node>> {
    // Real payloads take 16 bytes or more per value.
    let nodes = Vec::with_capacity((text.len() / 16 + 4).min(nodes_max));
    let mut reader = Reader { bytes: text.as_bytes(), at: 0, nodes, nodes_max };
    reader.document()?;
    Some(reader.nodes)
}

/// A position in a UTF-8 text and the nodes read so far. Its methods return none as soon as the text is not
/// JSON.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    nodes_max: usize,
}

impl Reader<'_> {
    fn document(&mut self) -> Option<()> {
        self.value(Key::default(), 0)?;
        self.skip_whitespace();
        (self.at == self.bytes.len()).then_some(())
    }

    fn value(&mut self, key: Key, depth: usize) -> Option<()> {
        self.skip_whitespace();
        let (start, node) = (self.at, self.nodes.len());
        if node < self.nodes_max {
            self.nodes.push(Node { key, value: Span::default(), next: 0, state: Cell::new(State::Unread) });
        }
        match self.bytes.get(start)? {
            b'"' => drop(self.string()?),
            b'{' => self.list(b'}', depth, |reader, depth| {
                let start = reader.at + 1;
                let has_escapes = reader.string()?;
                let span = start..reader.at - 1;
                let key = Key { tag: tag(&reader.bytes[span.clone()]), span: Span::new(span), has_escapes };
                reader.skip_whitespace();
                reader.skip(b':')?;
                reader.value(key, depth)
            })?,
            b'[' => self.list(b']', depth, |reader, depth| reader.value(Key::default(), depth))?,
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => self.at += number_len(&self.bytes[start..])?,
        }
        let next = Span::new(0..self.nodes.len()).end;
        if let Some(this) = self.nodes.get_mut(node) {
            (this.value, this.next) = (Span::new(start..self.at), next);
        }
        Some(())
    }

    /// Reads comma-separated elements from the opening bracket, which is the next byte, through the bracket
    /// `end`.
    fn list(
        &mut self,
        end: u8,
        depth: usize,
        mut element: impl FnMut(&mut Self, usize) -> Option<()>,
    ) -> Option<()> {
        if depth == DEPTH_MAX {
            return None;
        }
        self.at += 1;
        self.skip_whitespace();
        if self.skip(end).is_some() {
            return Some(());
        }
        loop {
            self.skip_whitespace();
            element(self, depth + 1)?;
            self.skip_whitespace();
            if self.skip(b',').is_none() {
                return self.skip(end);
            }
        }
    }

    /// Reads a string; returns true if it holds an escape sequence.
    fn string(&mut self) -> Option<bool> {
        self.skip(b'"')?;
        let mut has_escapes = false;
        loop {
            self.at += plain_len(&self.bytes[self.at..]);
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(has_escapes);
                }
                b'\\' => {
                    has_escapes = true;
                    self.at += match self.bytes.get(self.at + 1)? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                        b'u' => {
                            let digits = self.bytes.get(self.at + 2..self.at + 6)?;
                            digits.iter().all(u8::is_ascii_hexdigit).then_some(6)?
                        }
                        _ => return None,
                    };
                }
                // A control character.
                _ => return None,
            }
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.bytes[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    fn skip(&mut self, byte: u8) -> Option<()> {
        (*self.bytes.get(self.at)? == byte).then(|| self.at += 1)
    }

    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }
}
