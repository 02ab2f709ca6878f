//! Reading a provider's JSON so that no leaf gets lost.
//!
//! An [`Object`] gives its fields away one by one; what nobody took is what the event carries under
//! `unmapped`, byte for byte as it was written, big integers and decimals included. A field whose value
//! does not fit what was asked for is not taken: it stays, is carried, and shows up as [drift](Drift).

use std::{borrow::Cow, marker::PhantomData};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::{
    Deserialize, Serialize,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::value::RawValue;

use super::providers::NormalizeError;

/// The deepest nesting that is accepted. serde_json's own limit for readers is 128, and the envelope adds two
/// levels: what we pass on must be readable for the next one.
pub const DEPTH_MAX: usize = 100;

/// The largest number that is read as Unix seconds; above it, milliseconds (10^11 s is the year 5138).
const UNIX_SECONDS_MAX: i64 = 100_000_000_000;

/// A JSON value, or what is left of it.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// As it was written.
    Raw(&'a RawValue),
    /// What is left of an object.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
    /// What is left of an array's objects, in their places.
    Array(Vec<Value<'a>>),
}

impl<'a> From<&'a RawValue> for Value<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self::Raw(raw)
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Raw(raw) => raw.serialize(serializer),
            Self::Array(items) => items.serialize(serializer),
            Self::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
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
#[derive(Clone, Debug)]
pub struct Object<'a> {
    path: String,
    raw: &'a RawValue,
    entries: Vec<(Cow<'a, str>, Value<'a>)>,
    touched: bool,
}

impl<'a> Object<'a> {
    /// Reads a webhook's body, which must be one JSON object in UTF-8.
    ///
    /// # Errors
    /// [`NormalizeError::MalformedJson`] names the line and column, never the content.
    pub fn root(body: &'a [u8]) -> Result<Self, NormalizeError> {
        Self::open(parse(body)?, String::new())
    }

    /// Opens `raw`, which stands at `path`, as an object.
    fn open(raw: &'a RawValue, path: String) -> Result<Self, NormalizeError> {
        let invalid = |path: &str, problem: &str| NormalizeError::invalid(path, problem);
        if !raw.get().starts_with('{') {
            return Err(invalid(&path, &format!("is {}, expected an object", class(raw))));
        }
        let Fields(entries): Fields<'_, Value<'_>> = serde_json::from_str(raw.get())
            .map_err(|e| NormalizeError::MalformedJson { problem: describe(&e) })?;
        for (index, (key, _)) in entries.iter().enumerate() {
            if entries[..index].iter().any(|(earlier, _)| earlier == key) {
                return Err(invalid(
                    &join(&path, key),
                    "stands twice in its object: which one counts is not known",
                ));
            }
        }
        Ok(Self { path, raw, entries, touched: false })
    }

    /// The path of `key` in the document, as in `data.contact.id`.
    pub fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// The object as it was written.
    pub fn raw(&self) -> &'a RawValue {
        self.raw
    }

    /// Whether `key` is there and not yet taken (`null` counts as there).
    pub fn has(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.entries.iter().position(|(name, _)| name == key)
    }

    /// The raw value of `key`, not taken; `null` is none.
    pub fn peek(&self, key: &str) -> Option<&'a RawValue> {
        match self.entries.get(self.position(key)?)?.1 {
            Value::Raw(raw) if raw.get() != "null" => Some(raw),
            Value::Raw(_) | Value::Object(_) | Value::Array(_) => None,
        }
    }

    /// Takes `key` if `read` can make something of it; else it stays.
    fn take<T>(&mut self, key: &str, read: impl FnOnce(&'a RawValue) -> Option<T>) -> Option<T> {
        let value = read(self.peek(key)?)?;
        let index = self.position(key)?;
        self.entries.remove(index);
        self.touched = true;
        Some(value)
    }

    /// Why a required `key` could not be taken.
    fn missing(&self, key: &str, expected: &str) -> NormalizeError {
        let problem = match self.peek(key) {
            Some(raw) => format!("is {}, expected {expected}", class(raw)),
            None if self.has(key) => format!("is null, expected {expected}"),
            None => format!("is missing, expected {expected}"),
        };
        NormalizeError::invalid(&self.path_of(key), &problem)
    }

    /// A string.
    pub fn text(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.take(key, text)
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
        self.take(key, |raw| text_or_number(raw).filter(|id| !id.is_empty()))
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
        self.take(key, |raw| text_or_number(raw)?.parse().ok())
    }

    /// A number exactly as it was written, also out of a string: `0.822`, `2500`, `-1e3`.
    pub fn decimal(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.take(key, |raw| text_or_number(raw).filter(|number| is_number(number)))
    }

    /// A number as a float, also out of a string. One that a float cannot hold exactly stays.
    pub fn float(&mut self, key: &str) -> Option<f64> {
        self.take(key, float)
    }

    /// A time: ISO 8601 (UTC where it names no offset), or Unix seconds or milliseconds as a number or a string.
    pub fn time(&mut self, key: &str) -> Option<Timestamp> {
        self.take(key, |raw| parse_time(&text_or_number(raw)?))
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
        self.take(key, text_or_number)
    }

    /// A value out of a closed list. An unknown one stays where it is.
    pub fn one_of<T: Copy>(&mut self, key: &str, list: &[(&str, T)]) -> Option<T> {
        self.take(key, |raw| {
            let value = text(raw)?;
            list.iter().find(|(name, _)| *name == value).map(|(_, known)| *known)
        })
    }

    /// A list of strings; an empty one too.
    pub fn texts(&mut self, key: &str) -> Option<Vec<Cow<'a, str>>> {
        self.take(key, |raw| items(raw)?.into_iter().map(text).collect())
    }

    /// An object out of this one. Give it back with [`Object::keep`], so that what is left of it is not lost.
    pub fn object(&mut self, key: &str) -> Option<Object<'a>> {
        let path = self.path_of(key);
        self.take(key, |raw| Object::open(raw, path).ok())
    }

    /// An object without fields in place of `key`, which is not there; [`Object::keep`] then keeps nothing.
    pub fn absent(&self, key: &str) -> Object<'a> {
        Object { path: self.path_of(key), raw: self.raw, entries: Vec::new(), touched: true }
    }

    /// An object that must be there.
    ///
    /// # Errors
    /// [`NormalizeError::InvalidPayload`] with the path.
    pub fn require_object(&mut self, key: &str) -> Result<Object<'a>, NormalizeError> {
        match self.peek(key) {
            Some(raw) => {
                let object = Object::open(raw, self.path_of(key))?;
                self.take(key, |_| Some(object)).ok_or_else(|| self.missing(key, "an object"))
            }
            None => Err(self.missing(key, "an object")),
        }
    }

    /// A list of objects. Give them back with [`Object::keep_all`].
    pub fn objects(&mut self, key: &str) -> Option<Vec<Object<'a>>> {
        let path = self.path_of(key);
        self.take(key, |raw| {
            let open = |(index, raw)| Object::open(raw, format!("{path}[{index}]")).ok();
            items(raw)?.into_iter().enumerate().map(open).collect()
        })
    }

    /// A list of one object or more, as [`Object::objects`]; an empty list stays, for it is a leaf.
    pub fn filled_objects(&mut self, key: &str) -> Option<Vec<Object<'a>>> {
        let is_empty = self.peek(key).and_then(items).is_some_and(|items| items.is_empty());
        if is_empty { None } else { self.objects(key) }
    }

    /// Any value, as it was written.
    pub fn any(&mut self, key: &str) -> Option<&'a RawValue> {
        self.take(key, Some)
    }

    /// Puts back what is left of `child`, which was taken as `key`.
    pub fn keep(&mut self, key: &'a str, child: Object<'a>) {
        let untouched_or_left = !child.touched || !child.entries.is_empty();
        if untouched_or_left {
            self.entries.push((Cow::Borrowed(key), child.into_unmapped()));
        }
    }

    /// Puts back what is left of `children`, which were taken as `key`; `{}` where nothing is.
    pub fn keep_all(&mut self, key: &'a str, children: Vec<Object<'a>>) {
        let value = Value::Array(children.into_iter().map(Object::into_unmapped).collect());
        if !value.is_empty() {
            self.entries.push((Cow::Borrowed(key), value));
        }
    }

    /// What nobody took.
    pub fn into_unmapped(self) -> Value<'a> {
        if self.touched { Value::Object(self.entries) } else { Value::Raw(self.raw) }
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

/// What in `unmapped` is unexpected: everything but `null`, `[]`, `{}` and what lies under a path of `expected`. An
/// entry such as `*.object` means every path that ends so.
pub fn drift(unmapped: &Value<'_>, expected: &[&str]) -> Vec<Drift> {
    let mut found = Vec::new();
    collect_drift(unmapped, String::new(), expected, &mut found);
    found
}

fn collect_drift(value: &Value<'_>, path: String, expected: &[&str], found: &mut Vec<Drift>) {
    let is_expected = |entry: &&str| match entry.strip_prefix('*') {
        Some(end) => path.ends_with(end),
        None => path == *entry,
    };
    if expected.iter().any(is_expected) {
        return;
    }
    match value {
        Value::Raw(raw) => {
            let drift = Drift { path, class: class(raw) };
            if !matches!(raw.get(), "null" | "[]" | "{}") && !found.contains(&drift) {
                found.push(drift);
            }
        }
        Value::Object(entries) => {
            for (key, value) in entries {
                collect_drift(value, join(&path, key), expected, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect_drift(item, format!("{path}[]"), expected, found);
            }
        }
    }
}

/// Reads one JSON value in UTF-8, not nested deeper than [`DEPTH_MAX`].
///
/// # Errors
/// [`NormalizeError::MalformedJson`] names the line and column, never the content.
pub fn parse(body: &[u8]) -> Result<&RawValue, NormalizeError> {
    let malformed = |problem: String| NormalizeError::MalformedJson { problem };
    let text = std::str::from_utf8(body)
        .map_err(|e| malformed(format!("is invalid UTF-8 at byte {}", e.valid_up_to())))?;
    check_depth(text)?;
    serde_json::from_str(text).map_err(|e| malformed(describe(&e)))
}

/// Reads a time as [`Object::time`] does.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(number) = text.parse::<i64>() {
        return match number {
            0..=UNIX_SECONDS_MAX => Timestamp::from_second(number).ok(),
            _ => Timestamp::from_millisecond(number).ok().filter(|_| number > 0),
        };
    }
    text.parse().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })
}

/// A string value.
pub fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let json = raw.get();
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(json).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// A number as a float, if the float holds all that was written: 15 digits always fit; more only if the float
/// is written just so.
pub fn float(raw: &RawValue) -> Option<f64> {
    let number = text_or_number(raw).filter(|number| is_number(number))?;
    let float: f64 = number.parse().ok().filter(|float: &f64| float.is_finite())?;
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    (digits <= 15 || float.to_string() == number).then_some(float)
}

/// A string's content, or a number as it was written.
pub fn text_or_number(raw: &RawValue) -> Option<Cow<'_, str>> {
    if is_number(raw.get()) { Some(Cow::Borrowed(raw.get())) } else { text(raw) }
}

/// The fields of an object in their order; a name that stands twice is there twice.
pub fn fields(raw: &RawValue) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    serde_json::from_str(raw.get()).ok().map(|Fields(fields)| fields)
}

/// The elements of an array.
pub fn items(raw: &RawValue) -> Option<Vec<&RawValue>> {
    if raw.get().starts_with('[') { serde_json::from_str(raw.get()).ok() } else { None }
}

/// What kind of JSON value this is.
pub fn class(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    }
}

/// Whether `text` is a number by JSON's grammar.
fn is_number(text: &str) -> bool {
    matches!(text.as_bytes().first(), Some(b'-' | b'0'..=b'9'))
        && serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get().len() == text.len())
}

/// The path of `key` in the object at `path`; the document's own path is empty.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What is wrong and where, without the content that serde_json would quote.
fn describe(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "ends too early",
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Data => "is not valid JSON",
    };
    format!("{what} at line {} column {}", error.line(), error.column())
}

fn check_depth(text: &str) -> Result<(), NormalizeError> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > DEPTH_MAX {
                    let problem = format!("is nested deeper than {DEPTH_MAX} levels");
                    return Err(NormalizeError::MalformedJson { problem });
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// An object's fields in their order, values unread.
struct Fields<'a, V>(Vec<(Cow<'a, str>, V)>);

/// A key, borrowed where it holds no escape.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, V: From<&'de RawValue>> Deserialize<'de> for Fields<'de, V> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor<V>(PhantomData<V>);
        impl<'de, V: From<&'de RawValue>> Visitor<'de> for FieldsVisitor<V> {
            type Value = Fields<'de, V>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some(Key(key)) = map.next_key()? {
                    fields.push((key, map.next_value::<&RawValue>()?.into()));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor(PhantomData))
    }
}
