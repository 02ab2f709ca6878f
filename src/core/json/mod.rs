//! Reading a provider's JSON so that no leaf gets lost, and writing events.
//!
//! An [`Object`] gives its fields away one by one; what nobody took is what the event carries under
//! `unmapped`, byte for byte as it was written, big integers and decimals included. A field whose value
//! does not fit what was asked for is not taken: it stays, is carried, and shows up as [drift](Drift).

mod document;
pub mod time;
mod write;

use std::{borrow::Cow, rc::Rc};

use jiff::Timestamp;

pub(in crate::core) use self::write::{json_object, json_words, write_field, write_object};
pub use self::{
    document::{Document, ROOT},
    write::{Fields, Json},
};
use super::providers::NormalizeError;

/// The deepest nesting that is accepted. serde_json's own limit for readers is 128, and the envelope adds two
/// levels: what we pass on must be readable for the next one.
pub const DEPTH_MAX: usize = 100;

/// A JSON value as it was written, without the space around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The JSON text.
    pub fn get(self) -> &'a str {
        self.0
    }

    /// What kind of JSON value this is.
    pub fn class(self) -> &'static str {
        match self.0.as_bytes().first() {
            Some(b'{') => "object",
            Some(b'[') => "array",
            Some(b'"') => "string",
            Some(b't' | b'f') => "boolean",
            Some(b'n') => "null",
            _ => "number",
        }
    }

    /// A string's content; none if it holds half a surrogate pair.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if inner.contains('\\') {
            serde_json::from_str(self.0).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(inner))
        }
    }

    /// A string's content, or a number as it was written.
    pub fn text_or_number(self) -> Option<Cow<'a, str>> {
        match self.0.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => Some(Cow::Borrowed(self.0)),
            _ => self.text(),
        }
    }

    /// A time as [`Object::time`] reads it.
    pub fn time(self) -> Option<Timestamp> {
        time::parse(&self.text_or_number()?)
    }

    /// A number as a float, if the float holds all that was written: 15 digits always fit; more only if the float
    /// is written just so.
    pub fn float(self) -> Option<f64> {
        let number = self.text_or_number().filter(|number| is_number(number))?;
        let float: f64 = number.parse().ok().filter(|float: &f64| float.is_finite())?;
        let digits = number.bytes().filter(u8::is_ascii_digit).count();
        (digits <= 15 || float.to_string() == number).then_some(float)
    }
}

/// A JSON value, or what is left of it.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// As it was written.
    Raw(Raw<'a>),
    /// What is left of an object.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
    /// What is left of an array's objects, in their places.
    Array(Vec<Value<'a>>),
}

impl Value<'_> {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Raw(_) => false,
            Self::Object(entries) => entries.is_empty(),
            Self::Array(items) => items.iter().all(Self::is_empty),
        }
    }
}

/// A JSON object whose fields are taken one by one.
#[derive(Debug)]
pub struct Object<'a> {
    document: Rc<Document<'a>>,
    /// Where it stands; none if it does not, and so has no fields.
    place: Option<usize>,
    /// What was put back.
    kept: Vec<(Cow<'a, str>, Value<'a>)>,
    touched: bool,
}

impl<'a> Object<'a> {
    /// Reads a webhook's body, which must be one JSON object in UTF-8.
    ///
    /// # Errors
    /// [`NormalizeError::MalformedJson`] names the line and column, never the content.
    pub fn root(body: &'a [u8]) -> Result<Self, NormalizeError> {
        Self::open(&Rc::new(Document::parse(body)?), ROOT)
    }

    /// Opens the value at `place` as an object.
    fn open(document: &Rc<Document<'a>>, place: usize) -> Result<Self, NormalizeError> {
        let raw = document.raw(place);
        if !raw.get().starts_with('{') {
            let problem = format!("is {}, expected an object", raw.class());
            return Err(NormalizeError::invalid(&document.path(place), &problem));
        }
        if let Some(twice) = document.duplicate_field(place)? {
            let problem = "stands twice in its object: which one counts is not known";
            return Err(NormalizeError::invalid(&document.path(twice), problem));
        }
        Ok(Self { document: Rc::clone(document), place: Some(place), kept: Vec::new(), touched: false })
    }

    /// The path of `key` in the document, as in `data.contact.id`.
    fn path_of(&self, key: &str) -> String {
        let mut path = self.place.map(|place| self.document.path(place)).unwrap_or_default();
        extend_path(&mut path, key);
        path
    }

    /// The object as it was written; `{}` if it is not there.
    pub fn raw(&self) -> Raw<'a> {
        self.place.map_or(Raw("{}"), |place| self.document.raw(place))
    }

    /// Whether `key` is there and not yet taken (`null` counts as there).
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn find(&self, key: &str) -> Option<usize> {
        self.document.field(self.place?, key)
    }

    /// Where the value of `key` stands, and the value; `null` is none.
    fn find_value(&self, key: &str) -> Option<(usize, Raw<'a>)> {
        let place = self.find(key)?;
        Some((place, self.document.raw(place))).filter(|(_, raw)| raw.get() != "null")
    }

    /// The raw value of `key`, not taken; `null` is none.
    pub fn peek(&self, key: &str) -> Option<Raw<'a>> {
        self.find_value(key).map(|(_, raw)| raw)
    }

    /// Takes `key` if `read` can make something of it; else it stays.
    fn take<T>(&mut self, key: &str, read: impl FnOnce(Raw<'a>) -> Option<T>) -> Option<T> {
        let (place, raw) = self.find_value(key)?;
        let value = read(raw)?;
        self.mark_taken(place);
        Some(value)
    }

    fn mark_taken(&mut self, place: usize) {
        self.document.take(place);
        self.touched = true;
    }

    /// Why a required `key` could not be taken.
    fn missing(&self, key: &str, expected: &str) -> NormalizeError {
        let problem = match self.peek(key) {
            Some(raw) => format!("is {}, expected {expected}", raw.class()),
            None if self.has(key) => format!("is null, expected {expected}"),
            None => format!("is missing, expected {expected}"),
        };
        NormalizeError::invalid(&self.path_of(key), &problem)
    }

    /// A string.
    pub fn text(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.take(key, Raw::text)
    }

    /// A string that must be there.
    ///
    /// # Errors
    /// [`NormalizeError::InvalidPayload`] with the path.
    pub fn require_text(&mut self, key: &str) -> Result<Cow<'a, str>, NormalizeError> {
        self.text(key).ok_or_else(|| self.missing(key, "a string"))
    }

    /// An opaque id: a string that is not empty, or a number as it was written.
    pub fn id(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.take(key, |raw| raw.text_or_number().filter(|id| !id.is_empty()))
    }

    /// An id that must be there.
    ///
    /// # Errors
    /// [`NormalizeError::InvalidPayload`] with the path.
    pub fn require_id(&mut self, key: &str) -> Result<Cow<'a, str>, NormalizeError> {
        self.id(key).ok_or_else(|| self.missing(key, "an id (a string that is not empty, or a number)"))
    }

    /// A boolean, also as the string `true` or `false`.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        self.take(key, |raw| match raw.get() {
            "true" | "\"true\"" => Some(true),
            "false" | "\"false\"" => Some(false),
            _ => None,
        })
    }

    /// An integer, also as a string.
    pub fn integer(&mut self, key: &str) -> Option<i64> {
        self.take(key, |raw| raw.text_or_number()?.parse().ok())
    }

    /// A number exactly as it was written, also out of a string: `0.822`, `2500`, `-1e3`.
    pub fn decimal(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.take(key, |raw| raw.text_or_number().filter(|number| is_number(number)))
    }

    /// A number as a float, also out of a string. One that a float cannot hold exactly stays.
    pub fn float(&mut self, key: &str) -> Option<f64> {
        self.take(key, Raw::float)
    }

    /// A time: ISO 8601 (UTC where it names no offset), or Unix seconds or milliseconds as a number or a string.
    pub fn time(&mut self, key: &str) -> Option<Timestamp> {
        self.take(key, Raw::time)
    }

    /// A time that must be there.
    ///
    /// # Errors
    /// [`NormalizeError::InvalidPayload`] with the path.
    pub fn require_time(&mut self, key: &str) -> Result<Timestamp, NormalizeError> {
        self.time(key).ok_or_else(|| self.missing(key, "a time (ISO 8601, or Unix seconds)"))
    }

    /// An id, a string or a number, as it was written.
    pub fn scalar(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.take(key, Raw::text_or_number)
    }

    /// A value out of a closed list. An unknown one stays where it is.
    pub fn one_of<T: Copy>(&mut self, key: &str, list: &[(&str, T)]) -> Option<T> {
        self.take(key, |raw| {
            let value = raw.text()?;
            list.iter().find(|(name, _)| *name == value).map(|(_, known)| *known)
        })
    }

    /// A list of strings; an empty one too.
    pub fn texts(&mut self, key: &str) -> Option<Vec<Cow<'a, str>>> {
        let (place, _) = self.find_value(key)?;
        let texts =
            self.elements(place)?.map(|item| self.document.raw(item).text()).collect::<Option<_>>()?;
        self.mark_taken(place);
        Some(texts)
    }

    /// The elements of the value at `place`, if it is an array.
    fn elements(&self, place: usize) -> Option<impl Iterator<Item = usize>> {
        self.document.raw(place).get().starts_with('[').then(|| self.document.children(place))
    }

    /// An object out of this one. Give it back with [`Object::keep`], so that what is left of it is not lost.
    pub fn object(&mut self, key: &str) -> Option<Object<'a>> {
        let (place, _) = self.find_value(key).filter(|(_, raw)| raw.get().starts_with('{'))?;
        let object = Object::open(&self.document, place).ok()?;
        self.mark_taken(place);
        Some(object)
    }

    /// An object without fields in place of one that is not there; [`Object::keep`] then keeps nothing.
    pub fn absent(&self) -> Object<'a> {
        Object { document: Rc::clone(&self.document), place: None, kept: Vec::new(), touched: true }
    }

    /// An object that must be there.
    ///
    /// # Errors
    /// [`NormalizeError::InvalidPayload`] with the path.
    pub fn require_object(&mut self, key: &str) -> Result<Object<'a>, NormalizeError> {
        let (place, _) = self.find_value(key).ok_or_else(|| self.missing(key, "an object"))?;
        let object = Object::open(&self.document, place)?;
        self.mark_taken(place);
        Ok(object)
    }

    /// A list of objects. Give them back with [`Object::keep_all`].
    pub fn objects(&mut self, key: &str) -> Option<Vec<Object<'a>>> {
        let (place, _) = self.find_value(key)?;
        let open = |item| Object::open(&self.document, item).ok();
        let objects = self.elements(place)?.map(open).collect::<Option<_>>()?;
        self.mark_taken(place);
        Some(objects)
    }

    /// A list of one object or more, as [`Object::objects`]; an empty list stays, for it is a leaf.
    pub fn filled_objects(&mut self, key: &str) -> Option<Vec<Object<'a>>> {
        let (place, _) = self.find_value(key)?;
        self.elements(place)?.next()?;
        self.objects(key)
    }

    /// Any value, as it was written.
    pub fn any(&mut self, key: &str) -> Option<Raw<'a>> {
        self.take(key, Some)
    }

    /// Puts back what is left of `child`, which was taken as `key`.
    pub fn keep(&mut self, key: &'a str, child: Object<'a>) {
        let rest = child.into_unmapped();
        if !matches!(&rest, Value::Object(entries) if entries.is_empty()) {
            self.kept.push((Cow::Borrowed(key), rest));
        }
    }

    /// Puts back what is left of `children`, which were taken as `key`; `{}` where nothing is.
    pub fn keep_all(&mut self, key: &'a str, children: Vec<Object<'a>>) {
        let value = Value::Array(children.into_iter().map(Object::into_unmapped).collect());
        if !value.is_empty() {
            self.kept.push((Cow::Borrowed(key), value));
        }
    }

    /// What nobody took: first what was never taken, then what was put back.
    pub fn into_unmapped(self) -> Value<'a> {
        let Some(place) = self.place.filter(|_| self.touched) else {
            return if self.touched { Value::Object(self.kept) } else { Value::Raw(self.raw()) };
        };
        let mut entries = Vec::with_capacity(self.document.left(place).count() + self.kept.len());
        for field in self.document.left(place) {
            // Opening the object has read its names, so there is one.
            let key = self.document.key(field).unwrap_or_default();
            entries.push((key, Value::Raw(self.document.raw(field))));
        }
        entries.extend(self.kept);
        Value::Object(entries)
    }
}

/// A leaf that we did not expect: a new field, or a value that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Drift {
    /// Where, with `[]` for every index.
    pub path: String,
    /// `string`, `number`, `boolean`, `object` or `array`.
    pub class: &'static str,
}

/// Drifts told of one webhook: a sender chooses how many there are.
const DRIFTS_MAX: usize = 100;

/// Characters of a drift's path: a sender chooses how long names are.
const DRIFT_PATH_CHARS_MAX: usize = 200;

/// Adds to `found` what in `unmapped` is unexpected, up to a bound: everything but `null`, `[]`, `{}` and what lies at or
/// under a path that `is_expected`.
pub fn find_drift(unmapped: &Value<'_>, is_expected: impl Fn(&str) -> bool, found: &mut Vec<Drift>) {
    if unmapped.is_empty() {
        return;
    }
    find_drift_at(&mut String::with_capacity(64), unmapped, &is_expected, found);
}

fn find_drift_at(
    path: &mut String,
    value: &Value<'_>,
    is_expected: &impl Fn(&str) -> bool,
    found: &mut Vec<Drift>,
) {
    if is_expected(path) || found.len() >= DRIFTS_MAX {
        return;
    }
    let len = path.len();
    match value {
        Value::Raw(raw) => {
            let is_known = |drift: &Drift| drift.path == *path && drift.class == raw.class();
            if !matches!(raw.get(), "null" | "[]" | "{}") && !found.iter().any(is_known) {
                let path = path.chars().take(DRIFT_PATH_CHARS_MAX).collect();
                found.push(Drift { path, class: raw.class() });
            }
        }
        Value::Object(entries) => {
            for (key, value) in entries {
                extend_path(path, key);
                find_drift_at(path, value, is_expected, found);
                path.truncate(len);
            }
        }
        Value::Array(items) => {
            path.push_str("[]");
            for item in items {
                find_drift_at(path, item, is_expected, found);
            }
            path.truncate(len);
        }
    }
}

/// Whether `text` is a number by JSON's grammar.
fn is_number(text: &str) -> bool {
    document::number_len(text.as_bytes()) == Some(text.len())
}

/// Makes the path of an object that of `key` in it; the document's own path is empty.
pub fn extend_path(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}
