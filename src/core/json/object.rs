//! A JSON object that gives its fields away one by one, so that none is lost.

use std::{borrow::Cow, rc::Rc};

use jiff::Timestamp;

use super::{
    document::{Document, ROOT},
    error::JsonError,
    path,
    raw::{Raw, Value},
    reader::{Keys, State},
};

/// The problem with a key that an object has twice.
pub const DUPLICATE_KEY: &str = "duplicate key: it is ambiguous which value applies";

/// A word that a provider sends, beside the word of a closed list that it stands for.
#[derive(Clone, Debug)]
pub struct Word<'a, T> {
    /// The word of the list; none if the provider sends none or an unknown one.
    pub known: Option<T>,
    /// The word as the provider wrote it.
    pub raw: Option<Cow<'a, str>>,
}

impl<T> Default for Word<'_, T> {
    fn default() -> Self {
        Self { known: None, raw: None }
    }
}

impl<'a, T> Word<'a, T> {
    /// Looks up what the provider sent in a closed list.
    pub fn of(raw: Option<Cow<'a, str>>, list: &[(&str, T)]) -> Self
    where
        T: Copy,
    {
        let known = list.iter().find(|(word, _)| raw.as_deref() == Some(*word)).map(|(_, known)| *known);
        Self { known, raw }
    }

    /// Returns the word of the list, or else the provider's.
    pub fn known_or_raw(self) -> (Option<T>, Option<Cow<'a, str>>) {
        let raw = if self.known.is_none() { self.raw } else { None };
        (self.known, raw)
    }
}

/// A JSON object whose fields are taken one by one; what is never taken is [unmapped](Object::into_unmapped).
#[derive(Debug)]
pub struct Object<'a> {
    document: Rc<Document<'a>>,
    /// The object's node; none for an absent object, which has no fields.
    node: Option<usize>,
    /// The keys of its fields.
    keys: Keys,
    /// The rests of children that were taken and put back.
    kept: Vec<(Cow<'a, str>, Value<'a>)>,
    /// True for an element of a list that has no fields: it is no object, or has a duplicate key.
    closed: bool,
}

impl<'a> Object<'a> {
    /// Reads a body that must be one JSON object in UTF-8.
    ///
    /// # Errors
    /// [`JsonError::Malformed`] names the line and column, never the content; [`JsonError::Invalid`] if the
    /// body is another value or has a duplicate key.
    pub fn root(body: &'a [u8]) -> Result<Self, JsonError> {
        Self::open(&Rc::new(Document::parse(body)?), ROOT)
    }

    /// Opens the value at `node` as an object.
    fn open(document: &Rc<Document<'a>>, node: usize) -> Result<Self, JsonError> {
        let raw = document.raw(node);
        if !raw.get().starts_with('{') {
            return Err(JsonError::invalid(&document.path(node), mismatch("an object", raw)));
        }
        let is_duplicate = |field| JsonError::invalid(&document.path(field), DUPLICATE_KEY);
        let keys = document.keys(node).map_err(is_duplicate)?;
        Ok(Self { keys, ..Self::at(document, Some(node)) })
    }

    /// Returns the value at `node` without its fields.
    fn at(document: &Rc<Document<'a>>, node: Option<usize>) -> Self {
        let (document, keys, kept) = (Rc::clone(document), Keys::default(), Vec::new());
        Self { document, node, keys, kept, closed: false }
    }

    /// Returns the path of `key` in the document, as in `data.contact.id`.
    fn path_of(&self, key: &str) -> String {
        let mut path = self.node.map(|node| self.document.path(node)).unwrap_or_default();
        path::push_key(&mut path, key);
        path
    }

    /// Returns the object as it was written; `{}` if it is absent.
    pub fn raw(&self) -> Raw<'a> {
        self.node.map_or(Raw::EMPTY_OBJECT, |node| self.document.raw(node))
    }

    /// Returns the object in canonical form, whether or not its fields are taken: see
    /// [`Document::write_canonical`].
    pub fn canonical(&self) -> Vec<u8> {
        self.canonical_at(self.node)
    }

    /// Returns the value of `key` in canonical form, whether or not it is taken. An absent field is `null`.
    pub fn canonical_field(&self, key: &str) -> Vec<u8> {
        self.canonical_at(self.node.and_then(|node| self.document.field_of(node, key)))
    }

    fn canonical_at(&self, node: Option<usize>) -> Vec<u8> {
        let Some(node) = node else { return b"null".to_vec() };
        let mut canonical = Vec::new();
        self.document.write_canonical(node, &mut canonical);
        canonical
    }

    /// Returns true if `key` is present and not yet taken; `null` counts as present.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn find(&self, key: &str) -> Option<usize> {
        self.document.field(self.node?, self.keys, key)
    }

    /// Returns the node and the value of `key`; `null` is none. Every reading of a field passes here.
    #[inline]
    fn find_value(&self, key: &str) -> Option<(usize, Raw<'a>)> {
        let node = self.find(key)?;
        Some((node, self.document.raw(node))).filter(|(_, raw)| raw.get() != "null")
    }

    /// Returns the raw value of `key` without taking it; `null` is none.
    pub fn peek(&self, key: &str) -> Option<Raw<'a>> {
        self.find_value(key).map(|(_, raw)| raw)
    }

    /// Reads `key` and leaves it. If `read` accepts its value, it is [known](Value::Known), unless it is
    /// unreadable.
    pub fn leave<T>(&mut self, key: &str, read: impl FnOnce(Raw<'a>) -> Option<T>) -> Option<T> {
        let (node, raw) = self.find_value(key)?;
        let value = read(raw)?;
        if !raw.is_unreadable_text() {
            self.document.mark(node, State::Known);
        }
        Some(value)
    }

    /// Takes `key` if `read` accepts its value; otherwise the field stays. It also stays if `read` may not
    /// have seen the exact text.
    fn take<T>(&mut self, key: &str, read: impl FnOnce(Raw<'a>) -> Option<T>) -> Option<T> {
        let (node, raw) = self.find_value(key)?;
        let value = read(raw)?;
        if !raw.is_unreadable_text() {
            self.mark_taken(node);
        }
        Some(value)
    }

    fn mark_taken(&mut self, node: usize) {
        self.document.mark(node, State::Taken);
    }

    /// Explains why a required `key` could not be taken.
    fn missing(&self, key: &str, expected: &str) -> JsonError {
        let problem = match self.find(key) {
            Some(node) => mismatch(expected, self.document.raw(node)),
            None => format!("missing, expected {expected}"),
        };
        JsonError::invalid(&self.path_of(key), problem)
    }

    /// Takes a string that is not empty: an empty one says nothing, and stays. What is unreadable in it
    /// becomes U+FFFD; the field also stays, with its exact text.
    pub fn text(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.take(key, Raw::filled_text)
    }

    /// Takes a string as [`Object::text`] does, or a number as it was written.
    pub fn scalar(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.take(key, Raw::filled_text_or_number)
    }

    /// Takes a required string. An empty one is returned too, and stays.
    ///
    /// # Errors
    /// [`JsonError::Invalid`] with the path.
    pub fn require_text(&mut self, key: &str) -> Result<Cow<'a, str>, JsonError> {
        if self.peek(key).is_some_and(Raw::is_empty_text) {
            return Ok(Cow::Borrowed(""));
        }
        self.text(key).ok_or_else(|| self.missing(key, "a string"))
    }

    /// Takes an opaque id: a non-empty string, or a number as it was written.
    pub fn id(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.take(key, Raw::id)
    }

    /// Takes a required id.
    ///
    /// # Errors
    /// [`JsonError::Invalid`] with the path.
    pub fn require_id(&mut self, key: &str) -> Result<Cow<'a, str>, JsonError> {
        self.id(key).ok_or_else(|| self.missing(key, "an id (a non-empty string or a number)"))
    }

    /// Takes a boolean, also as the string `true` or `false`.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        self.take(key, |raw| match &*raw.text().unwrap_or(Cow::Borrowed(raw.get())) {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    /// Takes a whole number in any notation, also from a string.
    pub fn integer(&mut self, key: &str) -> Option<i64> {
        self.take(key, Raw::integer)
    }

    /// Takes a number exactly as it was written, also from a string: `0.822`, `2500`, `-1e3`.
    pub fn decimal(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.take(key, Raw::decimal)
    }

    /// Takes a length in units of `unit` seconds: see [`Raw::length`].
    pub fn length(&mut self, key: &str, unit: f64) -> Option<f64> {
        self.take(key, |raw| raw.length(unit))
    }

    /// Takes a time: ISO 8601 (UTC unless it names an offset), or Unix seconds or milliseconds as a number or
    /// a string.
    pub fn time(&mut self, key: &str) -> Option<Timestamp> {
        self.take(key, Raw::time)
    }

    /// Takes a required time.
    ///
    /// # Errors
    /// [`JsonError::Invalid`] with the path.
    pub fn require_time(&mut self, key: &str) -> Result<Timestamp, JsonError> {
        self.time(key).ok_or_else(|| self.missing(key, "a time (ISO 8601 or a Unix timestamp)"))
    }

    /// Takes a value from a closed list. An unknown value stays.
    pub fn one_of<T: Copy>(&mut self, key: &str, list: &[(&str, T)]) -> Option<T> {
        self.take(key, |raw| {
            let value = raw.text()?;
            list.iter().find(|(name, _)| *name == value).map(|(_, known)| *known)
        })
    }

    /// Reads a word of a closed list and takes it. An unknown word stays, and is `raw` all the same.
    pub fn word<T: Copy>(&mut self, key: &str, list: &[(&str, T)]) -> Word<'a, T> {
        let found = self.find_value(key).and_then(|(node, raw)| Some((node, raw.filled_text()?)));
        let Some((node, raw)) = found else { return Word::default() };
        let word = Word::of(Some(raw), list);
        if word.known.is_some() {
            self.mark_taken(node);
        }
        word
    }

    /// Takes a word of a list that is not complete: an unknown word is taken too.
    pub fn open_word<T: Copy>(&mut self, key: &str, list: &[(&str, T)]) -> Word<'a, T> {
        Word::of(self.id(key), list)
    }

    /// Takes the filled strings and the numbers of a list, which may be empty. The other elements stay, each
    /// at its own index; if there is nothing else, the whole list stays.
    pub fn scalars(&mut self, key: &'a str) -> Option<Vec<Cow<'a, str>>> {
        let (node, _) = self.find_value(key)?;
        let (mut texts, mut rest, mut is_whole) = (Vec::new(), Vec::new(), true);
        for item in self.elements(node)? {
            let raw = self.document.raw(item);
            let text = raw.filled_text_or_number();
            let is_exact = text.is_some() && !raw.is_unreadable_text();
            is_whole &= is_exact;
            rest.push(if is_exact { Value::default() } else { Value::Raw(raw) });
            texts.extend(text);
        }
        if texts.is_empty() && !is_whole {
            return None;
        }
        self.mark_taken(node);
        if !is_whole {
            self.kept.push((Cow::Borrowed(key), Value::Array(rest)));
        }
        Some(texts)
    }

    /// Takes the strings and numbers of a list as [`Object::scalars`] does, except that an empty list stays.
    pub fn filled_scalars(&mut self, key: &'a str) -> Option<Vec<Cow<'a, str>>> {
        let (node, _) = self.find_value(key)?;
        self.document.children(node).next()?;
        self.scalars(key)
    }

    /// Returns the elements of the value at `node` if it is an array.
    fn elements(&self, node: usize) -> Option<impl Iterator<Item = usize>> {
        self.document.raw(node).get().starts_with('[').then(|| self.document.children(node))
    }

    /// Takes an object. Put it back with [`Object::keep`], so that the rest of it is not lost.
    pub fn object(&mut self, key: &str) -> Option<Object<'a>> {
        let (node, _) = self.find_value(key).filter(|(_, raw)| raw.get().starts_with('{'))?;
        let object = Object::open(&self.document, node).ok()?;
        self.mark_taken(node);
        Some(object)
    }

    /// Returns an object without fields in place of an absent one; [`Object::keep`] then keeps nothing.
    pub fn absent(&self) -> Object<'a> {
        Self::at(&self.document, None)
    }

    /// Takes a required object.
    ///
    /// # Errors
    /// [`JsonError::Invalid`] with the path.
    pub fn require_object(&mut self, key: &str) -> Result<Object<'a>, JsonError> {
        let (node, _) = self.find_value(key).ok_or_else(|| self.missing(key, "an object"))?;
        let object = Object::open(&self.document, node)?;
        self.mark_taken(node);
        Ok(object)
    }

    /// Takes a list with at least one object in it. Put it back with [`Object::keep_all`]. An element that is
    /// no object, or has a duplicate key, has no fields and stays as it was written.
    pub fn objects(&mut self, key: &str) -> Option<Vec<Object<'a>>> {
        let (node, _) = self.find_value(key)?;
        let objects = self.open_elements(node)?;
        if objects.iter().all(|object| object.closed) {
            return None;
        }
        self.mark_taken(node);
        Some(objects)
    }

    /// Takes a list that is not empty, as [`Object::objects`] does; its elements may be
    /// [strings](Object::itself) too.
    pub fn items(&mut self, key: &str) -> Option<Vec<Object<'a>>> {
        let (node, _) = self.find_value(key)?;
        let items = self.open_elements(node).filter(|items| !items.is_empty())?;
        self.mark_taken(node);
        Some(items)
    }

    /// Takes an element of a list that is itself a string, and not empty.
    pub fn itself(&mut self) -> Option<Cow<'a, str>> {
        let (node, raw) = (self.node?, self.raw());
        let text = raw.filled_text()?;
        if !raw.is_unreadable_text() {
            self.mark_taken(node);
        }
        Some(text)
    }

    /// Opens the elements of the value at `node` if it is an array.
    fn open_elements(&self, node: usize) -> Option<Vec<Self>> {
        // Not `open`: the path in its error takes a walk through the document for each element.
        let open = |item| {
            let is_object = self.document.raw(item).get().starts_with('{');
            let keys = if is_object { self.document.keys(item).ok() } else { None };
            let (closed, keys) = (keys.is_none(), keys.unwrap_or_default());
            Self { closed, keys, ..Self::at(&self.document, Some(item)) }
        };
        Some(self.elements(node)?.map(open).collect())
    }

    /// Takes any value but an empty string, as it was written.
    pub fn any(&mut self, key: &str) -> Option<Raw<'a>> {
        self.take(key, |raw| (!raw.is_empty_text()).then_some(raw))
    }

    /// Puts back the rest of `child`, which was taken as `key`.
    pub fn keep(&mut self, key: &'a str, child: Object<'a>) {
        let rest = child.into_unmapped();
        if !matches!(&rest, Value::Object(entries) if entries.is_empty()) {
            self.kept.push((Cow::Borrowed(key), rest));
        }
    }

    /// Puts back the rests of `children`, which were taken as `key`. A child without a rest becomes `{}`.
    pub fn keep_all(&mut self, key: &'a str, children: Vec<Object<'a>>) {
        let value = Value::Array(children.into_iter().map(Object::into_unmapped).collect());
        if !value.is_empty() {
            self.kept.push((Cow::Borrowed(key), value));
        }
    }

    /// Returns what is left: first the fields that were never taken, then what was put back. An object that
    /// never had a field stays as it was written.
    pub fn into_unmapped(self) -> Value<'a> {
        let Some(node) = self.node else { return Value::Object(self.kept) };
        if self.closed {
            return self.document.rest(node);
        }
        if self.document.children(node).next().is_none() {
            return Value::Raw(self.raw());
        }
        let mut entries = Vec::with_capacity(self.document.remaining(node).count() + self.kept.len());
        for field in self.document.remaining(node) {
            entries.push((self.document.key(field), self.document.rest(field)));
        }
        entries.extend(self.kept);
        Value::Object(entries)
    }
}

/// Explains that a value has another type than expected.
fn mismatch(expected: &str, found: Raw<'_>) -> String {
    match found.class() {
        "null" => format!("expected {expected}, found null"),
        class @ ("array" | "object") => format!("expected {expected}, found an {class}"),
        class => format!("expected {expected}, found a {class}"),
    }
}
