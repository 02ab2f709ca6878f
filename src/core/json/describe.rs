//! Descriptions of what is written as JSON, from the declarations that write it.
//!
//! The published schemas and the reference of events are made from them. Writing does not use them.

use std::borrow::Cow;

use jiff::Timestamp;
use uuid::Uuid;

use super::raw::{Raw, Value};

/// A type whose JSON can be described.
pub trait Describe {
    /// True if a field of this type may be absent.
    const MAY_BE_ABSENT: bool = false;

    /// Describes the JSON of a value that is present.
    fn shape() -> Shape;
}

/// A type whose JSON is an object with known fields.
pub trait DescribeRecord {
    /// Describes the object.
    fn record() -> Record;
}

/// The JSON of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Any string.
    Text,
    /// A string in a format that JSON Schema names: `date-time`, `uuid`, `uri`, …
    Formatted(&'static str),
    /// One certain string.
    Constant(&'static str),
    /// A word of a closed list.
    Words(Words),
    /// True or false.
    Boolean,
    /// A number without a fraction.
    Integer,
    /// Any number.
    Number,
    /// Values of one shape.
    List(Box<Shape>),
    /// An object with known fields.
    Record(Record),
    /// An object with any fields.
    Object,
    /// Any value, `null` included, as the provider wrote it.
    Any,
}

/// A closed list of words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The list's name.
    pub name: &'static str,
    /// Its documentation.
    pub about: &'static str,
    /// Each word with its documentation, which may be empty.
    pub words: Vec<(&'static str, &'static str)>,
}

/// An object with known fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub name: &'static str,
    /// Its documentation.
    pub about: &'static str,
    /// The fields in the order in which they are written.
    pub fields: Vec<Field>,
}

/// A field of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its documentation.
    pub about: &'static str,
    /// Its JSON where it is present.
    pub shape: Shape,
    /// True if the field is always present.
    pub is_required: bool,
}

impl Field {
    /// Describes the field `name` of type `T`.
    pub fn of<T: Describe>(name: &'static str, about: &'static str) -> Self {
        Self { name, about: about.trim(), shape: T::shape(), is_required: !T::MAY_BE_ABSENT }
    }
}

/// Joins the lines of a doc comment, given as attributes among which there may be others.
macro_rules! doc_text {
    () => { "" };
    (#[doc = $line:literal] $($rest:tt)*) => {
        concat!($line, $crate::core::json::describe::doc_text!($($rest)*))
    };
    (#[$($other:tt)*] $($rest:tt)*) => { $crate::core::json::describe::doc_text!($($rest)*) };
}

pub(in crate::core) use doc_text;

/// Implements [`Describe`] for types that have one shape and are never absent.
macro_rules! describe {
    ($($type:ty => $shape:expr,)*) => {
        $(
            impl Describe for $type {
                fn shape() -> Shape {
                    $shape
                }
            }
        )*
    };
}

describe! {
    str => Shape::Text,
    String => Shape::Text,
    Cow<'_, str> => Shape::Text,
    Timestamp => Shape::Formatted("date-time"),
    Uuid => Shape::Formatted("uuid"),
    bool => Shape::Boolean,
    i64 => Shape::Integer,
    f64 => Shape::Number,
    Raw<'_> => Shape::Any,
}

impl Describe for Value<'_> {
    const MAY_BE_ABSENT: bool = true;

    fn shape() -> Shape {
        Shape::Any
    }
}

impl<T: Describe + ?Sized> Describe for &T {
    const MAY_BE_ABSENT: bool = T::MAY_BE_ABSENT;

    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: Describe> Describe for Option<T> {
    const MAY_BE_ABSENT: bool = true;

    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: Describe> Describe for Vec<T> {
    const MAY_BE_ABSENT: bool = true;

    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }
}

#[cfg(test)]
#[expect(dead_code, unreachable_pub, reason = "only the descriptions are tested, and the macros write `pub`")]
mod tests {
    use super::*;
    use crate::core::json::{json_object, json_words};

    json_words! {
        /// A colour.
        #[derive(Clone, Copy)]
        pub enum Colour {
            /// Like a
            /// cherry.
            Red = "red",
            Blue = "blue",
        }
    }

    json_object! {
        /// A thing.
        ///
        /// It is planted.
        pub struct Thing<'a> {
            /// Its colour.
            pub colour: Colour,
            #[holds(Name)]
            pub names: Vec<Cow<'a, str>>,
            /// Its age.
            pub at: Option<Timestamp>,
        }
    }

    #[test]
    fn a_declaration_is_described_as_it_is_written() {
        let field = |name, about, shape, is_required| Field { name, about, shape, is_required };
        let words = vec![("red", "Like a cherry."), ("blue", "")];
        let colour = Shape::Words(Words { name: "Colour", about: "A colour.", words });
        let fields = vec![
            field("colour", "Its colour.", colour, true),
            field("names", "", Shape::List(Box::new(Shape::Text)), false),
            field("at", "Its age.", Shape::Formatted("date-time"), false),
        ];
        let record = Record { name: "Thing", about: "A thing. It is planted.", fields };
        assert_eq!(Thing::shape(), Shape::Record(record));
        let (required, optional) = (Thing::MAY_BE_ABSENT, Option::<Thing<'_>>::MAY_BE_ABSENT);
        assert_eq!((required, optional), (false, true));
    }
}
