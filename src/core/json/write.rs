//! Writes JSON straight into a buffer.
//!
//! serde would work too. But field names are known at compile time, so a field here costs two copies: one of
//! its name with quotes and colon, and one of its value.

use std::borrow::Cow;

use jiff::Timestamp;
use uuid::Uuid;

use super::{raw::Value, scan::plain_len, time};

/// A value that can be written as JSON.
pub trait Json {
    /// Appends the value.
    fn write(&self, out: &mut Vec<u8>);

    /// Returns true if a field with this value is omitted. A record is absent if all its fields are.
    fn is_absent(&self) -> bool {
        false
    }
}

/// Returns a record, or none if it would be `{}`.
pub(in crate::core) fn present<T: Json>(record: T) -> Option<T> {
    (!record.is_absent()).then_some(record)
}

/// A record that is written as an object.
pub trait Fields {
    /// Appends the fields, each followed by a comma.
    fn write_fields(&self, out: &mut Vec<u8>);
}

/// Appends an object with the fields that `write_fields` appends, each followed by a comma.
pub(in crate::core) fn write_object(out: &mut Vec<u8>, write_fields: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'{');
    write_fields(out);
    close(out, b'}');
}

/// Replaces the last comma with the closing bracket.
pub(super) fn close(out: &mut Vec<u8>, bracket: u8) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(bracket);
}

/// Appends the field `$name` and a comma, unless its value is absent.
macro_rules! write_field {
    ($out:expr, $name:expr, $value:expr) => {
        if !$crate::core::json::write::Json::is_absent($value) {
            $out.extend_from_slice(concat!("\"", $name, "\":").as_bytes());
            $crate::core::json::write::Json::write($value, $out);
            $out.push(b',');
        }
    };
}

/// Defines a record whose fields are written under their own names and in order, and described by their doc
/// comments. Absent fields are omitted. `#[holds(…)]` declares what a text may hold of a person: one of
/// [`Holds`](super::personal::Holds).
macro_rules! json_object {
    ($(
        $(#[$($attribute:tt)*])*
        pub struct $record:ident<'a> {
            $(
                $(#[doc = $about:literal])*
                $(#[holds($holds:ident)])?
                pub $field:ident: $type:ty,
            )*
        }
    )*) => {
        $(
            $(#[$($attribute)*])*
            pub struct $record<'a> {
                $($(#[doc = $about])* pub $field: $type,)*
            }

            impl $crate::core::json::write::Fields for $record<'_> {
                fn write_fields(&self, out: &mut Vec<u8>) {
                    $($crate::core::json::write::write_field!(out, stringify!($field), &self.$field);)*
                }
            }

            impl $crate::core::json::write::Json for $record<'_> {
                fn write(&self, out: &mut Vec<u8>) {
                    $crate::core::json::write::write_object(out, |out| {
                        $crate::core::json::write::Fields::write_fields(self, out);
                    });
                }

                fn is_absent(&self) -> bool {
                    true $(&& $crate::core::json::write::Json::is_absent(&self.$field))*
                }
            }

            impl $crate::core::json::personal::Redact<()> for $record<'_> {
                fn redact(&mut self, (): (), by: &dyn $crate::core::json::personal::Redactor) -> bool {
                    use $crate::core::json::{describe::Describe, personal::Redact, write::Json};
                    fn may_be_absent<T: Describe>(_: &T) -> bool {
                        T::MAY_BE_ABSENT
                    }
                    let mut is_whole = true;
                    $(
                        let stays = Redact::redact(
                            &mut self.$field,
                            $crate::core::json::personal::holds!($($holds)?),
                            by,
                        );
                        is_whole &= stays || may_be_absent(&self.$field);
                    )*
                    is_whole && !Json::is_absent(self)
                }
            }

            impl<'a> $crate::core::json::describe::Describe for $record<'a> {
                const MAY_BE_ABSENT: bool =
                    true $(&& <$type as $crate::core::json::describe::Describe>::MAY_BE_ABSENT)*;

                fn shape() -> $crate::core::json::describe::Shape {
                    use $crate::core::json::describe::DescribeRecord;
                    $crate::core::json::describe::Shape::Record(Self::record())
                }
            }

            impl<'a> $crate::core::json::describe::DescribeRecord for $record<'a> {
                fn record() -> $crate::core::json::describe::Record {
                    $crate::core::json::describe::Record {
                        name: stringify!($record),
                        about: $crate::core::json::describe::doc_text!($(#[$($attribute)*])*).trim(),
                        fields: vec![$($crate::core::json::describe::Field::of::<$type>(
                            stringify!($field),
                            concat!($($about),*),
                        ),)*],
                    }
                }
            }
        )*
    };
}

/// Defines a closed list of words that are written as strings, and described by their doc comments.
macro_rules! json_words {
    ($(
        $(#[$($attribute:tt)*])*
        pub enum $list:ident {
            $($(#[$($word_attribute:tt)*])* $variant:ident = $word:literal,)*
        }
    )*) => {
        $(
            $(#[$($attribute)*])*
            pub enum $list {
                $($(#[$($word_attribute)*])* $variant,)*
            }

            impl $crate::core::json::write::Json for $list {
                fn write(&self, out: &mut Vec<u8>) {
                    out.extend_from_slice(match self {
                        $(Self::$variant => concat!("\"", $word, "\"").as_bytes(),)*
                    });
                }
            }

            impl $crate::core::json::personal::Redact<()> for $list {
                fn redact(&mut self, (): (), _by: &dyn $crate::core::json::personal::Redactor) -> bool {
                    true
                }
            }

            impl $crate::core::json::describe::Describe for $list {
                fn shape() -> $crate::core::json::describe::Shape {
                    $crate::core::json::describe::Shape::Words($crate::core::json::describe::Words {
                        name: stringify!($list),
                        about: $crate::core::json::describe::doc_text!($(#[$($attribute)*])*).trim(),
                        words: vec![$((
                            $word,
                            $crate::core::json::describe::doc_text!($(#[$($word_attribute)*])*).trim(),
                        ),)*],
                    })
                }
            }
        )*
    };
}

pub(in crate::core) use {json_object, json_words, write_field};

impl Json for str {
    fn write(&self, out: &mut Vec<u8>) {
        if plain_len(self.as_bytes()) == self.len() {
            out.push(b'"');
            out.extend_from_slice(self.as_bytes());
            out.push(b'"');
        } else {
            write_with_serde(self, out);
        }
    }
}

/// Appends `value` with serde: for what is rare or hard to get right, such as escapes and the shortest form
/// of a float.
fn write_with_serde<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Writing text and numbers to memory does not fail.
    serde_json::to_writer(out, value).ok();
}

impl Json for Cow<'_, str> {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

impl Json for String {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

impl Json for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl Json for i64 {
    fn write(&self, out: &mut Vec<u8>) {
        write_with_serde(self, out);
    }
}

impl Json for f64 {
    fn write(&self, out: &mut Vec<u8>) {
        write_with_serde(self, out);
    }
}

impl Json for Timestamp {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        time::write(*self, out);
        out.push(b'"');
    }
}

impl Json for Uuid {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(self.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        out.push(b'"');
    }
}

impl<T: Json + ?Sized> Json for &T {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }

    fn is_absent(&self) -> bool {
        (**self).is_absent()
    }
}

impl<T: Json> Json for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: Json> Json for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for item in self {
            item.write(out);
            out.push(b',');
        }
        close(out, b']');
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

impl Json for Value<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Raw(raw) | Self::Known(raw) => raw.write(out),
            Self::Array(items) => items.write(out),
            Self::Object(entries) => write_object(out, |out| {
                for (key, value) in entries {
                    key.write(out);
                    out.push(b':');
                    value.write(out);
                    out.push(b',');
                }
            }),
        }
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}
