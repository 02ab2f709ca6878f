//! One pass over a JSON text, after which every value's place is known.

use std::{
    borrow::Cow,
    cell::Cell,
    collections::{BTreeMap, HashSet},
    iter,
    ops::Range,
};

use serde::de::IgnoredAny;

use super::{DEPTH_MAX, Raw};
use crate::core::providers::NormalizeError;

/// Where the document's own value stands among its [values](Document).
pub const ROOT: usize = 0;

/// Up to how many names are compared each with each, which is quicker than a set.
const FEW_FIELDS: usize = 32;

/// A JSON text that has been read: its values, each before those inside it.
#[derive(Debug)]
pub struct Document<'a> {
    text: &'a str,
    places: Vec<Place>,
}

/// Where a value stands.
#[derive(Debug)]
struct Place {
    key: Key,
    value: Span,
    /// The place behind this value and all that is in it.
    next: u32,
    taken: Cell<bool>,
}

/// A field's name; nothing where the value is no field.
#[derive(Clone, Copy, Debug, Default)]
struct Key {
    /// Where it stands, without the quotes.
    span: Span,
    /// See [`tag`].
    tag: u32,
    has_escapes: bool,
}

/// Length, first and middle byte, and what the last two come to: names that are not the same seldom agree in all of
/// it, which saves most of the comparing.
fn tag(key: &[u8]) -> u32 {
    let byte = |at: usize| key.get(at).copied().unwrap_or_default();
    let [last, last_but_one] = [1, 2].map(|back| byte(key.len().wrapping_sub(back)));
    u32::from_le_bytes([key.len() as u8, byte(0), byte(key.len() / 2), last ^ last_but_one.rotate_left(3)])
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    #[expect(clippy::cast_possible_truncation, reason = "`Document::parse` takes no text that is longer")]
    fn new(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl<'a> Document<'a> {
    /// Reads one JSON value in UTF-8, not nested deeper than [`DEPTH_MAX`].
    ///
    /// # Errors
    /// [`NormalizeError::MalformedJson`] names the line and column, never the content.
    pub fn parse(body: &'a [u8]) -> Result<Self, NormalizeError> {
        let text = std::str::from_utf8(body)
            .map_err(|e| malformed(format!("is invalid UTF-8 at byte {}", e.valid_up_to())))?;
        if u32::try_from(text.len()).is_err() {
            return Err(malformed("is longer than 4 GiB".to_owned()));
        }
        // A value takes 16 bytes or more in what people send.
        let mut reader = Reader { bytes: body, at: 0, places: Vec::with_capacity(body.len() / 16 + 4) };
        match reader.document() {
            Some(()) => Ok(Self { text, places: reader.places }),
            None => Err(explain(text)),
        }
    }

    /// The value at `place`, as it was written.
    pub fn raw(&self, place: usize) -> Raw<'a> {
        Raw(&self.text[self.places[place].value.range()])
    }

    /// The places of the values directly inside the object or array at `place`.
    pub fn children(&self, place: usize) -> impl Iterator<Item = usize> {
        let end = self.places[place].next as usize;
        let within = move |place: usize| (place < end).then_some(place);
        iter::successors(within(place + 1), move |place| within(self.places[*place].next as usize))
    }

    /// The name of the field at `place`; none if it holds half a surrogate pair.
    pub fn key(&self, place: usize) -> Option<Cow<'a, str>> {
        let key = self.places[place].key;
        let span = key.span.range();
        if key.has_escapes {
            serde_json::from_str(&self.text[span.start - 1..=span.end]).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(&self.text[span]))
        }
    }

    /// The second field of the object at `place` that has the name of an earlier one.
    ///
    /// # Errors
    /// [`NormalizeError::MalformedJson`] if a name cannot be read.
    pub(super) fn duplicate_field(&self, place: usize) -> Result<Option<usize>, NormalizeError> {
        let mut tags = [0; FEW_FIELDS];
        for (index, field) in self.children(place).enumerate() {
            let key = self.places[field].key;
            // Names that cannot be told apart by that are compared whole.
            if index == FEW_FIELDS || key.has_escapes || tags[..index].contains(&key.tag) {
                return self.field_that_stands_twice_by_name(place);
            }
            tags[index] = key.tag;
        }
        Ok(None)
    }

    fn field_that_stands_twice_by_name(&self, place: usize) -> Result<Option<usize>, NormalizeError> {
        let mut seen = HashSet::new();
        for field in self.children(place) {
            let unreadable = || explain_as::<BTreeMap<String, IgnoredAny>>(self.raw(place).0);
            if !seen.insert(self.key(field).ok_or_else(unreadable)?) {
                return Ok(Some(field));
            }
        }
        Ok(None)
    }

    /// The field called `key` of the object at `place`, if it is not taken.
    pub(super) fn field(&self, place: usize, key: &str) -> Option<usize> {
        let tag = tag(key.as_bytes());
        self.left(place).find(|field| {
            let Key { span, tag: this_tag, has_escapes } = self.places[*field].key;
            if has_escapes {
                self.key(*field).is_some_and(|name| name == key)
            } else {
                this_tag == tag && &self.text[span.range()] == key
            }
        })
    }

    /// The values directly inside the one at `place` that are not taken.
    pub(super) fn left(&self, place: usize) -> impl Iterator<Item = usize> {
        self.children(place).filter(|child| !self.places[*child].taken.get())
    }

    /// Marks the value at `place` as taken.
    pub(super) fn take(&self, place: usize) {
        self.places[place].taken.set(true);
    }

    /// The path of the value at `place`, as in `data.contacts[0].id`; of the document itself it is empty.
    pub(super) fn path(&self, place: usize) -> String {
        let mut path = String::new();
        let mut around = ROOT;
        while around != place {
            let holds = |(_, child): &(usize, usize)| place < self.places[*child].next as usize;
            let Some((index, child)) = self.children(around).enumerate().find(holds) else { break };
            if self.raw(around).0.starts_with('[') {
                path.push_str(&format!("[{index}]"));
            } else {
                super::extend_path(&mut path, &self.key(child).unwrap_or_default());
            }
            around = child;
        }
        path
    }
}

/// Reads a text that is known to be UTF-8; none as soon as it is no JSON.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    places: Vec<Place>,
}

impl Reader<'_> {
    fn document(&mut self) -> Option<()> {
        self.value(Key::default(), 0)?;
        self.skip_whitespace();
        (self.at == self.bytes.len()).then_some(())
    }

    fn value(&mut self, key: Key, depth: usize) -> Option<()> {
        self.skip_whitespace();
        let (start, place) = (self.at, self.places.len());
        self.places.push(Place { key, value: Span::default(), next: 0, taken: Cell::new(false) });
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
        let next = Span::new(0..self.places.len()).end;
        let this = &mut self.places[place];
        (this.value, this.next) = (Span::new(start..self.at), next);
        Some(())
    }

    /// What stands between brackets, of which the first is next and `end` is the last.
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

    /// A string; whether it holds escapes.
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

/// How many bytes from the start on stand in a JSON string as they are: no quote, backslash or control character.
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    // Eight at a time: of each byte that is none of them, the mask's highest bit stays 0. The lowest 1 is right, and
    // whatever a borrow makes of those above it does not count.
    let repeat = |byte: u8| u64::from_le_bytes([byte; 8]);
    let (words, _) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let below = |word: u64, limit: u8| word.wrapping_sub(repeat(limit)) & !word;
        let special = below(word, b' ') | below(word ^ repeat(b'"'), 1) | below(word ^ repeat(b'\\'), 1);
        match (special & repeat(0x80)).trailing_zeros() {
            64 => len += 8,
            bits => return len + bits as usize / 8,
        }
    }
    let is_plain = |byte: &u8| !matches!(byte, 0..b' ' | b'"' | b'\\');
    len + bytes[len..].iter().take_while(|byte| is_plain(byte)).count()
}

/// How long the number is that `bytes` begin with, by JSON's grammar.
pub(super) fn number_len(bytes: &[u8]) -> Option<usize> {
    let digits = |at: usize| bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let some_digits = |at: usize| Some(digits(at)).filter(|count| *count > 0).map(|count| at + count);
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let mut at = if bytes.get(sign) == Some(&b'0') { sign + 1 } else { some_digits(sign)? };
    if bytes.get(at) == Some(&b'.') {
        at = some_digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = some_digits(at + 1 + sign)?;
    }
    Some(at)
}

fn malformed(problem: String) -> NormalizeError {
    NormalizeError::MalformedJson { problem }
}

/// What is wrong with a text that is no JSON, or nested too deep. Only then it is worth while to count lines.
fn explain(text: &str) -> NormalizeError {
    if is_too_deep(text) {
        return malformed(format!("is nested deeper than {DEPTH_MAX} levels"));
    }
    explain_as::<IgnoredAny>(text)
}

/// What keeps `text` from being read as `T`, and where, without the content that serde_json would quote.
fn explain_as<'de, T: serde::Deserialize<'de>>(text: &'de str) -> NormalizeError {
    let Some(error) = serde_json::from_str::<T>(text).err() else {
        return malformed("is not valid JSON".to_owned());
    };
    let what = match error.classify() {
        serde_json::error::Category::Eof => "ends too early",
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Data => "is not valid JSON",
    };
    malformed(format!("{what} at line {} column {}", error.line(), error.column()))
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

    /// Pieces that JSON is made of, right and wrong, so that chance makes texts of both kinds.
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
        fn what_is_json_is_what_serde_json_takes_for_it(text in text()) {
            let ours = Document::parse(text.as_bytes()).is_ok();
            prop_assert_eq!(ours, serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
        }

        #[test]
        fn a_string_is_plain_up_to_the_first_byte_that_is_not(bytes in vec(any::<u8>(), 0..40), at in 0usize..40) {
            let mut plain: Vec<u8> = bytes.iter().map(|b| if matches!(b, 0..b' ' | b'"' | b'\\') { b'x' } else { *b }).collect();
            prop_assert_eq!(plain_len(&plain), plain.len());
            if let Some(byte) = plain.get_mut(at) {
                *byte = *select_special(at);
                prop_assert_eq!(plain_len(&plain), at);
            }
        }
    }

    fn select_special(at: usize) -> &'static u8 {
        [b'"', b'\\', 0, 0x1f, b'\n'].iter().cycle().nth(at).expect("it goes round")
    }

    #[test]
    fn a_place_has_a_path() {
        let document = Document::parse(br#"{"a":[1,{"b":{}}],"c":null}"#).expect("JSON");
        let paths: Vec<_> = (0..6).map(|place| document.path(place)).collect();
        assert_eq!(paths, ["", "a", "a[0]", "a[1]", "a[1].b", "c"]);
    }
}
