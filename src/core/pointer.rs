//! JSON pointers (RFC 6901) that find a value in a body without reading the whole of it.
//!
//! For the hot path of the receiver. Dead letters are filtered with serde_json's own pointers, over a parsed
//! body.

use std::{fmt, str::FromStr};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::json::without_mark;

/// A JSON pointer (RFC 6901) to a value inside a document; never to the document itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

/// A text that is not a [`Pointer`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a JSON pointer starts with / and has ~ only in ~0 and ~1")]
pub struct InvalidPointer;

impl FromStr for Pointer {
    type Err = InvalidPointer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = text.strip_prefix('/').ok_or(InvalidPointer)?;
        let unescape = |name: &str| {
            let strange = name.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1']));
            if strange { Err(InvalidPointer) } else { Ok(name.replace("~1", "/").replace("~0", "~")) }
        };
        names.split('/').map(unescape).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|name| write!(f, "/{}", escaped(name)))
    }
}

/// Turns the pointer to a value, which is empty for the document itself, into that to the value inside it
/// with a key or an index.
pub fn push(pointer: &mut String, name: &str) {
    pointer.push('/');
    pointer.push_str(&escaped(name));
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl Pointer {
    /// Returns the value at this pointer as it was written. Values before it are skipped and nothing after it
    /// is read. Of duplicate keys the first applies.
    pub fn find<'b>(&self, body: &'b [u8]) -> Option<&'b RawValue> {
        let mut found = None;
        let place = Place { path: &self.0, found: &mut found };
        // A hit leaves the rest unread, which the deserializer reports as an error.
        drop(place.deserialize(&mut serde_json::Deserializer::from_slice(without_mark(body))));
        found
    }
}

/// A value on the path, and the rest of the path below it.
struct Place<'p, 'f, 'b> {
    path: &'p [String],
    found: &'f mut Option<&'b RawValue>,
}

impl<'b> DeserializeSeed<'b> for Place<'_, '_, 'b> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.path.split_first() {
            Some((name, below)) => deserializer.deserialize_any(Level { name, below, found: self.found }),
            None => {
                *self.found = Some(<&RawValue>::deserialize(deserializer)?);
                Ok(())
            }
        }
    }
}

/// An object or an array on the path, and the name of the value that leads on.
struct Level<'p, 'f, 'b> {
    name: &'p str,
    below: &'p [String],
    found: &'f mut Option<&'b RawValue>,
}

impl<'b> Visitor<'b> for Level<'_, '_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(leads_on) = entries.next_key_seed(Is(self.name))? {
            if leads_on {
                return entries.next_value_seed(Place { path: self.below, found: self.found });
            }
            entries.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut items: A) -> Result<(), A::Error> {
        let Some(index) = index(self.name) else { return Ok(()) };
        for _ in 0..index {
            if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        items.next_element_seed(Place { path: self.below, found: self.found }).map(drop)
    }
}

/// Parses an index. RFC 6901 allows digits only, without leading zeros.
fn index(name: &str) -> Option<usize> {
    let plain = name == "0" || name.starts_with(|first: char| ('1'..='9').contains(&first));
    if plain { name.parse().ok() } else { None }
}

/// Compares a key with a name without keeping the key.
struct Is<'p>(&'p str);

impl<'b> DeserializeSeed<'b> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<bool, D::Error> {
        // A name that holds half a surrogate pair has bytes, but is no text.
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<bool, E> {
        Ok(name == self.0.as_bytes())
    }
}

#[cfg(test)]
pub(in crate::core) mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde_json::{Map, Value};

    use super::*;

    fn find<'b>(pointer: &str, body: &'b [u8]) -> Option<&'b str> {
        pointer.parse::<Pointer>().expect("a pointer").find(body).map(RawValue::get)
    }

    #[test]
    fn a_pointer_follows_rfc_6901() {
        let document = br#"{"foo":["bar","baz"],"":0,"a/b":1,"m~n":8," ":7,"c%d":2}"#;
        for (pointer, found) in [
            ("/foo", Some(r#"["bar","baz"]"#)),
            ("/foo/0", Some("\"bar\"")),
            ("/foo/1", Some("\"baz\"")),
            ("/foo/2", None),
            ("/foo/-", None),
            ("/foo/01", None),
            ("/foo/+1", None),
            ("/foo/99999999999999999999", None),
            ("/", Some("0")),
            ("/a~1b", Some("1")),
            ("/m~0n", Some("8")),
            ("/ ", Some("7")),
            ("/c%d", Some("2")),
            ("/foo/0/x", None),
            ("/none", None),
        ] {
            assert_eq!(find(pointer, document), found, "{pointer}");
            assert_eq!(pointer.parse::<Pointer>().expect("a pointer").to_string(), pointer);
        }
        for text in ["", "data", "data/id", "/a~", "/a~2", "/~01~"] {
            assert_eq!(text.parse::<Pointer>(), Err(InvalidPointer), "{text}");
        }
    }

    #[test]
    fn nothing_is_read_after_the_hit_and_the_first_duplicate_applies() {
        assert_eq!(find("/a", b"{\"a\": 1 , and no more"), Some("1"));
        assert_eq!(find("/a/1", b"{\"a\":[0,[2],and no more"), Some("[2]"));
        assert_eq!(find("/a", br#"{"a":1,"a":2}"#), Some("1"));
        assert_eq!(find("/a/b", br#"{"a":{},"a":{"b":2}}"#), None);
    }

    #[test]
    fn a_byte_order_mark_and_a_cut_emoji_change_nothing() {
        assert_eq!(find("/a", b"\xef\xbb\xbf{\"a\":1}"), Some("1"));
        assert_eq!(find("/a", br#"{"\ud83d":"\ud83d","a":1}"#), Some("1"));
        assert_eq!(find("/a", br#"{"\u0061":1}"#), Some("1"));
    }

    /// Generates JSON with a few recurring names, some of which a pointer must escape.
    pub(in crate::core) fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 5, |inner| {
            let object = vec((name(), inner.clone()), 0..5);
            prop_oneof![
                vec(inner, 0..4).prop_map(Value::from),
                object.prop_map(|entries| Value::Object(Map::from_iter(entries))),
            ]
        })
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof!["[ab0-2~/\"\\\\é]{0,2}", ".{0,4}"]
    }

    /// Collects a pointer to every value inside a document.
    fn places(value: &Value, here: &mut Vec<String>, found: &mut Vec<Pointer>) {
        if !here.is_empty() {
            found.push(Pointer(here.clone()));
        }
        let below: Vec<(String, &Value)> = match value {
            Value::Array(items) => items.iter().enumerate().map(|(n, item)| (n.to_string(), item)).collect(),
            Value::Object(entries) => entries.iter().map(|(name, value)| (name.clone(), value)).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        };
        for (name, value) in below {
            here.push(name);
            places(value, here, found);
            here.pop();
        }
    }

    proptest! {
        #[test]
        fn a_pointer_finds_what_serde_json_finds(
            document in document(), names in vec(name(), 1..4), pretty: bool,
        ) {
            let write = if pretty { serde_json::to_vec_pretty } else { serde_json::to_vec };
            let body = write(&document).expect("JSON");
            let mut pointers = vec![Pointer(names)];
            places(&document, &mut Vec::new(), &mut pointers);
            for pointer in pointers {
                let read = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).expect("JSON");
                let found = pointer.find(&body).map(read);
                prop_assert_eq!(found.as_ref(), document.pointer(&pointer.to_string()), "{}", pointer);
                prop_assert_eq!(pointer.to_string().parse::<Pointer>(), Ok(pointer));
            }
        }
    }
}
